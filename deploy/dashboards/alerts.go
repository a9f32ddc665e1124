//go:build linux

package dashboards

import (
	"fmt"
	"regexp"
	"strings"
)

// An Alert is one rule.
type Alert struct {
	Name     string
	Expr     string // in short form, as a Query's
	For      string
	Severity string // "critical": something is lost now, or nobody looks; "warning"
	Summary  string
	What     string // one sentence, with numbers
	Run      string // what to type then
}

const (
	onPod   = `{{ if $labels.pod }}{{ $labels.namespace }}/{{ $labels.pod }} on {{ end }}{{ $labels.node }}`
	per     = `{{ $value | printf "%.1f" }}`
	percent = `{{ $value | humanizePercentage }}`
	thatPod = `{{ if $labels.pod }} --pod {{ $labels.namespace }}/{{ $labels.pod }}{{ end }}`
	aCheck  = `plumb check -o wide`
)

// onePod returns the rate of counters in 5 minutes, by Pod.
func onePod(counter string) string {
	return "sum by (node, namespace, pod) (rate(" + counter + "[5m]))"
}

// Alerts are the rules. Each tells of something that someone should look at, and what to look at it with.
var Alerts = []Alert{
	{"PlumbAgentDown", `up{job=~"plumb.*"} == 0`, "3m", "critical",
		"An agent cannot be scraped", `The agent at {{ $labels.instance }} has not answered for 3 minutes.`, `plumb check`},
	// Of a probe that runs nowhere the kernels have no use: there is no IPVS, no RDMA.
	{"PlumbProbeDown", "agent_probe_up == 0 and on (probe) max by (probe) (max_over_time(agent_probe_up[24h])) == 1", "10m", "warning",
		"A probe does not run", `Probe {{ $labels.probe }} on {{ $labels.node }} is to run, and has not for 10 minutes; within a day it did, there or on another node.`, `plumbd probes`},
	{"PlumbConfigRefused", "agent_config_valid == 0", "5m", "warning",
		"A configuration was refused", `The agent on {{ $labels.node }} has run an older configuration for 5 minutes, since the newest is not valid.`, `plumbd --config plumbd.yaml --check-config`},
	{"PlumbEventsLost", `sum by (node, probe, stage) (increase(agent_events_lost_total{stage!="rate"}[10m])) > 0 or sum by (node, sink, result) (increase(agent_sink_events_total{result!="written"}[10m])) > 0`, "", "warning",
		"Events were lost", `{{ $labels.node }} lost ` + per + ` events in 10 minutes, at {{ if $labels.sink }}sink {{ $labels.sink }} ({{ $labels.result }}){{ else }}stage {{ $labels.stage }}{{ end }}.`, `plumb watch{{ if $labels.probe }} --kind {{ $labels.probe }}{{ end }}`},
	// Events beyond its room are no alert: those are many, and counted.
	{"PlumbRecorderLost", `increase(agent_recorder_lost_total{what="seconds"}[10m]) > 0`, "", "warning",
		"The recorder has gaps", `{{ $labels.node }} did not record ` + per + ` seconds of the last 10 minutes, for want of disk or for an error.`, `plumb record show --since 10m`},
	{"PlumbDrops", `sum by (node, namespace, pod) (rate(packetloss_packets_total[5m])) > 1 + 10 * (sum by (node, namespace, pod) (avg_over_time(rate(packetloss_packets_total[5m])[1h:5m] offset 10m)) or 0 * sum by (node, namespace, pod) (rate(packetloss_packets_total[5m])))`, "2m", "warning",
		"More packets are dropped than usual", onPod + ` loses ` + per + ` packets a second, more than ten times what it lost in the hour before.`, `plumb watch --kind packetloss` + thatPod},
	{"PlumbListenOverflows", `increase(tcpext_total{counter="ListenOverflows"}[5m]) > 0`, "", "warning",
		"An application accepts too slowly", onPod + ` dropped ` + per + ` connections in 5 minutes, since the queue of a listening socket was full.`, `plumb watch --kind tcpconnect` + thatPod},
	{"PlumbConntrackNearlyFull", `conntrack_entries / (conntrack_limit > 0) > 0.9`, "1m", "critical",
		"Connection tracking is nearly full", onPod + ` has used ` + percent + ` of the entries of connection tracking (net.netfilter.nf_conntrack_max), beyond which new connections are dropped.`, aCheck},
	{"PlumbConntrackFailures", `sum by (node, namespace, pod, counter) (increase(conntrack_total{counter=~"drop|early_drop|insert_failed|chainlength"}[5m])) > 10`, "", "warning",
		"Connection tracking fails", onPod + ` counted ` + per + ` {{ $labels.counter }} of connection tracking in 5 minutes, more than 10.`, `plumb watch --kind conntrack` + thatPod},
	{"PlumbNeighboursNearlyFull", `neigh_table_entries / (neigh_table_limit > 0) > 0.8`, "1m", "critical",
		"The table of neighbours is nearly full", `{{ $labels.node }} has used ` + percent + ` of its neighbours of {{ $labels.family }} (gc_thresh3), beyond which packets to new ones are dropped.`, aCheck},
	{"PlumbAddressesMove", `sum by (node, device) (rate(neigh_fdb_moves_total[5m])) > 0.1`, "2m", "warning",
		"MAC addresses move to and fro", `{{ $labels.device }} on {{ $labels.node }} has seen MAC addresses move ` + per + ` times a second for 2 minutes: two have the same one, or the network has a loop.`, `plumb watch --kind neigh`},
	{"PlumbPeerLost", `sum by (node, peer, path, ask) (rate(pingmesh_lost_total[5m])) / (sum by (node, peer, path, ask) (rate(pingmesh_sent_total[5m])) > 0.1) > 0.05`, "2m", "warning",
		"A node does not answer another", `{{ $labels.peer }} has not answered ` + percent + ` of what {{ $labels.node }} asked it by path {{ $labels.path }} ({{ $labels.ask }}) for 2 minutes, more than 5%.`, `plumb watch --kind pingmesh`},
	{"PlumbSoftnetDrops", `sum by (node) (increase(softnet_dropped_total[5m])) > 0`, "", "warning",
		"A CPU does not keep up with its packets", `{{ $labels.node }} dropped ` + per + ` packets in 5 minutes before any protocol saw them, since a CPU's backlog was full (net.core.netdev_max_backlog).`, aCheck},
	{"PlumbRetransmits", `sum by (node, namespace, pod) (rate(tcp_total{counter="RetransSegs"}[5m])) / (sum by (node, namespace, pod) (rate(tcp_total{counter="OutSegs"}[5m])) > 10) > 0.03`, "5m", "warning",
		"Much of TCP is sent again", onPod + ` has sent ` + percent + ` of its segments again for 5 minutes, more than 3%.`, `plumb watch --kind tcpretransmit` + thatPod},
	{"PlumbLookupsFail", `(` + onePod(`dns_timeouts_total`) + ` + (` + onePod(`dns_answers_total{rcode=~"SERVFAIL|REFUSED"}`) + ` or 0 * ` + onePod(`dns_timeouts_total`) + `)) / (` + onePod(`dns_timeouts_total`) + ` + ` + onePod(`dns_lookup_seconds_count`) + ` > 0.1) > 0.05`, "2m", "warning",
		"Names are not resolved", onPod + ` had no answer to ` + percent + ` of its lookups for 2 minutes, or SERVFAIL or REFUSED, more than 5%.`, `plumb watch --kind dns` + thatPod},
	{"PlumbThrottled", `rate(cgroup_cpu_throttled_periods_total[5m]) / (rate(cgroup_cpu_periods_total[5m]) > 0) > 0.25`, "5m", "warning",
		"A Pod is held back at its limit of CPU", onPod + ` used up its limit of CPU in ` + percent + ` of periods for 5 minutes, more than 25%: it answers late.`, `plumb record show --since 10m` + thatPod},
	{"PlumbPressure", `rate(cgroup_pressure_seconds_total{kind="full"}[5m]) > 0.2`, "5m", "warning",
		"A Pod waits for CPU, memory or disk", onPod + ` stood still for want of {{ $labels.resource }} in ` + percent + ` of 5 minutes, more than 20%.`, `plumb record show --since 10m` + thatPod},
}

