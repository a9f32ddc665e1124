package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
)

// An announced is an MSS that the client is told, and by whom: the ends of the
// connections that a Query may make can tell different ones.
type announced struct {
	mss    int
	weight float64 // the share of connections that it holds for
	by     map[netip.AddrPort]bool
}

// runSegments follows full segments. Their size is known only by the MSS that the far end
// announced, so a SYN and its answer are followed first; each MSS then makes a walk of its own,
// of which only the ways to those who announced it count.
func runSegments(n *network.Network, q Query) []Path {
	all, told := announcements(n, q)
	if len(all) < 2 {
		mss := 0
		if len(all) == 1 {
			mss = all[0].mss
		}
		return runWith(n, q, mss)
	}
	var out []Path
	for i := range all {
		for _, p := range runWith(n, q, all[i].mss) {
			to := innermost(&p.Final).Dst
			switch {
			case all[i].by[to], i == 0 && to != q.Dst && !told[to]:
				out = append(out, p)
			case to == q.Dst && !told[to]: // it ended before it was known who would get it
				p.Weight *= all[i].weight
				out = append(out, p)
			}
		}
	}
	return merge(out)
}

// announcements returns the MSS values that a client of q is told, in the order in which
// they were met, and all who told one. What was not told by anybody goes with the first.
func announcements(n *network.Network, q Query) ([]announced, map[netip.AddrPort]bool) {
	q.Size, q.ReplySize = 0, 0
	var all []announced
	told := map[netip.AddrPort]bool{}
	rest := 1.0
	for _, p := range Run(n, q).Paths {
		mss, to := toldMSS(&p), p.Final.Dst
		if mss == 0 {
			continue
		}
		told[to] = true
		rest -= p.Weight
		all = note(all, mss, p.Weight, to)
	}
	if len(all) > 0 {
		all[0].weight += rest
	}
	return all, told
}

func note(all []announced, mss int, weight float64, to netip.AddrPort) []announced {
	for i := range all {
		if all[i].mss == mss || all[i].by[to] {
			all[i].weight += weight
			all[i].by[to] = true
			return all
		}
	}
	return append(all, announced{mss, weight, map[netip.AddrPort]bool{to: true}})
}

// toldMSS returns the MSS in the answer to a SYN that took the path; 0 where none comes.
func toldMSS(p *Path) int {
	for i := range p.Reply {
		if end := p.Reply[i].End; end == Delivered || end == LeftCluster {
			return p.Reply[i].Final.MSS
		}
	}
	return 0
}

// innermost returns the packet that tunnels carry.
func innermost(p *packet.Packet) *packet.Packet {
	for p.Inner != nil && !p.IsICMPError() {
		p = p.Inner
	}
	return p
}

// sizeSegment gives a full segment its size: what the route takes, and the MSS that the other end announced allows.
func (w *walk) sizeSegment(s *state) {
	head := 40
	if s.p.Is6() {
		head = 60
	}
	mtu := s.routeMTU()
	if s.p.Proto == packet.TCP && s.p.Flags&packet.SYN != 0 {
		s.p.MSS = mtu - head
		if s.route != nil && s.route.AdvMSS > 0 {
			s.p.MSS = s.route.AdvMSS
		}
	}
	if s.cuts && s.p.Size > mtu {
		s.p.DF = false
	}
	if s.p.Size != FullSegment {
		return
	}
	s.p.Size = w.segment(s, mtu)
}

// segment returns the size of a full segment of a sender whose way takes packets of mtu bytes.
func (w *walk) segment(s *state, mtu int) int {
	head := 40
	if s.p.Is6() {
		head = 60
	}
	switch {
	case w.mss > 0:
		return min(mtu, w.mss+head)
	case s.p.Proto == packet.TCP:
		return min(mtu, usualMTU)
	}
	return mtu
}

// usualMTU is Ethernet's: what the far end is supposed to have where it did not say.
const usualMTU = 1500
