//go:build linux

package rules

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// logGroup is the NFLOG group that the watching chains log to.
const logGroup = 7

// watch sees every packet at its entry to the namespace and after the last
// rule of the ways in and out. It is native nf_tables, so that it is in the way of no iptables.
const watch = `
table inet watch {
	chain pre {
		type filter hook prerouting priority -500
		log prefix "pre" group 7 queue-threshold 1
	}
	chain in {
		type filter hook input priority 150
		log prefix "in" group 7 queue-threshold 1
	}
	chain out {
		type filter hook output priority -500
		log prefix "out" group 7 queue-threshold 1
	}
	chain post {
		type filter hook postrouting priority 150
		log prefix "post" group 7 queue-threshold 1
	}
}
`

// nflogOpen binds a socket of the calling thread's namespace to logGroup.
func nflogOpen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, fmt.Errorf("nflog: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return -1, fmt.Errorf("nflog: bind: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	// NFULA_CFG_CMD: bind; NFULA_CFG_MODE: whole packets; NFULA_CFG_QTHRESH: each at once.
	for _, attr := range [][]byte{
		{5, 0, 1, 0, 1, 0, 0, 0},
		{10, 0, 2, 0, 0, 0, 0xff, 0xff, 2, 0, 0, 0},
		{8, 0, 5, 0, 0, 0, 0, 1},
	} {
		if err := nfnetlink(fd, 4<<8|1, logGroup, attr); err != nil {
			return -1, fmt.Errorf("nflog: configure: %w", err)
		}
	}
	return fd, nil
}

// nfnetlink sends one nfnetlink message and waits for its acknowledgement.
func nfnetlink(fd int, typ, res uint16, attrs []byte) error {
	m := make([]byte, 20, 20+len(attrs))
	m = append(m, attrs...)
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], typ)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	binary.BigEndian.PutUint16(m[18:], res)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for range 1000 {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); err != nil && err != unix.EINTR {
			return err
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n < 20 || binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
			continue // a logged packet
		}
		if e := int32(binary.NativeEndian.Uint32(buf[16:])); e != 0 {
			return unix.Errno(-e)
		}
		return nil
	}
	return fmt.Errorf("no acknowledgement")
}

// flushConntrack empties conntrack of the namespace that fd belongs to (IPCTNL_MSG_CT_DELETE without a tuple).
func flushConntrack(fd int) error { return nfnetlink(fd, 1<<8|2, 0, nil) }

// A logged is one packet that a watching chain saw.
type logged struct {
	where string // the chain: "pre", "in", "out", "post"
	mark  uint32
	data  []byte
}

// parseNFLog reads the messages of one datagram.
func parseNFLog(b []byte) []logged {
	var out []logged
	for len(b) >= 20 {
		n := int(binary.NativeEndian.Uint32(b))
		if n < 20 || n > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[4:]) == 4<<8 {
			out = append(out, parseLogged(b[20:n]))
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}

func parseLogged(b []byte) (l logged) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		v := b[4:n]
		switch binary.NativeEndian.Uint16(b[2:]) & 0x3fff {
		case 2:
			l.mark = binary.BigEndian.Uint32(v)
		case 9:
			l.data = append([]byte(nil), v...)
		case 10:
			l.where = strings.TrimRight(string(v), "\x00")
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return l
}
