//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// Connections go to many ports, so that those that linger (TIME_WAIT) do not use up the client's.
const (
	firstPort  = 8000
	flowers    = 2  // threads
	flowPorts  = 10 // of each
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

// run makes so many connections a second until ctx ends. Few threads have both ends of them, each end in its own Pod's network: nobody waits for
// another, and a connection costs hardly more than what the kernel does for it.
func (t *traffic) run(ctx context.Context, rate int) error {
	var asking sync.WaitGroup
	errs := make([]error, flowers)
	began := time.Now()
	for i := range flowers {
		asking.Go(func() {
			var ports []int
			defer func() {
				for _, fd := range ports {
					unix.Close(fd)
				}
			}()
			errs[i] = t.server.Do(func() error {
				for p := range flowPorts {
					fd, err := listen(firstPort + i*flowPorts + p)
					if err != nil {
						return err
					}
					ports = append(ports, fd)
				}
				return nil
			})
			if errs[i] == nil {
				errs[i] = t.client.Do(func() error { return t.ask(ctx, began, rate/flowers, firstPort+i*flowPorts, ports) })
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// listen returns a socket that waits no longer than a second for a connection.
func listen(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}), unix.Bind(fd, &unix.SockaddrInet4{Port: port}), unix.Listen(fd, 128))
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// ask makes its part of the connections, as their time comes.
func (t *traffic) ask(ctx context.Context, began time.Time, rate, firstPort int, ports []int) error {
	for n := 0; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		due := int(time.Since(began) * time.Duration(rate) / time.Second)
		n = max(n, due-rate) // the machine cannot: what is a second late is not made
		for ; n < due; n++ {
			port := n % len(ports)
			if err := connect(firstPort+port, ports[port], n%resetEvery == 0); err == nil {
				t.made.Add(1)
			} else if t.failed.Add(1) > 100 && t.made.Load() == 0 {
				return fmt.Errorf("flows: %w", err)
			}
		}
	}
	return nil
}

// connect makes a connection to a port, of a socket that listens there, and ends it, by a reset, or with a byte.
func connect(port, listening int, reset bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	served := -1
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: server})
	if err == nil {
		served, _, err = unix.Accept4(listening, unix.SOCK_CLOEXEC)
	}
	var b [1]byte
	switch {
	case err != nil:
	case reset:
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	default:
		err = unix.Send(fd, b[:], unix.MSG_MORE) // it goes with the end, in one packet
	}
	unix.Close(fd)
	if served >= 0 {
		_, _ = unix.Read(served, b[:]) // an end before what has come is read were a reset
		unix.Close(served)
	}
	return err
}

// resets returns how many resets the kernel has sent for the client.
func (t *traffic) resets() (n int, err error) {
	out, err := t.client.Output("", "nstat", "-asz", "TcpOutRsts")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(out, "TcpOutRsts")
	_, err = fmt.Sscan(rest, &n)
	return n, err
}
