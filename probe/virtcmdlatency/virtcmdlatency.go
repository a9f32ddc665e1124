//go:build linux

// Package virtcmdlatency measures how long virtio-net devices take for their drivers' commands.
package virtcmdlatency

import (
	"context"
	"fmt"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type key virtcmdlatency virtcmdlatency.bpf.c -- -I../bpf/headers -Wall -Werror

var latency = &probe.Stat{
	Name: "virtcmdlatency_seconds", Type: probe.Histogram, Labels: []string{"command"}, Node: true, Event: "took",
	Help: "From a command to a virtio-net device until the device had answered it.",
}

// functions are the names of the one that gives a device a command: since Linux 6.10 one command has an answer to be read,
// and the other function is mostly a part of its callers.
var functions = []string{"virtnet_send_command_reply", "virtnet_send_command"}

// Kind is the virtcmdlatency probe.
var Kind = &probe.Kind{
	Name: "virtcmdlatency",
	Doc: `how long virtio-net devices take for commands: queues, filters of addresses and VLANs, promiscuous mode

Until the device has answered, a CPU asks again and again whether it has: on Linux 6.1 nothing else runs there meanwhile, on 6.12 other
tasks may; and who else wants to change a device waits. Such commands come of setting addresses, VLANs or queues and of capturing packets.
A slow one is the Pod's whose task made it; those that the kernel makes are nobody's. Of several devices it is not told which, and where the
function takes turns, as on 6.12, the wait for them is in it.`,
	Cost:      "nothing but with a command, of which it was not measured",
	Source:    "kprobe and kretprobe virtnet_send_command_reply; before Linux 6.10 virtnet_send_command",
	Off:       true,
	Needs:     []probe.Feature{bpf.Kprobe(functions...)},
	Stats:     []*probe.Stat{latency},
	Events:    "a command that took longer than the threshold",
	Threshold: 10 * time.Millisecond,
	Open:      open,
}

type virtcmdlatency struct {
	*bpf.Set
	table *bpf.Table[virtcmdlatencyKey, bpf.Hist]
}

func open(env *probe.Env) (probe.Probe, error) {
	set, err := bpf.Load(env, bpf.Kprobes(loadVirtcmdlatency, functions...), nil)
	if err != nil {
		return nil, err
	}
	p := &virtcmdlatency{Set: set}
	p.table, err = bpf.NewTable[virtcmdlatencyKey, bpf.Hist](set, "latency",
		func(virtcmdlatencyKey) bpf.Owner { return bpf.Owner{} }, // the node's
		func(k virtcmdlatencyKey) [4]string { return [4]string{command(uint64(k.Command))} })
	return p, err
}

// commands are those of linux/virtio_net.h, by their class and number.
var commands = map[uint64]string{
	0x000: "rx-promisc", 0x001: "rx-allmulti", 0x002: "rx-alluni", 0x003: "rx-nomulti", 0x004: "rx-nouni", 0x005: "rx-nobcast",
	0x100: "mac-table-set", 0x101: "mac-addr-set", 0x200: "vlan-add", 0x201: "vlan-del", 0x300: "announce-ack",
	0x400: "mq-vq-pairs-set", 0x401: "mq-rss-config", 0x402: "mq-hash-config", 0x500: "guest-offloads-set",
	0x600: "notf-coal-tx-set", 0x601: "notf-coal-rx-set", 0x602: "notf-coal-vq-set", 0x603: "notf-coal-vq-get",
	0x800: "stats-query", 0x801: "stats-get",
}

func command(n uint64) string {
	if name, ok := commands[n]; ok {
		return name
	}
	return fmt.Sprintf("%d.%d", n>>8, n&0xff)
}

// Read tells how long commands took.
func (p *virtcmdlatency) Read(emit func(probe.Sample)) error {
	return p.table.Read(func(s bpf.Series, h bpf.Hist) {
		emit(probe.Sample{Stat: latency, Labels: s.Labels[:1], Hist: h.Seconds()})
	})
}

// Watch tells commands that took long.
func (p *virtcmdlatency) Watch(ctx context.Context, emit func(event.Event)) error {
	return p.Set.Watch(ctx, Kind.Name, func(in *bpf.Event, e *event.Event) {
		e.Detail = []event.Field{
			{Key: "command", Value: command(in.Arg[0])},
			{Key: "took", Value: time.Duration(in.Arg[1]).Round(time.Microsecond).String()},
		}
	}, emit)
}
