//go:build linux

package lab

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// assign gives each sighting to the probe it belongs to. Addresses and ports do not
// tell, NAT changes them; datagrams carry the probe's number, and the packets of a TCP
// connection are known by their sequence numbers, which begin where the probe chose.
func assign(obs []Observation, seen []Sighting) {
	byID := map[uint32]*Observation{}
	for i := range obs {
		byID[obs[i].id] = &obs[i]
		obs[i].sources = map[netip.AddrPort]bool{obs[i].Source: true}
	}
	for _, s := range seen {
		if !s.Error && s.Packet.Proto == packet.TCP && s.Packet.Flags == packet.SYN {
			if o := byID[s.seq/isnStep]; o != nil && s.seq%isnStep == 0 {
				o.sources[s.Packet.Src] = true
			}
		}
	}
	for _, s := range seen {
		give(s, byID)
	}
}

func give(s Sighting, byID map[uint32]*Observation) {
	if s.id != 0 {
		if o := byID[s.id]; o != nil {
			o.add(s, o.isReply(s))
		}
		return
	}
	about := s.Packet
	if s.Error {
		about = *s.Packet.Inner
	}
	if about.Proto != packet.TCP {
		return
	}
	if o := byID[s.seq/isnStep]; o != nil && o.sources[about.Src] {
		// A reset may be of another machine that has the client's address, and got the answer.
		if s.Error || s.Packet.Flags&packet.RST == 0 {
			o.add(s, false)
		}
		return
	}
	if o := byID[s.ack/isnStep]; o != nil && o.sources[about.Dst] {
		o.add(s, true)
	}
}

// isReply tells a datagram that comes back from one that goes out.
func (o *Observation) isReply(s Sighting) bool {
	p := s.Packet
	switch p.Proto {
	case packet.ICMP:
		return p.ICMPType == 0
	case packet.ICMPv6:
		return p.ICMPType == 129
	case packet.UDP:
		return s.greets
	}
	return false
}

func (o *Observation) add(s Sighting, reply bool) {
	switch {
	case s.Error:
		o.Errors = append(o.Errors, s)
	case reply:
		o.Reply = append(o.Reply, s)
	default:
		o.Request = append(o.Request, s)
	}
}
