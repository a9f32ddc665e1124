//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestQuitKey types on a terminal: q stops, other keys do not, and the terminal is afterwards as it was.
func TestQuitKey(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no terminal to try it on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	flags := func() uint32 {
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), getTermios)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag
	}
	before := flags()
	stopped := make(chan bool, 2)
	back := quitKey(terminal, func() { stopped <- true })
	if now := flags(); now != before&^(unix.ICANON|unix.ECHO) || now&unix.ISIG == 0 {
		t.Errorf("flags %#x, before %#x", now, before)
	}
	if _, err := master.WriteString("xyz\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
		t.Error("another key stops it")
	case <-time.After(50 * time.Millisecond): // that nothing comes of it takes a while to show
	}
	if _, err := master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("q does not stop it")
	}
	if back(); flags() != before {
		t.Errorf("flags %#x, before %#x", flags(), before)
	}
	quitKey(os.Stdin, func() { t.Error("stopped") })()
}
