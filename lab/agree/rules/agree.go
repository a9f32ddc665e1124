//go:build linux

package rules

import (
	"fmt"
	"net/netip"
	"strings"
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
	f.conns = conns
	if isFirst {
		f.got = got
	}
	if i := first2(back, "out"); i >= 0 && got.fate == Local {
		// The router answers: a packet of its own, on its way out.
		own := Probe{P: back[i].P, kernel: true}
		s.compare(&flow{Probe: f.Probe, conns: conns, seen: f.seen}, own, observe(part(back, own.P)))
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

func first2(sights []Sight, where string) int {
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

// observe reads the fate of a packet from where it, and an answer to it, were seen.
func observe(there, back []Sight) observed {
	var o observed
	var mark uint32
	for _, x := range there {
		switch x.Where {
		case "pre", "out":
		case "post":
			mark = x.P.Mark
		case "in":
			return observed{fate: Local, p: x.P}
		default:
			o = observed{fate: Sent, dev: x.Where, p: x.P}
		}
	}
	if o.fate == Sent {
		o.p.Mark = markOf(there, mark)
		return o
	}
	if i := first2(back, "out"); i >= 0 {
		return observed{fate: Rejected, with: back[i].P}
	}
	if len(there) == 0 {
		return observed{fate: "unseen"}
	}
	return observed{fate: Dropped}
}

// markOf exists because the sockets are read in any order.
func markOf(there []Sight, mark uint32) uint32 {
	for _, x := range there {
		if x.Where == "post" {
			mark = x.P.Mark
		}
	}
	return mark
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
