//go:build linux

package main

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFirstThread wants no goroutine but main's on the first thread.
func TestFirstThread(t *testing.T) {
	var wg sync.WaitGroup
	all := make(chan struct{})
	for range 32 { // each on a thread of its own
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() == os.Getpid() {
				t.Error("a goroutine runs on the first thread")
			}
			<-all
		})
	}
	close(all)
	wg.Wait()
}
