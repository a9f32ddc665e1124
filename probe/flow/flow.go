//go:build linux

// Package flow counts what Pods send and receive, by whom with and about which port.
package flow

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key -type value flow flow.bpf.c -- -I../bpf/headers -Wall -Werror

var labels = []string{"peer", "port", "protocol", "role"}

var (
	carried = &probe.Stat{
		Name: "flow_bytes_total", Labels: append(labels[:4:4], "direction"),
		Help: "Bytes of packets, from their network headers on.",
	}
	packets = &probe.Stat{
		Name: "flow_packets_total", Labels: append(labels[:4:4], "direction"),
		Help: "Packets; as many as a device makes of one that it has to divide.",
	}
	first = &probe.Stat{
		Name: "flow_first_seen_timestamp_seconds", Type: probe.Gauge, Labels: labels,
		Help: "When the first packet was seen, in seconds since 1970.",
	}
	last = &probe.Stat{
		Name: "flow_last_seen_timestamp_seconds", Type: probe.Gauge, Labels: labels,
		Help: "When the last packet was seen, in seconds since 1970.",
	}
)

// Kind is the flow probe.
var Kind = &probe.Kind{
	Name: "flow",
	Doc: `who talks to whom: packets and bytes of each Pod, by peer and port

The peer is a Pod of this node by its name, else an address, as that of a Service or of a Pod elsewhere; of addresses that are not private
the block of /24 or /48. The port is the server's, by which the lower one is meant; role is what the Pod is. Connections are not told
apart, so that series do not come and go with them. A Pod has 64 of such flows, and what is beyond is one whose peer is "other". Packets that
stay in a Pod (lo) do not count, nor those of the node's own network. What comes to a Pod past its device
(macvlan, ipvlan, bpf_redirect_peer) is not counted as received.`,
	Source: "tp_btf/net_dev_queue, netif_receive_skb",
	Cost:   "300 ns a packet that a Pod sends or receives, and 60 ns one of the node, which the tracepoint takes (Linux 6.18, 2 virtual CPUs, busy)",
	Off:    true, // it runs twice for each packet
	Heavy:  true,
	Needs:  []probe.Feature{bpf.Tracepoint("net_dev_queue"), bpf.Tracepoint("netif_receive_skb")},
	Stats:  []*probe.Stat{carried, packets, first, last},
	Open:   open,
}

const (
	mostFlows = 64              // of a Pod
	idleTime  = 2 * time.Minute // after which the program's entry of a flow makes room for another
)

// A key tells apart what is counted.
type key struct {
	owner  bpf.Owner
	peer   string
	port   uint16
	proto  packet.Proto
	serves bool
}

const other = "other"

// An amount is what went one way.
type amount struct{ packets, bytes uint64 }

// A tally is what was counted under a key.
type tally struct {
	sent, received amount
	first, last    uint64 // by the programs' clock; of first 0 is none
}

func (a amount) plus(d amount) amount  { return amount{a.packets + d.packets, a.bytes + d.bytes} }
func (a amount) minus(d amount) amount { return amount{a.packets - d.packets, a.bytes - d.bytes} }

// Plus adds.
func (t tally) Plus(d tally) tally {
	t.sent, t.received = t.sent.plus(d.sent), t.received.plus(d.received)
	if t.first == 0 || d.first != 0 && d.first < t.first {
		t.first = d.first
	}
	t.last = max(t.last, d.last)
	return t
}

// Minus subtracts the amounts.
func (t tally) Minus(d tally) tally {
	t.sent, t.received = t.sent.minus(d.sent), t.received.minus(d.received)
	return t
}

