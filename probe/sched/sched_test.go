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

// receive takes a datagram, and counts whether it was there already or had to be slept for.
func receive(fd int, b []byte, slept *uint64) (int, unix.Sockaddr, error) {
	n, from, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) {
		*slept++
		for n, from, err = unix.Recvfrom(fd, b, 0); errors.Is(err, unix.EINTR); n, from, err = unix.Recvfrom(fd, b, 0) {
		}
	}
	return n, from, err
}

// echo sends n datagrams from shop/a to shop/b, each after the answer to the last, and returns for how many either slept.
func echo(t *testing.T, l *probetest.Lab, n int) (slept map[string]uint64) {
	t.Helper()
	var a, b uint64
	ready, served := make(chan error), make(chan error, 1)
	go func() {
		served <- l.B.Do(func() error {
			fd, err := bound(7)
			ready <- err
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			buf := make([]byte, 100)
			for range n {
				size, from, err := receive(fd, buf, &b)
				if err != nil {
					return err
				}
				if err := unix.Sendto(fd, buf[:size], 0, from); err != nil {
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
			if _, _, err := receive(fd, make([]byte, 100), &a); err != nil {
				return err
			}
		}
		return nil
	})
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return map[string]uint64{"shop/a": a, "shop/b": b}
}

// TestWaits: who sleeps until there is something to read is woken by the datagram, and waits each time.
func TestWaits(t *testing.T) {
	const n = 1000
	l := probetest.NewLab(t)
	l.Echo(t, "udp", 1, 10) // neighbours are known from here on
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places, Threshold: time.Minute})
	for pod, slept := range echo(t, l, n) {
		if slept < n/20 {
			t.Fatalf("%s slept for %d datagrams of %d: there is nothing to measure", pod, slept, n)
		}
		probetest.Until(t, func() string {
			// What comes between a look and the sleep wakes nobody, and a thread may be woken for another reason just after
			// data came that nobody slept for: both are rare.
			got, _ := probetest.Hist(t, p, fmt.Sprintf(`sched_wait_seconds{pod=%q}`, pod), 0)
			if rare := slept/10 + 20; got > slept+rare || got+rare < slept {
				return fmt.Sprintf("%s waited %d times, and slept for %d datagrams of %d", pod, got, slept, n)
			}
			return ""
		})
		t.Logf("%s slept for %d datagrams of %d", pod, slept, n)
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
