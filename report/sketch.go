package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A stop is a hop of a path with what is needed to draw it.
type stop struct {
	trace.Hop
	depth int           // how many tunnels the packet is in as it comes
	came  packet.Packet // the packet as it comes; zero where that is not known
	marks []mark
}

// A mark is a step with what it did to the packet.
type mark struct {
	trace.Step
	depth  int       // how many tunnels the packet is in, before and after the step
	change text.Text // what became of the packet's addresses; zero where nothing did
	last   bool      // of the path
}

// told reports whether the step's own sentence tells all the addresses of the change.
func (m mark) told() bool {
	what := m.What.String()
	for _, a := range m.change.Args {
		switch a := a.(type) {
		case string:
			if !strings.Contains(what, a) {
				return false
			}
		case netip.Addr:
			if !strings.Contains(what, a.String()) {
				return false
			}
		}
	}
	return !m.change.IsZero()
}

// arrow marks a sentence that itself tells of NAT or of a tunnel.
func (m mark) arrow() string {
	if m.told() {
		return "⇒ "
	}
	return ""
}

// sketch prepares a path for drawing. reply says that it is the way of an answer,
// in which an address that changes is NAT taken back.
func sketch(p trace.Path, reply bool) []stop {
	var stops []stop
	var now packet.Packet
	for i, h := range p.Hops {
		s := stop{Hop: h, depth: depth(now), came: now}
		if i == 0 && len(h.Steps) > 0 && h.Steps[0].Out != nil {
			now = *h.Steps[0].Out
			s.came, s.depth = now, depth(now)
		}
		for j, step := range h.Steps {
			m := mark{Step: step, depth: depth(now), last: i == len(p.Hops)-1 && j == len(h.Steps)-1}
			if step.Out != nil {
				m.change = change(now, *step.Out, reply)
				m.depth = min(m.depth, depth(*step.Out))
				now = *step.Out
			}
			s.marks = append(s.marks, m)
		}
		stops = append(stops, s)
	}
	return stops
}

// depth counts the tunnels that p is in.
func depth(p packet.Packet) int {
	n := 0
	for p.Inner != nil && !p.IsICMPError() && n < 8 {
		p = *p.Inner
		n++
	}
	return n
}

// change says what a step did to the addresses of a packet.
func change(was, is packet.Packet, reply bool) text.Text {
	switch {
	case !was.Dst.Addr().IsValid():
		return text.Text{}
	case depth(is) > depth(was):
		return text.F("enters %s: %s → %s", tunnel(is), is.Src.Addr(), is.Dst.Addr())
	case depth(is) < depth(was):
		return text.F("leaves %s: %s → %s", tunnel(was), end(is.Src), end(is.Dst))
	case was.Src != is.Src && was.Dst != is.Dst:
		return text.F("%s %s → %s and %s → %s", cmp.Or(map[bool]string{true: "un-NAT"}[reply], "NAT"), end(was.Src), end(is.Src), end(was.Dst), end(is.Dst))
	case was.Dst != is.Dst && reply:
		return text.F("un-SNAT %s → %s", end(was.Dst), end(is.Dst))
	case was.Dst != is.Dst:
		return text.F("DNAT %s → %s", end(was.Dst), end(is.Dst))
	case was.Src != is.Src && reply:
		return text.F("un-DNAT %s → %s", end(was.Src), end(is.Src))
	case was.Src != is.Src:
		return text.F("SNAT %s → %s", end(was.Src), end(is.Src))
	case is.MSS < was.MSS && is.MSS > 0:
		return text.F("MSS %d → %d", was.MSS, is.MSS)
	}
	return text.Text{}
}

// end prints an address, with its port where there is one.
func end(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// tunnel names the kind of tunnel that p carries a packet through.
func tunnel(p packet.Packet) string {
	switch {
	case p.Proto == packet.UDP && p.Dst.Port() == 6081:
		return fmt.Sprintf("geneve %d", p.Key)
	case p.Proto == packet.UDP:
		return fmt.Sprintf("vxlan %d", p.Key)
	case p.Proto == packet.IPv6:
		return "sit"
	}
	return p.Proto.String()
}

// describe says what p is: "tcp 10.0.0.1:40000 → 10.0.0.2:80, 60 bytes".
func describe(p packet.Packet) text.Text {
	if !p.Dst.Addr().IsValid() {
		return text.Text{}
	}
	if p.Size > 0 && p.DF && !p.Is6() {
		return text.F("%s %s → %s, %d bytes, may not be fragmented", p.Proto, end(p.Src), end(p.Dst), p.Size)
	}
	if p.Size > 0 {
		return text.F("%s %s → %s, %d bytes", p.Proto, end(p.Src), end(p.Dst), p.Size)
	}
	return text.F("%s %s → %s", p.Proto, end(p.Src), end(p.Dst))
}

// title names a stop: its Pod and node.
func (s stop) title() text.Text {
	switch {
	case s.Node == "" && s.NetNS == "":
		return text.F("outside the cluster")
	case s.Pod != "" && s.NetNS != "host":
		return text.F("Pod %s on %s", s.Pod, s.Node)
	case s.NetNS == "host":
		return text.F("node %s", s.Node)
	}
	return text.F("%s on %s", s.NetNS, s.Node)
}

// devices lists the devices of a stop that the packet passes, in order.
func (s stop) devices() []string {
	all := []string{s.In}
	for _, m := range s.marks {
		all = append(all, m.Link)
	}
	all = slices.DeleteFunc(append(all, s.Out), func(d string) bool { return d == "" })
	return slices.Compact(all)
}

// telling reports whether a step is worth drawing where not every step is: it
// decided by a route or rule, changed the packet, crossed a wire, or is the last.
func (m mark) telling() bool {
	if m.last || !m.change.IsZero() {
		return true
	}
	switch m.Stage {
	case trace.StageWire, trace.StageDeliver, trace.StageEncap, trace.StageDecap, trace.StageRoute:
		return true
	case trace.StageReceive, trace.StageTransmit:
		return false
	}
	return len(m.Quotes) > 0
}
