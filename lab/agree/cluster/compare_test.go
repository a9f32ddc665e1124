package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/trace"
)

// A question is one comparison: a probe, and what trace is asked of it.
type question struct {
	src    lab.Source
	target lab.Target
	cut    bool   // datagrams have no DF
	space  string // the namespace that it begins in, as the lab calls it
	obs    lab.Observation
}

func (q question) String() string {
	return fmt.Sprintf("%s to %s (%s %s size %d)", q.src.Name, q.target.Name, q.target.Proto, q.target.To, q.target.Size)
}

// probe returns the packet that is sent for it.
func (q question) probe(l *lab.Lab) lab.Probe {
	return lab.Probe{From: l.Namespace(q.src.Name), To: q.target.To, Proto: q.target.Proto, Size: q.target.Size, Cut: q.cut}
}

// from returns the namespace that a trace begins in; nil for hosts outside.
func from(n *network.Network, s lab.Source) *network.NS {
	if s.Pod != "" {
		return n.Pod(s.Pod)
	}
	if s.Node != "" {
		return n.Host(s.Node)
	}
	return nil
}

// traces returns the traces that a probe stands for: a bulk transfer is small
// packets, full segments out, and full segments back.
func (q question) traces(n *network.Network) []trace.Result {
	base := trace.Query{From: from(n, q.src), Src: q.obs.Source.Addr(), Dst: q.target.To, Proto: q.target.Proto, DF: !q.cut}
	if base.From != nil {
		base.Src = netip.Addr{} // the model has to choose as the kernel did
	}
	root := uint32(0)
	base.UID = &root
	if q.target.Proto != packet.TCP {
		base.Size, base.ReplySize = q.target.Size, q.target.Size
	}
	out := []trace.Result{trace.Run(n, base)}
	if q.target.Proto == packet.TCP && q.target.Size != 0 {
		there, back := base, base
		there.Size, back.ReplySize = trace.FullSegment, trace.FullSegment
		out = append(out, trace.Run(n, there), trace.Run(n, back))
	}
	return out
}

// judge compares. It returns "" where model and kernel agree, "unknown: …" where the
// model does not decide, else what differs.
func (q question) judge(rs []trace.Result) string {
	small := q.any(rs[0], false)
	if len(rs) == 1 {
		return small
	}
	switch q.obs.Outcome {
	case lab.Delivered:
		for _, r := range rs {
			if why := q.any(r, true); why != "" {
				return why
			}
		}
		return ""
	case lab.Stalled:
		// The connection opened, and a full segment one way or the other died.
		if !q.opens(rs[0]) {
			return "the connection opened, which the model does not see: " + small
		}
		var whys []string
		for _, r := range rs[1:] {
			why := q.any(r, true)
			if why == "" {
				return ""
			}
			whys = append(whys, why)
		}
		return strings.Join(whys, "; ")
	}
	return small
}

// opens reports whether some small packet of the model arrives, and its answer comes back.
func (q question) opens(r trace.Result) bool {
	for _, p := range r.Paths {
		if p.End == trace.LeftCluster || p.End == trace.Delivered && (q.arrives(p.Reply) || open(p.Reply)) {
			return true
		}
	}
	return false
}

// any returns "" where one of the ways that the model allows is what happened.
func (q question) any(r trace.Result, bulk bool) string {
	var whys []string
	for _, p := range r.Paths {
		why := q.path(p, bulk)
		if why == "" {
			return ""
		}
		whys = append(whys, why)
	}
	for i, p := range r.Paths {
		if p.End == trace.Unknown {
			return "unknown: " + p.Why.String()
		}
		if strings.HasPrefix(whys[i], "unknown: ") {
			return whys[i]
		}
	}
	if len(whys) == 0 {
		return "the trace has no path"
	}
	return strings.Join(whys, " | ")
}

