//go:build linux

// Package neigh counts the neighbours that each network namespace knows or looks for, and tells how full the node's tables of them are.
package neigh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
	"golang.org/x/sys/unix"
)

var (
	neighbours = &probe.Stat{Name: "neigh_entries", Type: probe.Gauge, Help: "Neighbours by state, as ip names it; a state that none is in is not told.", Labels: []string{"family", "state"}}
	total      = &probe.Stat{Name: "neigh_table_total", Help: "What the node's tables of neighbours counted, by the kernel's name for it.", Labels: []string{"family", "counter"}, Node: true}
	entries    = &probe.Stat{Name: "neigh_table_entries", Type: probe.Gauge, Help: "Neighbours of all network namespaces, which share one table.", Labels: []string{"family"}, Node: true}
	limit      = &probe.Stat{Name: "neigh_table_limit", Type: probe.Gauge, Help: "How many neighbours the table may have, beyond which no new one is looked for (net.*.neigh.default.gc_thresh3).", Labels: []string{"family"}, Node: true}
)

// Kind is the neigh probe.
var Kind = &probe.Kind{
	Name: "neigh",
	Doc: `neighbours, and how full the node's tables of them are

Many in FAILED say that addresses which something sends to do not answer. All namespaces share one table for IPv4 and one
for IPv6: a rise of table_fulls says that it was full and packets were dropped, of unresolved_discards, that packets
were dropped since more waited for a neighbour's answer than may; of res_failed, that a neighbour did not answer. A Pod that has no
neighbours is looked at again after a minute.

A MAC address that is at another port of a bridge, or behind another host of a VXLAN device, than before has moved. Once is a
Pod or a machine that moved; to and fro, three times within 10 s, is an event: two have the same address, or the network has a loop.
No more is watched than 8,192 addresses of the node's own namespace.`,
	Source: "rtnetlink RTM_GETNEIGH, and what it tells of neighbours; /proc/net/stat/{arp_cache,ndisc_cache}",
	Cost:   "2 ms a scrape of 100 Pods (Linux 6.18)",
	Stats:  []*probe.Stat{neighbours, entries, limit, total, moves},
	Events: "a MAC address that moves to and fro between ports of a bridge, or between hosts behind a VXLAN device",
	Open: func(e *probe.Env) (probe.Probe, error) {
		n := &neigh{files: procnet.Of(e), sys: filepath.Join(e.Proc, "sys/net")}
		if all := e.Places.All(); len(all) > 0 && all[0].Host {
			n.fdb = &fdb{env: e, host: all[0], moved: map[int]float64{}, names: map[int]string{}}
			return n, n.fdb.open()
		}
		return n, nil
	},
}

type neigh struct {
	probe.Quiet
	files *procnet.Files
	sys   string
	idle  procnet.Idle[uint64] // by Net
	fdb   *fdb                 // nil where the node's own namespace is not known
}

// Read forgets namespaces that have ended, and tells what bridges saw.
func (n *neigh) Read(emit func(probe.Sample)) error {
	n.idle.Forget()
	if n.fdb == nil {
		return nil
	}
	return n.fdb.read(emit)
}

// Watch tells of MAC addresses that move to and fro.
func (n *neigh) Watch(ctx context.Context, emit func(event.Event)) error {
	if n.fdb == nil {
		return nil
	}
	return n.fdb.watch(ctx, emit)
}

// Account tells what was not heard.
func (n *neigh) Account() (probe.Account, error) {
	if n.fdb == nil {
		return probe.Account{}, nil
	}
	return probe.Account{Lost: []probe.Loss{{Stage: "ring", Events: n.fdb.listen.Lost()}}}, nil
}

// Close closes the sockets.
func (n *neigh) Close() error {
	if n.fdb == nil {
		return nil
	}
	return n.fdb.close()
}

// ReadIn tells the tables where it is in the node's own namespace: the kernel has their counters in the machine's first
// alone, which that of a node in a container is not.
func (n *neigh) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if n.idle.Skip(p.Net) {
		return nil
	}
	some, err := dump(p, emit)
	n.idle.Note(p.Net, err == nil && !some && !p.Host)
	if !p.Host {
		return err
	}
	return errors.Join(err, procnet.Optional(n.table("stat/arp_cache", "ipv4", "4", emit)), procnet.Optional(n.table("stat/ndisc_cache", "ipv6", "6", emit)))
}

// always are the counters that are told at 0 too.
var always = []string{"table_fulls", "unresolved_discards", "res_failed"}

func (n *neigh) table(file, dir, family string, emit func(probe.Sample)) error {
	err := n.files.Read(probe.Place{Host: true}, file, func(data []byte) error {
		return procnet.PerCPU(data, func(name string, v float64) {
			switch {
			case name == "entries":
				emit(probe.Sample{Stat: entries, Labels: []string{family}, Value: v})
			case v > 0 || slices.Contains(always, name):
				emit(probe.Sample{Stat: total, Labels: []string{family, name}, Value: v})
			}
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	data, err := os.ReadFile(filepath.Join(n.sys, dir, "neigh/default/gc_thresh3"))
	if err != nil {
		return err
	}
	v, ok := procnet.Number(bytes.TrimSpace(data))
	if !ok {
		return fmt.Errorf("%s: gc_thresh3: %q", dir, procnet.Short(data))
	}
	emit(probe.Sample{Stat: limit, Labels: []string{family}, Value: v})
	return nil
}

// sizeofNdmsg is that of struct ndmsg (linux/neighbour.h).
const sizeofNdmsg = 12

// states are the bits NUD_*. Those of NOARP are not told, as ip does not show them: there are some for each group of multicast.
var states = [...]string{"INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "", "PERMANENT"}

// A count is how many there are, by the number of the state.
type count [len(states)]int

// dump tells a place's neighbours, and whether there are any.
func dump(p probe.Place, emit func(probe.Sample)) (some bool, err error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return false, err
	}
	defer c.Close()
	var v4, v6 count
	err = c.Dump(unix.RTM_GETNEIGH, make([]byte, sizeofNdmsg), func() { v4, v6 = count{}, count{} }, func(b []byte) {
		if state, ok := decode(b); ok && b[0] == unix.AF_INET {
			v4[state]++
		} else if ok && b[0] == unix.AF_INET6 {
			v6[state]++
		}
	})
	if err != nil && !errors.Is(err, netlink.ErrInterrupted) { // neighbours come and go
		return false, fmt.Errorf("neighbours: %w", err)
	}
	v4.tell(p.Pod, "4", emit)
	v6.tell(p.Pod, "6", emit)
	return v4 != count{} || v6 != count{}, nil
}

// decode returns the state of a neighbour, as an index of states.
func decode(b []byte) (state int, ok bool) {
	if len(b) < sizeofNdmsg {
		return 0, false
	}
	bits := netlink.Native.Uint16(b[8:])
	for i, name := range states {
		if bits == 1<<i && name != "" {
			return i, true
		}
	}
	return 0, false
}

func (c count) tell(pod, family string, emit func(probe.Sample)) {
	for i, n := range c {
		if n > 0 {
			emit(probe.Sample{Stat: neighbours, Pod: pod, Labels: []string{family, states[i]}, Value: float64(n)})
		}
	}
}
