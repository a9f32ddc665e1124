//go:build linux

// Package icmp counts the messages of ICMP in each network namespace.
package icmp

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var total = &probe.Stat{Name: "icmp_total", Help: "What ICMP counted, by the kernel's name for it; InType3 is the messages of type 3 that came in.", Labels: []string{"family", "counter"}}

// Kind is the icmp probe.
var Kind = &probe.Kind{
	Name: "icmp",
	Doc: `messages of ICMP and ICMPv6

A rise of InDestUnreachs says that the other side refuses, or that a packet is too big for the way; of OutDestUnreachs, that
this side refuses; of InTimeExcds, that packets loop; of OutRateLimitHost and OutRateLimitGlobal, that messages which
somebody waits for were not sent.

` + procnet.Doc,
	Source: "/proc/thread-self/net/{snmp,snmp6}",
	Cost:   "14 ms a scrape of 100 Pods for ip, tcp, tcpext, udp and icmp together, which read the same three files (Linux 6.18)",
	Stats:  []*probe.Stat{total},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return procnet.Probe(e,
			procnet.Table{File: "snmp", Protocol: "Icmp", Family: "4", Stat: total, Always: often},
			procnet.Table{File: "snmp", Protocol: "IcmpMsg", Family: "4", Stat: total},
			procnet.Table{File: "snmp6", Protocol: "Icmp6", Family: "6", Stat: total, Always: often + " InPktTooBigs"},
		), nil
	},
}

// often are those of both families that are always told.
const often = "InDestUnreachs"
