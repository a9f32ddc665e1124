package policy

import (
	"testing"

	"github.com/plumbnet/plumb/check/checktest"
)

func TestRecorded(t *testing.T) { checktest.Run(t, Denies, Stale, NoEnforcer, NotEnforced) }
