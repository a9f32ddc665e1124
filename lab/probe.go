//go:build linux

package lab

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A Probe is one real connection or datagram to send.
type Probe struct {
	From    *sandbox.NS
	Src     netip.Addr // invalid: the kernel chooses
	To      netip.AddrPort
	Proto   packet.Proto  // TCP, UDP, ICMP or ICMPv6
	Size    int           // UDP, ICMP: bytes from the IP header on, sent with DF; TCP: not 0 means bulkSize bytes each way
	Cut     bool          // UDP, ICMP: sent without DF, so that kernels cut what is too large
	Timeout time.Duration // 0: long enough
	Once    bool          // it is believed at once that it is lost: not for what a busy machine may be slow to answer
	Lookup  string        // UDP: a name that To is asked for, "outside.example."; Delivered is an answer with an address, Refused one without
}

// bulkSize is what a TCP probe with a size sends, and what it asks for: enough for several full segments.
const bulkSize = 8000

// An Outcome is how a probe ended, as its sender sees it.
type Outcome uint8

// The outcomes.
const (
	Lost        Outcome = iota // no answer in time
	Delivered                  // the far side answered
	Refused                    // TCP reset, or ICMP port unreachable or prohibited
	Unreachable                // another ICMP unreachable, or the own kernel has no route
	TooBig                     // the own kernel refuses the size (EMSGSIZE)
	Stalled                    // TCP connected, but the bulk did not arrive
	Denied                     // the own kernel refuses to send (EPERM: a rule in OUTPUT; EACCES, EINVAL: the route)
)

var outcomeNames = [...]string{"lost", "delivered", "refused", "unreachable", "too-big", "stalled", "denied"}

// String returns the name: "delivered".
func (o Outcome) String() string { return outcomeNames[o] }

// An Observation is what became of a probe.
type Observation struct {
	Probe   Probe
	Outcome Outcome
	Err     error          // the sender's error, where there was one
	Seen    netip.AddrPort // who the far side saw, where it answered; port 0 for ICMP
	Source  netip.AddrPort // the local address of the probe's socket
	// What was seen of the probe, where the lab watches; in the order of time.
	Request []Sighting // of what the sender sent
	Reply   []Sighting // of what came back for it
	Errors  []Sighting // ICMP errors about either
	id      uint32
	sources map[netip.AddrPort]bool // as whom a device saw the SYN go out
}

// Last returns the last sighting of the request, or a zero Sighting where it was never seen.
func (o Observation) Last() Sighting { return last(o.Request) }

// LastReply is Last for the reply.
func (o Observation) LastReply() Sighting { return last(o.Reply) }

func last(s []Sighting) Sighting {
	if len(s) == 0 {
		return Sighting{}
	}
	return s[len(s)-1]
}

var probeCount atomic.Uint32

// Probe sends one probe and waits for its end.
func (l *Lab) Probe(p Probe) Observation { return l.ProbeAll([]Probe{p})[0] }

// How many probes run at a time, and for how long they wait, at first and again:
// on a busy machine a good answer may come late, so what seems lost is tried a second time.
const (
	parallel, patience           = 48, 400 * time.Millisecond
	parallelAgain, patienceAgain = 128, 1300 * time.Millisecond // a SYN is sent again after 1 s, and only then does an ICMP error surely end connect
)

// ProbeAll sends probes in parallel. The observations are in their order.
func (l *Lab) ProbeAll(ps []Probe) []Observation {
	out := make([]Observation, len(ps))
	if l.sniff != nil {
		l.sniff.drain() // what earlier probes left
	}
	for i, p := range ps {
		out[i] = Observation{Probe: p}
	}
	runAll(out, parallel, patience, func(*Observation) bool { return true })
	var seen []Sighting
	if l.sniff != nil {
		seen = l.sniff.drain()
	}
	runAll(out, parallelAgain, patienceAgain, func(o *Observation) bool {
		return !o.Probe.Once && (o.Outcome == Lost || o.Outcome == Stalled)
	})
	if l.sniff != nil {
		assign(out, append(seen, l.sniff.drain()...))
	}
	return out
}

