//go:build linux

// Package ipvs tells the connections of IPVS, which kube-proxy may have balance Services, by service and by backend.
package ipvs

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	connections = &probe.Stat{Name: "ipvs_connections", Type: probe.Gauge, Help: "Connections of a backend: active ones, and those that are being closed or of UDP (inactive).", Labels: []string{"protocol", "service", "backend", "state"}, Node: true}
	weight      = &probe.Stat{Name: "ipvs_weight", Type: probe.Gauge, Help: "Weight of a backend that has connections, or has weight 0 and gets no new ones.", Labels: []string{"protocol", "service", "backend"}, Node: true}
	services    = &probe.Stat{Name: "ipvs_services", Type: probe.Gauge, Help: "Services.", Node: true}
	without     = &probe.Stat{Name: "ipvs_services_without_backends", Type: probe.Gauge, Help: "Services without a backend of a weight, whose connections are refused.", Node: true}
	total       = &probe.Stat{Name: "ipvs_total", Help: "Connections and packets of all services, by what they are.", Labels: []string{"counter"}, Node: true}
	octets      = &probe.Stat{Name: "ipvs_bytes_total", Help: "Bytes of all services.", Labels: []string{"direction"}, Node: true}
)

// Kind is the ipvs probe.
var Kind = &probe.Kind{
	Name: "ipvs",
	Doc: `connections of IPVS by service and by backend

One backend with many connections beside others with few says that the load is not balanced; connections of a backend of weight 0
are those that still drain. A backend without connections is not told, that there may be many of.`,
	Source: "/proc/thread-self/net/{ip_vs,ip_vs_stats} of the node's own namespace",
	Cost:   "not measured",
	Stats:  []*probe.Stat{connections, weight, services, without, total, octets},
	Needs:  []probe.Feature{{Name: "IPVS", Have: func() error { return have("/proc/net/ip_vs") }}},
	Open:   func(e *probe.Env) (probe.Probe, error) { return ipvs{files: procnet.Of(e)}, nil },
}

func have(file string) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("%w (is the module ip_vs loaded?)", err)
	}
	return nil
}

type ipvs struct {
	probe.Quiet
	files *procnet.Files
}

func (i ipvs) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if !p.Host {
		return nil
	}
	if err := i.files.Read(p, "ip_vs", func(data []byte) error { return parse(data, emit) }); err != nil {
		return fmt.Errorf("ip_vs: %w", err)
	}
	if err := i.files.Read(p, "ip_vs_stats", func(data []byte) error { return parseTotals(data, emit) }); err != nil {
		return fmt.Errorf("ip_vs_stats: %w", err)
	}
	return nil
}

// parse reads lines of services, and below each of its backends (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show):
//
//	TCP  0A600001:01BB rr
//	  -> 0A0A0A01:1920      Masq    1      0          0
func parse(data []byte, emit func(probe.Sample)) error {
	var protocol, service string
	count, empty, live := 0, 0, true
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = procnet.Line(data)
		if n <= 3 {
			continue // what it is, and the names of the columns
		}
		f := strings.Fields(string(line))
		if len(f) > 0 && f[0] == "->" {
			used, err := backend(protocol, service, f[1:], emit)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			live = live || used
			continue
		}
		if len(f) < 2 {
			return fmt.Errorf("line %d: %q", n, procnet.Short(line))
		}
		if !live {
			empty++
		}
		count, live = count+1, false
		protocol = strings.ToLower(f[0])
		if service = "fwmark " + f[1]; protocol != "fwm" { // a service of a mark has no protocol
			at, err := address(f[1])
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			service = at.String()
		}
	}
	if !live {
		empty++
	}
	emit(probe.Sample{Stat: services, Value: float64(count)})
	emit(probe.Sample{Stat: without, Value: float64(empty)})
	return nil
}

// backend tells one, and whether it gets connections.
func backend(protocol, service string, f []string, emit func(probe.Sample)) (bool, error) {
	if len(f) < 5 {
		return false, fmt.Errorf("a backend of %d columns, want 5", len(f))
	}
	at, err := address(f[0])
	if err != nil {
		return false, err
	}
	var v [3]float64 // weight, active, inactive
	for i := range v {
		n, ok := procnet.Number([]byte(f[2+i]))
		if !ok {
			return false, fmt.Errorf("a backend's column %d: %.40q", 3+i, f[2+i])
		}
		v[i] = n
	}
	name := at.String()
	for i, state := range []string{"active", "inactive"} {
		if v[1+i] > 0 {
			emit(probe.Sample{Stat: connections, Labels: []string{protocol, service, name, state}, Value: v[1+i]})
		}
	}
	if v[0] == 0 || v[1] > 0 || v[2] > 0 {
		emit(probe.Sample{Stat: weight, Labels: []string{protocol, service, name}, Value: v[0]})
	}
	return v[0] > 0, nil
}

// address reads "0A600001:01BB", or "[fd00:0000:…:0001]:01BB".
func address(s string) (netip.AddrPort, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.AddrPort{}, fmt.Errorf("address %.60q", s)
	}
	port, err := strconv.ParseUint(s[i+1:], 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %.60q: %w", s, err)
	}
	if six, ok := strings.CutPrefix(s[:i], "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(six, "]"))
		return netip.AddrPortFrom(a, uint16(port)), err
	}
	b, err := hex.DecodeString(s[:i])
	if err != nil || len(b) != 4 {
		return netip.AddrPort{}, fmt.Errorf("address %.60q", s)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(port)), nil
}

// parseTotals reads the third line of ip_vs_stats, in hexadecimal: connections, packets in and out, bytes in and out.
func parseTotals(data []byte, emit func(probe.Sample)) error {
	lines := bytes.SplitN(data, []byte("\n"), 4)
	if len(lines) < 3 {
		return fmt.Errorf("%d lines, want 3", len(lines))
	}
	f := strings.Fields(string(lines[2]))
	of := []struct {
		stat  *probe.Stat
		label string
	}{{total, "connections"}, {total, "packets_received"}, {total, "packets_transmitted"}, {octets, "receive"}, {octets, "transmit"}}
	if len(f) < len(of) {
		return fmt.Errorf("line 3: %d columns, want %d", len(f), len(of))
	}
	for i, x := range of {
		v, err := strconv.ParseUint(f[i], 16, 64)
		if err != nil {
			return fmt.Errorf("line 3: %w", err)
		}
		emit(probe.Sample{Stat: x.stat, Labels: []string{x.label}, Value: float64(v)})
	}
	return nil
}
