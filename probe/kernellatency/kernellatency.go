//go:build linux

// Package kernellatency measures how long packets take from stage to stage in the kernel.
package kernellatency

import (
	"context"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key kernellatency kernellatency.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "kernellatency_seconds", Type: probe.Histogram, Event: "took", Labels: []string{"stage"}, Second: true, Alarm: true,
	Help: "How long packets were in a stage of the kernel, on their way in (rx) or out (tx).",
}

// Kind is the kernellatency probe.
var Kind = &probe.Kind{
	Name:  "kernellatency",
	Heavy: true,
	Doc: `how long packets are in each stage of the kernel

rx_backlog is the wait for a CPU's softirq, as between the ends of a veth; rx_deliver from there until the application has
read it, of TCP; tx_qdisc the wait in the queue of a device; tx_driver what the device took to take it. A packet counts in each
namespace that it passes, for the Pod of it: the stage that is slow is the one to look at.`,
	Cost:   "260 ns a stage of a packet, 80 to 160 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Source: "tp_btf/netif_rx, netif_receive_skb, skb_copy_datagram_iovec, net_dev_queue, net_dev_start_xmit, net_dev_xmit",
	Off:    true, // it runs several times for each packet
	Needs: []probe.Feature{
		bpf.Tracepoint("netif_rx"), bpf.Tracepoint("netif_receive_skb"), bpf.Tracepoint("skb_copy_datagram_iovec"),
		bpf.Tracepoint("net_dev_queue"), bpf.Tracepoint("net_dev_start_xmit"), bpf.Tracepoint("net_dev_xmit"),
	},
	Stats:     []*probe.Stat{latency},
	Events:    "a packet that was in one stage longer than the threshold",
	Threshold: 100 * time.Millisecond,
	Open:      open,
}

// stages are those of the program.
var stages = [...]string{"rx_backlog", "rx_deliver", "tx_qdisc", "tx_driver"}

type kernellatency struct {
	*bpf.Set
	table *bpf.Table[kernellatencyKey, bpf.Hist]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadKernellatency, nil)
	if err != nil {
		return nil, err
	}
	table, err := bpf.NewTable[kernellatencyKey, bpf.Hist](set, "latency",
		func(k kernellatencyKey) bpf.Owner { return bpf.Owner{ID: k.Owner.Id, By: k.Owner.By} },
		func(k kernellatencyKey) [4]string { return [4]string{stages[k.Stage&3]} })
	return &kernellatency{set, table}, err
}

// Read tells how long packets took.
func (p *kernellatency) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Pod: s.Pod, Labels: s.Labels[:1], Hist: h.Seconds()})
	})
}

// Watch tells packets that took long.
func (p *kernellatency) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		e.Detail = []event.Field{
			{Key: "stage", Value: stages[in.Arg[0]&3]},
			{Key: "took", Value: time.Duration(in.Arg[1]).Round(time.Microsecond).String()},
		}
	}, emit)
}
