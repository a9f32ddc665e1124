//go:build linux

package procnet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/icmp"
	"github.com/plumbnet/plumb/probe/ip"
	"github.com/plumbnet/plumb/probe/probetest"
	"github.com/plumbnet/plumb/probe/tcp"
	"github.com/plumbnet/plumb/probe/tcpext"
	"github.com/plumbnet/plumb/probe/udp"
)

// TestRecorded reads the files of a namespace of Linux 6.18, in which some packets were refused and some had no route.
func TestRecorded(t *testing.T) {
	for _, tt := range []struct {
		kind *probe.Kind
		want string
	}{
		{ip.Kind, `
ip_bytes_total{family="4",counter="InOctets"} 71892
ip_bytes_total{family="4",counter="OutOctets"} 71892
ip_bytes_total{family="6",counter="InMcastOctets"} 656
ip_bytes_total{family="6",counter="InOctets"} 1248
ip_bytes_total{family="6",counter="OutMcastOctets"} 656
ip_bytes_total{family="6",counter="OutOctets"} 1248
ip_total{family="4",counter="InDelivers"} 36
ip_total{family="4",counter="InDiscards"} 0
ip_total{family="4",counter="InNoECTPkts"} 36
ip_total{family="4",counter="InNoRoutes"} 0
ip_total{family="4",counter="InReceives"} 36
ip_total{family="4",counter="OutDiscards"} 0
ip_total{family="4",counter="OutNoRoutes"} 6
ip_total{family="4",counter="OutRequests"} 36
ip_total{family="4",counter="OutTransmits"} 36
ip_total{family="4",counter="ReasmFails"} 0
ip_total{family="6",counter="InDelivers"} 8
ip_total{family="6",counter="InDiscards"} 0
ip_total{family="6",counter="InMcastPkts"} 9
ip_total{family="6",counter="InNoECTPkts"} 17
ip_total{family="6",counter="InReceives"} 17
ip_total{family="6",counter="OutMcastPkts"} 9
ip_total{family="6",counter="OutNoRoutes"} 0
ip_total{family="6",counter="OutRequests"} 17
ip_total{family="6",counter="OutTransmits"} 17`},
		{tcp.Kind, `
tcp_established 3
tcp_total{counter="ActiveOpens"} 14
tcp_total{counter="AttemptFails"} 5
tcp_total{counter="EstabResets"} 0
tcp_total{counter="InErrs"} 0
tcp_total{counter="InSegs"} 30
tcp_total{counter="OutRsts"} 5
tcp_total{counter="OutSegs"} 30
tcp_total{counter="PassiveOpens"} 2
tcp_total{counter="RetransSegs"} 0`},
		{udp.Kind, `
udp_total{family="4",counter="InErrors"} 0
udp_total{family="4",counter="NoPorts"} 3
udp_total{family="4",counter="OutDatagrams"} 3
udp_total{family="4",counter="RcvbufErrors"} 0
udp_total{family="4",counter="SndbufErrors"} 0
udp_total{family="6",counter="InErrors"} 0
udp_total{family="6",counter="NoPorts"} 4
udp_total{family="6",counter="OutDatagrams"} 4
udp_total{family="6",counter="RcvbufErrors"} 0`},
		{icmp.Kind, `
icmp_total{family="4",counter="InDestUnreachs"} 3
icmp_total{family="4",counter="InMsgs"} 3
icmp_total{family="4",counter="InType3"} 3
icmp_total{family="4",counter="OutDestUnreachs"} 3
icmp_total{family="4",counter="OutMsgs"} 3
icmp_total{family="4",counter="OutType3"} 3
icmp_total{family="6",counter="InDestUnreachs"} 4
icmp_total{family="6",counter="InMsgs"} 4
icmp_total{family="6",counter="InPktTooBigs"} 0
icmp_total{family="6",counter="InType1"} 4
icmp_total{family="6",counter="OutDestUnreachs"} 4
icmp_total{family="6",counter="OutMLDv2Reports"} 6
icmp_total{family="6",counter="OutMsgs"} 13
icmp_total{family="6",counter="OutNeighborSolicits"} 2
icmp_total{family="6",counter="OutRouterSolicits"} 1
icmp_total{family="6",counter="OutType1"} 4
icmp_total{family="6",counter="OutType133"} 1
icmp_total{family="6",counter="OutType135"} 2
icmp_total{family="6",counter="OutType143"} 6`},
		{tcpext.Kind, `
tcpext_total{counter="DelayedACKs"} 1
tcpext_total{counter="IPReversePathFilter"} 0
tcpext_total{counter="ListenDrops"} 7
tcpext_total{counter="ListenOverflows"} 7
tcpext_total{counter="TCPBacklogDrop"} 0
tcpext_total{counter="TCPDelivered"} 6
tcpext_total{counter="TCPHPAcks"} 1
tcpext_total{counter="TCPOrigDataSent"} 4
tcpext_total{counter="TCPPureAcks"} 4
tcpext_total{counter="TCPRcvQDrop"} 0
tcpext_total{counter="TCPReqQFullDrop"} 0
tcpext_total{counter="TCPSynRetrans"} 0
tcpext_total{counter="TCPTimeouts"} 0
tcpext_total{counter="TW"} 1`},
	} {
		t.Run(tt.kind.Name, func(t *testing.T) {
			p := probetest.Open(t, tt.kind, probe.Env{Proc: "testdata/6.18"})
			for range 2 { // the second time the names are known
				got := probetest.Collect(t, tt.kind, func(emit func(probe.Sample)) error { return p.ReadIn(probe.Place{}, emit) })
				if diff := probetest.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestOther: what one file lacks takes nothing from the others.
func TestOther(t *testing.T) {
	const snmp = "Ip: Forwarding InDiscards\nIp: 1 7\nUdp: InDatagrams NoPorts\nUdp: 5 6\n"
	for _, tt := range []struct {
		name  string
		kind  *probe.Kind
		files map[string]string
		want  string
		err   string
	}{
		{"without IPv6", ip.Kind, map[string]string{"snmp": snmp, "netstat": "IpExt: InOctets\nIpExt: 9\n"}, "ip_bytes_total{family=\"4\",counter=\"InOctets\"} 9\nip_total{family=\"4\",counter=\"InDiscards\"} 7\n", ""},
		{"a column that came later", udp.Kind, map[string]string{"snmp": "Udp: NoPorts New\nUdp: 1 2\n", "snmp6": "Udp6New 3\nUdp66 4\n"}, "udp_total{family=\"4\",counter=\"New\"} 2\nudp_total{family=\"4\",counter=\"NoPorts\"} 1\nudp_total{family=\"6\",counter=\"6\"} 4\nudp_total{family=\"6\",counter=\"New\"} 3\n", ""},
		{"one file is broken", udp.Kind, map[string]string{"snmp": "Udp: NoPorts\nUdp: x\n", "snmp6": "Udp6NoPorts 3\n"}, "udp_total{family=\"6\",counter=\"NoPorts\"} 3\n", `snmp: line 2: UdpNoPorts "x"`},
		{"one is not there", ip.Kind, map[string]string{"snmp": snmp}, "ip_total{family=\"4\",counter=\"InDiscards\"} 7\n", "netstat: no such file"},
		{"more than 53 bits", tcpext.Kind, map[string]string{"netstat": "TcpExt: A TCPMemoryPressuresChrono\nTcpExt: 18446744073709551615 1500\n"}, "tcpext_memory_pressure_seconds_total 1.5\ntcpext_total{counter=\"A\"} 18446744073709552000\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proc := t.TempDir()
			dir := filepath.Join(proc, "thread-self/net")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, data := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p, got := probetest.Open(t, tt.kind, probe.Env{Proc: proc}), probetest.Samples{}
			err := p.ReadIn(probe.Place{}, func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
