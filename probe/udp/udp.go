//go:build linux

// Package udp counts the datagrams of UDP in each network namespace.
package udp

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	total = &probe.Stat{Name: "udp_total", Help: "What UDP counted, by the kernel's name for it.", Labels: []string{"family", "counter"}}
	lite  = &probe.Stat{Name: "udplite_total", Help: "What UDP-Lite counted, by the kernel's name for it.", Labels: []string{"family", "counter"}}
)

// Kind is the udp probe.
var Kind = &probe.Kind{
	Name: "udp",
	Doc: `datagrams of UDP and UDP-Lite

A rise of RcvbufErrors says that the application does not read fast enough and datagrams were dropped (for DNS: lookups
that time out); of SndbufErrors, that it sends faster than the device takes them; of NoPorts, that nothing listens
there; of InCsumErrors, that they came in broken. InErrors counts all that came in and were dropped.

` + procnet.Doc,
	Source: "/proc/thread-self/net/{snmp,snmp6}",
	Cost:   "14 ms a scrape of 100 Pods for ip, tcp, tcpext, udp and icmp together, which read the same three files (Linux 6.18)",
	Stats:  []*probe.Stat{total, lite},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return procnet.Probe(e,
			procnet.Table{File: "snmp", Protocol: "Udp", Family: "4", Stat: total, Always: often + " NoPorts SndbufErrors"},
			procnet.Table{File: "snmp", Protocol: "UdpLite", Family: "4", Stat: lite},
			procnet.Table{File: "snmp6", Protocol: "Udp6", Family: "6", Stat: total, Always: often},
			procnet.Table{File: "snmp6", Protocol: "UdpLite6", Family: "6", Stat: lite},
		), nil
	},
}

// often are those of both families that are always told.
const often = "InErrors RcvbufErrors"
