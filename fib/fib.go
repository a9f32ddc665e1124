// Package fib holds the routing state of one network namespace (policy rules,
// routes, nexthop objects, addresses, neighbours, bridge forwarding entries)
// and answers as the kernel's route lookup would.
//
// It reads and writes what "ip -j" and "bridge -j" print. It knows nothing of
// netfilter, of devices beyond their names, nor of Kubernetes.
package fib

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// Tables is the routing state of one network namespace.
type Tables struct {
	Rules    []Rule          // both families; in order of priority within a family
	Routes   []Route         // of all tables, both families
	NextHops []NextHopObject // "ip nexthop", which routes may refer to
	Addrs    []Addr          // of all devices; source selection needs them
	Neighs   []Neigh
	FDB      []FDBEntry
	// IgnoreLinkdown holds the devices whose net.ipv4.conf.DEV.ignore_routes_with_linkdown is set
	// (in the kernel that of "all" counts for every device); IgnoreLinkdown6 is the same for IPv6.
	IgnoreLinkdown, IgnoreLinkdown6 map[string]bool
	// Groups holds the group of each device ("ip link"; 0 is "default"). It is nil where that is
	// not known: a rule's suppress_ifgroup is then not known either.
	Groups map[string]int
	// Forwarding6 is net.ipv6.conf.all.forwarding. A host that does not forward prefers routers
	// that answer neighbour discovery.
	Forwarding6 bool
	// RouteLocalnet holds the devices whose net.ipv4.conf.DEV.route_localnet is set
	// (that of "all" counts for every device): 127.0.0.0/8 may then leave by them.
	RouteLocalnet map[string]bool
	// VRF holds the table of the VRF that a device is, or is a port of. It is nil where
	// that is not known: an l3mdev rule is then not known either.
	VRF map[string]uint32
	// UseTempAddr holds the devices whose net.ipv6.conf.DEV.use_tempaddr is 2 or more.
	UseTempAddr map[string]bool

	// Built is the index that Index makes.
	Built *Index
}

// A RouteType is the type of a route, as "ip route" prints it. Unicast is the zero type.
type RouteType uint8

// The types of routes. A lookup that meets Throw goes on with the next rule.
const (
	Unicast RouteType = iota
	Local
	Broadcast
	Anycast
	Multicast
	Blackhole
	Unreachable
	Prohibit
	Throw
	NAT
)

// Well-known routing tables (rt_tables of iproute2).
const (
	TableDefault = 253
	TableMain    = 254
	TableLocal   = 255
)

// A Route is one route.
type Route struct {
	Dst   netip.Prefix // 0.0.0.0/0 or ::/0 for a default route
	From  netip.Prefix // IPv6 source-specific routes only; else invalid
	Type  RouteType
	Table uint32
	// TableName is set where the table is known by a name only (rt_tables of the
	// machine that printed it); Table is then a number that stands for the name.
	TableName string
	Metric    uint32 // "metric", the priority; lower is better
	TOS       uint8  // IPv4 only
	Protocol  string // "kernel", "bird", "static" …
	Scope     string // "global" is written ""
	PrefSrc   netip.Addr
	Hops      []NextHop // one, or several of a multipath route; none for blackhole and its like
	NHID      uint32    // the nexthop object that the route uses, 0 for none
	MTU       int       // 0 where the route sets none
	AdvMSS    int
	Pref      string   // IPv6 router preference
	Flags     []string // "linkdown", "offload" …; of a single hop the hop's too, as ip prints them
	Line      int      // in the file it was read from, from 1; 0 where it was not read from one
}

// A NextHop is one way out that a route offers.
type NextHop struct {
	Via    netip.Addr // invalid where the destination is on the link; may be IPv6 for an IPv4 route
	Dev    string
	Weight int      // 1 or more
	Flags  []string // "onlink", "dead", "linkdown" …
	Encap  string   // lightweight tunnel, as ip prints it: "mpls 16", "ip id 1 dst …"
}

// A NextHopObject is what "ip -j nexthop" prints.
type NextHopObject struct {
	ID        uint32
	Hop       NextHop
	Group     []NextHopGroupMember
	Blackhole bool
	FDB       bool
	Scope     string // "global" is written ""
	Protocol  string // "unspec" is written ""
	Type      string // of a group: "resilient", or ""
	Line      int    // in the file, from 1
}

