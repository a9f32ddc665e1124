//go:build linux

// Package biolatency measures how long block devices take for their requests.
package biolatency

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key biolatency biolatency.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "biolatency_seconds", Type: probe.Histogram, Labels: []string{"device", "operation"}, Node: true,
	Help: "From a request being given to a block device until the device had done it.",
}

// Kind is the biolatency probe.
var Kind = &probe.Kind{
	Name: "biolatency",
	Doc: `how long block devices take

A Pod that waits for its disk does not read its sockets: slow answers, and packets that wait for the application, may be those of a disk.
What a request waited before the device had it is not in it. A slow request is the Pod's whose task gave it to the device; what is
written later, by the kernel, is nobody's.`,
	Cost:      "0.9 to 1.3 µs at either end of a request that is told, 80 to 160 ns of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Source:    "tp_btf/block_rq_issue, block_rq_complete",
	Off:       true,
	Needs:     []probe.Feature{bpf.Tracepoint("block_rq_issue"), bpf.Tracepoint("block_rq_complete")},
	Stats:     []*probe.Stat{latency},
	Events:    "a request that took longer than the threshold",
	Threshold: 500 * time.Millisecond,
	Open:      open,
}

type biolatency struct {
	*bpf.Set
	table *bpf.Table[biolatencyKey, bpf.Hist]
	sys   string
	names sync.Map // of devices, by their numbers
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadBiolatency, nil)
	if err != nil {
		return nil, err
	}
	p := &biolatency{Set: set, sys: env.Sys}
	p.table, err = bpf.NewTable[biolatencyKey, bpf.Hist](set, "latency",
		func(biolatencyKey) bpf.Owner { return bpf.Owner{} }, // the node's
		func(k biolatencyKey) [4]string {
			return [4]string{p.device(k.Major, k.Minor), operation(uint64(k.Operation))}
		})
	return p, err
}

// device returns a device's name: "vda", or its numbers where it has none any more.
func (p *biolatency) device(major, minor uint32) string {
	numbers := fmt.Sprintf("%d:%d", major, minor)
	if name, ok := p.names.Load(numbers); ok {
		return name.(string)
	}
	to, err := os.Readlink(filepath.Join(p.sys, "dev/block", numbers))
	if err != nil {
		return numbers
	}
	p.names.Store(numbers, filepath.Base(to))
	return filepath.Base(to)
}

// operations are those of enum req_op (linux/blk_types.h).
var operations = map[uint64]string{0: "read", 1: "write", 2: "flush", 3: "discard", 5: "secure-erase", 9: "write-zeroes"}

func operation(op uint64) string {
	if name, ok := operations[op]; ok {
		return name
	}
	return strconv.FormatUint(op, 10)
}

// Read tells how long requests took.
func (p *biolatency) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Labels: s.Labels[:2], Hist: h.Seconds()})
	})
}

// Watch tells requests that took long.
func (p *biolatency) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		e.Detail = []event.Field{
			{Key: "device", Value: p.device(uint32(in.Arg[0]>>32), uint32(in.Arg[0]))},
			{Key: "operation", Value: operation(in.Arg[1])},
			{Key: "took", Value: time.Duration(in.Arg[2]).Round(time.Microsecond).String()},
		}
	}, emit)
}