type flow struct {
	*bpf.Set
	env   *probe.Env
	idle  time.Duration      // idleTime, or a test's
	read  map[flowKey]amount // of each entry of the program, as it last was
	sums  map[key]tally
	of    map[bpf.Owner]int // flows
	table *bpf.Table[key, tally]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadFlow, nil)
	if err != nil {
		return nil, err
	}
	p := &flow{Set: set, env: env, idle: idleTime, read: map[flowKey]amount{}, sums: map[key]tally{}, of: map[bpf.Owner]int{}}
	p.table = bpf.NewSums(set, p.sums, func(k key) bpf.Owner { return k.owner }, func(k key) [4]string {
		port, proto, role := "", "", "client"
		if k.port != 0 {
			port = strconv.Itoa(int(k.port))
		}
		if k.peer != other {
			proto = k.proto.String()
		}
		if k.serves {
			role = "server"
		}
		return [4]string{k.peer, port, proto, role}
	})
	return p, nil
}

// Read tells who talked to whom, how much and when.
func (p *flow) Read(emit func(probe.Sample)) error {
	clear(p.of)
	for k := range p.sums {
		p.of[k.owner]++
	}
	var gone []flowKey
	now := bpf.Now()
	err := bpf.Entries(p.Set, "flows", func(k flowKey, v flowValue) {
		p.add(k, v)
		if v.Last+uint64(p.idle) < now {
			gone = append(gone, k)
		}
	})
	if err != nil {
		return err
	}
	for _, k := range gone {
		delete(p.read, k)
		if err := p.Delete("flows", k); err != nil {
			return err
		}
	}
	return p.table.Read(func(s bpf.Series, t tally) {
		for direction, a := range map[string]amount{"sent": t.sent, "received": t.received} {
			with := append(s.Labels[:4:4], direction)
			emit(probe.Sample{Stat: carried, Pod: s.Pod, Labels: with, Value: float64(a.bytes)})
			emit(probe.Sample{Stat: packets, Pod: s.Pod, Labels: with, Value: float64(a.packets)})
		}
		emit(probe.Sample{Stat: first, Pod: s.Pod, Labels: s.Labels[:], Value: seconds(t.first)})
		emit(probe.Sample{Stat: last, Pod: s.Pod, Labels: s.Labels[:], Value: seconds(t.last)})
	})
}

func seconds(ns uint64) float64 { return float64(bpf.Time(ns).UnixMilli()) / 1e3 }

// add adds what an entry has more than when it was last read.
func (p *flow) add(k flowKey, v flowValue) {
	is := amount{v.Packets, v.Bytes}
	was := p.read[k]
	p.read[k] = is
	if is == was {
		return
	}
	t := tally{first: v.First, last: v.Last}
	if k.Direction == 0 {
		t.sent = is.minus(was)
	} else {
		t.received = is.minus(was)
	}
	to := p.key(k)
	p.sums[to] = p.sums[to].Plus(t)
}

// key returns what an entry counts under.
func (p *flow) key(k flowKey) key {
	out := key{owner: bpf.Owner{ID: k.Net, By: uint32(event.ByNetNS)}, peer: p.peer(k), port: k.Port, proto: packet.Proto(k.Proto), serves: k.Serves != 0}
	if _, ok := p.sums[out]; ok {
		return out
	}
	if p.of[out.owner] >= mostFlows {
		return key{owner: out.owner, peer: other, serves: out.serves}
	}
	p.of[out.owner]++
	return out
}

// peer names who is at the other end.
func (p *flow) peer(k flowKey) string {
	a := netip.AddrFrom16(k.Peer)
	block := 48
	if k.Version == 4 {
		a, block = netip.AddrFrom4([4]byte(k.Peer[:])), 24
	}
	if pod, ok := p.env.Places.ByAddr(a); ok && pod != "" {
		return pod
	}
	if shared.Contains(a) || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return a.String()
	}
	if a.IsMulticast() {
		return "multicast"
	}
	return netip.PrefixFrom(a, block).Masked().String()
}

// shared is what clusters have addresses of beside those that are private (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Watch has nothing to tell.
func (p *flow) Watch(context.Context, func(event.Event)) error { return nil }
