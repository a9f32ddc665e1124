//go:build linux

// Package ip counts packets of IPv4 and IPv6 in each network namespace, and what became of those that went no further.
package ip

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	total = &probe.Stat{Name: "ip_total", Help: "What IP counted, by the kernel's name for it.", Labels: []string{"family", "counter"}}
	bytes = &probe.Stat{Name: "ip_bytes_total", Help: "Bytes of IP packets, by the kernel's name for it: InOctets, OutMcastOctets.", Labels: []string{"family", "counter"}}
)

// Kind is the ip probe.
var Kind = &probe.Kind{
	Name: "ip",
	Doc: `packets of IPv4 and IPv6, and what became of those that went no further

A rise of InDiscards or OutDiscards says that packets were dropped for want of room; of OutNoRoutes and InNoRoutes, that
no route led on; of InAddrErrors, that they were for an address that is not here; of ReasmFails and FragFails, that
fragments got lost or that a packet did not fit.

` + procnet.Doc,
	Source: "/proc/thread-self/net/{snmp,netstat,snmp6}",
	Cost:   "14 ms a scrape of 100 Pods for ip, tcp, tcpext, udp and icmp together, which read the same three files (Linux 6.18)",
	Stats:  []*probe.Stat{total, bytes},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return procnet.Probe(e,
			procnet.Table{File: "snmp", Protocol: "Ip", Family: "4", Stat: total, Always: often + " OutDiscards ReasmFails", Other: procnet.Out("Forwarding DefaultTTL")},
			procnet.Table{File: "netstat", Protocol: "IpExt", Family: "4", Stat: total, Always: "InNoRoutes", Other: octets()},
			procnet.Table{File: "snmp6", Protocol: "Ip6", Family: "6", Stat: total, Always: often, Other: octets()},
		), nil
	},
}

// often are those of both families that are always told.
const often = "InDiscards OutNoRoutes"

func octets() map[string]procnet.Column {
	out := map[string]procnet.Column{}
	for _, name := range []string{"InOctets", "OutOctets", "InMcastOctets", "OutMcastOctets", "InBcastOctets", "OutBcastOctets"} {
		out[name] = procnet.Column{Stat: bytes}
	}
	return out
}
