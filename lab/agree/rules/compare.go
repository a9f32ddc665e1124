//go:build linux

package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// observed is what the kernel did.
type observed struct {
	fate Fate
	dev  string
	p    packet.Packet
	with packet.Packet // what told of the rejection
}

// String returns what was observed on one line.
func (o observed) String() string {
	s := fmt.Sprintf("%s %s %s id %d mark %#x mss %d", o.fate, o.dev, o.p, o.p.ICMPID, o.p.Mark, o.p.MSS)
	if o.fate == Rejected {
		s += fmt.Sprintf(" with %s %d/%d", o.with.Proto, o.with.ICMPType, o.with.ICMPCode)
	}
	return s
}

// observe reads the fate of a packet from where it, and an answer to it, were
// seen. The sockets are read in any order; marks are known from the hooks alone.
func observe(there, back []Sight) observed {
	for _, x := range there {
		switch x.Where {
		case "pre", "out", "post":
		case "in":
			return observed{fate: Local, p: x.P}
		default:
			o := observed{fate: Sent, dev: x.Where, p: x.P}
			for _, y := range there { // the last, of one that came round by lo
				if y.Where == "post" {
					o.p.Mark = y.P.Mark
				}
			}
			return o
		}
	}
	if i := indexOf(back, "out"); i >= 0 {
		return observed{fate: Rejected, with: back[i].P}
	}
	if len(there) == 0 {
		return observed{fate: "unseen"}
	}
	return observed{fate: Dropped}
}

// compare asks the model, and returns the connections of the branches that the kernel's way is one of.
func (s *session) compare(f *flow, p Probe, got observed) ([]netfilter.Conn, bool) {
	branches := s.model(f, p)
	var conns []netfilter.Conn
	sure := true
	matched := false
	for _, b := range branches {
		sure = sure && !b.Assumed && b.Fate != Unknown
		if b.Weight > 0 && same(b, got, p, &s.w.Top) {
			matched = true
			if b.Fate != Unknown {
				conns = append(conns, settle(b.Conn, got.p))
			}
		}
	}
	if !matched && (got.fate == Dropped || got.fate == "unseen") && !s.final {
		s.lost = append(s.lost, f.Probe)
		return nil, false
	}
	s.tally.Comparisons++
	s.tally.By[got.fate]++
	if sure {
		s.tally.Certain++
	}
	if f.conns == nil {
		s.tally.Firsts = append(s.tally.Firsts, First{p, got.fate, got.dev, got.p, sure})
	}
	if !matched {
		s.tally.Disagreements = append(s.tally.Disagreements, complaint(f, p, got, branches))
	}
	return conns, matched && len(conns) > 0
}

func complaint(f *flow, p Probe, got observed, want []Branch) string {
	var b strings.Builder
	fmt.Fprintf(&b, "probe %s\n", f.Probe)
	if p != f.Probe {
		fmt.Fprintf(&b, "then  %s inner %v\n", p, p.P.Inner)
		for _, c := range f.conns {
			fmt.Fprintf(&b, "\tconnection %+v\n", c)
		}
	}
	fmt.Fprintf(&b, "kernel: %s\n", got)
	for _, w := range want {
		fmt.Fprintf(&b, "model:  %s\n", w)
	}
	return b.String()
}

// model returns every way that the model allows, for every connection that it may have.
func (s *session) model(f *flow, p Probe) (out []Branch) {
	one := func(c *netfilter.Conn) {
		w := walker{rules: s.rules, top: &s.w.Top, env: &env{top: &s.w.Top, conn: c, seenReply: f.seen}, mac: p.MAC}
		if p.Dev != "" {
			out = append(out, w.walkIn(p.Dev, p.P)...)
			return
		}
		if !p.kernel {
			out = append(out, w.walkOut(p.P, &p.UID, nil)...)
			return
		}
		var attached *netfilter.Conn
		if c != nil && noProtocol(p.P) {
			of := *c
			of.State, of.Reply = netfilter.Related, !of.Reply
			attached = &of
		}
		out = append(out, w.walkOut(p.P, nil, attached)...)
	}
	if f.conns == nil {
		one(nil)
	}
	for i := range f.conns {
		one(tracked(f.conns[i]))
	}
	return out
}

