package proxyrules

import (
	"testing"

	"github.com/plumbnet/plumb/check/checktest"
)

func Test(t *testing.T) { checktest.Run(t, Missing, Leftover, Affinity, Stale) }