func (q question) path(p trace.Path, bulk bool) string {
	o := q.obs
	predicted := fmt.Sprintf("model: %s at %s (%s)", p.End, p.At, p.Why)
	observed := fmt.Sprintf("kernel: %s %v, request last seen %s, reply %s", o.Outcome, o.Err, o.Last(), o.LastReply())
	differ := func(what string) string { return what + ": " + predicted + "; " + observed }
	switch p.End {
	case trace.Delivered:
		return q.delivered(p, bulk, differ)
	case trace.LeftCluster:
		return q.left(p, differ)
	case trace.TooBig:
		if bulk && q.arrives(p.ICMP) {
			if o.Outcome == lab.Delivered {
				return "" // the sender learns of it, and sends smaller segments
			}
			return differ("fate")
		}
		if o.Outcome == lab.Delivered {
			return differ("fate")
		}
		return q.place(p.At, q.space, large(o.Request, bulk), differ)
	}
	if !q.fits(p) {
		return differ("fate")
	}
	return q.place(p.At, q.space, large(o.Request, bulk), differ)
}

// fits reports whether the sender saw what the fate of its packet makes it see.
func (q question) fits(p trace.Path) bool {
	o := q.obs
	told := o.Outcome == lab.Refused || o.Outcome == lab.Unreachable || o.Outcome == lab.Denied || o.Outcome == lab.TooBig
	if o.Outcome == lab.Delivered {
		return false
	}
	here := len(p.Hops) == 1 && p.Hops[0].In == "" // it ended in the sender's own namespace
	switch p.End {
	case trace.Rejected, trace.NoListener, trace.Looped:
		return told == q.tells(p.ICMP) || open(p.ICMP)
	case trace.NoRoute:
		if here && lastStage(p) == trace.StageEncap {
			return !told // a VXLAN device drops it without a word
		}
		if here { // a SYN that OUTPUT has sent another way is lost without a word (tcp_connect)
			return told == (q.target.Proto != packet.TCP || lastStage(p) == trace.StageSend)
		}
		return !told || q.tells(p.ICMP) || open(p.ICMP) // ip_error sends a host one a second at most
	case trace.NoNeighbour, trace.LinkDown:
		// Whoever asks for a neighbour gives up after 3 seconds, which is longer than a probe waits.
		return !told || here || q.tells(p.ICMP) || open(p.ICMP)
	case trace.Dropped:
		return !told || here && o.Outcome == lab.Denied
	}
	return false
}

func lastStage(p trace.Path) trace.Stage {
	steps := p.Hops[len(p.Hops)-1].Steps
	return steps[len(steps)-1].Stage
}

// tells reports whether one of the messages comes back to the sender, and its socket gives it on.
func (q question) tells(ps []trace.Path) bool {
	return slices.ContainsFunc(ps, func(p trace.Path) bool {
		return q.arrives([]trace.Path{p}) && (q.target.Proto == packet.TCP || hard(p.Final))
	})
}

// hard reports whether a datagram socket is told of an ICMP error at once; of the others, only
// one that asks for them (icmp_err_convert, icmpv6_err_convert). A TCP socket that connects gives up at each.
func hard(m packet.Packet) bool {
	if m.Proto == packet.ICMPv6 {
		return m.ICMPType == 1 && m.ICMPCode != 0 && m.ICMPCode != 2 && m.ICMPCode != 3
	}
	soft := map[uint8]bool{0: true, 1: true, 4: true, 5: true, 11: true, 12: true}
	return m.ICMPType == 3 && !soft[m.ICMPCode]
}

// arrives reports whether an answer comes back to the sender; one from outside is only known to leave.
func (q question) arrives(ps []trace.Path) bool {
	for _, p := range ps {
		if p.End == trace.Delivered || p.End == trace.LeftCluster && q.src.Node == "" {
			return true
		}
	}
	return false
}

