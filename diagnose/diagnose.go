// Package diagnose answers the question "why does A not reach B" from a
// snapshot: it resolves what the user named, traces small and big packets there
// and back, runs the checks, and weighs it all into one verdict.
package diagnose

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// An Ask is what the user wants to know.
type Ask struct {
	Src, Dst string // "shop/web-0", "svc/shop/api:80", "node/a", an address, a host name
	Port     string // -p: a number or a port's name; "" where Dst has it
	Proto    string // "tcp", "udp", "sctp", "icmp"; "" is tcp, or icmp where no port is given
	External []netip.Prefix
}

// An Endpoint is what a name in an Ask stands for.
type Endpoint struct {
	Kind  string // "pod", "service", "node", "address"
	Name  string // "shop/web-0", "node-a", "10.0.0.1"
	Node  string // the node it is on, where known
	NetNS string
	Addrs []netip.Addr
	Port  uint16
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

// A Report is the answer to an Ask.
type Report struct {
	Ask     Ask
	Source  Endpoint
	Dest    Endpoint
	Traces  []Trace
	Checks  check.Result
	Verdict Verdict
	Summary text.Text   // one sentence
	Needs   []text.Text // what a firmer verdict would have needed
	Gaps    []snapshot.Gap
}

// A Trace is one packet that was followed, and why.
type Trace struct {
	Title   text.Text // "a SYN", "a full-sized segment (1500 bytes, DF)"
	Result  trace.Result
	Verdict Verdict
}
