// Package diagnose answers the question "why does A not reach B" from a
// snapshot: it resolves what the user named, traces small and big packets there
// and back, runs the checks, and weighs it all into one verdict.
package diagnose

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// An Ask is what the user wants to know.
type Ask struct {
	Src, Dst  string // "shop/web-0", "svc/shop/api:80", "node/a", an address, a host name; Dst a URL too
	Port      string // -p: a number or a port's name; "" where Dst has it
	Proto     string // "tcp", "udp", "sctp", "icmp"; "" is tcp, or icmp where no port is given
	Namespace string // of a Pod or Service that is named without one; "" leaves such names to hosts
	External  []netip.Prefix
	// Hosts holds the addresses of host names that are not the cluster's, as the
	// machine that plumb runs on resolves them.
	Hosts map[string][]netip.Addr
}

// An Endpoint is what a name in an Ask stands for.
type Endpoint struct {
	Kind  string // "pod", "service", "node", "address", "host"
	Name  string // "shop/web-0", "node-a", "10.0.0.1"
	Node  string // the node it is on, where known
	NetNS string // the namespace in the snapshot, where known
	Addrs []netip.Addr
	Port  uint16 // of a destination; 0 where the protocol has none
}

// A Verdict is the answer in a word.
type Verdict uint8

// The verdicts. CannotTell is the zero value.
const (
	CannotTell Verdict = iota
	Works              // every way arrives, and the answer comes back
	Broken             // no way works
	Partly             // some connections, or big packets only, fail
)

var verdictNames = [...]string{"cannot-tell", "works", "broken", "partly"}

// String returns the name in lower-kebab: "cannot-tell".
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "invalid"
}

// MarshalText returns the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// A Report is the answer to an Ask.
type Report struct {
	Ask     Ask
	Source  Endpoint
	Dest    Endpoint
	Name    *Resolution // of a destination that is a name; nil where it was not followed
	Links   []Link      // of a URL: how the objects send requests on, in the order of their way
	Traces  []Trace
	Checks  check.Result
	Verdict Verdict
	Summary text.Text // one sentence
	Needs   []Need    // what a firmer verdict would have needed
	Gaps    []snapshot.Gap
	// Observed is what came of the real packets that were sent to check the prediction.
	Observed []Observation
	Disagree bool // one of them contradicts it

	server  Trace // the query to the name server, where a name was not followed; without paths where none is asked
	lost    judge // what Judge has to know
	network *network.Network
	vias    []string // Pods that requests for a URL come from
}

// A Need is something that is not known, and that bears on the verdict.
type Need struct {
	What text.Text
	Gaps []snapshot.Gap // those of Report.Gaps that What tells of
}

// A Trace is one packet that was followed, and why.
type Trace struct {
	Title   text.Text // "the first packet to 10.0.0.1:80"
	Big     bool      // a full-sized packet, to find what an MTU does
	Result  trace.Result
	Verdict Verdict
}

// Run answers ask. An error means that the question itself cannot be read, or
// names what is not in the snapshot.
func Run(c *snapshot.Cluster, ask Ask, checks ...*check.Check) (*Report, error) {
	n := network.New(c)
	q, err := resolve(n, ask)
	if err != nil {
		return nil, err
	}
	r := &Report{Ask: ask, Source: q.src, Dest: q.dst, Name: q.name, Gaps: c.Gaps, Needs: q.needs, network: n, vias: q.vias}
	for _, a := range q.aims {
		if a.missing {
			continue
		}
		r.Traces = append(r.Traces, follow(n, q, a)...)
	}
	var results []trace.Result
	for _, t := range r.Traces {
		results = append(results, t.Result)
	}
	if r.Name == nil {
		r.asks(q.from)
		results = append(results, r.server.Result)
	} else {
		r.Name.ways(n, q.from)
		for _, t := range r.Name.Ways() {
			results = append(results, t.Result)
		}
	}
	r.Checks = check.Run(c, n, results, ask.External, checks...)
	r.judge(q)
	r.judgeURL(q)
	return r, nil
}

// follow traces the first packet to an aim and, where that arrives, full-sized packets either way.
func follow(n *network.Network, q question, a aim) []Trace {
	from := q.from
	if a.from != nil {
		from = a.from
	}
	query := trace.Query{From: from, Src: a.src, Dst: a.dst, Proto: q.proto, DF: true}
	title := func(t text.Text) text.Text {
		if a.via != "" {
			return text.F("from %s: %s", a.via, t)
		}
		return t
	}
	first := newTrace(title(text.F("the first packet to %s", a)), trace.Run(n, query))
	out := []Trace{first}
	if first.Verdict == Broken || q.proto == packet.ICMP || q.proto == packet.ICMPv6 {
		return out
	}
	query.Size = trace.FullSegment
	big := newTrace(title(text.F("a full-sized packet to %s", a)), trace.Run(n, query))
	query.Size, query.ReplySize = 0, trace.FullSegment
	back := newTrace(title(text.F("a full-sized answer from %s", a)), trace.Run(n, query))
	big.Big, back.Big = true, true
	return append(out, big, back)
}

func newTrace(title text.Text, r trace.Result) Trace {
	return Trace{Title: title, Result: r, Verdict: judge{}.result(r)}
}
