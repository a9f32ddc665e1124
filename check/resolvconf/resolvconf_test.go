package resolvconf

import (
	"testing"

	"github.com/plumbnet/plumb/check/checktest"
)

func Test(t *testing.T) { checktest.Run(t, Check) }
