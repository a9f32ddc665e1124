package trace

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

const (
	maxTotal = 3 * maxPaths // paths of a Result, with those of answers and messages
	maxPaths = 4096         // of one walk; what is beyond is one Unknown path that says so
	maxSteps = 2000         // decisions on one path: a bound for what no other check catches
	maxEncap = 4            // tunnels within tunnels
)

// A stage is a part of the kernel: it moves a packet on and returns the stage
// that comes next, or nil where the packet has come to its end.
type stage func(*walk, *state) stage

// A walk follows one packet (a request, an answer or an error message) along all its ways.
type walk struct {
	net    *network.Network
	q      *Query
	kind   kind
	want   *awaited // who waits for an answer or an error message
	paths  []Path
	stack  []job
	all    *run        // what all walks of a Run share
	mss    int         // what the other end announced; 0 where it is not known
	origin *network.NS // of a reply: the namespace that makes it
}

// A run is what all walks of one Run share.
type run struct {
	total int // paths so far
	eval  netfilter.Evaluator
	in    netfilter.Input // of the hook at hand
	env   env             // likewise
	keep  slabs
	flood flood

	way, back [1]fib.Choice // room for what route and reverse find
}

// A kind says what a walk follows.
type kind uint8

const (
	request kind = iota
	reply
	message // an ICMP error message, or the reset of a TCP connection
)

type job struct {
	s    *state
	next stage
}

// A state is a packet somewhere in a kernel, and how it came there.
type state struct {
	all     *run
	ns      *network.NS
	p       packet.Packet
	conn    *netfilter.Conn // what conntrack of ns attached to the packet; nil, or connRoom
	ct      *tracked        // what conntrack has seen, in all namespaces
	in, out *network.Iface  // in is nil where the packet was made here
	route   *fib.Route
	via     netip.Addr // of the route, where it has a gateway
	frame   frame
	phys    [2]*network.Iface // the bridge ports by which it came and goes
	bridged bool              // PREROUTING already saw it on a bridge
	uid     *uint32
	anySrc  bool // its source need not be an address of ns
	proxy   bool // TPROXY gave it to a local socket
	cuts    bool // its socket sets DF only on what fits its route (IP_PMTUDISC_WANT)
	whole   bool // IPv6: its socket sends it whole or not at all (IPV6_DONTFRAG)
	moved   bool // OUTPUT sends it by another device than its socket chose, which was not the loopback device
	frag    int  // the size of the fragments it was cut into; 0 for none

	gateway struct { // an address of the machine's own, and whether it is supposed to be asked for
		via  netip.Addr
		asks bool
	}

	weight  float64
	hops    []Hop // that it has left
	hop     Hop   // that it is in
	assumed []Assumption
	seen    []visit
	beyond  bool           // it went by a router that the snapshot does not know
	count   int            // steps
	noted   *packet.Packet // as the last step has it
	encaps  int
	inner   []inside       // of the packets that s.p carries
	first   *packet.Packet // as the sender made it; nil before

	outer    *packet.Packet // into which a tunnel is about to put s.p
	outerOIF string
	connRoom netfilter.Conn
}

// A frame is the link-layer header of a packet.
type frame struct {
	src, dst packet.MAC // zero: none, or not known
	vlan     int        // of its tag; 0 for none
}

// A visit is a packet at a place where it should not be twice.
type visit struct {
	ns       *network.NS
	in       *network.Iface
	src, dst netip.AddrPort
	mark     uint32
	proto    packet.Proto
	encaps   int
}

func (s *state) clone() *state {
	c := *s
	s.assumed, s.seen = slices.Clip(s.assumed), slices.Clip(s.seen)
	c.assumed, c.seen = s.assumed, s.seen
	c.attached(s.conn)
	return &c
}

// run follows a packet from a stage to its ends and returns the paths.
func (w *walk) run(s *state, first stage) []Path {
	w.stack = append(w.stack[:0], job{s, first})
	for len(w.stack) > 0 {
		j := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		w.follow(j)
	}
	return merge(w.paths)
}

func (w *walk) follow(j job) {
	if len(w.paths) >= maxPaths || w.all.total >= maxTotal {
		w.unknown(j.s, text.F("there are more than %d ways; the rest was not followed", maxPaths))
		w.dropRest()
		return
	}
	for next := j.next; next != nil; {
		if j.s.count++; j.s.count > maxSteps {
			w.unknown(j.s, text.F("the way has more than %d stages; the rest was not followed", maxSteps))
			return
		}
		next = next(w, j.s)
	}
}

// dropRest adds the weight of all ways that are left to the last path.
func (w *walk) dropRest() {
	last := &w.paths[len(w.paths)-1] // the Unknown one
	for _, j := range w.stack {
		last.Weight += j.s.weight
	}
	w.stack = w.stack[:0]
}

// branch has s's copy go on at next with that share of s's weight, after s itself has come to its end.
func (w *walk) branch(s *state, share float64, next stage) {
	s.weight *= share
	w.stack = append(w.stack, job{s, next})
}

// enter begins a hop: s comes into a namespace by a device, or is made there.
func (s *state) enter(ns *network.NS, in *network.Iface) {
	if s.ns != nil {
		s.hops = s.all.keep.hops.add(s.hops, s.hop)
	}
	s.ns, s.in = ns, in
	s.hop = Hop{Node: ns.Node.Name, NetNS: ns.Name, Pod: ns.PodName, In: name(in)}
}

// attached has conntrack's view of the packet be a copy of conn; nil for none.
func (s *state) attached(conn *netfilter.Conn) {
	if s.conn = nil; conn != nil {
		s.connRoom = *conn
		s.conn = &s.connRoom
	}
}

// step writes down a decision, and what it rests on.
func (s *state) step(st Stage, link string, what text.Text, ev ...Quote) {
	s.note(st, link, what, s.all.keep.quotes.list(ev))
}

// note is step for quotes that are the Result's already.
func (s *state) note(st Stage, link string, what text.Text, ev []Quote) {
	keep := &s.all.keep
	if s.noted == nil || *s.noted != s.p {
		s.noted = keep.packet(s.p)
	}
	s.hop.Steps = keep.steps.add(s.hop.Steps, Step{Stage: st, Link: link, What: what, Quotes: ev, Out: s.noted})
}

func (s *state) assume(what text.Text, ev ...Quote) {
	a := Assumption{What: what}
	if len(ev) > 0 {
		a.Evidence = ev[0].Evidence()
	}
	s.assumed = append(s.assumed, a)
}

// end writes down that a packet has come to its end; where a device is concerned, link names it.
func (w *walk) end(s *state, f Fate, link string, why text.Text) *Path {
	w.all.total++
	at := Place{Link: link}
	hops := s.hops
	if s.ns != nil {
		at.Node, at.NetNS = s.ns.Node.Name, s.ns.Name
		hops = w.all.keep.hops.add(hops, s.hop)
	}
	w.paths = append(slices.Grow(w.paths, 1+len(w.stack)), Path{
		Weight: s.weight, Hops: hops, End: f, At: at, Why: why, Final: s.p, Assumed: s.assumed,
	})
	return &w.paths[len(w.paths)-1]
}

func (w *walk) unknown(s *state, why text.Text) stage {
	w.end(s, Unknown, "", why)
	return nil
}
