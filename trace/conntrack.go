package trace

import (
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
)

// A tracked is a connection that this trace made in the conntrack table of a namespace.
type tracked struct {
	ns      *network.NS
	conn    netfilter.Conn
	replied bool // an answer was seen (IPS_SEEN_REPLY)
	older   *tracked
}

// find returns the newest entry of a namespace and zone that ok takes, or nil.
func (s *state) find(zone uint16, ok func(*netfilter.Conn) bool) *tracked {
	for e := s.ct; e != nil; e = e.older {
		if e.ns == s.ns && e.conn.Zone == zone && ok(&e.conn) {
			return e
		}
	}
	return nil
}

// conntrack looks a packet up in the namespace, and makes a new connection where there is none (nf_conntrack_in).
func (s *state) conntrack(p *packet.Packet, zone uint16) netfilter.Conn {
	if p.IsICMPError() {
		return s.related(p, zone)
	}
	t := netfilter.TupleOf(*p)
	e := s.find(zone, func(c *netfilter.Conn) bool { return c.Orig == t || c.Back == t })
	if e != nil {
		c := e.conn
		c.State, c.Reply = netfilter.New, c.Back == t
		if c.Reply || e.replied {
			c.State = netfilter.Established
		}
		return c
	}
	return netfilter.Conn{State: firstState(p), Orig: t, Back: t.Invert(), Zone: zone}
}

// firstState is the state of a packet that begins a connection as conntrack sees it: an answer whose request it never saw is invalid.
func firstState(p *packet.Packet) netfilter.CTState {
	switch {
	case p.Proto == packet.TCP && p.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		return netfilter.Invalid
	case p.Proto == packet.TCP && p.Flags&packet.RST != 0:
		return netfilter.Invalid
	case p.Proto == packet.ICMP && p.ICMPType == 0, p.Proto == packet.ICMPv6 && p.ICMPType == 129:
		return netfilter.Invalid
	}
	return netfilter.New
}

// related finds the connection of the packet that an ICMP error quotes (nf_conntrack_inet_error).
func (s *state) related(p *packet.Packet, zone uint16) netfilter.Conn {
	if p.Inner == nil {
		return netfilter.Conn{State: netfilter.Invalid, Zone: zone}
	}
	t := netfilter.TupleOf(*p.Inner).Invert()
	e := s.find(zone, func(c *netfilter.Conn) bool { return c.Orig == t || c.Back == t })
	if e != nil {
		c := e.conn
		c.State, c.Reply = netfilter.Related, c.Back == t
		return c
	}
	return netfilter.Conn{State: netfilter.Invalid, Zone: zone}
}

// confirm writes the packet's connection into the table, when the last hook has let it pass (nf_conntrack_confirm).
func (s *state) confirm() {
	c := s.conn
	if c == nil || !c.Orig.Src.IsValid() || c.State == netfilter.Invalid || c.State == netfilter.Untracked || c.State == netfilter.Related {
		return
	}
	e := s.find(c.Zone, func(have *netfilter.Conn) bool { return have.Orig == c.Orig })
	if e != nil && e.conn.Mark == c.Mark && (e.replied || !c.Reply) {
		return
	}
	t := s.all.keep.ct.get()
	*t = tracked{ns: s.ns, conn: *c, replied: c.Reply || e != nil && e.replied, older: s.ct}
	s.ct = t
}
