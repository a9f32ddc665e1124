//go:build linux

// Package sched measures how long tasks that the network has woken wait for a CPU.
package sched

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/sys/unix"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type owner sched sched.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "sched_wait_seconds", Type: probe.Histogram, Second: true, Alarm: true,
	Help: "From data waking a task until the task had a CPU.",
}

// Kind is the sched probe.
var Kind = &probe.Kind{
	Name:  "sched",
	Heavy: true,
	Doc: `how long tasks wait for a CPU when data has arrived for them

It is the machine that is short of CPUs, or the Pod of its share of them (cpu.max): the network has delivered and the
application is ready to read. What socketlatency counts beyond this, the application spent otherwise. Every switch of
tasks on the node pays for it: turn it on where the cgroup probe tells of throttling or pressure, or socketlatency of slow readers.`,
	Off:       true,
	Source:    "tp_btf/sk_data_ready, sched_waking, sched_switch",
	Needs:     []probe.Feature{bpf.Tracepoint("sk_data_ready"), bpf.Tracepoint("sched_waking"), bpf.Tracepoint("sched_switch")},
	Cost:      "150 to 200 ns a wake-up or a switch of tasks, 80 to 160 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Stats:     []*probe.Stat{latency},
	Events:    "a task that waited longer than the threshold",
	Threshold: 100 * time.Millisecond,
	Open:      open,
}

type sched struct {
	*bpf.Set
	table *bpf.Table[schedOwner, bpf.Hist]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadSched, nil)
	if err != nil {
		return nil, err
	}
	table, err := bpf.NewTable[schedOwner, bpf.Hist](set, "latency",
		func(k schedOwner) bpf.Owner { return bpf.Owner{ID: k.Id, By: k.By} },
		func(schedOwner) [4]string { return [4]string{} })
	return &sched{set, table}, err
}

// Read tells how long tasks waited.
func (p *sched) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Pod: s.Pod, Hist: h.Seconds()})
	})
}

// Watch tells tasks that waited long.
func (p *sched) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		comm := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, in.Arg[2]), in.Arg[3])
		e.Detail = []event.Field{
			{Key: "task", Value: unix.ByteSliceToString(comm)},
			{Key: "pid", Value: strconv.FormatUint(in.Arg[1], 10)},
			{Key: "waited", Value: time.Duration(in.Arg[0]).Round(time.Microsecond).String()},
		}
	}, emit)
}
