package main

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOptions colours and widens a report for a terminal only.
func TestOptions(t *testing.T) {
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal to try it on: %v", err)
	}
	defer pty.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	for _, row := range []struct {
		name  string
		cols  uint16
		env   [2]string
		color bool
		width int
	}{
		{"wide", 120, [2]string{}, true, 120},
		{"narrow", 60, [2]string{}, true, 60},
		{"wider than reads well", 400, [2]string{}, true, maxWidth},
		{"does not know its size", 0, [2]string{}, true, defaultWidth},
		{"no colours are wanted", 120, [2]string{"NO_COLOR", "1"}, false, 120},
		{"a terminal without colours", 120, [2]string{"TERM", "dumb"}, false, 120},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.env[0] != "" {
				t.Setenv(row.env[0], row.env[1])
			}
			if err := unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: row.cols}); err != nil {
				t.Skipf("its size cannot be set: %v", err)
			}
			if o := options(pty, "en"); o.Color != row.color || o.Width != row.width {
				t.Errorf("colour %v, width %d", o.Color, o.Width)
			}
		})
	}
	if o := options(&bytes.Buffer{}, "zh"); o.Color || o.Width != defaultWidth || o.Lang != "zh" {
		t.Errorf("a pipe: %+v", o)
	}
	if o := options(null, "en"); o.Color || isTerminal(null) {
		t.Error("the null device is taken for a terminal")
	}
}
