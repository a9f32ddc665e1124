package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// quitKey calls stop when q is typed on a terminal, which until back is called gives keys as they are typed, and shows none. ^C does there what
// it always does. What is no terminal it leaves alone.
func quitKey(in *os.File, stop func()) (back func()) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), getTermios)
	if err != nil {
		return func() {}
	}
	byKey := *before
	byKey.Lflag &^= unix.ICANON | unix.ECHO
	byKey.Cc[unix.VMIN], byKey.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(int(in.Fd()), setTermios, &byKey) != nil {
		return func() {}
	}
	go func() { // ends with the program, at the latest
		for key := make([]byte, 1); ; {
			if n, err := in.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 'Q') {
				if err == nil {
					stop()
				}
				return
			}
		}
	}()
	return func() { _ = unix.IoctlSetTermios(int(in.Fd()), setTermios, before) }
}