// noProtocol reports whether p says that nobody here speaks the protocol. The
// packet that it is about is still with its connection then; of others that are told
// about, UDP's, it has been taken away (nf_reset_ct).
func noProtocol(p packet.Packet) bool {
	return p.Proto == packet.ICMP && p.ICMPType == 3 && p.ICMPCode == 2 || p.Proto == packet.ICMPv6 && p.ICMPType == 4 && p.ICMPCode == 1
}

// tracked returns c where conntrack keeps it: not of untracked and invalid packets.
func tracked(c netfilter.Conn) *netfilter.Conn {
	if c.State == netfilter.Untracked || c.State == netfilter.Invalid {
		return nil
	}
	return &c
}

// settle puts the port that the kernel chose at random into c.
func settle(c netfilter.Conn, p packet.Packet) netfilter.Conn {
	if c.RandomPort && !c.Reply {
		port := p.Src.Port()
		if !p.Proto.HasPorts() {
			port = p.ICMPID
		}
		c.Back.Dst = netip.AddrPortFrom(c.Back.Dst.Addr(), port)
		if !p.Proto.HasPorts() {
			c.Back.Src = netip.AddrPortFrom(c.Back.Src.Addr(), port)
		}
	}
	return c
}

// same reports whether got is what the branch says.
func same(b Branch, got observed, sent Probe, top *Topology) bool {
	switch b.Fate {
	case Unknown:
		return true
	case Rejected:
		if got.fate == Dropped {
			// Of a proxied datagram an IPv4 host cannot tell: it has not the address to tell it from.
			return untold(b.With, sent, top) || b.proxied && !b.P.Is6()
		}
		return got.fate == Rejected && tells(b.With, got.with)
	case Dropped:
		return got.fate == Dropped
	}
	return got.fate == b.Fate && got.dev == b.Dev && samePacket(b, got.p)
}

func samePacket(b Branch, p packet.Packet) bool {
	want := b.P
	if b.Conn.RandomPort && !b.Conn.Reply {
		want.Src = netip.AddrPortFrom(want.Src.Addr(), p.Src.Port())
		want.ICMPID = p.ICMPID
	}
	if want.Inner != nil && p.Inner != nil {
		if want.Inner.Src != p.Inner.Src || want.Inner.Dst != p.Inner.Dst || want.Inner.ICMPID != p.Inner.ICMPID {
			return false
		}
	}
	return want.Src == p.Src && want.Dst == p.Dst && want.ICMPID == p.ICMPID && want.Mark == p.Mark && want.MSS == p.MSS
}

// rejections are the ICMP and ICMPv6 types and codes of --reject-with (ipt_REJECT, ip6t_REJECT).
var rejections = map[string][3]uint8{
	"icmp-net-unreachable": {1, 3, 0}, "icmp-host-unreachable": {1, 3, 1}, "icmp-proto-unreachable": {1, 3, 2},
	"icmp-port-unreachable": {1, 3, 3}, "icmp-net-prohibited": {1, 3, 9}, "icmp-host-prohibited": {1, 3, 10},
	"icmp-admin-prohibited": {1, 3, 13},
	"icmp6-no-route":        {58, 1, 0}, "icmp6-adm-prohibited": {58, 1, 1}, "icmp6-addr-unreachable": {58, 1, 3},
	"icmp6-port-unreachable": {58, 1, 4}, "icmp6-policy-fail": {58, 1, 5}, "icmp6-reject-route": {58, 1, 6},
}

func tells(with string, p packet.Packet) bool {
	if with == "tcp-reset" {
		return p.Proto == packet.TCP && p.Flags&packet.RST != 0
	}
	r, ok := rejections[with]
	return ok && r == [3]uint8{uint8(p.Proto), p.ICMPType, p.ICMPCode}
}

// untold reports whether a host is silent about the rejection of p: about a
// reset (nf_send_reset), about an ICMP error or a broadcast (RFC 1122, 3.2.2), and
// about an ICMP message that the kernel itself is just sending (icmp_xmit_lock is held).
func untold(with string, p Probe, top *Topology) bool {
	if with == "tcp-reset" {
		return isReset(p.P)
	}
	icmp := p.P.Proto == packet.ICMP || p.P.Proto == packet.ICMPv6
	return p.P.IsICMPError() || p.kernel && icmp || top.broadcast(p.P.Dst.Addr())
}
