//go:build linux

package sched

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// bound is a socket whose reader sleeps in the kernel: a thread that is in the namespace, and is not Go's poller.
func bound(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return 0, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrInet4{Port: port})
}

// echo sends n datagrams from shop/a to shop/b, each after the answer to the last.
func echo(t *testing.T, l *probetest.Lab, n int) {
	t.Helper()
	ready, served := make(chan error), make(chan error, 1)
	go func() {
		served <- l.B.Do(func() error {
			fd, err := bound(7)
			ready <- err
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			b := make([]byte, 100)
			for range n {
				size, from, err := unix.Recvfrom(fd, b, 0)
				if err != nil {
					return err
				}
				if err := unix.Sendto(fd, b[:size], 0, from); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	l.In(t, l.A, func() error {
		fd, err := bound(0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for range n {
			if err := unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 2, 0, 2}, Port: 7}); err != nil {
				return err
			}
			if _, _, err := unix.Recvfrom(fd, make([]byte, 100), 0); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		}
		return nil
	})
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

// TestWaits: who reads and sleeps until there is something is woken by each datagram, and waits each time.
func TestWaits(t *testing.T) {
	const n = 1000
	l := probetest.NewLab(t)
	l.Echo(t, "udp", 1, 10) // neighbours are known from here on
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places, Threshold: time.Minute})
	echo(t, l, n)
	for _, pod := range []string{"shop/a", "shop/b"} {
		probetest.Until(t, func() string {
			// Who had not gone to sleep yet was not woken.
			if got, _ := probetest.Hist(t, p, fmt.Sprintf(`sched_wait_seconds{pod=%q}`, pod), 0); got < n/2 || got > n {
				return fmt.Sprintf("%s waited %d times, want some %d", pod, got, n)
			}
			return ""
		})
	}
	probetest.Cost(t, p)
}

func TestEvents(t *testing.T) {
	l := probetest.NewLab(t)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Nanosecond})
	events := probetest.Watch(t, p)
	echo(t, l, 100)
	seen := map[string]bool{}
	for end := time.After(10 * time.Second); len(seen) < 2; {
		select {
		case e := <-events:
			if e.By != event.ByNetNS {
				continue // of the machine's
			}
			if e.Detail[0].Key != "task" || e.Detail[0].Value != strings.TrimSpace(string(comm)) || e.Detail[2].Key != "waited" {
				t.Fatalf("%v", e)
			}
			seen[e.Pod] = true
		case <-end:
			t.Fatalf("saw %v only", seen)
		}
	}
}
