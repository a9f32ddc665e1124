//go:build linux

package dashboards

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// web is a Pod's labels, host those of a node's own network.
const (
	web  = `node="a",namespace="shop",pod="web-0"`
	host = `node="a",namespace="",pod=""`
)

// TestAlerts gives each rule a fault, of which it has to tell in these words, and its healthy twin, of which not. Series
// are 30 minutes of one value a minute, of which the last is looked at.
func TestAlerts(t *testing.T) {
	type series map[string]string
	tests := []struct {
		alert          string
		fault, healthy series
		labels         string // of the alert; more than those of the rule
		says, run      string
	}{
		{"PlumbAgentDown", series{`up{job="plumb",instance="a"}`: "1x20 0x10"}, series{`up{job="plumb",instance="a"}`: "1x27 0x1 1x1", `up{job="etcd",instance="a"}`: "0x30"},
			`job: plumb, instance: a`, "The agent at a has not answered for 3 minutes.", "plumb check"},
		{"PlumbProbeDown", series{`plumb_agent_probe_up{node="a",probe="packetloss"}`: "0x30", `plumb_agent_probe_up{node="b",probe="packetloss"}`: "1x30"},
			// For a short while; and nowhere, since the kernels have no IPVS.
			series{`plumb_agent_probe_up{node="a",probe="packetloss"}`: "1x24 0x5", `plumb_agent_probe_up{node="a",probe="ipvs"}`: "0x30"},
			`node: a, probe: packetloss`, "Probe packetloss on a is to run, and has not for 10 minutes; within a day it did, there or on another node.", "plumbd probes"},
		{"PlumbConfigRefused", series{`plumb_agent_config_valid{node="a"}`: "1x20 0x10"}, series{`plumb_agent_config_valid{node="a"}`: "1x28 0x1"},
			`node: a`, "The agent on a has run an older configuration for 5 minutes, since the newest is not valid.", "plumbd --config plumbd.yaml --check-config"},
		{"PlumbEventsLost", series{`plumb_agent_events_lost_total{node="a",probe="packetloss",stage="ring"}`: "0+6x30"}, series{
			`plumb_agent_events_lost_total{node="a",probe="packetloss",stage="rate"}`: "0+6x30", `plumb_agent_events_lost_total{node="a",probe="packetloss",stage="ring"}`: "7x30",
			`plumb_agent_sink_events_total{node="a",sink="loki",result="written"}`: "0+6x30"},
			`node: a, probe: packetloss, stage: ring`, "a lost 60.0 events in 10 minutes, at stage ring.", "plumb watch --kind packetloss"},
		{"PlumbEventsLost", series{`plumb_agent_sink_events_total{node="a",sink="loki",result="failed"}`: "0+6x30"}, series{`plumb_agent_sink_events_total{node="a",sink="loki",result="failed"}`: "9x30"},
			`node: a, sink: loki, result: failed`, "a lost 60.0 events in 10 minutes, at sink loki (failed).", "plumb watch"},
		{"PlumbRecorderLost", series{`plumb_agent_recorder_lost_total{node="a",what="seconds"}`: "0+6x30"}, series{
			`plumb_agent_recorder_lost_total{node="a",what="seconds"}`: "9x30", `plumb_agent_recorder_lost_total{node="a",what="events"}`: "0+6x30"},
			`node: a, what: seconds`, "a did not record 60.0 seconds of the last 10 minutes, for want of disk or for an error.", "plumb record show --since 10m"},
		{"PlumbDrops", series{`plumb_packetloss_packets_total{` + web + `,reason="NETFILTER_DROP"}`: "0+6x20 120+600x10"},
			// As many as ever; and few, of a Pod that never had any.
			series{`plumb_packetloss_packets_total{` + web + `,reason="NETFILTER_DROP"}`: "0+600x30", `plumb_packetloss_packets_total{` + host + `,reason="NO_SOCKET"}`: "0+0x20 0+30x10"},
			`node: a, namespace: shop, pod: web-0`, "shop/web-0 on a loses 10.0 packets a second, more than ten times what it lost in the hour before.", "plumb watch --kind packetloss --pod shop/web-0"},
		{"PlumbDrops", series{`plumb_packetloss_packets_total{` + host + `,reason="NO_SOCKET"}`: "_x20 0+600x10"}, series{`plumb_packetloss_packets_total{` + host + `,reason="NO_SOCKET"}`: "_x20 0+30x10"},
			`node: a`, "a loses 10.0 packets a second, more than ten times what it lost in the hour before.", "plumb watch --kind packetloss"},
		{"PlumbListenOverflows", series{`plumb_tcpext_total{` + web + `,counter="ListenOverflows"}`: "3x24 4+1x5"}, series{`plumb_tcpext_total{` + web + `,counter="ListenOverflows"}`: "3x30", `plumb_tcpext_total{` + web + `,counter="TCPTimeouts"}`: "0+9x30"},
			`node: a, namespace: shop, pod: web-0, counter: ListenOverflows`, "shop/web-0 on a dropped 5.0 connections in 5 minutes, since the queue of a listening socket was full.", "plumb watch --kind tcpconnect --pod shop/web-0"},
		{"PlumbConntrackNearlyFull", series{`plumb_conntrack_entries{` + host + `}`: "95x30", `plumb_conntrack_limit{` + host + `}`: "100x30"}, series{
			`plumb_conntrack_entries{` + host + `}`: "85x30", `plumb_conntrack_limit{` + host + `}`: "100x30", `plumb_conntrack_entries{` + web + `}`: "5x30", `plumb_conntrack_limit{` + web + `}`: "0x30"},
			`node: a`, "a has used 95% of the entries of connection tracking (net.netfilter.nf_conntrack_max), beyond which new connections are dropped.", "plumb check -o wide"},
		{"PlumbConntrackFailures", series{`plumb_conntrack_total{` + host + `,counter="insert_failed"}`: "0+12x30"}, series{`plumb_conntrack_total{` + host + `,counter="insert_failed"}`: "0+1x30", `plumb_conntrack_total{` + host + `,counter="found"}`: "0+99x30"},
			`node: a, counter: insert_failed`, "a counted 60.0 insert_failed of connection tracking in 5 minutes, more than 10.", "plumb watch --kind conntrack"},
		{"PlumbNeighboursNearlyFull", series{`plumb_neigh_table_entries{node="a",family="ipv4"}`: "900x30", `plumb_neigh_table_limit{node="a",family="ipv4"}`: "1024x30"},
			series{`plumb_neigh_table_entries{node="a",family="ipv4"}`: "700x30", `plumb_neigh_table_limit{node="a",family="ipv4"}`: "1024x30"},
			`node: a, family: ipv4`, "a has used 87.89% of its neighbours of ipv4 (gc_thresh3), beyond which packets to new ones are dropped.", "plumb check -o wide"},
		{"PlumbAddressesMove", series{`plumb_neigh_fdb_moves_total{node="a",device="br0"}`: "0+30x30"}, series{`plumb_neigh_fdb_moves_total{node="a",device="br0"}`: "0+1x30"},
			`node: a, device: br0`, "br0 on a has seen MAC addresses move 0.5 times a second for 2 minutes: two have the same one, or the network has a loop.", "plumb watch --kind neigh"},
		{"PlumbPeerLost", series{
			`plumb_pingmesh_sent_total{node="a",peer="b",path="host",ask="full"}`: "0+60x30", `plumb_pingmesh_lost_total{node="a",peer="b",path="host",ask="full",fate="silent"}`: "0+10x30",
			`plumb_pingmesh_lost_total{node="a",peer="b",path="host",ask="full",fate="too-big"}`: "0+20x30"},
			series{`plumb_pingmesh_sent_total{node="a",peer="b",path="host",ask="full"}`: "0+60x30", `plumb_pingmesh_lost_total{node="a",peer="b",path="host",ask="full",fate="silent"}`: "0+1x30"},
			`node: a, peer: b, path: host, ask: full`, "b has not answered 50% of what a asked it by path host (full) for 2 minutes, more than 5%.", "plumb watch --kind pingmesh"},
		{"PlumbSoftnetDrops", series{`plumb_softnet_dropped_total{node="a",cpu="0"}`: "0+2x30", `plumb_softnet_dropped_total{node="a",cpu="1"}`: "0+2x30"}, series{`plumb_softnet_dropped_total{node="a",cpu="0"}`: "7x30"},
			`node: a`, "a dropped 20.0 packets in 5 minutes before any protocol saw them, since a CPU's backlog was full (net.core.netdev_max_backlog).", "plumb check -o wide"},
		{"PlumbRetransmits", series{`plumb_tcp_total{` + web + `,counter="RetransSegs"}`: "0+300x30", `plumb_tcp_total{` + web + `,counter="OutSegs"}`: "0+6000x30"}, series{
			`plumb_tcp_total{` + web + `,counter="RetransSegs"}`: "0+60x30", `plumb_tcp_total{` + web + `,counter="OutSegs"}`: "0+6000x30",
			// One of four, of a Pod that sends next to nothing.
			`plumb_tcp_total{` + host + `,counter="RetransSegs"}`: "0+1x30", `plumb_tcp_total{` + host + `,counter="OutSegs"}`: "0+4x30"},
			`node: a, namespace: shop, pod: web-0`, "shop/web-0 on a has sent 5% of its segments again for 5 minutes, more than 3%.", "plumb watch --kind tcpretransmit --pod shop/web-0"},
		{"PlumbLookupsFail", series{`plumb_dns_timeouts_total{` + web + `,type="A"}`: "0+3x30", `plumb_dns_lookup_seconds_count{` + web + `,type="A"}`: "0+57x30", `plumb_dns_answers_total{` + web + `,type="A",rcode="SERVFAIL"}`: "0+3x30"}, series{
			`plumb_dns_timeouts_total{` + web + `,type="A"}`: "0+0x30", `plumb_dns_lookup_seconds_count{` + web + `,type="A"}`: "0+60x30", `plumb_dns_answers_total{` + web + `,type="A",rcode="NXDOMAIN"}`: "0+50x30",
			// One of two, of a node that hardly asks.
			`plumb_dns_timeouts_total{` + host + `,type="A"}`: "0+1x30", `plumb_dns_lookup_seconds_count{` + host + `,type="A"}`: "0+1x30"},
			`node: a, namespace: shop, pod: web-0`, "shop/web-0 on a had no answer to 10% of its lookups for 2 minutes, or SERVFAIL or REFUSED, more than 5%.", "plumb watch --kind dns --pod shop/web-0"},
		{"PlumbThrottled", series{`plumb_cgroup_cpu_throttled_periods_total{` + web + `}`: "0+300x30", `plumb_cgroup_cpu_periods_total{` + web + `}`: "0+600x30"}, series{
			`plumb_cgroup_cpu_throttled_periods_total{` + web + `}`: "0+60x30", `plumb_cgroup_cpu_periods_total{` + web + `}`: "0+600x30"},
			`node: a, namespace: shop, pod: web-0`, "shop/web-0 on a used up its limit of CPU in 50% of periods for 5 minutes, more than 25%: it answers late.", "plumb record show --since 10m --pod shop/web-0"},
		{"PlumbPressure", series{`plumb_cgroup_pressure_seconds_total{` + web + `,resource="memory",kind="full"}`: "0+30x30"}, series{
			`plumb_cgroup_pressure_seconds_total{` + web + `,resource="memory",kind="full"}`: "0+3x30", `plumb_cgroup_pressure_seconds_total{` + web + `,resource="cpu",kind="some"}`: "0+50x30"},
			`node: a, namespace: shop, pod: web-0, resource: memory, kind: full`, "shop/web-0 on a stood still for want of memory in 50% of 5 minutes, more than 20%.", "plumb record show --since 10m --pod shop/web-0"},
	}
	rules, err := filepath.Abs("../alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.alert] = true
		t.Run(tt.alert, func(t *testing.T) {
			var b strings.Builder
			fmt.Fprintf(&b, "rule_files: [%s]\nevaluation_interval: 1m\ntests:\n", rules)
			one := func(name string, in series, expect string) {
				fmt.Fprintf(&b, "- interval: 1m\n  name: %s\n  input_series:\n", name)
				for s, values := range in {
					fmt.Fprintf(&b, "  - series: %s\n    values: %s\n", quote(s), quote(values))
				}
				fmt.Fprintf(&b, "  alert_rule_test:\n  - eval_time: 29m\n    alertname: %s\n    exp_alerts: %s\n", tt.alert, expect)
			}
			var a Alert
			for _, x := range Alerts {
				if x.Name == tt.alert {
					a = x
				}
			}
			one("fault", tt.fault, fmt.Sprintf("[{exp_labels: {%s, severity: %s}, exp_annotations: {summary: %s, description: %s, runbook: %s}}]", tt.labels, a.Severity, quote(a.Summary), quote(tt.says), quote(tt.run)))
			one("healthy", tt.healthy, "[]")
			file := filepath.Join(t.TempDir(), "test.yaml")
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := promtool(t, "test", "rules", file); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for _, a := range Alerts {
		if !tested[a.Name] {
			t.Errorf("%s has no test", a.Name)
		}
	}
}
