//go:build linux

package routes

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"golang.org/x/sys/unix"
)

// An answer is what the kernel says to one route lookup (RTM_GETROUTE).
type answer struct {
	Err   string // as fib.Result has it; "" for none
	Type  fib.RouteType
	Table uint32
	Dev   string
	Via   netip.Addr
	Src   netip.Addr // the source it chose; invalid where it chose none
}

// A kernel asks one namespace's kernel for routes. It is used on the thread that
// opened it.
type kernel struct {
	fd   int
	seq  uint32
	devs map[string]int
	buf  [8192]byte
}

func openKernel(devs map[string]int) (*kernel, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &kernel{fd: fd, devs: devs}, nil
}

func (k *kernel) close() { unix.Close(k.fd) }

const (
	rtaIPProto = 27
	rtaSport   = 28
	rtaDport   = 29
)

// ask sends one lookup and waits for the answer.
func (k *kernel) ask(q fib.Query) (answer, error) {
	k.seq++
	m := k.request(q)
	if err := unix.Sendto(k.fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return answer{}, err
	}
	n, _, err := unix.Recvfrom(k.fd, k.buf[:], 0)
	if err != nil {
		return answer{}, err
	}
	return k.read(k.buf[:n])
}

func (k *kernel) request(q fib.Query) []byte {
	family, bits := byte(unix.AF_INET), byte(32)
	if q.Dst.Is6() {
		family, bits = unix.AF_INET6, 128
	}
	b := make([]byte, 16, 256)
	rtm := [12]byte{0: family, 1: bits, 3: q.TOS}
	binary.NativeEndian.PutUint32(rtm[8:], unix.RTM_F_LOOKUP_TABLE)
	if q.Src.IsValid() {
		rtm[2] = bits
	}
	b = append(b, rtm[:]...)
	b = attr(b, unix.RTA_DST, q.Dst.AsSlice())
	if q.Src.IsValid() {
		b = attr(b, unix.RTA_SRC, q.Src.AsSlice())
	}
	if q.IIF != "" {
		b = attr(b, unix.RTA_IIF, u32(uint32(k.devs[q.IIF])))
	}
	if q.OIF != "" {
		b = attr(b, unix.RTA_OIF, u32(uint32(k.devs[q.OIF])))
	}
	if q.Mark != 0 {
		b = attr(b, unix.RTA_MARK, u32(q.Mark))
	}
	if q.UID != nil {
		b = attr(b, unix.RTA_UID, u32(*q.UID))
	}
	b = attr(b, rtaIPProto, []byte{byte(q.Proto)})
	if q.SrcPort != 0 {
		b = attr(b, rtaSport, binary.BigEndian.AppendUint16(nil, q.SrcPort))
	}
	if q.DstPort != 0 {
		b = attr(b, rtaDport, binary.BigEndian.AppendUint16(nil, q.DstPort))
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], k.seq)
	return b
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func attr(b []byte, typ uint16, val []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(val)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, val...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

var words = map[unix.Errno]string{
	unix.ENETUNREACH:  "network unreachable",
	unix.EHOSTUNREACH: "host unreachable",
	unix.EACCES:       "permission denied",
	unix.EINVAL:       "invalid argument",
}

func (k *kernel) read(b []byte) (answer, error) {
	if len(b) < 20 || binary.NativeEndian.Uint32(b[8:]) != k.seq {
		return answer{}, fmt.Errorf("netlink: an answer that was not asked for")
	}
	if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[16:])))
		w, ok := words[errno]
		if !ok {
			return answer{}, fmt.Errorf("the kernel says %w", errno)
		}
		return answer{Err: w}, nil
	}
	if len(b) < 28 {
		return answer{}, fmt.Errorf("netlink: short answer")
	}
	a := answer{Table: uint32(b[16+4]), Type: typeOf(b[16+7])}
	for b = b[28:]; len(b) >= 4; {
		n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			break
		}
		k.attr(&a, typ, b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
	return a, nil
}

func (k *kernel) attr(a *answer, typ uint16, val []byte) {
	switch typ {
	case unix.RTA_TABLE:
		a.Table = binary.NativeEndian.Uint32(val)
	case unix.RTA_OIF:
		a.Dev = k.name(int(binary.NativeEndian.Uint32(val)))
	case unix.RTA_GATEWAY:
		a.Via, _ = netip.AddrFromSlice(val)
	case unix.RTA_VIA:
		a.Via, _ = netip.AddrFromSlice(val[2:])
	case unix.RTA_PREFSRC:
		a.Src, _ = netip.AddrFromSlice(val)
	}
}

func (k *kernel) name(index int) string {
	for n, i := range k.devs {
		if i == index {
			return n
		}
	}
	return fmt.Sprintf("if%d", index)
}

// typeOf turns the kernel's RTN_* into a route type.
func typeOf(n byte) fib.RouteType {
	return map[byte]fib.RouteType{
		unix.RTN_UNICAST: fib.Unicast, unix.RTN_LOCAL: fib.Local, unix.RTN_BROADCAST: fib.Broadcast, unix.RTN_ANYCAST: fib.Anycast,
		unix.RTN_MULTICAST: fib.Multicast, unix.RTN_BLACKHOLE: fib.Blackhole, unix.RTN_UNREACHABLE: fib.Unreachable,
		unix.RTN_PROHIBIT: fib.Prohibit, unix.RTN_THROW: fib.Throw,
	}[n]
}
