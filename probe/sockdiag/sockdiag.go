//go:build linux

// Package sockdiag lists the TCP sockets of a network namespace by sock_diag, and bounds what that costs. The kernel has one
// table of connections for all namespaces: to list those of one it walks all of it, which takes as long however few they are.
package sockdiag

import (
	"net/netip"

	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// The states of include/net/tcp_states.h.
const (
	Established = 1 + iota
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
	newSynRecv
)

// States are the states by their number.
var States = [...]string{1: "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

// Connections are the states of sockets in the kernel's table of connections. Those in TIME_WAIT are left out: there may
// be 100,000, and nothing more is known of them.
const Connections uint32 = 1<<Established | 1<<SynSent | 1<<SynRecv | 1<<FinWait1 | 1<<FinWait2 | 1<<CloseWait | 1<<LastAck | 1<<Closing | 1<<newSynRecv

// The messages of linux/inet_diag.h. Of the older request, TCPDIAG_GETSOCK, the answer has both families from one walk.
const (
	tcpdiagGetsock = 18
	sizeofReq      = 60 // struct inet_diag_req
	sizeofMsg      = 72 // struct inet_diag_msg
	atExt          = 3
	atStates       = 52
	infoExt        = 2 // INET_DIAG_INFO
)

// A Socket is one of TCP.
type Socket struct {
	State         uint8
	Local, Remote netip.AddrPort
	// Of a connection, the bytes that were received and not read, and that were sent and not acknowledged. Of one that
	// listens, the connections that wait to be accepted, and how many may.
	Receive, Send uint32
	Info          []byte // struct tcp_info, where it was asked for. It is not kept
}

// TCP calls f for each TCP socket of the thread's namespace that is in one of the states (bits), IPv4 and IPv6. Begin is
// called at each start: what changes meanwhile is listed anew.
func TCP(states uint32, info bool, begin func(), f func(Socket)) error {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer c.Close()
	req := make([]byte, sizeofReq)
	if info {
		req[atExt] = 1 << (infoExt - 1)
	}
	netlink.Native.PutUint32(req[atStates:], states)
	return c.Dump(tcpdiagGetsock, req, begin, func(b []byte) {
		if s, ok := decode(b); ok {
			f(s)
		}
	})
}

// decode reads a struct inet_diag_msg with its attributes.
func decode(b []byte) (s Socket, ok bool) {
	if len(b) < sizeofMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 || b[1] == 0 || int(b[1]) >= len(States) {
		return s, false
	}
	port := func(at int) uint16 { return uint16(b[at])<<8 | uint16(b[at+1]) }
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at:]))
		}
		return netip.AddrFrom16([16]byte(b[at:])).Unmap()
	}
	s = Socket{
		State: b[1], Local: netip.AddrPortFrom(addr(8), port(4)), Remote: netip.AddrPortFrom(addr(24), port(6)),
		Receive: netlink.Native.Uint32(b[56:]), Send: netlink.Native.Uint32(b[60:]),
	}
	for t, v := range netlink.Attrs(b[sizeofMsg:]) {
		if t == infoExt {
			s.Info = v
		}
	}
	return s, true
}
