package snapshot

import (
	"net/netip"
	"time"

	"github.com/plumbnet/plumb/packet"
)

// A ProbeAsk says what to send, as JSON to an agent.
type ProbeAsk struct {
	Pod      string         `json:"pod,omitempty"`      // "shop/web-0": from whose namespace; "" for the node's own
	Proto    packet.Proto   `json:"proto"`              // TCP: a connection is opened and closed; UDP: a datagram; ICMP, ICMPv6: an echo request
	Src      netip.Addr     `json:"src,omitzero"`       // the kernel chooses where there is none
	Dst      netip.AddrPort `json:"dst"`                // port 0 for ICMP
	Size     int            `json:"size,omitempty"`     // of the IP packet, in bytes; 0 for the smallest. Not for TCP, whose first packet is always small
	DF       bool           `json:"df,omitempty"`       // may not be fragmented, and no path MTU that the kernel has learned is heeded
	Lookup   string         `json:"lookup,omitempty"`   // UDP: the name whose addresses are asked for, as of a name server; "" for an empty datagram
	Lookup6  bool           `json:"lookup6,omitempty"`  // Lookup asks for addresses of IPv6, else of IPv4
	Count    int            `json:"count,omitempty"`    // 0 for 1
	Interval time.Duration  `json:"interval,omitempty"` // between two, in nanoseconds; 0 for none
	Timeout  time.Duration  `json:"timeout,omitempty"`  // of each, in nanoseconds; 0 for 1 s
}

// A Probe is a real packet that was sent, and what came of it.
type Probe struct {
	Taken    time.Time       `json:"taken"`
	Node     string          `json:"node,omitempty"`
	Pod      string          `json:"pod,omitempty"` // whose namespace it was sent from; "" for the node's own
	Proto    packet.Proto    `json:"proto"`
	Src      netip.AddrPort  `json:"src,omitzero"` // as the sender's kernel chose it
	Dst      netip.AddrPort  `json:"dst"`
	Size     int             `json:"size,omitempty"` // of the IP packet, in bytes; 0 for the smallest
	DF       bool            `json:"df,omitempty"`
	Sent     int             `json:"sent"`
	Answered int             `json:"answered"`
	RTT      []time.Duration `json:"rtt,omitempty"` // of the answered ones, in nanoseconds
	Fate     ProbeFate       `json:"fate"`
	Why      string          `json:"why,omitempty"` // as the kernel says it: "connection refused"
	ICMP     *ProbeICMP      `json:"icmp,omitempty"`
	Lookup   *Lookup         `json:"lookup,omitempty"` // nil where nothing was looked up
}

// A Lookup is what a name server was asked, and the last that it answered.
type Lookup struct {
	Name  string       `json:"name"`
	Rcode string       `json:"rcode,omitempty"` // "NOERROR", "NXDOMAIN" …; "" where it did not answer
	Addrs []netip.Addr `json:"addrs,omitempty"`
}

// A ProbeICMP is an ICMP error that a probe met.
type ProbeICMP struct {
	From netip.Addr `json:"from"` // who sent it
	Type uint8      `json:"type"`
	Code uint8      `json:"code"`
	MTU  int        `json:"mtu,omitempty"` // of "fragmentation needed" and "packet too big"
}

// A ProbeFate says what came of a probe.
type ProbeFate uint8

// The fates. ProbeSilent is the zero value.
const (
	ProbeSilent   ProbeFate = iota // no answer in time
	ProbeAnswered                  // a connection, an echo, a datagram back
	ProbeRefused                   // by the destination's host: nothing listens
	ProbeRejected                  // an ICMP error from a rule or a router: unreachable, prohibited
	ProbeTooBig                    // a link on the way is too small for it
	ProbeNotSent                   // the sender's own kernel would not send it: no route, no neighbour
)

var probeFates = [...]string{"silent", "answered", "refused", "rejected", "too-big", "not-sent"}

// String returns the name in lower-kebab: "too-big".
func (f ProbeFate) String() string {
	if int(f) < len(probeFates) {
		return probeFates[f]
	}
	return "invalid"
}

// MarshalText returns the name.
func (f ProbeFate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a name; one that is not known reads as silent, of which nothing is concluded.
func (f *ProbeFate) UnmarshalText(b []byte) error {
	*f = ProbeSilent
	for i, name := range probeFates {
		if name == string(b) {
			*f = ProbeFate(i)
		}
	}
	return nil
}
