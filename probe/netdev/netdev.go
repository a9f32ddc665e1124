//go:build linux

// Package netdev counts the packets of each network device, and those that it lost.
package netdev

import (
	"bytes"
	"fmt"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var way = []string{"device", "direction"}

var (
	octets  = &probe.Stat{Name: "netdev_bytes_total", Help: "Bytes of packets.", Labels: way}
	packets = &probe.Stat{Name: "netdev_packets_total", Help: "Packets.", Labels: way}
	dropped = &probe.Stat{Name: "netdev_dropped_total", Help: "Packets dropped: for want of room, or that nobody takes.", Labels: way}
	failed  = &probe.Stat{Name: "netdev_errors_total", Help: "Packets that were broken, or could not be sent.", Labels: way}
	detail  = &probe.Stat{Name: "netdev_detail_total", Help: "What else the device counted, by the kernel's name for it.", Labels: []string{"device", "counter"}}
)

// Kind is the netdev probe.
var Kind = &probe.Kind{
	Name: "netdev",
	Doc: `packets of each network device, and those that it lost

A rise of dropped says that packets ended at the device. For a veth, what one end receives is what the other
transmits: a drop at the Pod's end on receive is one of a packet to the Pod. What is seldom counted (errors, rx_fifo, tx_carrier) is told
once it is not 0, and so are drops of lo.`,
	Source: "/proc/thread-self/net/dev",
	Cost:   "2 ms a scrape of 100 Pods (Linux 6.18)",
	Stats:  []*probe.Stat{octets, packets, dropped, failed, detail},
	Open:   func(e *probe.Env) (probe.Probe, error) { return netdev{files: procnet.Of(e)}, nil },
}

// columns are those of /proc/net/dev (net/core/net-procfs.c, dev_seq_printf_stats): 8 that were received, 8 that were
// transmitted. Several counters of the kernel are summed up in some, as said there.
var columns = [16]struct {
	stat *probe.Stat
	name string // of those that come under detail
}{
	{octets, ""}, {packets, ""}, {failed, ""}, {dropped, ""}, {detail, "rx_fifo"}, {detail, "rx_frame"}, {detail, "rx_compressed"}, {detail, "multicast"},
	{octets, ""}, {packets, ""}, {failed, ""}, {dropped, ""}, {detail, "tx_fifo"}, {detail, "collisions"}, {detail, "tx_carrier"}, {detail, "tx_compressed"},
}

type netdev struct {
	probe.Quiet
	files *procnet.Files
}

func (n netdev) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	return n.files.Read(p, "dev", func(data []byte) error { return parse(data, p.Pod, emit) })
}

func parse(data []byte, pod string, emit func(probe.Sample)) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		if line, data = procnet.Line(data); n <= 2 {
			continue
		}
		end := bytes.LastIndexByte(line, ':') // a name may have one, and numbers none
		if end < 0 {
			return fmt.Errorf("dev: line %d: %q", n, procnet.Short(line))
		}
		device, _ := procnet.Word(line[:end])
		if err := tell(string(device), line[end+1:], pod, emit); err != nil {
			return fmt.Errorf("dev: line %d: %w", n, err)
		}
	}
	return nil
}

func tell(device string, values []byte, pod string, emit func(probe.Sample)) error {
	in, out := []string{device, "receive"}, []string{device, "transmit"}
	for i, c := range columns {
		var word []byte
		word, values = procnet.Word(values)
		v, ok := procnet.Number(word)
		if !ok {
			return fmt.Errorf("column %d: %q", i+1, procnet.Short(word))
		}
		labels := in
		switch {
		case v == 0 && (c.stat == detail || c.stat == failed || c.stat == dropped && device == "lo"):
			continue
		case c.stat == detail:
			labels = []string{device, c.name}
		case i >= len(columns)/2:
			labels = out
		}
		emit(probe.Sample{Stat: c.stat, Pod: pod, Labels: labels, Value: v})
	}
	return nil
}
