package path_test

import (
	"testing"

	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/check/path"
)

func Test(t *testing.T) { checktest.Run(t, path.Check) }
