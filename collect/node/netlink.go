//go:build linux

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// nlaTypeMask is NLA_TYPE_MASK: without the bits "nested" and "big endian".
const nlaTypeMask = 0x3fff

var native = binary.NativeEndian

// conn is a netlink socket. It stays in the network namespace that its thread was in.
type conn struct {
	fd  int
	seq uint32
	buf []byte
}

// The kernel fills at most 32 KiB of a dump's buffer (net/netlink/af_netlink.c), unless one message is bigger.
const netlinkBuffer = 64 << 10

// dial opens a socket of a netlink family. The kernel answers at once; a time limit
// only guards against one that never does.
func dial(family int) (*conn, error) {
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
	return &conn{fd: fd, buf: make([]byte, netlinkBuffer)}, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// errInterrupted says that what a dump was reading changed under it.
var errInterrupted = errors.New("netlink: the tables changed while they were read")

// dump asks for a list, and calls f for every message of it. A dump that the kernel
// calls inconsistent is asked for again, a few times; begin is called at each start.
func (c *conn) dump(typ uint16, payload []byte, begin func(), f func(body []byte)) error {
	const tries = 5
	var err error
	for range tries {
		begin()
		if err = c.ask(typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, payload, f); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

// ask sends a request, and calls f for every message that answers it.
func (c *conn) ask(typ, flags uint16, payload []byte, f func(body []byte)) error {
	c.seq++
	req := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(payload))
	req = append(req, payload...)
	native.PutUint32(req[0:], uint32(len(req)))
	native.PutUint16(req[4:], typ)
	native.PutUint16(req[6:], flags)
	native.PutUint32(req[8:], c.seq)
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
			return errInterrupted
		}
		if done {
			return nil
		}
	}
}

// messages takes one datagram apart. It reports whether the answer is complete, and
// whether it was interrupted.
func (c *conn) messages(b []byte, dump bool, f func([]byte)) (done, interrupted bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(native.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, false, fmt.Errorf("netlink: a message of %d bytes in %d", size, len(b))
		}
		typ, flags, seq := native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:])
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
				if e := int32(native.Uint32(body)); e < 0 {
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

// attrs iterates over the attributes in b, and stops where they make no sense.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(native.Uint16(b))
			if size < unix.SizeofNlAttr || size > len(b) {
				return
			}
			typ := native.Uint16(b[2:]) & nlaTypeMask
			if !yield(typ, b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// attr appends an attribute to a request.
func attr(b []byte, typ uint16, value []byte) []byte {
	b = native.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)))
	b = native.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// The readers of an attribute's value; one that is too short reads as zero.

func u8(b []byte) uint8 {
	if len(b) < 1 {
		return 0
	}
	return b[0]
}

func u16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return native.Uint16(b)
}

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return native.Uint32(b)
}

func be16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func str(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefix returns an attribute's address with its length, or all of a family's addresses where there is none.
func prefix(b []byte, bits uint8, is6 bool) netip.Prefix {
	a := addr(b)
	switch {
	case a.IsValid():
	case is6:
		a = netip.IPv6Unspecified()
	default:
		a = netip.IPv4Unspecified()
	}
	return netip.PrefixFrom(a, int(bits))
}
