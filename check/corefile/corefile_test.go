package corefile

import (
	"testing"

	"github.com/plumbnet/plumb/check/checktest"
)

func Test(t *testing.T) { checktest.Run(t, Refused, Loop, Hosts, Dead, Rewrite, Reverse, OneNode) }
