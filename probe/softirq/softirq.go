//go:build linux

// Package softirq measures how long the network's softirqs wait for their CPU, and how long they have it.
package softirq

import (
	"context"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel softirq softirq.bpf.c -- -I../bpf/headers -Wall -Werror

var (
	waited = &probe.Stat{
		Name: "softirq_wait_seconds", Type: probe.Histogram, Labels: []string{"cpu", "vector"}, Node: true, Second: true, Alarm: true,
		Help: "From a softirq of the network being asked for until its CPU ran it.",
	}
	ran = &probe.Stat{
		Name: "softirq_run_seconds", Type: probe.Histogram, Labels: []string{"cpu", "vector"}, Node: true,
		Help: "How long a softirq of the network had its CPU.",
	}
)

// Kind is the softirq probe.
var Kind = &probe.Kind{
	Name:  "softirq",
	Off:   true, // it runs several times for each packet
	Heavy: true,
	Doc: `how long packets wait for a CPU to take them

The softirqs NET_RX and NET_TX handle packets when their CPU gets to it. A long wait is a CPU that was kept by something else,
or by a neighbour on a virtual machine; a long run, a CPU with more packets than it can handle. Both are the node's. Every
packet pays for it: turn it on where softnet tells of softirqs that were cut short.`,
	Source:    "tp_btf/softirq_raise, softirq_entry, softirq_exit",
	Cost:      "200 ns a softirq's beginning or end, 80 to 160 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Needs:     []probe.Feature{bpf.Tracepoint("softirq_raise"), bpf.Tracepoint("softirq_entry"), bpf.Tracepoint("softirq_exit")},
	Stats:     []*probe.Stat{waited, ran},
	Events:    "a softirq that waited, or ran, longer than the threshold",
	Threshold: 20 * time.Millisecond,
	Open: func(env *probe.Env) (probe.Probe, error) {
		set, err := bpf.Load(env, loadSoftirq, nil)
		if err != nil {
			return nil, err
		}
		return &softirq{set}, nil
	},
}

var vectors = [...]string{"NET_TX", "NET_RX"}

type softirq struct{ *bpf.Set }

// vector is the program's struct vector.
type vector struct {
	_, _        uint64
	Waited, Ran bpf.Hist
}

// Read tells how long softirqs waited and ran, by CPU.
func (p *softirq) Read(emit func(probe.Sample)) error {
	for i, name := range vectors {
		cpus, err := bpf.PerCPU[vector](p.Set, "vectors", uint32(i))
		if err != nil {
			return err
		}
		for cpu, v := range cpus {
			if v.Ran == (bpf.Hist{}) {
				continue // a CPU that is off
			}
			labels := []string{strconv.Itoa(cpu), name}
			emit(probe.Sample{Stat: waited, Labels: labels, Hist: v.Waited.Seconds()})
			emit(probe.Sample{Stat: ran, Labels: labels, Hist: v.Ran.Seconds()})
		}
	}
	return nil
}

// Watch tells softirqs that waited or ran long.
func (p *softirq) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		e.Detail = []event.Field{
			{Key: "vector", Value: vectors[in.Arg[0]&1]},
			{Key: "cpu", Value: strconv.FormatUint(in.Arg[3], 10)},
			{Key: [...]string{"waited", "ran"}[in.Arg[1]&1], Value: time.Duration(in.Arg[2]).Round(time.Microsecond).String()},
		}
	}, emit)
}
