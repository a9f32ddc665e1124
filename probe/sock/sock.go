//go:build linux

// Package sock counts the sockets of each network namespace, and the memory that the kernel keeps for them.
package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	used      = &probe.Stat{Name: "sock_used", Type: probe.Gauge, Help: "Sockets of any kind."}
	inuse     = &probe.Stat{Name: "sock_inuse", Type: probe.Gauge, Help: "Sockets in use, by protocol: TCP is that of IPv4, TCP6 that of IPv6.", Labels: []string{"protocol"}}
	timewait  = &probe.Stat{Name: "sock_timewait", Type: probe.Gauge, Help: "TCP connections in TIME_WAIT."}
	fragments = &probe.Stat{Name: "sock_fragments_bytes", Type: probe.Gauge, Help: "Memory of fragments that wait for the others of their packet.", Labels: []string{"family"}}

	orphans   = &probe.Stat{Name: "sock_orphans", Type: probe.Gauge, Help: "TCP sockets of the node that belong to no process any more (limit: net.ipv4.tcp_max_orphans).", Node: true}
	allocated = &probe.Stat{Name: "sock_allocated", Type: probe.Gauge, Help: "TCP sockets of the node, in whatever state.", Node: true}
	memory    = &probe.Stat{Name: "sock_memory_bytes", Type: probe.Gauge, Help: "Memory of the buffers of the node's sockets.", Labels: []string{"protocol"}, Node: true}
	limit     = &probe.Stat{Name: "sock_memory_limit_bytes", Type: probe.Gauge, Help: "What the memory may come to, beyond which packets are dropped (net.ipv4.tcp_mem, udp_mem).", Labels: []string{"protocol"}, Node: true}
)

// Kind is the sock probe.
var Kind = &probe.Kind{
	Name: "sock",
	Doc: `sockets, and the memory that they take

A rise of inuse or timewait that does not end says that connections are not closed, or opened too often. The kernel's
limits of memory are the node's: at that of TCP all its Pods' connections stall. Of protocols but TCP what is 0 is not told.`,
	Source: "/proc/thread-self/net/{sockstat,sockstat6}",
	Cost:   "3 ms a scrape of 100 Pods (Linux 6.18)",
	Stats:  []*probe.Stat{used, inuse, timewait, fragments, orphans, allocated, memory, limit},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return sock{files: procnet.Of(e), ipv4: filepath.Join(e.Proc, "sys/net/ipv4")}, nil
	},
}

type sock struct {
	probe.Quiet
	files *procnet.Files
	ipv4  string
}

// ReadIn tells what is the node's where it is in the node's own namespace.
func (s sock) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	use := func(data []byte) error {
		return procnet.Sockstat(data, func(protocol, name []byte, v float64) { tell(p, string(protocol), string(name), v, emit) })
	}
	if err := s.files.Read(p, "sockstat", use); err != nil {
		return fmt.Errorf("sockstat: %w", err)
	}
	if err := procnet.Optional(s.files.Read(p, "sockstat6", use)); err != nil {
		return fmt.Errorf("sockstat6: %w", err)
	}
	if p.Host {
		return s.limits(emit)
	}
	return nil
}

func tell(p probe.Place, protocol, name string, v float64, emit func(probe.Sample)) {
	own := func(stat *probe.Stat, v float64, labels ...string) {
		emit(probe.Sample{Stat: stat, Pod: p.Pod, Labels: labels, Value: v})
	}
	some := func(stat *probe.Stat, label string) {
		if v != 0 {
			own(stat, v, label)
		}
	}
	switch protocol + " " + name {
	case "sockets used":
		own(used, v)
	case "TCP tw":
		own(timewait, v)
	case "TCP orphan":
		node(p, emit, orphans, v)
	case "TCP alloc":
		node(p, emit, allocated, v)
	case "TCP mem", "UDP mem":
		node(p, emit, memory, v*page, protocol)
	case "TCP inuse", "TCP6 inuse":
		own(inuse, v, protocol)
	case "FRAG memory":
		some(fragments, "4")
	case "FRAG6 memory":
		some(fragments, "6")
	default:
		if name == "inuse" {
			some(inuse, protocol)
		}
	}
}

// page is the size of what the kernel counts memory of sockets in.
var page = float64(os.Getpagesize())

// node tells what sockstat says of the node, in whatever namespace it is read.
func node(p probe.Place, emit func(probe.Sample), stat *probe.Stat, v float64, labels ...string) {
	if p.Host {
		emit(probe.Sample{Stat: stat, Labels: labels, Value: v})
	}
}

// limits tells the last of the three numbers of tcp_mem and udp_mem, in pages.
func (s sock) limits(emit func(probe.Sample)) error {
	for _, l := range []struct{ file, protocol string }{{"tcp_mem", "TCP"}, {"udp_mem", "UDP"}} {
		data, err := os.ReadFile(filepath.Join(s.ipv4, l.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the node is itself in a container, and the limits are the machine's
		}
		if err != nil {
			return err
		}
		var pressure, low, high float64
		if _, err := fmt.Sscan(string(data), &low, &pressure, &high); err != nil {
			return fmt.Errorf("%s: %w", l.file, err)
		}
		emit(probe.Sample{Stat: limit, Labels: []string{l.protocol}, Value: high * page})
	}
	return nil
}
