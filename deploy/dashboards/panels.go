//go:build linux

package dashboards

import (
	"strings"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// A Panel is one graph.
type Panel struct {
	Title   string
	Help    string // what it means, in a sentence
	Unit    string // Grafana's name for it
	Queries []Query
}

// A Query is one set of lines of a graph.
type Query struct {
	Expr   string // in short form: metrics have no prefix and no matchers for the dashboard's variables
	Legend string
}

// A Dashboard is a page of graphs.
type Dashboard struct {
	Name, Title string
	Pods        bool // it can be cut down to Pods
	Panels      []Panel
}

// q is a panel's one query.
func q(expr, legend string) []Query { return []Query{{expr, legend}} }

const (
	aPod  = "{{namespace}}/{{pod}}"
	every = "[$__rate_interval]"
)

// by returns the rate of counters, summed up by labels, those ten that are highest.
func by(labels, counter string) string {
	return "topk(10, sum by (" + labels + ") (rate(" + counter + every + ")) > 0)"
}

// Dashboards are all there are. Those of all metrics and of all latencies are made from what the probes have.
func Dashboards() []Dashboard {
	return []Dashboard{node, pod, drops, latency(), dns(), limits, probes()}
}

var (
	dropped = Panel{"Drops by Pod", "Packets that the kernel dropped; without a Pod, those of the node's own network.", "pps",
		q(by("node, namespace, pod", "packetloss_packets_total"), aPod+" on {{node}}")}
	reasons = Panel{"Drops by reason", "Packets that the kernel dropped, by its own reason.", "pps",
		q(by("reason", "packetloss_packets_total"), "{{reason}}")}
	softnetDrops = Panel{"Drops before the protocols", "A CPU's backlog was full: it could not keep up with its packets.", "pps",
		q("sum by (node, cpu) (rate(softnet_dropped_total"+every+"))", "{{node}} CPU {{cpu}}")}
	squeezed = Panel{"Softirqs cut short", "Packets waited for the softirq's next turn.", "ops",
		q("sum by (node, cpu) (rate(softnet_time_squeeze_total"+every+"))", "{{node}} CPU {{cpu}}")}
	conntrackFill = Panel{"Connection tracking: full to", "At 1, packets of new connections are dropped.", "percentunit",
		q("topk(10, conntrack_entries / (conntrack_limit > 0))", aPod+" on {{node}}")}
	conntrackFails = Panel{"Connection tracking: failures", "Packets that were dropped, and entries that had to go.", "ops",
		q(`sum by (node, namespace, pod, counter) (rate(conntrack_total{counter=~"drop|early_drop|insert_failed|chainlength"}`+every+"))", "{{counter}} "+aPod+" on {{node}}")}
	neighFill = Panel{"Neighbours: table full to", "At 1, no new neighbour is looked for, and packets to one are dropped.", "percentunit",
		q("neigh_table_entries / (neigh_table_limit > 0)", "{{family}} on {{node}}")}
	neighFails = Panel{"Neighbours: failures", "Packets that were dropped since the table was full, or too many waited for an answer.", "ops",
		q(`sum by (node, family, counter) (rate(neigh_table_total{counter=~"table_fulls|unresolved_discards|res_failed"}`+every+"))", "{{counter}} {{family}} on {{node}}")}
	listen = Panel{"Connections dropped by listeners", "The application accepts too slowly (ListenOverflows), or the connection was dropped for another reason (ListenDrops).", "cps",
		q(by("namespace, pod, counter", `tcpext_total{counter=~"ListenOverflows|ListenDrops|TCPReqQFullDrop"}`), "{{counter}} "+aPod)}
	listenFill = Panel{"Listeners: queue full to", "At 1, further connections are dropped.", "percentunit",
		q("topk(10, tcpsummary_listen_queue / (tcpsummary_listen_backlog > 0))", aPod+":{{port}}")}
	udpDrops = Panel{"UDP: datagrams dropped", "The application reads too slowly (RcvbufErrors), or nothing listens (NoPorts).", "pps",
		q(by("namespace, pod, counter", `udp_total{counter=~"RcvbufErrors|SndbufErrors|NoPorts|InErrors"}`), "{{counter}} "+aPod)}
	retransmits = Panel{"TCP: segments sent again", "The share of segments that were sent again.", "percentunit",
		q(`topk(10, sum by (node, namespace, pod) (rate(tcp_total{counter="RetransSegs"}`+every+`)) / (sum by (node, namespace, pod) (rate(tcp_total{counter="OutSegs"}`+every+`)) > 0))`, aPod+" on {{node}}")}
	retransmitsBy = Panel{"TCP: segments sent again, by state", "In SYN_SENT the peer does not answer; in ESTABLISHED data or its acknowledgement was lost.", "pps",
		q(by("namespace, pod, state", "tcpretransmit_segments_total"), "{{state}} "+aPod)}
	resets = Panel{"TCP: resets", "Connections that were refused or cut off, by the state they were in.", "pps",
		q(by("namespace, pod, direction, state, reason", "tcpreset_resets_total"), "{{direction}} {{state}} {{reason}} "+aPod)}
	failures = Panel{"TCP: connections not made", "By the error that the application was told.", "cps",
		q(by("namespace, pod, error", "tcpconnect_failures_total"), "{{error}} "+aPod)}
	throttled = Panel{"CPU: held back", "The share of periods in which a container had used up its limit of CPU: its packets wait in its sockets.", "percentunit",
		q("topk(10, rate(cgroup_cpu_throttled_periods_total"+every+") / (rate(cgroup_cpu_periods_total"+every+") > 0))", aPod)}
	pressure = Panel{"Waiting for CPU, memory, disk", "The share of time in which some processes of the Pod waited (PSI).", "percentunit",
		q(`topk(10, sum by (namespace, pod, resource) (rate(cgroup_pressure_seconds_total{kind="some"}`+every+`)) > 0)`, "{{resource}} "+aPod)}
	deviceDrops = Panel{"Devices: packets dropped", "Packets that ended at a device.", "pps",
		q(by("node, namespace, pod, device, direction", "netdev_dropped_total"), "{{device}} {{direction}} "+aPod+" on {{node}}")}
	queueDrops = Panel{"Queues: packets dropped", "A device, or the rate that it was given, is too slow for what is to be sent.", "pps",
		q(by("node, namespace, pod, device, kind", "qdisc_drops_total"), "{{device}} {{kind}} "+aPod+" on {{node}}")}
	openFiles = Panel{"Open files: limit used to", "At 1, a process can neither accept nor open connections.", "percentunit",
		[]Query{{"topk(10, fd_limit_ratio)", aPod}, {"fd_node_open / fd_node_limit", "{{node}}"}}}
	memory = Panel{"Memory of sockets: limit used to", "At 1, all connections of the node stall.", "percentunit",
		q("sock_memory_bytes / (sock_memory_limit_bytes > 0)", "{{protocol}} on {{node}}")}
	changed = Panel{"Changes", "What was changed: events of plumb watch --kind changes say what and how it was before.", "ops",
		q(by("node, namespace, pod, change", "changes_total"), "{{change}} "+aPod+" on {{node}}")}
	moves = Panel{"MAC addresses that move", "From one port to another, or from one host to another. To and fro: two have the same one, or there is a loop.", "ops",
		q(by("node, device", "neigh_fdb_moves_total"), "{{device}} on {{node}}")}
	peers = Panel{"Other nodes: not answered", "full alone: a link on the way is smaller than the route says. Where pingmesh is on.", "percentunit",
		q("topk(10, sum by (node, peer, path, ask) (rate(pingmesh_lost_total"+every+")) / sum by (node, peer, path, ask) (rate(pingmesh_sent_total"+every+")))", "{{node}} to {{peer}} by {{path}}: {{ask}}")}
	udpBuffers = Panel{"UDP: no room in the socket", "Answers that came, and were dropped since the application did not read: lookups that time out.", "pps",
		q(by("namespace, pod, counter", `udp_total{counter=~"RcvbufErrors|SndbufErrors"}`), "{{counter}} "+aPod)}
)

var node = Dashboard{Name: "node", Title: "plumb: nodes", Panels: []Panel{
	{"Bytes by device", "What the node's own devices carried.", "Bps", q(`sum by (node, device, direction) (rate(netdev_bytes_total{pod="",namespace="",device!="lo"}`+every+"))", "{{node}} {{device}} {{direction}}")},
	dropped, reasons, deviceDrops, queueDrops, softnetDrops, squeezed, conntrackFill, conntrackFails, neighFill, neighFails, memory, changed, moves, peers,
	{"Agent: CPU", "What watching costs.", "percentunit", q("rate(agent_cpu_seconds_total"+every+")", "{{node}}")},
	{"Agent: memory", "What watching costs.", "bytes", q("agent_resident_memory_bytes", "{{node}}")},
	{"Agent: probes that do not run", "They are to run, and cannot: /status of the agent says why.", "short", q("agent_probe_up == 0", "{{probe}} on {{node}}")},
	{"Agent: events lost", "rate: too many of a kind. All others: what was not told, or not written.", "ops", []Query{
		{"sum by (node, probe, stage) (rate(agent_events_lost_total" + every + ")) > 0", "{{stage}} {{probe}} on {{node}}"},
		{`sum by (node, sink, result) (rate(agent_sink_events_total{result!="written"}` + every + ")) > 0", "{{sink}} {{result}} on {{node}}"},
	}},
}}

var pod = Dashboard{Name: "pod", Title: "plumb: Pods", Pods: true, Panels: []Panel{
	{"Bytes", "What the Pod's devices carried.", "Bps", q(by("namespace, pod, direction", `netdev_bytes_total{device!="lo"}`), "{{direction}} "+aPod)},
	dropped, reasons, retransmits, retransmitsBy, resets, failures, listen, listenFill, udpDrops,
	{"TCP: connections by state", "CLOSE-WAIT that stays: the application does not close. SYN-SENT: nothing answers.", "short", q("topk(10, sum by (namespace, pod, state) (tcpsummary_connections))", "{{state}} "+aPod)},
	{"TCP: bytes not read", "The application does not read what has arrived.", "bytes", q("topk(10, tcpsummary_receive_queue_bytes > 0)", aPod)},
	{"TCP: bytes not acknowledged", "The other side, or the way to it, is too slow.", "bytes", q("topk(10, tcpsummary_send_queue_bytes > 0)", aPod)},
	{"CPU", "Time on a CPU.", "percentunit", q(by("namespace, pod, mode", "cgroup_cpu_seconds_total"), "{{mode}} "+aPod)},
	throttled, pressure, changed,
	{"Memory: limits met", "oom_kill: a process was killed for it.", "ops", q(by("namespace, pod, event", "cgroup_memory_events_total"), "{{event}} "+aPod)},
	{"Open files", "Sockets among them; only rising, they are not closed.", "short", q("topk(10, fd_open)", aPod)},
	{"Read and written", "Of files, sockets and disks.", "Bps", q(by("namespace, pod, counter", "io_bytes_total"), "{{counter}} "+aPod)},
}}

var drops = Dashboard{Name: "drops", Title: "plumb: drops by reason", Pods: true, Panels: []Panel{
	reasons, dropped,
	{"Drops by function", "Where in the kernel it was, with the reason.", "pps", q(by("reason, function", "packetloss_packets_total"), "{{reason}} {{function}}")},
	{"Drops by direction", "forward: on its way through the node.", "pps", q(by("direction, protocol", "packetloss_packets_total"), "{{direction}} {{protocol}}")},
	{"IP: packets that went no further", "InDiscards, OutDiscards: no room. NoRoutes: no route. ReasmFails: fragments lost. FragFails: too big.", "pps",
		q(by("namespace, pod, family, counter", `ip_total{counter=~"InDiscards|OutDiscards|OutNoRoutes|InNoRoutes|InAddrErrors|ReasmFails|FragFails"}`), "{{counter}} IPv{{family}} "+aPod)},
	{"TCP: segments dropped", "What came in and was dropped since the application does not read; or by its way in (IPReversePathFilter).", "pps",
		q(by("namespace, pod, counter", `tcpext_total{counter=~"TCPBacklogDrop|TCPRcvQDrop|TCPOFODrop|RcvPruned|TCPZeroWindowDrop|IPReversePathFilter"}`), "{{counter}} "+aPod)},
	listen, udpDrops, deviceDrops, queueDrops, softnetDrops, conntrackFails, neighFails,
}}

var limits = Dashboard{Name: "limits", Title: "plumb: limits", Pods: true, Panels: []Panel{
	conntrackFill, conntrackFails, neighFill, neighFails, listenFill, listen, memory, openFiles, throttled, pressure, softnetDrops, squeezed,
	{"TCP: sockets without a process", "They go by themselves; their limit is net.ipv4.tcp_max_orphans.", "short", q("sock_orphans", "{{node}}")},
	{"TCP: connections in TIME_WAIT", "They hold ports of who connected.", "short", q("topk(10, sock_timewait > 0)", aPod)},
}}

// latency has every histogram that there is, and what else makes things late.
func latency() Dashboard {
	d := Dashboard{Name: "latency", Title: "plumb: latency by stage", Pods: true}
	for _, k := range all.Kinds {
		for _, s := range k.Stats {
			if s.Type == probe.Histogram && k.Name != "dns" {
				d.Panels = append(d.Panels, histogram(s))
			}
		}
	}
	d.Panels = append(d.Panels, throttled, pressure, squeezed)
	return d
}

// dns has what there is about lookups.
func dns() Dashboard {
	d := Dashboard{Name: "dns", Title: "plumb: DNS", Pods: true}
	for _, k := range all.Kinds {
		if k.Name == "dns" {
			d.Panels = append(d.Panels, panels(k.Stats)...)
		}
	}
	d.Panels = append(d.Panels, udpBuffers,
		Panel{"Drops of UDP", "Packets of UDP that the kernel dropped, by its own reason.", "pps", q(by("namespace, pod, reason", `packetloss_packets_total{protocol="udp"}`), "{{reason}} "+aPod)},
		Panel{"Races for a connection tracking entry", "Two queries of one socket raced, and one was dropped: lookups that take 5 s.", "ops",
			q(by("node, namespace, pod", `conntrack_total{counter="insert_failed"}`), aPod+" on {{node}}")})
	return d
}

// probes has every metric that there is.
func probes() Dashboard {
	d := Dashboard{Name: "probes", Title: "plumb: every metric", Pods: true}
	for _, list := range stats() {
		d.Panels = append(d.Panels, panels(list)...)
	}
	return d
}

func panels(list []*probe.Stat) (out []Panel) {
	for _, s := range list {
		switch s.Type {
		case probe.Histogram:
			out = append(out, histogram(s))
		case probe.Counter:
			out = append(out, of(s, by(labels(s), s.Name)))
		default:
			out = append(out, of(s, "topk(10, sum by ("+labels(s)+") ("+s.Name+"))"))
		}
	}
	return out
}

// of returns the panel of one metric.
func of(s *probe.Stat, expr string) Panel {
	legend := "{{node}}"
	if !s.Node {
		legend = aPod + " on {{node}}"
	}
	for _, l := range s.Labels {
		legend = "{{" + l + "}} " + legend
	}
	return Panel{s.Name, s.Help, unit(s), q(expr, legend)}
}

// histogram returns the panel of the time that half of all, and all but one of a hundred, took at most.
func histogram(s *probe.Stat) Panel {
	p := Panel{s.Name, s.Help, "s", nil}
	legend := "{{namespace}}/{{pod}}"
	if s.Node {
		legend = "{{node}}"
	}
	for _, l := range s.Labels {
		legend = "{{" + l + "}} " + legend
	}
	for _, at := range []string{"0.5", "0.99"} {
		p.Queries = append(p.Queries, Query{"topk(10, histogram_quantile(" + at + ", sum by (le, " + labels(s) + ") (rate(" + s.Name + "_bucket" + every + "))) >= 0)", "≤ " + at + " " + legend})
	}
	return p
}

// labels are those by which a metric's series are told apart.
func labels(s *probe.Stat) string {
	list := []string{"node"}
	if !s.Node {
		list = append(list, "namespace", "pod")
	}
	return strings.Join(append(list, s.Labels...), ", ")
}

// unit is Grafana's name for a metric's, which its name ends in.
func unit(s *probe.Stat) string {
	name, counter := strings.CutSuffix(s.Name, "_total")
	word := name[strings.LastIndexByte(name, '_')+1:]
	if s.Type == probe.Gauge && strings.HasSuffix(name, "bytes_per_second") {
		return "Bps"
	}
	gauge, rate := map[string]string{"bytes": "bytes", "seconds": "s", "ratio": "percentunit"}[word], map[string]string{"bytes": "Bps", "packets": "pps", "seconds": "percentunit"}[word]
	switch {
	case counter && rate != "":
		return rate
	case counter:
		return "ops"
	case gauge != "":
		return gauge
	}
	return "short"
}
