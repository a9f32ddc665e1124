//go:build linux

// Package tcpconnect measures how long connections take to be made and to be accepted, and counts those that fail.
package tcpconnect

import (
	"context"
	"strconv"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/sys/unix"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key tcpconnect tcpconnect.bpf.c -- -I../bpf/headers -Wall -Werror

var (
	connect = &probe.Stat{
		Name: "tcpconnect_seconds", Type: probe.Histogram, Event: "connected", Second: true, Alarm: true,
		Help: "From the SYN to the connection being there, for who connects.",
	}
	accept = &probe.Stat{
		Name: "tcpconnect_accept_wait_seconds", Type: probe.Histogram, Event: "accepted", Second: true, Alarm: true,
		Help: "How long a connection that was there waited for the application to accept it.",
	}
	failures = &probe.Stat{
		Name: "tcpconnect_failures_total", Labels: []string{"error"}, Second: true, Alarm: true,
		Help: "Connections that were not made, by the error; \"closed\" where the application closed it.",
	}
	reports = &probe.Stat{
		Name: "tcpconnect_socket_errors_total", Labels: []string{"error"},
		Help: "Errors that sockets of any protocol reported to their applications.",
	}
)

// Kind is the tcpconnect probe.
var Kind = &probe.Kind{
	Name: "tcpconnect",
	Doc: `connections: how long they take, and which fail

A connection that takes a second or more had its SYN lost once or more. ECONNREFUSED: nobody listens there; ETIMEDOUT,
EHOSTUNREACH: no answer at all; closed: the application waited no longer,
or had been told of the error before. A long wait for accept is a server that is busy.`,
	Cost:      "190 to 250 ns a change of state, 70 to 110 of them the measuring's own (Linux 6.18, 2 virtual CPUs, busy)",
	Source:    "tp_btf/inet_sock_set_state, inet_sk_error_report; fexit/inet_csk_accept",
	Needs:     []probe.Feature{bpf.Tracepoint("inet_sock_set_state")},
	Stats:     []*probe.Stat{connect, accept, failures, reports},
	Events:    "a connection that was not made, or took longer than the threshold to be made or accepted",
	Threshold: 900 * time.Millisecond, // a SYN that was lost is sent again after a second
	Open:      open,
}

// What a key of the program's is of.
const (
	connected = iota
	accepted
	failed
	reported
)

type tcpconnect struct {
	*bpf.Set
	latency *bpf.Table[tcpconnectKey, bpf.Hist]
	errors  *bpf.Table[tcpconnectKey, bpf.Count]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, loadTcpconnect, nil)
	if err != nil {
		return nil, err
	}
	p := &tcpconnect{Set: set}
	owner := func(k tcpconnectKey) bpf.Owner { return bpf.Owner{ID: k.Owner.Id, By: k.Owner.By} }
	labels := func(k tcpconnectKey) [4]string {
		return [4]string{errorName(k.What, uint64(k.Err)), strconv.FormatUint(uint64(k.What), 10)}
	}
	if p.latency, err = bpf.NewTable[tcpconnectKey, bpf.Hist](set, "latency", owner, labels); err != nil {
		return nil, err
	}
	p.errors, err = bpf.NewTable[tcpconnectKey, bpf.Count](set, "errors", owner, labels)
	return p, err
}

func errorName(what uint32, n uint64) string {
	switch name := unix.ErrnoName(syscall.Errno(n)); {
	case what < failed:
		return ""
	case n == 0:
		return "closed"
	case name != "":
		return name
	}
	return strconv.FormatUint(n, 10)
}

// Read tells how long connections took, and how many failed.
func (p *tcpconnect) Read(emit func(probe.Sample)) error {
	stats := map[string]*probe.Stat{"0": connect, "1": accept, "2": failures, "3": reports}
	err := p.latency.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: stats[s.Labels[1]], Pod: s.Pod, Hist: h.Seconds()})
	})
	if err != nil {
		return err
	}
	return p.errors.Read(func(s bpf.Series, n bpf.Count) {
		emit(probe.Sample{Stat: stats[s.Labels[1]], Pod: s.Pod, Labels: s.Labels[:1], Value: float64(n)})
	})
}

// Watch tells connections that were slow or failed.
func (p *tcpconnect) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		what := uint32(in.Arg[0])
		if what == failed {
			e.Detail = append(e.Detail, event.Field{Key: "error", Value: errorName(what, in.Arg[2])})
		}
		key := map[uint32]string{connected: "connected", accepted: "accepted", failed: "after"}[what]
		e.Detail = append(e.Detail, event.Field{Key: key, Value: time.Duration(in.Arg[1]).Round(time.Microsecond).String()})
	}, emit)
}