// ProbeFresh sends one probe alone, through kernels that have forgotten what earlier probes taught them.
func (l *Lab) ProbeFresh(p Probe) (Observation, error) {
	out := []Observation{{Probe: p}}
	if err := l.Forget(); err != nil {
		return out[0], err
	}
	if l.sniff != nil {
		l.sniff.drain()
	}
	runAll(out, 1, patienceAgain, func(*Observation) bool { return true })
	if l.sniff != nil {
		assign(out, l.sniff.drain())
	}
	return out[0], nil
}

// Forget makes every kernel of the lab forget the path MTUs and the redirects that it learned: no snapshot holds them.
func (l *Lab) Forget() error {
	for _, ns := range l.namespaces() {
		if err := l.Sysctl(ns, map[string]string{"net.ipv4.route.flush": "1"}); err != nil {
			return err
		}
		if !l.Topology.IPv6 {
			continue
		}
		if err := ns.Run("", "ip", "-6", "route", "flush", "cache"); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs the probes that which picks.
func runAll(out []Observation, parallel int, patience time.Duration, which func(*Observation) bool) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range out {
		o := &out[i]
		if !which(o) {
			continue
		}
		*o = Observation{Probe: o.Probe, id: probeCount.Add(1)}
		wait := cmp.Or(o.Probe.Timeout, patience)
		g.Go(func() error {
			o.run(wait)
			return nil
		})
	}
	g.Wait()
}

// run sends the probe.
func (o *Observation) run(patience time.Duration) {
	var fd int
	err := o.Probe.From.Do(func() (err error) {
		fd, err = o.socket()
		return err
	})
	if err != nil {
		o.fail(err)
		return
	}
	f := os.NewFile(uintptr(fd), "probe") // in non-blocking mode: Go's poller waits for it
	defer f.Close()
	f.SetDeadline(time.Now().Add(patience))
	switch o.Probe.Proto {
	case packet.TCP:
		o.tcp(f)
	case packet.UDP:
		o.udp(f)
	default:
		o.icmp(f)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// socket opens the probe's socket and starts to connect it. It runs in the probe's namespace.
func (o *Observation) socket() (int, error) {
	p := o.Probe
	domain, typ, proto := unix.AF_INET, unix.SOCK_STREAM, 0
	if p.To.Addr().Is6() {
		domain = unix.AF_INET6
	}
	switch p.Proto {
	case packet.UDP:
		typ = unix.SOCK_DGRAM
	case packet.ICMP, packet.ICMPv6:
		typ, proto = unix.SOCK_RAW, int(p.Proto)
	}
	fd, err := unix.Socket(domain, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, err
	}
	if err := o.prepare(fd); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, err
	}
	sa, _ := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		o.Source = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		o.Source = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return fd, nil
}

func (o *Observation) prepare(fd int) error {
	p := o.Probe
	if p.Cut {
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	}
	if p.Proto != packet.TCP && !p.Cut { // TCP sets DF by itself
		if p.To.Addr().Is4() {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		} else {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
		}
	}
	if p.Proto == packet.TCP {
		if err := setISN(fd, o.id*isnStep); err != nil {
			return err
		}
	}
	if p.Src.IsValid() {
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(p.Src, 0))); err != nil {
			return err
		}
	}
	to := p.To
	if !p.Proto.HasPorts() {
		to = netip.AddrPortFrom(to.Addr(), 0)
	}
	return unix.Connect(fd, sockaddr(to))
}

// isnStep is the distance of the first sequence numbers of two probes; more than a probe sends.
const isnStep = 16384