// A NextHopGroupMember is one member of a nexthop group.
type NextHopGroupMember struct {
	ID     uint32
	Weight int // 1 or more
}

// A Rule is one policy rule ("ip rule").
type Rule struct {
	Priority           uint32
	Is6                bool
	Not                bool
	Src, Dst           netip.Prefix // invalid: all
	Mark               uint32       // compared under Mask; Mask 0: not compared
	Mask               uint32
	IIF, OIF           string // "" for any
	TOS                uint8
	Proto              packet.Proto // 0 for any
	SrcPorts, DstPorts [2]uint16    // inclusive; 0,0 for any
	UIDs               *[2]uint32
	Action             string // "lookup" (written ""), "goto", "nop", "blackhole", "unreachable", "prohibit"
	Table              uint32
	TableName          string // as of a Route
	Goto               uint32
	SuppressPrefixLen  int // -1 for none; 0 is the common value
	SuppressGroup      int // suppress_ifgroup; -1 for none
	L3MDev             bool
	Protocol           string // "kernel", "unspec" …
	Line               int    // in the file, from 1
	Unknown            string // a selector that is not understood; where it could decide, the lookup is not known
}

// An Addr is an address of a device.
type Addr struct {
	Dev       string
	Prefix    netip.Prefix // the address itself with the length of its prefix: 10.0.0.5/24
	Peer      netip.Prefix // of a point-to-point address; else invalid
	Scope     string       // "global" is written ""
	Secondary bool
	Flags     []string // "deprecated", "tentative", "dadfailed", "temporary", "nodad" …
}

// A Neigh is an ARP or neighbour discovery entry.
type Neigh struct {
	Dst   netip.Addr
	Dev   string
	MAC   packet.MAC
	State string // "PERMANENT", "REACHABLE", "STALE", "FAILED", "INCOMPLETE", "NOARP" …
	Proxy bool
	Flags []string // "router", "extern_learn", "managed"
	Line  int      // in the file, from 1
}

// An FDBEntry is a forwarding entry of a bridge or of a VXLAN device.
type FDBEntry struct {
	MAC    packet.MAC // zero: the default of a VXLAN device
	Dev    string     // the bridge port, or the VXLAN device
	Master string     // the bridge, where the entry is the bridge's
	VLAN   int        // 0 for none
	Dst    netip.Addr // VXLAN: the remote VTEP
	Port   int        // VXLAN: 0 for the device's own
	VNI    int        // VXLAN: 0 for the device's own
	SrcVNI int        // VXLAN with "external": the VNI that the packet has; 0 for none
	Via    string     // VXLAN: the device to leave by
	NHID   uint32
	State  string   // "permanent", "static", "stale", "reachable" or ""
	Flags  []string // "self", "extern_learn", "offload" …
	Line   int      // in the file, from 1
}

// A Query is what a route lookup is asked: the kernel's struct flowi.
type Query struct {
	Dst, Src         netip.Addr // Src is invalid where it is still to be chosen
	IIF              string     // the device the packet came in by; "" for one of local origin
	OIF              string     // the device a socket is bound to
	Mark             uint32
	TOS              uint8
	Proto            packet.Proto
	SrcPort, DstPort uint16
	UID              *uint32 // of the socket; nil where it is not known
	// AnySrc allows a Src that is not an address of the host (FLOWI_FLAG_ANYSRC).
	AnySrc bool
}

// A Choice is one way that a lookup can go.
type Choice struct {
	Route  *Route     // nil where the kernel asks no route: a bound socket's packet to a destination that no route has
	Hop    NextHop    // the hop taken; zero for local and blackhole routes
	Src    netip.Addr // the source address the kernel would choose, where it was asked to
	Weight float64    // the share of flows that take it; the choices of one Result add up to 1
}

// A Result is the answer to a Query.
type Result struct {
	Type    RouteType // of the route that decided; valid where Err is ""
	Choices []Choice  // one; several of a multipath route; the route that rejects, where Err is of one; none where no route was found
	Rule    *Rule     // the policy rule that led to the table; nil where none matched
	Err     string    // "" or the kernel's word: "network unreachable", "host unreachable", "permission denied", "invalid argument"
	Unknown string    // not "": the lookup cannot be known, and why; all else is then void
}
