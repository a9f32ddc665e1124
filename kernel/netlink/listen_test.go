//go:build linux

package netlink

import (
	"context"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestHeard: what waits in the socket, and what is being taken, is not heard yet.
func TestHeard(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("heard")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Delete() })
	var l *Listener
	err = ns.Do(func() (err error) {
		l, err = Listen(unix.NETLINK_ROUTE, false, unix.RTNLGRP_LINK)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !l.Heard() {
		t.Error("there is nothing to hear yet")
	}
	if err := ns.Run("", "ip", "link", "set", "lo", "mtu", "1400"); err != nil {
		t.Fatal(err)
	}
	if l.Heard() {
		t.Fatal("nobody has received it")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken, done := make(chan uint16), make(chan error, 1)
	go func() {
		done <- l.Receive(ctx, func(m Message) { taken <- m.Type })
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if m, err := l.memory(); err != nil || time.Now().After(end) {
			t.Fatal("it is not received: ", err)
		} else if m[skMeminfoRmemAlloc] == 0 {
			break
		}
	}
	if l.Heard() {
		t.Error("it is received, and not taken")
	}
	for end := time.After(time.Minute); !l.Heard(); {
		select {
		case typ := <-taken: // one or more
			if typ != unix.RTM_NEWLINK {
				t.Errorf("type %d", typ)
			}
		case <-time.After(time.Millisecond):
		case <-end:
			t.Fatal("it is taken, and not heard")
		}
	}
	if n := l.Lost(); n != 0 {
		t.Errorf("%d lost", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