// shown are the labels that an annotation shows.
var shown = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// Rules returns the alert rules as Prometheus loads them. Window changes each duration of a rule; nil for none.
func Rules(window func(string) string) ([]byte, error) {
	if window == nil {
		window = func(s string) string { return s }
	}
	var b strings.Builder
	b.WriteString("# Made by \"make generate\" from deploy/dashboards/alerts.go.\ngroups:\n- name: plumb\n  rules:\n")
	for _, a := range Alerts {
		expr, err := expand(a.Expr, "", "")
		if err == nil {
			err = named(a.Expr, a.Summary+a.What+a.Run, shown)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		fmt.Fprintf(&b, "  - alert: %s\n    expr: %s\n", a.Name, quote(durations.ReplaceAllStringFunc(expr, window)))
		if a.For != "" {
			fmt.Fprintf(&b, "    for: %s\n", window(a.For))
		}
		fmt.Fprintf(&b, "    labels: {severity: %s}\n    annotations:\n      summary: %s\n      description: %s\n      runbook: %s\n", a.Severity, quote(a.Summary), quote(a.What), quote(a.Run))
	}
	return []byte(b.String()), nil
}

// durations are those of ranges and offsets, as package time writes them.
var durations = regexp.MustCompile(`\b[0-9]+[smh]\b`)

// quote writes a text for YAML.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
