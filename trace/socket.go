package trace

import (
	"net/netip"
	"strconv"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// localIn runs INPUT, then gives the packet to its protocol.
func localIn(w *walk, s *state) stage {
	in := name(s.in)
	return w.hook(s, hookInput, in, "", func(w *walk, s *state, _ packet.Packet) stage {
		s.confirm()
		return deliver
	})
}

// deliver gives a packet to a tunnel, to who awaits it, to the kernel, or to a socket.
func deliver(w *walk, s *state) stage {
	s.frag = 0
	switch {
	case s.p.Inner != nil && !s.p.IsICMPError():
		return decap
	case w.kind != request:
		return w.answerArrives(s)
	case s.p.Proto == packet.ICMP && s.p.ICMPType == 8, s.p.Proto == packet.ICMPv6 && s.p.ICMPType == 128:
		return w.echo(s)
	case s.proxy:
		why := text.F("a local proxy takes it (TPROXY)")
		s.step(StageDeliver, "", why)
		return w.delivered(s, why)
	case s.p.Proto.HasPorts():
		return w.toSocket(s)
	}
	return w.unknown(s, text.F("who takes protocol %s in %s is not known", s.p.Proto, s.ns))
}

func (w *walk) echo(s *state) stage {
	if !s.p.Is6() && s.ns.Conf.EchoIgnore.On() {
		why := text.F("%s answers no echo requests: icmp_echo_ignore_all is 1", s.ns)
		s.step(StageDeliver, "", why, s.sysctl("net.ipv4.icmp_echo_ignore_all"))
		w.end(s, Dropped, "", why)
		return nil
	}
	why := text.F("the kernel of %s answers the echo request", s.ns)
	s.step(StageDeliver, "", why)
	return w.delivered(s, why)
}

// A lookupResult says which socket takes a packet, and which others are on the port.
type lookupResult struct {
	best  *snapshot.Socket
	score int
	other *snapshot.Socket // on the port, and not for this packet
}

// listeners finds the socket for a packet that comes in by a device: the most
// particular address and device win (__inet_lookup_listener, udp4_lib_lookup2).
func listeners(ns *network.NS, p *packet.Packet, in *network.Iface) lookupResult {
	var r lookupResult
	for _, k := range ns.SocketsOn(p.Proto, p.Dst.Port()) {
		score := match(k, p, in)
		switch {
		case score < 0:
			r.other = k
		case r.best == nil || score > r.score:
			r.best, r.score = k, score
		}
	}
	return r
}

// match returns how well a socket fits a packet; -1 where it does not.
func match(k *snapshot.Socket, p *packet.Packet, in *network.Iface) int {
	score := 0
	a, dst := k.Local.Addr(), p.Dst.Addr()
	switch {
	case a.Unmap() == dst:
		score += 4
	case !a.IsUnspecified(), a.Is4() && dst.Is6(), a.Is6() && dst.Is4() && k.V6Only:
		return -1
	}
	if k.Dev != "" {
		if in == nil || k.Dev != in.Name() {
			return -1
		}
		score += 2
	}
	if a.Is6() == dst.Is6() {
		score++
	}
	return score
}

func (w *walk) toSocket(s *state) stage {
	r := listeners(s.ns, &s.p, s.in)
	if r.best == nil {
		return w.noSocket(s, r.other)
	}
	k := r.best
	if k.State == "LISTEN" && k.Backlog > 0 && k.Queue > k.Backlog {
		why := text.F("the accept queue of %s is full: %d wait, %d may", k.Local, k.Queue, k.Backlog)
		s.step(StageDeliver, "", why, socketEvidence(s.ns, k))
		w.end(s, Dropped, "", why)
		return nil
	}
	why := text.F("a socket takes it: %s", socketWords{k})
	s.step(StageDeliver, "", why, socketEvidence(s.ns, k))
	return w.delivered(s, why)
}

func (w *walk) noSocket(s *state, other *snapshot.Socket) stage {
	if missing := w.net.Missing(s.ns, "sockets"); missing != "" {
		why := text.F("whether anything listens on %s port %d in %s is not known: %s", s.p.Proto, s.p.Dst.Port(), s.ns, missing)
		s.step(StageDeliver, "", why)
		return w.unknown(s, why)
	}
	why := text.F("nothing listens on %s port %d in %s", s.p.Proto, s.p.Dst.Port(), s.ns)
	ev := Quote(&socketQuote{s.ns, nil, s.p.Proto})
	if other != nil {
		why = text.F("%s port %d in %s is open for %s only, not for %s", s.p.Proto, s.p.Dst.Port(), s.ns, other.Local.Addr(), s.p.Dst.Addr())
		ev = socketEvidence(s.ns, other)
	}
	s.step(StageDeliver, "", why, ev)
	path := w.end(s, NoListener, "", why)
	switch {
	case s.p.Proto == packet.TCP:
		w.tellSender(s, path, icmpError{reset: true})
	case s.p.Is6():
		w.tellSender(s, path, icmpError{typ: 1, code: 4})
	default:
		w.tellSender(s, path, icmpError{typ: 3, code: 3})
	}
	return nil
}

// socketWords prints a socket.
type socketWords struct{ k *snapshot.Socket }

func (w socketWords) String() string { return socketText(w.k) }

func socketText(k *snapshot.Socket) string {
	s := k.Proto.String() + " " + addrText(k.Local)
	if k.Dev != "" {
		s += "%" + k.Dev
	}
	if k.Process != "" {
		s += " (" + k.Process + ")"
	}
	return s
}

func addrText(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		if a.Addr().Is4() {
			return "0.0.0.0:" + strconv.Itoa(int(a.Port()))
		}
		return "[::]:" + strconv.Itoa(int(a.Port()))
	}
	return a.String()
}
