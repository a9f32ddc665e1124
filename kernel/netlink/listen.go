//go:build linux

package netlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Message is one that the kernel sends to all who listen.
type Message struct {
	Type, Flags uint16
	NSID        int    // the number that the socket's namespace has for the one that it is of; Own for its own
	Port        uint32 // of the socket that asked for the change; 0 where the kernel did it by itself
	Body        []byte // valid until the next is received
}

// Own is the NSID of what is of the socket's own namespace.
const Own = -1

// A Listener is a netlink socket that hears of changes.
type Listener struct {
	file     *os.File
	conn     syscall.RawConn
	buf, oob []byte
	long     atomic.Uint64 // datagrams that were longer than the buffer
	busy     atomic.Bool   // with a datagram that it has taken
}

// listenBuffer is what the kernel keeps for a listener that is slow, in bytes: some 4,000 routes.
const listenBuffer = 4 << 20

// Listen opens a socket of a netlink family in the thread's namespace, which hears of what the groups are told. All has
// it hear of other namespaces too: those that its own has a number for, and only by a process with CAP_NET_BROADCAST.
func Listen(family int, all bool, groups ...int) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, family)
	if err != nil {
		return nil, fmt.Errorf("netlink: socket: %w", err)
	}
	l := &Listener{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, netlinkBuffer), oob: make([]byte, unix.CmsgSpace(4))}
	if l.conn, err = l.file.SyscallConn(); err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	set := func(level, name, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, name, value)
		}
	}
	set(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, listenBuffer)
	set(unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1) // what is lost, Lost tells
	if all {
		set(unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1)
	}
	for _, g := range groups {
		set(unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
	}
	if err != nil {
		l.file.Close()
		return nil, fmt.Errorf("netlink: listen: %w", err)
	}
	return l, nil
}

// Close closes the socket, after Receive has returned.
func (l *Listener) Close() error { return l.file.Close() }

// A storm takes at most so many datagrams in a slice of time: a tenth of a core or two. What comes beyond that is lost, which Lost tells.
const (
	slice     = 100 * time.Millisecond
	sliceMost = 2000
)

// Receive calls f for each message until ctx is done.
func (l *Listener) Receive(ctx context.Context, f func(Message)) error {
	stop := context.AfterFunc(ctx, func() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for began, taken := time.Now(), 0; ; taken++ {
		if taken == sliceMost {
			select {
			case <-ctx.Done():
			case <-time.After(slice - time.Since(began)):
			}
			began, taken = time.Now(), 0
		}
		n, oobn, err := l.receive()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("netlink: receive: %w", err)
		}
		l.each(l.buf[:n], nsid(l.oob[:oobn]), f)
	}
}

func (l *Listener) receive() (n, oobn int, err error) {
	wait := l.conn.Read(func(fd uintptr) bool {
		var flags int
		l.busy.Store(true)
		n, oobn, flags, _, err = unix.Recvmsg(int(fd), l.buf, l.oob, unix.MSG_DONTWAIT)
		if err == nil && flags&unix.MSG_TRUNC != 0 {
			n = 0
			l.long.Add(1)
		}
		none := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
		l.busy.Store(!none)
		return !none
	})
	return n, oobn, errors.Join(wait, err)
}

// each takes a datagram apart.
func (l *Listener) each(b []byte, id int, f func(Message)) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(Native.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		f(Message{Type: Native.Uint16(b[4:]), Flags: Native.Uint16(b[6:]), NSID: id, Port: Native.Uint32(b[12:]), Body: b[unix.SizeofNlMsghdr:size]})
		b = b[min(len(b), (size+3)&^3):]
	}
}

// nsid returns the number of the namespace that a datagram is of.
func nsid(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return Own
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int(int32(Native.Uint32(m.Data)))
		}
	}
	return Own
}

// Lost returns how many datagrams there was no room for, as the socket has counted them.
func (l *Listener) Lost() uint64 {
	m, _ := l.memory()
	return uint64(m[skMeminfoDrops]) + l.long.Load()
}

// Heard reports whether Receive has nothing to do: of all that there was room for until now, f has returned.
func (l *Listener) Heard() bool {
	m, err := l.memory()
	return err == nil && m[skMeminfoRmemAlloc] == 0 && !l.busy.Load() // in this order: what is taken from the queue is busy before
}

// What SO_MEMINFO tells of a socket (linux/sock_diag.h).
const (
	skMeminfoRmemAlloc = 0 // bytes that wait to be received
	skMeminfoDrops     = 8
	skMeminfoVars      = 9
)

// memory asks for it (Linux 4.12).
func (l *Listener) memory() (m [skMeminfoVars]uint32, err error) {
	e := l.conn.Control(func(fd uintptr) {
		size := uint32(unsafe.Sizeof(m))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			err = errno
		}
	})
	return m, errors.Join(e, err)
}

// The attributes of RTM_GETNSID and RTM_NEWNSID (linux/net_namespace.h).
const (
	netnsaNSID = 1
	netnsaFD   = 3
)

// NSID returns the number that the socket's namespace has for one, an open /proc/PID/ns/net; Own where it has none.
// Give has it get one then: that changes nothing else, and ends with the namespace.
func (c *Conn) NSID(ns *os.File, give bool) (int, error) {
	fd := Native.AppendUint32(nil, uint32(ns.Fd()))
	id := Own
	ask := func() error {
		return c.Ask(unix.RTM_GETNSID, unix.NLM_F_REQUEST, Attr(make([]byte, 4), netnsaFD, fd), func(b []byte) {
			for t, v := range Attrs(b[min(4, len(b)):]) {
				if t == netnsaNSID && len(v) >= 4 {
					id = int(int32(Native.Uint32(v)))
				}
			}
		})
	}
	if err := ask(); err != nil || id != Own || !give {
		return id, err
	}
	any := Native.AppendUint32(nil, ^uint32(0))
	err := c.Ask(unix.RTM_NEWNSID, unix.NLM_F_REQUEST|unix.NLM_F_ACK, Attr(Attr(make([]byte, 4), netnsaFD, fd), netnsaNSID, any), func([]byte) {})
	if err != nil {
		return Own, err
	}
	err = ask()
	return id, err
}
