//go:build linux

// Package tcpext counts what befell TCP in each network namespace, in the detail that the kernel has. IPv4 and IPv6
// are counted together.
package tcpext

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	total    = &probe.Stat{Name: "tcpext_total", Help: "What befell TCP, by the kernel's name for it.", Labels: []string{"counter"}}
	pressure = &probe.Stat{Name: "tcpext_memory_pressure_seconds_total", Help: "Time that TCP was short of memory (net.ipv4.tcp_mem)."}
	mptcp    = &probe.Stat{Name: "mptcp_total", Help: "What befell Multipath TCP, by the kernel's name for it.", Labels: []string{"counter"}}
	mpEstab  = &probe.Stat{Name: "mptcp_established", Type: probe.Gauge, Help: "Connections of Multipath TCP that are ESTABLISHED or CLOSE_WAIT; not told while there is none."}
)

// Kind is the tcpext probe.
var Kind = &probe.Kind{
	Name: "tcpext",
	Doc: `what befell TCP, in the detail that the kernel has

A rise of ListenOverflows says that the application accepts too slowly and connections were dropped, and of ListenDrops, that
they were, for whatever reason; of TCPReqQFullDrop, that its queue of SYNs was full; of TCPTimeouts and TCPSynRetrans, that nothing
came back; of TCPLostRetransmit, that what was sent again got lost again; of TCPBacklogDrop, TCPRcvQDrop, TCPOFODrop, RcvPruned and
TCPZeroWindowDrop, that what came in was dropped since the application does not read; of TCPAbortOnMemory, that connections were
broken off for want of memory; of IPReversePathFilter, that packets came by a way on which no answer would go
(net.ipv4.conf.*.rp_filter).

` + procnet.Doc,
	Source: "/proc/thread-self/net/netstat",
	Cost:   "14 ms a scrape of 100 Pods for ip, tcp, tcpext, udp and icmp together, which read the same three files (Linux 6.18)",
	Stats:  []*probe.Stat{total, pressure, mptcp, mpEstab},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return procnet.Probe(e,
			procnet.Table{File: "netstat", Protocol: "TcpExt", Stat: total, Always: often, Other: map[string]procnet.Column{"TCPMemoryPressuresChrono": {Stat: pressure, Unit: 1e-3}}},
			procnet.Table{File: "netstat", Protocol: "MPTcpExt", Stat: mptcp, Other: map[string]procnet.Column{"MPCurrEstab": {Stat: mpEstab}}},
		), nil
	},
}

// often are those that are always told.
const often = "ListenOverflows ListenDrops TCPReqQFullDrop TCPTimeouts TCPSynRetrans TCPBacklogDrop TCPRcvQDrop IPReversePathFilter"
