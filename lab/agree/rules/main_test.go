//go:build linux

package rules

import (
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
