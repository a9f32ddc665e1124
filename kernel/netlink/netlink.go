//go:build linux

// Package netlink asks the kernel by netlink sockets: requests, dumps and their attributes, and nothing of what they mean.
package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/sys/unix"
)

// nlaTypeMask is NLA_TYPE_MASK: without the bits "nested" and "big endian".
const nlaTypeMask = 0x3fff

// Native is the byte order of this machine, which is that of netlink.
var Native = binary.NativeEndian

// Conn is a netlink socket. It stays in the network namespace that its thread was in.
type Conn struct {
	fd  int
	seq uint32
	buf []byte
}

// The kernel fills at most 32 KiB of a dump's buffer (net/netlink/af_netlink.c), unless one message is bigger.
const netlinkBuffer = 64 << 10

// Dial opens a socket of a netlink family. The kernel answers at once; a time limit
// only guards against one that never does.
func Dial(family int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("netlink: socket: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink: %w", err)
	}
	// Since 4.20; without it a dump is not filtered, and we filter ourselves.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &Conn{fd: fd, buf: *buffers.Get().(*[]byte)}, nil
}

// buffers are used again: to clear one takes longer than all else of a small dump.
var buffers = sync.Pool{New: func() any { b := make([]byte, netlinkBuffer); return &b }}

// Close closes the socket. It is called once.
func (c *Conn) Close() {
	unix.Close(c.fd)
	buffers.Put(&c.buf)
}

// ErrInterrupted says that what a dump was reading changed under it.
var ErrInterrupted = errors.New("netlink: the tables changed while they were read")

// Dump asks for a list, and calls f for every message of it. A dump that the kernel
// calls inconsistent is asked for again, a few times; begin is called at each start.
func (c *Conn) Dump(typ uint16, payload []byte, begin func(), f func(body []byte)) error {
	const tries = 5
	var err error
	for range tries {
		begin()
		if err = c.Ask(typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, payload, f); !errors.Is(err, ErrInterrupted) {
			return err
		}
	}
	return err
}

// Ask sends a request, and calls f for every message that answers it.
func (c *Conn) Ask(typ, flags uint16, payload []byte, f func(body []byte)) error {
	c.seq++
	req := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(payload))
	req = append(req, payload...)
	Native.PutUint32(req[0:], uint32(len(req)))
	Native.PutUint16(req[4:], typ)
	Native.PutUint16(req[6:], flags)
	Native.PutUint32(req[8:], c.seq)
	if err := unix.Sendto(c.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: send: %w", err)
	}
	interrupted := false
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_TRUNC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("netlink: receive: %w", err)
		}
		if n > len(c.buf) {
			return fmt.Errorf("netlink: a message of %d bytes", n)
		}
		done, intr, err := c.messages(c.buf[:n], flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP, f)
		interrupted = interrupted || intr
		if err != nil {
			return err
		}
		if done && interrupted {
			return ErrInterrupted
		}
		if done {
			return nil
		}
	}
}

// messages takes one datagram apart. It reports whether the answer is complete, and
// whether it was interrupted.
func (c *Conn) messages(b []byte, dump bool, f func([]byte)) (done, interrupted bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(Native.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, false, fmt.Errorf("netlink: a message of %d bytes in %d", size, len(b))
		}
		typ, flags, seq := Native.Uint16(b[4:]), Native.Uint16(b[6:]), Native.Uint32(b[8:])
		body := b[unix.SizeofNlMsghdr:size]
		b = b[min(len(b), (size+3)&^3):]
		if seq != c.seq {
			continue // of an earlier request, or an event
		}
		interrupted = interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch typ {
		case unix.NLMSG_NOOP:
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if e := int32(Native.Uint32(body)); e < 0 {
					return true, interrupted, fmt.Errorf("netlink: %w", unix.Errno(-e))
				}
			}
			return true, interrupted, nil
		default:
			f(body)
			done = !dump
		}
	}
	return done, interrupted, nil
}

// Attrs iterates over the attributes in b, and stops where they make no sense.
func Attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(Native.Uint16(b))
			if size < unix.SizeofNlAttr || size > len(b) {
				return
			}
			typ := Native.Uint16(b[2:]) & nlaTypeMask
			if !yield(typ, b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// Attr appends an attribute to a request.
func Attr(b []byte, typ uint16, value []byte) []byte {
	b = Native.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)))
	b = Native.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
