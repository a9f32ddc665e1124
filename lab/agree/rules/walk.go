//go:build linux

package rules

import (
	"fmt"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// A Fate is how a packet's way ends.
type Fate string

// The fates. Unknown is what the model says where it does not understand.
const (
	Unknown  Fate = "unknown"
	Sent     Fate = "sent"  // left by a device
	Local    Fate = "local" // came past every rule of the way in
	Dropped  Fate = "dropped"
	Rejected Fate = "rejected"
)

// A Branch is one way that the model allows.
type Branch struct {
	Fate    Fate
	Dev     string // of Sent
	P       packet.Packet
	Conn    netfilter.Conn
	Weight  float64
	Assumed bool   // something had to be supposed
	With    string // of Rejected; why, of Unknown
	Rules   []netfilter.Ref

	proxied bool // by TPROXY
}

// String returns the branch on one line.
func (b Branch) String() string {
	s := fmt.Sprintf("%s %s %s %s id %d mark %#x mss %d weight %.3g", b.Fate, b.Dev, b.With, b.P, b.P.ICMPID, b.P.Mark, b.P.MSS, b.Weight)
	if b.Assumed {
		s += " assumed"
	}
	for _, r := range b.Rules {
		switch {
		case r.Rule != nil:
			s += "\n\t\t" + r.Rule.Text
		case r.Chain != nil:
			s += "\n\t\tpolicy of " + r.Chain.Name
		}
	}
	return s
}

// A walker takes one packet through a ruleset.
type walker struct {
	rules *netfilter.Ruleset
	top   *Topology
	env   *env
	mac   packet.MAC
	out   []Branch
}

// at is a packet on its way.
type at struct {
	Branch
	conn    *netfilter.Conn
	in, dev string
	uid     *uint32
	hops    int
}

// walkIn takes a packet that comes in by dev.
func (w *walker) walkIn(dev string, p packet.Packet) []Branch {
	w.pre(at{Branch: Branch{P: p, Weight: 1}, in: dev})
	return w.out
}

// walkOut takes a packet that the router itself sends. conn is nil, but for
// an ICMP error that belongs to the connection of what it tells about (nf_ct_attach).
func (w *walker) walkOut(p packet.Packet, uid *uint32, conn *netfilter.Conn) []Branch {
	a := at{Branch: Branch{P: p, Weight: 1}, dev: w.top.route(p.Dst.Addr()), uid: uid, conn: conn}
	w.hook(netfilter.LocalOut, a, func(a at) {
		a.dev = w.top.route(a.P.Dst.Addr())
		w.post(a)
	})
	return w.out
}

func (w *walker) pre(a at) {
	w.hook(netfilter.PreRouting, a, func(a at) {
		out := w.top.route(a.P.Dst.Addr())
		if a.proxied && a.P.Mark&proxyMark == 0 && out != "lo" {
			w.end(a, Dropped) // ip_forward drops what belongs to a socket
			return
		}
		if out == "lo" || a.proxied {
			w.hook(netfilter.LocalIn, a, func(a at) { w.end(a, Local) })
			return
		}
		a.P.TTL--
		a.dev = out
		w.hook(netfilter.Forward, a, w.post)
	})
}

func (w *walker) post(a at) {
	w.hook(netfilter.PostRouting, a, func(a at) {
		if a.dev != "lo" {
			w.end(a, Sent)
			return
		}
		if a.hops++; a.hops > 2 {
			return
		}
		a.in, a.dev, a.uid = "lo", "", nil
		w.mac = packet.MAC{}
		if a.conn.State == netfilter.Invalid {
			a.conn = nil // conntrack leaves nothing on the packet, and looks again
		}
		w.pre(a)
	})
}

func (w *walker) end(a at, f Fate) {
	a.Fate, a.Dev = f, a.dev
	w.out = append(w.out, a.Branch)
}

// hook runs the rules of one hook, and goes on with every way that leads on.
func (w *walker) hook(h netfilter.Hook, a at, next func(at)) {
	in := netfilter.Input{Hook: h, Packet: a.P, Conn: a.conn, UID: a.uid, Env: w.env, SrcMAC: w.mac}
	switch h {
	case netfilter.PreRouting, netfilter.LocalIn:
		in.In = a.in
	case netfilter.Forward:
		in.In, in.Out = a.in, a.dev
	case netfilter.LocalOut:
		in.Out = a.dev
	case netfilter.PostRouting:
		in.In, in.Out = a.in, a.dev // the kernel knows the way in here since 5.7
	}
	for _, o := range w.rules.Eval(in) {
		b := a
		conn := o.Conn
		b.P, b.Conn, b.conn = o.Packet, conn, &conn
		b.Weight *= o.Weight
		b.Assumed = b.Assumed || len(o.Assumed) > 0
		b.Rules = append(append([]netfilter.Ref(nil), a.Rules...), o.Rules...)
		switch o.Verdict {
		case netfilter.Accept:
			next(b)
		case netfilter.TProxy:
			b.proxied = true
			if o.Proxy.Port() != proxyPort {
				b.With = "TPROXY to " + o.Proxy.String()
				w.end(b, Rejected)
				continue
			}
			next(b)
		case netfilter.Drop:
			w.end(b, Dropped)
		case netfilter.Reject:
			b.With = o.RejectWith
			w.end(b, Rejected)
		default:
			b.With = o.Why
			w.end(b, Unknown)
		}
	}
}
