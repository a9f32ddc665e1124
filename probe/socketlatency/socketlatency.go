//go:build linux

// Package socketlatency measures how long data waits in a socket until its application reads it.
package socketlatency

import (
	"context"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type owner socketlatency socketlatency.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "socketlatency_receive_seconds", Type: probe.Histogram, Event: "waited", Second: true, Alarm: true,
	Help: "From data arriving in a socket to its application reading it.",
}

// Kind is the socketlatency probe.
var Kind = &probe.Kind{
	Name:  "socketlatency",
	Off:   true, // it runs each time that data arrives, or is read
	Heavy: true,
	Doc: `how long data waits for its application

It is the application that is slow here, or that gets no CPU: the network has delivered. Measured is the oldest data
that is not read, of TCP and UDP; before Linux 6.3 of TCP only. Every read pays for it: turn it on where tcpsummary tells of bytes
that are not read, or a Pod that answers late neither sends again nor loses anything.`,
	Cost:      "290 ns an arrival or a read, 80 to 160 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Source:    "tp_btf/sk_data_ready, sock_recv_length; before Linux 6.3 tcp_probe, tcp_rcv_space_adjust",
	Needs:     []probe.Feature{bpf.Tracepoint("tcp_rcv_space_adjust")},
	Stats:     []*probe.Stat{latency},
	Events:    "data that waited longer than the threshold",
	Threshold: 100 * time.Millisecond,
	Open:      open,
}

type socketlatency struct {
	*bpf.Set
	table   *bpf.Table[socketlatencyOwner, bpf.Hist]
	sockets bool // it is told of all sockets, not of TCP's alone
}

func open(env *probe.Env) (probe.Probe, error) {
	return openOn(env, bpf.Tracepoint("sock_recv_length").Have() == nil)
}

func openOn(env *probe.Env, sockets bool) (probe.Probe, error) {
	spec := bpf.Without(loadSocketlatency, "tcp_probe", "tcp_rcv_space_adjust")
	if !sockets {
		spec = bpf.Without(loadSocketlatency, "sk_data_ready", "sock_recv_length")
	}
	set, err := bpf.Load(env, spec, nil)
	if err != nil {
		return nil, err
	}
	table, err := bpf.NewTable[socketlatencyOwner, bpf.Hist](set, "latency",
		func(k socketlatencyOwner) bpf.Owner { return bpf.Owner{ID: k.Id, By: k.By} },
		func(socketlatencyOwner) [4]string { return [4]string{} })
	return &socketlatency{set, table, sockets}, err
}

// Account tells what the programs have cost, and that there are none for UDP where the kernel has no tracepoint for it.
func (p *socketlatency) Account() (probe.Account, error) {
	a, err := p.Set.Account()
	if !p.sockets {
		a.Missing = append(a.Missing, "sock_recv_length")
	}
	return a, err
}

// Read tells how long data waited.
func (p *socketlatency) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Pod: s.Pod, Hist: h.Seconds()})
	})
}

// Watch tells data that waited long.
func (p *socketlatency) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		e.Detail = []event.Field{{Key: "waited", Value: time.Duration(in.Arg[0]).Round(time.Microsecond).String()}}
	}, emit)
}