// open reports whether an answer goes by machines that the snapshot does not know: it may come back by them.
func open(ps []trace.Path) bool {
	for _, p := range ps {
		if p.End == trace.LeftCluster {
			return true
		}
	}
	return false
}

func (q question) delivered(p trace.Path, bulk bool, differ func(string) string) string {
	o := q.obs
	if o.Outcome == lab.Delivered {
		if o.Seen.IsValid() && o.Seen.Addr() != p.Final.Src.Addr() {
			return differ(fmt.Sprintf("the far side saw %s, not %s", o.Seen.Addr(), p.Final.Src.Addr()))
		}
		if q.arrives(p.Reply) || open(p.Reply) {
			return ""
		}
		for _, r := range p.Reply {
			if bulk && r.End == trace.TooBig && q.arrives(r.ICMP) {
				return ""
			}
		}
		return differ("the model loses the reply: " + ends(p.Reply))
	}
	if len(o.Request) > 0 && name(p.At) != o.Last().NS {
		return differ("the request did not arrive there")
	}
	for _, r := range p.Reply {
		if r.End == trace.Delivered {
			continue
		}
		if r.End == trace.LeftCluster && q.src.Node == "" {
			return ""
		}
		if q.place(r.At, name(p.At), large(o.Reply, bulk), differ) == "" {
			return ""
		}
	}
	return differ("fate; replies " + ends(p.Reply))
}

func ends(ps []trace.Path) string {
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s at %s (%s)", p.End, p.At, p.Why))
	}
	return strings.Join(out, ", ")
}

// left judges a packet that goes to machines which are not in the snapshot.
func (q question) left(p trace.Path, differ func(string) string) string {
	o := q.obs
	if o.Outcome == lab.Delivered {
		if o.Seen.IsValid() && o.Seen.Addr() != p.Final.Src.Addr() {
			return differ(fmt.Sprintf("the far side saw %s, not %s", o.Seen.Addr(), p.Final.Src.Addr()))
		}
		if !slices.ContainsFunc(o.Request, func(s lab.Sighting) bool { return outside(s.NS) }) {
			return differ("it was answered from inside the cluster")
		}
		return ""
	}
	if slices.ContainsFunc(o.Request, func(s lab.Sighting) bool { return beyond(s.NS) }) {
		return ""
	}
	// Whether a machine has the next hop's address is not in the snapshot: where
	// none has, the packet ends at the hop from which it would have left.
	return q.place(p.At, q.space, o.Request, differ)
}

// beyond names the namespaces that no snapshot holds; outside, those of them that are not the nodes' own segment.
func beyond(ns string) bool { return ns == "fabric" || outside(ns) }

func outside(ns string) bool { return ns == "router" || ns == "outside" || ns == "office" }

// large keeps the full-sized ones where bulk is asked about.
func large(ss []lab.Sighting, bulk bool) []lab.Sighting {
	if !bulk {
		return ss
	}
	var out []lab.Sighting
	for _, s := range ss {
		if s.Packet.Size > 1000 {
			out = append(out, s)
		}
	}
	return out
}

// name turns a trace's place into the lab's name of the namespace.
func name(at trace.Place) string {
	if at.NetNS == "host" {
		return at.Node
	}
	return at.NetNS
}

// place compares where a packet that was made in the namespace from ended with where it was last seen. A packet that a
// device was seen to send may end there, or where it was sent to.
func (q question) place(at trace.Place, from string, ss []lab.Sighting, differ func(string) string) string {
	if len(ss) == 0 { // it ended before the first device
		if q.src.Node == "" || from == name(at) {
			return ""
		}
		return differ("place")
	}
	s := ss[len(ss)-1]
	switch {
	case name(at) == s.NS:
		return ""
	case beyond(s.NS):
		if at.NetNS == "host" || at.Node == "" {
			return ""
		}
	case s.Out && s.Dev != "lo" && (at.NetNS == "host" || strings.HasPrefix(s.Dev, "veth")):
		return ""
	}
	return differ("place")
}
