//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// Connections go to many ports, so that those that linger (TIME_WAIT) do not use up the client's.
const (
	firstPort  = 8000
	flowPorts  = 20
	flowers    = 16 // threads of the client
	resetEvery = 10 // connections
)

var server = [4]byte{10, 98, 0, 2}

// A traffic is connections between two Pods.
type traffic struct {
	client, server *sandbox.NS
	made, failed   atomic.Uint64
	end            func()
}

// newTraffic makes the Pods soak/client and soak/server with a veth between them.
func newTraffic() (*traffic, error) {
	t := &traffic{}
	var ends []func()
	t.end = func() {
		for _, f := range ends {
			f()
		}
	}
	for name, ns := range map[string]**sandbox.NS{"client": &t.client, "server": &t.server} {
		n, end, err := newPod("soak/"+name, "soak-"+name)
		if err != nil {
			return t, err
		}
		*ns = n
		ends = append(ends, end)
	}
	return t, errors.Join(
		t.client.Run("link add eth0 type veth peer name eth0 netns soak-server\naddr add 10.98.0.1/24 dev eth0\nlink set eth0 up\n", "ip", "-batch", "-"),
		t.server.Run("addr add 10.98.0.2/24 dev eth0\nlink set eth0 up\n", "ip", "-batch", "-"),
		t.client.Run("", "sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=10000", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65000"),
		t.server.Run("", "sysctl", "-qw", "net.core.somaxconn=4096"))
}

// run makes so many connections a second until ctx ends.
func (t *traffic) run(ctx context.Context, rate int) error {
	var listening, serving, asking sync.WaitGroup
	var fds []int
	var mu sync.Mutex
	var first error
	blame := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
	}
	err := t.server.Do(func() error {
		for i := range flowPorts {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: firstPort + i}), unix.Listen(fd, 4096)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, fd := range fds {
		serving.Go(func() { accept(fd) })
	}
	listening.Wait()
	if err == nil {
		var turns atomic.Int64 // given out
		began := time.Now()
		for range flowers {
			asking.Go(func() {
				blame(t.client.Do(func() error { return t.ask(ctx, began, rate, &turns) }))
			})
		}
		asking.Wait()
	}
	for _, fd := range fds {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR) // accept returns
	}
	serving.Wait()
	for _, fd := range fds {
		unix.Close(fd)
	}
	return errors.Join(err, first)
}

// accept takes connections, and ends each when its client has.
func accept(fd int) {
	var b [16]byte
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINVAL) { // it is shut down
			return
		}
		if err != nil {
			continue
		}
		_, _ = unix.Read(c, b[:])
		unix.Close(c)
	}
}

// ask makes its part of the connections, as their time comes.
func (t *traffic) ask(ctx context.Context, began time.Time, rate int, turns *atomic.Int64) error {
	for ctx.Err() == nil {
		i := turns.Add(1)
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		late := time.Since(due)
		if late < -time.Millisecond {
			time.Sleep(-late)
		}
		if late > time.Second { // the machine cannot: what is not made now is not made later
			turns.Add(int64(rate) / int64(2*flowers))
		}
		if err := connect(int(i)); err != nil {
			if t.failed.Add(1) > 1000 && t.made.Load() == 0 {
				return fmt.Errorf("flows: %w", err)
			}
			continue
		}
		t.made.Add(1)
	}
	return nil
}

func connect(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: firstPort + i%flowPorts, Addr: server}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		return err
	}
	if i%resetEvery == 0 {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	return nil
}
