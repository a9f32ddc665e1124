// Package netfilter holds the netfilter rules of one network namespace and
// says what they do to a packet at each hook.
//
// It reads what iptables-save, ip6tables-save (legacy and nf_tables), "ipset save"
// and "nft -j list ruleset" print. What it does not understand it keeps as text, and says
// so where a packet meets it. It does not know devices, routes or Kubernetes:
// what rules ask about their surroundings comes through [Env].
package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// A Hook is a place on a packet's way where rules run (enum nf_inet_hooks).
type Hook uint8

// The hooks of IPv4 and IPv6.
const (
	PreRouting Hook = iota
	LocalIn
	Forward
	LocalOut
	PostRouting
)

// A Backend is the kernel machinery that holds a table.
type Backend uint8

// The two back ends of iptables. Where both have a chain at the same hook and
// priority, which of them runs first depends on which was set up first.
const (
	NFT Backend = iota
	Legacy
)

// A Ruleset is all that netfilter holds in one network namespace. The zero
// Ruleset accepts everything.
type Ruleset struct {
	Tables []*Table
	Sets   map[string]*Set // by name ("ipset save")
	// NFTables are the tables of nf_tables that iptables did not make ("nft -j list
	// ruleset"), in the order in which they were made. See [Ruleset.ReadNFT].
	NFTables []*Table
	// Opaque lists what runs at hooks but cannot be read, such as chains of nf_tables
	// for bridges, and IPVS: a packet that meets it has a fate that is not known.
	Opaque []Opaque
	nft    *nftPlan // nil where nft lists nothing
}

// Opaque is something that sees packets at a hook, and that this package cannot read.
type Opaque struct {
	Hook Hook
	Is6  bool
	// Dev is the device that it sees packets of, at ingress and egress; "" is any.
	Dev    string
	Bridge bool   // it sees only packets that cross a bridge
	What   string // "IPVS: 3 virtual services: not understood yet"
}

// A Verdict says what a hook does with a packet.
type Verdict uint8

// The verdicts. VerdictUnknown is the zero value: what was met is not understood.
const (
	VerdictUnknown Verdict = iota
	Accept                 // goes on to the next stage
	Drop
	Reject // dropped, and the sender is told
	TProxy // accepted, and handed to the local socket that Outcome.Proxy names
)

// A CTState is the state that conntrack gives a packet.
type CTState uint8

// The states, as "-m conntrack --ctstate" names them.
const (
	New CTState = iota
	Established
	Related
	Invalid
	Untracked
)

// A Tuple is one direction of a connection as conntrack sees it. ICMP echoes
// have their identifier in both ports.
type Tuple struct {
	Src, Dst netip.AddrPort
	Proto    packet.Proto
}

// A Conn is what conntrack of one network namespace knows of a packet's
// connection. It is a value: Eval returns a new one.
type Conn struct {
	State CTState
	Reply bool   // the packet goes against the direction of the first packet
	Orig  Tuple  // of the first packet, before NAT
	Back  Tuple  // what an answer looks like when it comes in: Orig inverted, after NAT
	Mark  uint32 // connmark
	Zone  uint16
	DNAT  bool // Back.Src is not Orig.Dst (IPS_DST_NAT)
	SNAT  bool // Back.Dst is not Orig.Src (IPS_SRC_NAT)
	// DstDone and SrcDone say that the nat table was already asked for this
	// connection (IPS_DST_NAT_DONE, IPS_SRC_NAT_DONE); it is asked once.
	DstDone, SrcDone bool
	// RandomPort says that the source port after NAT is chosen at random; the port in Back.Dst is then one of many.
	RandomPort bool
}

// A Tri is an answer that may be "not known".
type Tri uint8

// The answers. Maybe, "not known", is the zero value.
const (
	Maybe Tri = iota
	Yes
	No
)

// An AddrType is the type of an address for "-m addrtype" (RTN_*): "LOCAL", "UNICAST",
// "BROADCAST", "MULTICAST", "ANYCAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "UNSPEC"; "" is not known.
type AddrType string

