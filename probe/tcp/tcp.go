//go:build linux

// Package tcp counts the segments and connections of TCP in each network namespace. IPv4 and IPv6 are counted together.
package tcp

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	total       = &probe.Stat{Name: "tcp_total", Help: "What TCP counted, by the kernel's name for it.", Labels: []string{"counter"}}
	established = &probe.Stat{Name: "tcp_established", Type: probe.Gauge, Help: "Connections that are ESTABLISHED or CLOSE_WAIT."}
)

// Kind is the tcp probe.
var Kind = &probe.Kind{
	Name: "tcp",
	Doc: `segments and connections of TCP

RetransSegs against OutSegs is the share of segments that were sent again. A rise of AttemptFails says that connections
did not come about; of EstabResets, that some ended by a reset; of OutRsts, that this side refused or broke some off;
of InErrs, that segments came in broken.

` + procnet.Doc,
	Source: "/proc/thread-self/net/snmp",
	Cost:   "14 ms a scrape of 100 Pods for ip, tcp, tcpext, udp and icmp together, which read the same three files (Linux 6.18)",
	Stats:  []*probe.Stat{total, established},
	Open: func(e *probe.Env) (probe.Probe, error) {
		other := procnet.Out("RtoAlgorithm RtoMin RtoMax MaxConn")
		other["CurrEstab"] = procnet.Column{Stat: established, Always: true}
		return procnet.Probe(e, procnet.Table{File: "snmp", Protocol: "Tcp", Stat: total, Always: "RetransSegs AttemptFails EstabResets OutRsts InErrs", Other: other}), nil
	},
}
