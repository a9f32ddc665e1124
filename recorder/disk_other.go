//go:build !linux

package recorder

import (
	"errors"
	"os"
)

// A recorder runs where plumbd does: on Linux. Elsewhere it is read only, or in memory.
var errOS = errors.New("needs Linux")

func allocate(*os.File, int64) error { return errOS }

func own(*os.File) error { return errOS }

func disown(f *os.File) error { return f.Close() }

func scratch(n int) ([]byte, func()) { return make([]byte, n), func() {} }
