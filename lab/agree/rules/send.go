//go:build linux

package rules

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plumbnet/plumb/packet"
)

// Flush empties the router's conntrack.
func (w *World) Flush() error { return flushConntrack(w.log) }

// Send puts p on the far end of a device of the router.
func (w *World) Send(dev string, src packet.MAC, p packet.Packet, id uint16) error {
	for i, d := range w.Top.Devs {
		if d.Name != dev {
			continue
		}
		to := RouterMAC(i)
		f := append(append(make([]byte, 0, 1600), to[:]...), src[:]...)
		if p.Is6() {
			f = append(f, 0x86, 0xdd)
		} else {
			f = append(f, 0x08, 0x00)
		}
		_, err := unix.Write(w.caps[i], append(f, Build(p, id)...))
		return err
	}
	return fmt.Errorf("rules: no device %s", dev)
}

// SendLocal sends p from the router itself, as a process of the given user
// does. That rules drop it is no error.
func (w *World) SendLocal(p packet.Packet, id uint16, uid uint32) error {
	b := Build(p, id)
	var err error
	if p.Is6() {
		err = unix.Sendto(w.raw[[2]int{unix.AF_INET6, int(uid)}], b, 0, &unix.SockaddrInet6{Addr: p.Dst.Addr().As16()})
	} else {
		err = unix.Sendto(w.raw[[2]int{unix.AF_INET, int(uid)}], b, 0, &unix.SockaddrInet4{Addr: p.Dst.Addr().As4()})
	}
	if err == unix.EPERM {
		return nil
	}
	return err
}

// A Sight is a packet seen somewhere.
type Sight struct {
	Where string // "pre", "in", "out", "post": a hook of the router; else the device whose far end got it
	P     packet.Packet
	ID    uint16
}

// Watch returns what is seen until nothing more is seen for the time quiet.
func (w *World) Watch(quiet time.Duration) ([]Sight, error) {
	fds := []unix.PollFd{{Fd: int32(w.log), Events: unix.POLLIN}}
	for _, fd := range w.caps {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	var out []Sight
	for {
		n, err := unix.Poll(fds, int(quiet.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return out, err
		}
		for i, f := range fds {
			if f.Revents == 0 {
				continue
			}
			where := "log"
			if i > 0 {
				where = w.Top.Devs[i-1].Name
			}
			out = append(out, w.read(int(f.Fd), where)...)
		}
	}
}

// read takes all that is waiting on a socket.
func (w *World) read(fd int, where string) (out []Sight) {
	for {
		n, from, err := unix.Recvfrom(fd, w.buf, 0)
		if err != nil {
			return out
		}
		if where == "log" {
			for _, l := range parseNFLog(w.buf[:n]) {
				out = appendSight(out, l.where, l.data, l.mark)
			}
			continue
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 14 {
			continue
		}
		out = appendSight(out, where, w.buf[14:n], 0)
	}
}

func appendSight(out []Sight, where string, b []byte, mark uint32) []Sight {
	p, id, ok := Parse(b)
	if !ok {
		return out
	}
	p.Mark = mark
	return append(out, Sight{where, p, id})
}
