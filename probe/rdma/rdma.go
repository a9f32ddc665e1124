//go:build linux

// Package rdma counts what the ports of RDMA devices (InfiniBand, RoCE) sent, received and lost, past the kernel's network stack.
package rdma

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	octets = &probe.Stat{Name: "rdma_bytes_total", Help: "Bytes that the port sent or received.", Labels: []string{"device", "port", "direction"}, Node: true}
	total  = &probe.Stat{Name: "rdma_total", Help: "What else the port counted, by the driver's name for it.", Labels: []string{"device", "port", "counter"}, Node: true}
	active = &probe.Stat{Name: "rdma_port_active", Type: probe.Gauge, Help: "1 for a port that is ACTIVE, else 0.", Labels: []string{"device", "port"}, Node: true}
)

// Kind is the rdma probe.
var Kind = &probe.Kind{
	Name: "rdma",
	Doc: `what the ports of RDMA devices sent, received and lost

A rise of port_xmit_wait says that the port had to wait for the other side; of out_of_sequence, packet_seq_err or
local_ack_timeout_err, that packets were lost on the way; of symbol_error or link_downed, that the cable is bad. What is 0 is not told.`,
	Source: "/sys/class/infiniband/*/ports/*/{counters,hw_counters}",
	Cost:   "not measured",
	Stats:  []*probe.Stat{octets, total, active},
	Needs:  []probe.Feature{{Name: "an RDMA device", Have: func() error { return have("/sys/class/infiniband") }}},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return &rdma{dir: filepath.Join(e.Sys, "class/infiniband")}, nil
	},
}

func have(dir string) error {
	list, err := os.ReadDir(dir)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: there is none", dir)
	}
	return err
}

type rdma struct {
	probe.Quiet
	dir string
	buf []byte
}

// inWords are counters in units of 4 bytes (InfiniBand architecture, PortCounters), and the direction that they are of.
var inWords = map[string]string{"port_xmit_data": "transmit", "port_rcv_data": "receive"}

// settings are files beside the counters that are none.
const settings = "lifespan"

func (r *rdma) Read(emit func(probe.Sample)) error {
	ports, err := filepath.Glob(filepath.Join(r.dir, "*/ports/*"))
	if err != nil {
		return err
	}
	for _, port := range ports {
		of := []string{filepath.Base(filepath.Dir(filepath.Dir(port))), filepath.Base(port)}
		up := 0.0
		if bytes.HasSuffix(r.read(filepath.Join(port, "state")), []byte(": ACTIVE")) { // "4: ACTIVE"
			up = 1
		}
		emit(probe.Sample{Stat: active, Labels: of, Value: up})
		for _, dir := range []string{"counters", "hw_counters"} {
			r.counters(of, filepath.Join(port, dir), emit)
		}
	}
	return nil
}

// read returns what is in a file of one line; nothing where it cannot be read, as those of counters that the device lacks.
func (r *rdma) read(file string) []byte {
	var err error
	if r.buf, err = procnet.Slurp(r.buf, file); err != nil {
		return nil
	}
	return bytes.TrimSpace(r.buf)
}

// counters tells a folder of them. A driver has but those that it knows; one that it cannot tell is "N/A".
func (r *rdma) counters(port []string, dir string, emit func(probe.Sample)) {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		v, ok := procnet.Number(r.read(filepath.Join(dir, e.Name())))
		if !ok || v <= 0 || e.Name() == settings {
			continue
		}
		if direction := inWords[e.Name()]; direction != "" {
			emit(probe.Sample{Stat: octets, Labels: []string{port[0], port[1], direction}, Value: v * 4})
			continue
		}
		emit(probe.Sample{Stat: total, Labels: []string{port[0], port[1], strings.ToValidUTF8(e.Name(), "?")}, Value: v})
	}
}
