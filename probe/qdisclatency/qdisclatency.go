//go:build linux

// Package qdisclatency measures how long packets wait in the queueing disciplines of devices.
package qdisclatency

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/sys/unix"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key qdisclatency qdisclatency.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "qdisclatency_seconds", Type: probe.Histogram, Event: "waited", Labels: []string{"device"}, Second: true, Alarm: true,
	Help: "How long packets waited in the queueing discipline of a device.",
}

// Kind is the qdisclatency probe.
var Kind = &probe.Kind{
	Name:  "qdisclatency",
	Heavy: true,
	Doc: `how long packets wait to be sent, by device

A packet waits while its device sends others, or while it may not send: for a bandwidth limit (tbf, htb) above all. Devices
without a queue, as most veths, do not count. Where several packets are taken at once, the first stands for them.`,
	Cost:      "140 to 210 ns an enqueue or a dequeue, 70 to 110 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Source:    "tp_btf/qdisc_enqueue, qdisc_dequeue",
	Needs:     []probe.Feature{bpf.Tracepoint("qdisc_enqueue"), bpf.Tracepoint("qdisc_dequeue")},
	Stats:     []*probe.Stat{latency},
	Events:    "a packet that waited longer than the threshold",
	Threshold: 100 * time.Millisecond,
	Open:      open,
}

type qdisclatency struct {
	*bpf.Set
	table *bpf.Table[qdisclatencyKey, bpf.Hist]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadQdisclatency, nil)
	if err != nil {
		return nil, err
	}
	table, err := bpf.NewTable[qdisclatencyKey, bpf.Hist](set, "latency",
		func(k qdisclatencyKey) bpf.Owner { return bpf.Owner{ID: k.Owner.Id, By: k.Owner.By} },
		func(k qdisclatencyKey) [4]string { return [4]string{name(k.Device)} })
	return &qdisclatency{set, table}, err
}

func name(c [16]int8) string {
	var b [16]byte
	for i := range c {
		b[i] = byte(c[i])
	}
	return unix.ByteSliceToString(b[:])
}

// Read tells how long packets waited.
func (p *qdisclatency) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Pod: s.Pod, Labels: s.Labels[:1], Hist: h.Seconds()})
	})
}

// Watch tells packets that waited long.
func (p *qdisclatency) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		device := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, in.Arg[0]), in.Arg[1])
		e.Detail = []event.Field{
			{Key: "device", Value: unix.ByteSliceToString(device)},
			{Key: "waited", Value: time.Duration(in.Arg[2]).Round(time.Microsecond).String()},
		}
	}, emit)
}
