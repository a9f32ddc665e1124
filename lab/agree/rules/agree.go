//go:build linux

package rules

import (
	"fmt"
	"time"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// A Probe is the first packet of a connection.
type Probe struct {
	Dev string     // the device that it comes in by; "" for one that the router sends
	MAC packet.MAC // of the sender, where Dev is not ""
	UID uint32     // of the sending process, where Dev is ""; 0 or 1000
	P   packet.Packet

	kernel bool // the kernel itself sends it, and no process
}

// String returns the probe on one line.
func (p Probe) String() string {
	from := p.Dev + " " + p.MAC.String()
	if p.Dev == "" {
		from = fmt.Sprintf("local uid %d", p.UID)
	}
	return fmt.Sprintf("%s: %s flags %#x icmp %d/%d id %d size %d tos %#x ttl %d mss %d", from, p.P, p.P.Flags, p.P.ICMPType, p.P.ICMPCode, p.P.ICMPID, p.P.Size, p.P.TOS, p.P.TTL, p.P.MSS)
}

// A Tally counts comparisons.
type Tally struct {
	Comparisons   int
	Certain       int // the model supposed nothing
	Disagreements []string
	By            map[Fate]int // what the kernel did, for a look at the balance
	Firsts        []First
}

// First is what the kernel did to a probe.
type First struct {
	Probe   Probe
	Fate    Fate
	Dev     string        // of Sent
	P       packet.Packet // as it was seen
	Certain bool          // the model had one answer, and supposed nothing
}

// Add adds u to t.
func (t *Tally) Add(u Tally) {
	t.Comparisons += u.Comparisons
	t.Certain += u.Certain
	t.Disagreements = append(t.Disagreements, u.Disagreements...)
	t.Firsts = append(t.Firsts, u.Firsts...)
	if t.By == nil {
		t.By = map[Fate]int{}
	}
	for f, n := range u.By {
		t.By[f] += n
	}
}

// Times to wait for what is still under way. The way through the router is one
// soft interrupt; only a packet that seems lost is asked for again, with patience.
const (
	quick   = 3 * time.Millisecond
	patient = 80 * time.Millisecond
)

// Agree sends the probes, and what answers them, through the rules that are
// loaded in the router, and compares with what rules says. One at a time is
// needed where connections might compete for a port.
func (w *World) Agree(rules *netfilter.Ruleset, probes []Probe, oneByOne bool) (Tally, error) {
	t := Tally{By: map[Fate]int{}}
	groups := [][]Probe{probes}
	if oneByOne {
		groups = split(probes)
	}
	var again []Probe
	for _, g := range groups {
		s := session{w: w, rules: rules, tally: &t, quiet: quick}
		if err := s.run(g); err != nil {
			return t, err
		}
		again = append(again, s.lost...)
	}
	for _, g := range split(again) {
		s := session{w: w, rules: rules, tally: &t, quiet: patient, final: true}
		if err := s.run(g); err != nil {
			return t, err
		}
	}
	return t, nil
}

func split(p []Probe) (out [][]Probe) {
	for i := range p {
		out = append(out, p[i:i+1])
	}
	return out
}

// A session is one run of probes.
type session struct {
	w     *World
	rules *netfilter.Ruleset
	tally *Tally
	quiet time.Duration
	final bool    // a packet that is not seen is lost
	lost  []Probe // not seen, though the model would have it seen
}

// A flow is a connection that has come through so far.
type flow struct {
	Probe
	id    uint16
	conns []netfilter.Conn // those that the model may have of it
	got   observed         // of the first packet
	seen  bool             // an answer was seen
}

func (s *session) run(probes []Probe) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	var flows []*flow
	for i, p := range probes {
		flows = append(flows, &flow{Probe: p, id: uint16(i+1) * 8})
	}
	flows, err := s.round(flows, func(f *flow) (Probe, bool) { return f.Probe, true })
	if err != nil {
		return err
	}
	for _, next := range []func(*flow) (Probe, bool){repeat, answer, goOn} {
		for _, f := range flows {
			f.id++
		}
		if flows, err = s.round(flows, next); err != nil {
			return err
		}
	}
	return nil
}

// round sends the next packet of each flow, and returns the flows that can go on.
func (s *session) round(flows []*flow, next func(*flow) (Probe, bool)) (alive []*flow, err error) {
	probes := make([]Probe, len(flows))
	send := make([]bool, len(flows))
	any := false
	for i, f := range flows {
		if probes[i], send[i] = next(f); !send[i] {
			continue
		}
		any = true
		if err := s.send(probes[i], f.id); err != nil {
			return nil, fmt.Errorf("send %s: %w", probes[i], err)
		}
	}
	if !any {
		return flows, nil
	}
	sights, err := s.w.Watch(s.quiet)
	if err != nil {
		return nil, err
	}
	byID := map[uint16][]Sight{}
	for _, x := range sights {
		byID[x.ID] = append(byID[x.ID], x)
	}
	for i, f := range flows {
		if !send[i] || s.judge(f, probes[i], byID[f.id]) {
			alive = append(alive, f)
		}
	}
	return alive, nil
}

func (s *session) send(p Probe, id uint16) error {
	if p.Dev == "" {
		return s.w.SendLocal(p.P, id, p.UID)
	}
	return s.w.Send(p.Dev, p.MAC, p.P, id)
}

// judge compares one packet, and the answer that the router itself gave to it.
func (s *session) judge(f *flow, p Probe, sights []Sight) bool {
	there, back := part(sights, p.P)
	isFirst := f.conns == nil
	got := observe(there, back)
	conns, ok := s.compare(f, p, got)
	if !ok || got.fate != Sent && got.fate != Local {
		return false
	}
	goesOn := isFirst || sameConn(f.conns, conns)
	if isFirst || tracked(conns[0]) != nil {
		f.conns = conns // else the connection is what it was, and this packet not of it
	}
	if isFirst {
		f.got = got
	}
	if i := indexOf(back, "out"); i >= 0 && got.fate == Local {
		// The router answers: a packet of its own, on its way out.
		own := Probe{P: back[i].P, kernel: true}
		s.compare(&flow{Probe: f.Probe, conns: f.conns, seen: f.seen}, own, observe(part(back, own.P)))
		return false
	}
	return got.fate == Sent && goesOn
}

// sameConn reports whether a packet was taken for one of its connection; in another zone, or untracked, it is not.
func sameConn(had, have []netfilter.Conn) bool {
	for _, a := range had {
		if a.Orig == have[0].Orig && a.Zone == have[0].Zone && tracked(have[0]) != nil {
			return true
		}
	}
	return false
}

// part tells the sights of p itself from those of what answers it.
func part(sights []Sight, p packet.Packet) (there, back []Sight) {
	for _, x := range sights {
		if answers(x.P, p) {
			back = append(back, x)
		} else {
			there = append(there, x)
		}
	}
	return there, back
}

// indexOf returns the first sight at a place, or -1.
func indexOf(sights []Sight, where string) int {
	for i, x := range sights {
		if x.Where == where {
			return i
		}
	}
	return -1
}

// answers reports whether x is what a host sends because of p, and not p itself.
func answers(x, p packet.Packet) bool {
	if p.IsICMPError() {
		return false
	}
	return x.IsICMPError() || isReset(x) && !isReset(p) || isEchoReply(x) && !isEchoReply(p)
}

func isReset(p packet.Packet) bool { return p.Proto == packet.TCP && p.Flags&packet.RST != 0 }

func isEchoReply(p packet.Packet) bool {
	return p.Proto == packet.ICMP && p.ICMPType == 0 || p.Proto == packet.ICMPv6 && p.ICMPType == 129
}
