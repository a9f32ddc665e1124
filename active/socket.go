//go:build linux

package active

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// socket opens a socket of the thread's namespace, bound to a.Src, that hears of ICMP errors.
func socket(a Ask, typ, proto int) (int, error) {
	family, level, recverr, discover := unix.AF_INET, unix.SOL_IP, unix.IP_RECVERR, unix.IP_MTU_DISCOVER
	if a.Dst.Addr().Is6() {
		family, level, recverr, discover = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_RECVERR, unix.IPV6_MTU_DISCOVER
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, err
	}
	mode := unix.IP_PMTUDISC_DONT // the value is IPV6_PMTUDISC_DONT's too
	if a.DF {
		mode = unix.IP_PMTUDISC_PROBE
	}
	err = errors.Join(unix.SetsockoptInt(fd, level, recverr, 1), unix.SetsockoptInt(fd, level, discover, mode))
	if err == nil && a.Src.IsValid() {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(a.Src, 0)))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// slice is how long a wait goes without a look at whether it is still wanted.
const slice = 100 * time.Millisecond

// wait waits until fd is ready for events, or has an error; false means that the deadline came, or the end of ctx.
func wait(ctx context.Context, fd int, events int16, deadline time.Time) bool {
	for ctx.Err() == nil {
		left := min(time.Until(deadline), slice)
		if left <= 0 {
			return false
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
	return false
}

// failed notes why the kernel would not send, or what error it told of.
func failed(fd int, err error, p *snapshot.Probe) {
	p.Why = err.Error()
	p.ICMP = icmpError(fd)
	p.Fate = errorFate(err, p)
}

// errorFate turns an error of a socket into a fate.
func errorFate(err error, p *snapshot.Probe) snapshot.ProbeFate {
	switch {
	case errors.Is(err, unix.EMSGSIZE):
		return snapshot.ProbeTooBig
	case errors.Is(err, unix.ECONNREFUSED) && (p.ICMP == nil || p.ICMP.From == p.Dst.Addr()):
		return snapshot.ProbeRefused
	case p.ICMP != nil, errors.Is(err, unix.ECONNREFUSED):
		return snapshot.ProbeRejected
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.ENOBUFS): // the latter: a device has dropped it
		return snapshot.ProbeSilent
	}
	return snapshot.ProbeNotSent
}

// icmpError takes the ICMP error that the socket's error queue holds, if there is one.
func icmpError(fd int) *snapshot.ProbeICMP {
	oob := make([]byte, 512)
	_, n, _, _, err := unix.Recvmsg(fd, nil, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR || m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR {
			return extendedError(m.Data)
		}
	}
	return nil
}

// sizeofExtendedErr is that of struct sock_extended_err of linux/errqueue.h, which the offender's address follows.
const sizeofExtendedErr = int(unsafe.Sizeof(unix.SockExtendedErr{}))

// extendedError reads a struct sock_extended_err. Errors of this host's own making (a local link too small) are none of ICMP.
func extendedError(b []byte) *snapshot.ProbeICMP {
	if len(b) < sizeofExtendedErr+2 {
		return nil
	}
	origin, typ, code := b[4], b[5], b[6]
	if origin != unix.SO_EE_ORIGIN_ICMP && origin != unix.SO_EE_ORIGIN_ICMP6 {
		return nil
	}
	e := &snapshot.ProbeICMP{Type: typ, Code: code}
	if origin == unix.SO_EE_ORIGIN_ICMP && typ == 3 && code == 4 || origin == unix.SO_EE_ORIGIN_ICMP6 && typ == 2 {
		e.MTU = int(binary.NativeEndian.Uint32(b[8:]))
	}
	offender := b[sizeofExtendedErr:]
	switch family := binary.NativeEndian.Uint16(offender); {
	case family == unix.AF_INET && len(offender) >= 8:
		e.From = netip.AddrFrom4([4]byte(offender[4:8]))
	case family == unix.AF_INET6 && len(offender) >= 24:
		e.From = netip.AddrFrom16([16]byte(offender[8:24])).Unmap()
	}
	return e
}

// headers is what stands before the payload of a packet, in bytes.
func headers(a Ask) int {
	n := 20 + 8 // IPv4, and UDP or an echo
	if a.Dst.Addr().Is6() {
		n = 40 + 8
	}
	return n
}

// payload is what fills the packet up to a.Size.
func payload(a Ask) []byte { return make([]byte, max(0, a.Size-headers(a))) }

// connect opens a TCP connection and closes it at once.
func connect(ctx context.Context, a Ask, _ int, p *snapshot.Probe) error {
	fd, err := socket(a, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	start := time.Now()
	p.Sent++
	err = unix.Connect(fd, sockaddr(a.Dst))
	local(fd, p)
	if errors.Is(err, unix.EINPROGRESS) {
		if !wait(ctx, fd, unix.POLLOUT, start.Add(a.Timeout)) {
			return nil
		}
		errno, e := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		err = e
		if errno != 0 {
			err = unix.Errno(errno)
		}
	}
	if err != nil {
		failed(fd, err, p)
		return nil
	}
	p.Answered++
	p.RTT = append(p.RTT, time.Since(start))
	return nil
}

// local notes the address that the kernel chose for a connected socket.
func local(fd int, p *snapshot.Probe) {
	if sa, err := unix.Getsockname(fd); err == nil {
		p.Src = addrPort(sa)
	}
}

// datagram sends one UDP datagram, and takes any as the answer; of a lookup, the reply to it alone.
func datagram(ctx context.Context, a Ask, _ int, p *snapshot.Probe) error {
	data := payload(a)
	if a.Lookup != "" {
		query, err := dnsQuestion(a.Lookup, a.Lookup6)
		if err != nil {
			return err
		}
		data = query
		if p.Lookup == nil {
			p.Lookup = &snapshot.Lookup{Name: a.Lookup}
		}
	}
	fd, err := socket(a, unix.SOCK_DGRAM, unix.IPPROTO_UDP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	start := time.Now()
	p.Sent++
	err = unix.Connect(fd, sockaddr(a.Dst))
	local(fd, p)
	if err == nil {
		_, err = unix.Write(fd, data)
	}
	if err != nil {
		failed(fd, err, p)
		return nil
	}
	buf := make([]byte, maxMessage)
	for wait(ctx, fd, unix.POLLIN, start.Add(a.Timeout)) {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			failed(fd, err, p)
			return nil
		}
		if a.Lookup != "" {
			l, ok := dnsAnswer(data, buf[:n])
			if !ok {
				continue
			}
			p.Lookup.Rcode, p.Lookup.Addrs = l.Rcode, l.Addrs
		}
		p.Answered++
		p.RTT = append(p.RTT, time.Since(start))
		return nil
	}
	return nil
}

// echo sends one echo request and waits for its reply.
func echo(ctx context.Context, a Ask, seq int, p *snapshot.Probe) error {
	is6 := a.Proto == packet.ICMPv6
	proto := unix.IPPROTO_ICMP
	if is6 {
		proto = unix.IPPROTO_ICMPV6
	}
	fd, err := socket(a, unix.SOCK_RAW, proto)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	start := time.Now()
	deadline := start.Add(a.Timeout)
	p.Sent++
	err = unix.Connect(fd, sockaddr(netip.AddrPortFrom(a.Dst.Addr(), 0)))
	local(fd, p)
	request, id := echoRequest(is6, seq, payload(a))
	if err == nil {
		_, err = unix.Write(fd, request)
	}
	if err != nil {
		failed(fd, err, p)
		return nil
	}
	buf := make([]byte, 128)
	for wait(ctx, fd, unix.POLLIN, deadline) {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			failed(fd, err, p)
			return nil
		}
		if isReply(is6, buf[:n], id, seq) {
			p.Answered++
			p.RTT = append(p.RTT, time.Since(start))
			return nil
		}
	}
	return nil
}
