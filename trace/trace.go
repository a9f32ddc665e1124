// Package trace walks a packet through a cluster's network as its kernels
// would, there and back, and says where it ends and why. It knows kernels, not
// CNI plugins nor Kubernetes. It never queues or times a packet.
//
// The way through one namespace; each name is a stage, a function of this package:
//
//	        send (a socket)                                     deliver (socket, echo, tunnel)
//	          │ route, source                                       ▲
//	        localOut ── OUTPUT, routed again if changed         localIn ── INPUT
//	          │                                                     ▲
//	          ▼                            forward                  │ local
//	POSTROUTING ◄── FORWARD ◄── TTL, MTU ◄─────────── routed ◄── sourceCheck (martians, rp_filter)
//	  output                                                        ▲
//	          │                                                 prerouted
//	        finishOutput ── fragments                               ▲
//	          │                                                 ipReceive ── PREROUTING
//	        neighbour ── ARP, ND                                    ▲
//	          │                                                     │ for the bridge itself
//	        transmit ─► veth, wire, macvlan … ─► receive ─► bridgeReceive ─► bridgeForward ─► bridgeOut ─► transmit
//	          │                                     ▲
//	          └─► vxlan, ipip … ─► encap ─► localOut … deliver ─► decap
package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Query asks for the way of one packet, and of the answer to it.
type Query struct {
	From    *network.NS    // where the packet is made; nil: outside the cluster
	Src     netip.Addr     // invalid: the kernel chooses
	SrcPort uint16         // 0: an ephemeral port is supposed
	Dst     netip.AddrPort // port 0 where the protocol has none
	Proto   packet.Proto
	Size    int // bytes from the IP header on; 0: the smallest that opens a connection; FullSegment: as large as the ends allow
	// ReplySize is the same for the answer; FullSegment stands for a server that sends bulk data.
	ReplySize int
	DF        bool // TCP and UDP sockets set it unless path MTU discovery is off; of IPv6, whether the sender may cut the packet
	UID       *uint32
	OneWay    bool // do not follow the answer
}

// FullSegment as a Query's Size or ReplySize stands for the largest packet that
// the sender would make: a TCP segment of the size that both ends' MSS allow, or
// a datagram that fills the MTU of the sender's route.
const FullSegment = -1

// A Fate says how a packet ends.
type Fate uint8

// The fates. Unknown is the zero value: the snapshot does not say.
const (
	Unknown     Fate = iota
	Delivered        // a socket that listens got it, or the kernel answers it (ICMP echo)
	LeftCluster      // it left by a router, or to an address, that the snapshot does not know
	Dropped          // a rule or a kernel check dropped it, and told nobody
	Rejected         // a rule dropped it, and the sender is told
	NoRoute          // a route lookup failed, or a route says blackhole, unreachable or prohibit
	NoNeighbour      // the next hop has no link-layer address, or the frame reached nobody
	TooBig           // larger than a link's MTU, and may not be fragmented
	Looped           // it came back to where it was, or its TTL ran out
	NoListener       // it reached its host, where nothing listens
	LinkDown         // the device that should carry it is down
)

var fateNames = [...]string{"unknown", "delivered", "left-cluster", "dropped", "rejected", "no-route", "no-neighbour", "too-big", "looped", "no-listener", "link-down"}

// String returns the name in lower-kebab: "no-route".
func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "invalid"
}

// MarshalText returns the name.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// A Result is the answer to a Query: every way that the packet can go.
type Result struct {
	Query Query
	Paths []Path // by falling weight, then in the order in which they were met
}

// A Path is one way that a packet can take, to its end.
type Path struct {
	Weight  float64 // the share of connections that take it; the paths of one Result add up to 1
	Hops    []Hop
	End     Fate
	At      Place         // where it ended
	Why     text.Text     // one sentence: why it ended so
	Final   packet.Packet // as it was when it ended; Final.Src is who the destination sees
	Reply   []Path        // the ways of the answer, where End is Delivered and the Query asked for it
	ICMP    []Path        // of TooBig, Rejected and their like: the ways of the error message back to the sender
	Assumed []Assumption  // what the path rests on that is not known
}

// A Place is where something happens to a packet.
type Place struct {
	Node, NetNS, Link string // Link is "" where no device is concerned
}

// String returns "node/netns" or "node/netns/link".
func (p Place) String() string {
	if p.Node == "" && p.NetNS == "" {
		return "outside"
	}
	if p.Link == "" {
		return p.Node + "/" + p.NetNS
	}
	return p.Node + "/" + p.NetNS + "/" + p.Link
}

// An Assumption is something that had to be supposed for want of knowledge.
type Assumption struct {
	What     text.Text
	Evidence snapshot.Evidence
}

// A Hop is what happens to the packet in one network namespace.
type Hop struct {
	Node, NetNS string
	Pod         string // of the namespace, where known
	In, Out     string // devices by which it comes and goes; "" where it is made or ends
	Steps       []Step
}

// A Stage is a part of the kernel that a packet passes.
type Stage string

// The stages, roughly in the order in which a packet meets them.
const (
	StageSend        Stage = "send" // a socket makes it
	StageOutput      Stage = "output"
	StageReceive     Stage = "receive" // a device takes it in
	StageBridge      Stage = "bridge"
	StageDecap       Stage = "decap"
	StagePrerouting  Stage = "prerouting"
	StageRoute       Stage = "route"
	StageInput       Stage = "input"
	StageForward     Stage = "forward"
	StagePostrouting Stage = "postrouting"
	StageNeighbour   Stage = "neighbour"
	StageEncap       Stage = "encap"
	StageTransmit    Stage = "transmit" // a device sends it
	StageWire        Stage = "wire"     // between two machines
	StageDeliver     Stage = "deliver"  // to a socket
)

// A Step is one decision: a route chosen, a rule matched, a tunnel entered.
type Step struct {
	Stage  Stage
	Link   string // the device concerned, if any
	What   text.Text
	Quotes []Quote        // the route or rule that decided; Evidence puts them into words
	Out    *packet.Packet // the packet after the step; steps that leave it as it is share it
}
