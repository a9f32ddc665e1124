package trace

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// A Quote is what a Step rests on: a device, a route, a rule. It is put into words only
// when it is asked for, for most packets that are followed are never shown.
type Quote interface {
	// Evidence returns the place in the snapshot, its words, and the command that shows them.
	Evidence() snapshot.Evidence
}

// Evidence returns the routes, rules and devices that decided, in words.
func (s *Step) Evidence() []snapshot.Evidence {
	var all []snapshot.Evidence
	for _, q := range s.Quotes {
		all = append(all, q.Evidence())
	}
	return all
}

// said is a Quote that is in words already.
type said snapshot.Evidence

func (q *said) Evidence() snapshot.Evidence { return snapshot.Evidence(*q) }

func linkEvidence(d *network.Iface) Quote { return d }

// sysctl quotes a setting of the namespace.
func (s *state) sysctl(key string) Quote {
	return &said{File: s.ns.Dir + "/sysctl", Text: key + " = " + s.ns.Sysctl[key], Command: inNS(s.ns) + "sysctl " + key}
}

// inNS returns what a person puts before a command to run it in a namespace.
func inNS(ns *network.NS) string { return ns.Prefix() }

// A routeQuote quotes a route; without one, the tables that hold none.
type routeQuote struct {
	ns       *network.NS
	route    *fib.Route
	dst, src netip.Addr
	iif, oif string
	mark     uint32
}

// routeEvidence quotes the route that decided.
func (s *state) routeEvidence(q *fib.Query, r *fib.Route) Quote {
	rq := s.all.keep.routes.get()
	*rq = routeQuote{s.ns, r, q.Dst, q.Src, q.IIF, q.OIF, q.Mark}
	return rq
}

func (q *routeQuote) Evidence() snapshot.Evidence {
	ev := snapshot.Evidence{File: routeFile(q.ns, q.dst.Is6()), Command: q.command()}
	if q.route != nil {
		ev.Text, ev.Line = q.route.String(), q.route.Line
	}
	return ev
}

// routeFile returns the file that holds a family's routes.
func routeFile(ns *network.NS, v6 bool) string {
	if v6 {
		return ns.Dir + "/routes6.json"
	}
	return ns.Dir + "/routes.json"
}

// command returns the "ip route get" that asks the kernel the same.
func (q *routeQuote) command() string {
	cmd := inNS(q.ns) + "ip route get " + q.dst.String()
	if q.iif != "" && q.src.IsValid() {
		cmd += " from " + q.src.String() + " iif " + q.iif
	}
	if q.oif != "" {
		cmd += " oif " + q.oif
	}
	if q.mark != 0 {
		cmd += " mark " + hex(q.mark)
	}
	return cmd
}

func hex(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) }

// A neighQuote quotes the neighbour entry for an address on a device, or that there is none.
type neighQuote struct {
	ns  *network.NS
	dev *network.Iface
	to  netip.Addr
	e   *fib.Neigh
}

func (s *state) neighEvidence(d *network.Iface, to netip.Addr, e *fib.Neigh) Quote {
	q := s.all.keep.neighs.get()
	*q = neighQuote{s.ns, d, to, e}
	return q
}

func (q *neighQuote) Evidence() snapshot.Evidence {
	ev := snapshot.Evidence{File: q.ns.Dir + "/neigh.json", Command: inNS(q.ns) + "ip neigh show " + q.to.String() + " dev " + q.dev.Name()}
	if q.e != nil {
		ev.Text, ev.Line = q.e.String(), q.e.Line
	}
	return ev
}

// An fdbQuote quotes the forwarding entry for a link-layer address, or that there is none.
type fdbQuote struct {
	ns  *network.NS
	dev *network.Iface // whose entries are asked for; nil: all
	mac packet.MAC
	e   *fib.FDBEntry
}

// fdbEvidence quotes what a device has for a link-layer address; without a device, all of them.
func (s *state) fdbEvidence(d *network.Iface, m packet.MAC, e *fib.FDBEntry) Quote {
	q := s.all.keep.fdb.get()
	*q = fdbQuote{s.ns, d, m, e}
	return q
}

func (q *fdbQuote) Evidence() snapshot.Evidence {
	ev := snapshot.Evidence{File: q.ns.Dir + "/fdb.json", Command: inNS(q.ns) + "bridge fdb show"}
	if q.dev != nil {
		ev.Command += " dev " + q.dev.Name()
	} else {
		ev.Command += " | grep " + q.mac.String()
	}
	if q.e != nil {
		ev.Text, ev.Line = q.e.String(), q.e.Line
	}
	return ev
}

// A vlanQuote quotes the VLANs of a bridge's port.
type vlanQuote struct{ port *network.Iface }

func vlanEvidence(p *network.Iface) Quote { return vlanQuote{p} }

func (q vlanQuote) Evidence() snapshot.Evidence {
	p := q.port
	ev := snapshot.Evidence{File: p.NS.Dir + "/vlan.json", Command: inNS(p.NS) + "bridge vlan show dev " + p.Name()}
	var b strings.Builder
	for _, v := range p.NS.VLANs {
		if v.Dev != p.Name() {
			continue
		}
		b.WriteString(" " + strconv.Itoa(v.VID))
		if v.PVID {
			b.WriteString(" PVID")
		}
		if v.Untagged {
			b.WriteString(" Egress Untagged")
		}
	}
	ev.Text = p.Name() + b.String()
	return ev
}

// A ruleQuote quotes a rule, or a chain's policy.
type ruleQuote netfilter.Ref

func (q *ruleQuote) Evidence() snapshot.Evidence {
	r := (*netfilter.Ref)(q)
	ev := snapshot.Evidence{Text: r.Quote()}
	if r.Table != nil {
		ev.File, ev.Command = r.Table.File, r.Command()
	}
	if r.Rule != nil {
		ev.Line = r.Rule.Line
	}
	return ev
}

// A socketQuote quotes a socket; without one, all of a protocol.
type socketQuote struct {
	ns    *network.NS
	k     *snapshot.Socket
	proto packet.Proto
}

func socketEvidence(ns *network.NS, k *snapshot.Socket) Quote { return &socketQuote{ns, k, k.Proto} }

func (q *socketQuote) Evidence() snapshot.Evidence {
	ev := snapshot.Evidence{File: q.ns.Dir + "/sockets", Command: inNS(q.ns) + "ss -lnp " + ssFlag[q.proto]}
	if q.k != nil {
		ev.Line, ev.Text = q.k.Line, socketText(q.k)
	}
	return ev
}

var ssFlag = map[packet.Proto]string{packet.TCP: "-t", packet.UDP: "-u", packet.SCTP: "--sctp"}