// Env answers what rules ask about the namespace that they run in.
type Env interface {
	// Conntrack returns the connection of a packet that has none yet, in zone.
	Conntrack(p packet.Packet, zone uint16) Conn
	// AddrType returns the type of a; with dev not "", as seen from dev (--limit-iface-in/out).
	AddrType(a netip.Addr, dev string) AddrType
	// ReversePath answers "-m rpfilter": whether an answer to p would leave by dev
	// (by any device, where loose). validMark and acceptLocal are the match's options.
	ReversePath(p packet.Packet, dev string, loose, validMark, acceptLocal bool) Tri
	// MasqueradeSource returns the address that MASQUERADE gives to a packet that leaves by dev.
	// It returns false where that is not known; an invalid address and true say that
	// dev has none, in which case the kernel drops the packet.
	MasqueradeSource(dev string, p packet.Packet) (netip.Addr, bool)
	// PrimaryAddr returns the address that REDIRECT sends a packet to that came in by dev,
	// with the same meanings of false and of an invalid address.
	PrimaryAddr(dev string, v6 bool) (netip.Addr, bool)
	// Socket answers "-m socket": whether a local socket would take p.
	Socket(p packet.Packet, transparent, noWildcard bool) Tri
	// PathMTU returns the MTU of the route of p and of the route back to its source, for
	// "TCPMSS --clamp-mss-to-pmtu"; 0 is not known.
	PathMTU(p packet.Packet, out string) int
}

// An Input is one packet at one hook.
type Input struct {
	Hook            Hook
	Packet          packet.Packet
	In, Out         string     // devices; "" where the hook has none
	PhysIn, PhysOut string     // bridge ports, where the packet crosses a bridge
	SrcMAC          packet.MAC // of the frame that brought it; zero where not known
	Conn            *Conn      // nil: conntrack has not seen the packet in this namespace
	UID             *uint32    // of the local process that sends; nil: not known
	Env             Env
}

// An Outcome is one thing that can happen to a packet at a hook.
//
// Where the answer of a match is not known, both ways are followed, and the
// outcomes say in Assumed what they suppose. Ways that end alike are one
// outcome, which supposes nothing: what was not known did not matter. Of a rate,
// and of a list of -m recent, the way that a first packet goes supposes nothing;
// the other is an outcome of little weight that does.
type Outcome struct {
	Verdict Verdict
	Packet  packet.Packet // after the hook
	Conn    Conn          // after the hook
	// Weight is the share of connections that meet it; those of one Eval add up
	// to 1. The two ways of a match whose answer is not known have half each; but
	// where one way is what a first packet meets ("-m limit", "-m recent"), that
	// way has nearly all.
	Weight     float64
	Rules      []Ref          // the rules and policies that decided, in order
	Assumed    []Assumption   // what had to be supposed to come here, for want of knowledge
	RejectWith string         // of Reject: "icmp-port-unreachable", "tcp-reset" …
	Proxy      netip.AddrPort // of TProxy
	Why        string         // of VerdictUnknown: what is not understood
	// KeepsRoute says of a packet that leaves OUTPUT that the kernel does not look for its route
	// again, though its mark or type of service has changed: a chain of type "filter" has changed it.
	KeepsRoute bool
}

// A Ref names a rule, or a chain's policy where Rule is nil.
type Ref struct {
	Table *Table
	Chain *Chain
	Rule  *Rule
}

// An Assumption is a match whose answer is not known, and the answer that an outcome supposes.
type Assumption struct {
	Ref
	Why     string // "the list of -m recent KUBE-SEP-X was not collected"
	Matched bool
}

// A Table is one table of iptables: one family, one back end; or a native table of nf_tables.
type Table struct {
	Name    string // "raw", "mangle", "nat", "filter", "security"; of a native table any
	Family  string // of a native table: "ip", "ip6", "inet", "netdev", "bridge" or "arp"; "" of one of iptables
	Is6     bool
	Backend Backend
	File    string // where it was read from, for evidence: "nodes/a/host/iptables"
	Chains  map[string]*Chain
	unread  string // why chains may be missing, "" if none is
	nft     *nftTable
}

// A Chain is one chain of a table.
type Chain struct {
	Name   string
	Policy string // "ACCEPT" or "DROP" of a built-in chain; "" of a user-defined chain
	Line   int    // of its declaration in Table.File, from 1
	Rules  []*Rule
	unread string // why rules may be missing at its end, "" if none is
	index  *index // nil for a short chain
	nft    *nftChain
}

// A Rule is one rule.
type Rule struct {
	Line int    // in Table.File, from 1
	Text string // as iptables-save prints it, without counters: "-A FORWARD -j DROP"
	rule        // what it says
}