// setISN chooses the first sequence number of a connection, by which it is known
// again whatever NAT does to it. The kernel keeps one that was set in repair mode.
func setISN(fd int, isn uint32) error {
	for _, o := range [][2]int{
		{unix.TCP_REPAIR, 1}, {unix.TCP_REPAIR_QUEUE, 2}, {unix.TCP_QUEUE_SEQ, int(isn)}, {unix.TCP_REPAIR, 0},
	} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, o[0], o[1]); err != nil {
			return err
		}
	}
	return nil
}

// fail records how the sender learned of the end.
func (o *Observation) fail(err error) {
	o.Err = err
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ENOPROTOOPT):
		o.Outcome = Refused
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		o.Outcome = Unreachable
	case errors.Is(err, unix.EMSGSIZE):
		o.Outcome = TooBig
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		o.Outcome = Denied
	default:
		o.Outcome = Lost
	}
}

func (o *Observation) tcp(f *os.File) {
	if err := connected(f); err != nil {
		o.fail(err)
		return
	}
	bulk := 0
	if o.Probe.Size != 0 {
		bulk = bulkSize
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(bulk))
	head = binary.BigEndian.AppendUint32(head, uint32(bulk))
	answer := make([]byte, greetingLen+bulk)
	_, err := f.Write(append(head, make([]byte, bulk)...))
	if err == nil {
		_, err = io.ReadFull(f, answer)
	}
	if err != nil {
		o.Err = err
		o.Outcome = Stalled
		abort(f)
		return
	}
	o.answered(answer)
}

// connected waits for the end of connect.
func connected(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var end error
	err = rc.Write(func(fd uintptr) bool {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, _ := unix.Poll(ready, 0); n == 0 {
			return false // wait for it to become writable
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			end = err
		} else if code != 0 {
			end = unix.Errno(code)
		}
		return true
	})
	return errors.Join(err, end)
}

// abort makes close send a reset and forget the unsent bytes.
func abort(f *os.File) {
	rc, err := f.SyscallConn()
	if err != nil {
		return
	}
	rc.Control(func(fd uintptr) {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

func (o *Observation) answered(answer []byte) {
	seen, err := parseGreeting(answer)
	if err != nil {
		o.fail(err)
		return
	}
	o.Seen, o.Outcome = seen, Delivered
}

func (o *Observation) ipHeader() int {
	if o.Probe.To.Addr().Is4() {
		return 20
	}
	return 40
}

// payload returns what a datagram holds after its 8 bytes of header.
func (o *Observation) payload() []byte {
	b := make([]byte, max(8, o.Probe.Size-o.ipHeader()-8))
	binary.BigEndian.PutUint32(b, probeMagic)
	binary.BigEndian.PutUint32(b[4:], o.id)
	return b
}

func (o *Observation) udp(f *os.File) {
	if o.Probe.Lookup != "" {
		o.lookup(f)
		return
	}
	if _, err := f.Write(o.payload()); err != nil {
		o.fail(err)
		return
	}
	answer := make([]byte, 1<<16)
	n, err := f.Read(answer)
	if err != nil {
		o.fail(err)
		return
	}
	o.answered(answer[:n])
}

func (o *Observation) icmp(f *os.File) {
	request, reply := byte(8), byte(0)
	if o.Probe.Proto == packet.ICMPv6 {
		request, reply = 128, 129
	}
	m := append([]byte{request, 0, 0, 0, byte(o.id >> 8), byte(o.id), 0, 1}, o.payload()...)
	if request == 8 {
		binary.BigEndian.PutUint16(m[2:], checksum(m))
	} // the kernel fills in the checksum of ICMPv6
	if _, err := f.Write(m); err != nil {
		o.fail(err)
		return
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := f.Read(buf)
		if err != nil {
			o.fail(err)
			return
		}
		b := buf[:n]
		if request == 8 && n >= 28 {
			b = b[20:]
		}
		if len(b) >= 16 && b[0] == reply && probeID(b[8:]) == o.id {
			o.Outcome = Delivered
			return
		}
	}
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
