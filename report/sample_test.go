package report

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// samples are reports of the kinds that a user meets, for the goldens.
var samples = []struct {
	name string
	make func() *diagnose.Report
}{
	{"mtu", sampleMTU},
	{"noendpoints", sampleNoEndpoints},
	{"works", sampleWorks},
	{"partly", samplePartly},
	{"unknown", sampleUnknown},
	{"hostile", sampleHostile},
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// tcp is a packet of a connection.
func tcp(src, dst string, size int) packet.Packet {
	return packet.Packet{Src: ap(src), Dst: ap(dst), Proto: packet.TCP, Flags: packet.SYN, Size: size, DF: true, TTL: 64}
}

// vxlan wraps p.
func vxlan(src, dst string, p packet.Packet) packet.Packet {
	return packet.Packet{Src: ap(src), Dst: ap(dst), Proto: packet.UDP, Size: p.Size + 50, Key: 1, Inner: &p, TTL: 64}
}

func step(stage trace.Stage, link string, out packet.Packet, what text.Text, ev ...snapshot.Evidence) trace.Step {
	var quotes []trace.Quote
	for i := range ev {
		quotes = append(quotes, said(ev[i]))
	}
	return trace.Step{Stage: stage, Link: link, What: what, Out: &out, Quotes: quotes}
}

// said is a quote in words.
type said snapshot.Evidence

func (s said) Evidence() snapshot.Evidence { return snapshot.Evidence(s) }

func route(node, line string) snapshot.Evidence {
	return snapshot.Evidence{File: "nodes/" + node + "/routes.json", Text: line, Command: "ip route show table all"}
}

func rule(node string, n int, line string) snapshot.Evidence {
	return snapshot.Evidence{File: "nodes/" + node + "/iptables", Line: n, Text: line, Command: "iptables-save"}
}

// vxlanHops is the way from Pod shop/web-0 on node-a through a Service to
// shop/api-N on node-b, by a bridge, a VXLAN tunnel and the uplinks.
func vxlanHops(size int, api string) []trace.Hop {
	p := tcp("10.244.1.4:40000", "10.96.0.20:80", size)
	d := p
	d.Dst = ap("10.244.2.5:8080")
	v := vxlan("192.168.0.1:50123", "192.168.0.2:8472", d)
	return []trace.Hop{
		{Node: "node-a", NetNS: "pod-shop-web-0", Pod: "shop/web-0", Out: "eth0", Steps: []trace.Step{
			step(trace.StageSend, "", p, text.F("%s sends it from %s by %s", "the Pod", p.Src.Addr(), "eth0")),
			step(trace.StageRoute, "eth0", p, text.F("the route to %s leads by %s", p.Dst.Addr(), "eth0"), route("node-a/pod-shop-web-0", "default via 10.244.1.1 dev eth0")),
			step(trace.StageTransmit, "eth0", p, text.F("%s is joined to %s", "eth0", "node-a/host/veth1a2b3c4d")),
		}},
		{Node: "node-a", NetNS: "host", In: "veth1a2b3c4d", Out: "eth0", Steps: []trace.Step{
			step(trace.StageReceive, "veth1a2b3c4d", p, text.F("the frame is for %s, on top of %s", "cni0", "veth1a2b3c4d")),
			step(trace.StageBridge, "cni0", p, text.F("bridge %s takes the frame for %s itself", "cni0", "0a:58:0a:f4:01:01")),
			step(trace.StagePrerouting, "cni0", d, text.F("%s: destination %s becomes %s", "nat PREROUTING", p.Dst, d.Dst),
				rule("node-a/host", 41, `-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "shop/api:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-4N57TFCL4MD7ZTDA`),
				rule("node-a/host", 88, `-A KUBE-SEP-XYZABCDEFGHIJKLM -p tcp -m comment --comment "shop/api:http" -m tcp -j DNAT --to-destination 10.244.2.5:8080`)),
			step(trace.StageRoute, "flannel.1", d, text.F("the route to %s leads by %s", d.Dst.Addr(), "flannel.1"), route("node-a/host", "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink")),
			step(trace.StageForward, "", d, text.F("%s lets it pass", "FORWARD"), rule("node-a/host", 12, `-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT`)),
			step(trace.StageEncap, "flannel.1", v, text.F("%s puts the frame for %s into VXLAN %d to %s, port %d", "flannel.1", "e6:01:02:03:04:05", 1, v.Dst.Addr(), 8472),
				snapshot.Evidence{File: "nodes/node-a/host/fdb.json", Text: "e6:01:02:03:04:05 dst 192.168.0.2 self permanent", Command: "bridge fdb show dev flannel.1"}),
			step(trace.StageRoute, "eth0", v, text.F("the route to %s leads by %s", v.Dst.Addr(), "eth0"), route("node-a/host", "192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.1")),
			step(trace.StageWire, "eth0", v, text.F("crosses the segment from %s to %s", "node-a/host/eth0", "node-b/host/eth0")),
		}},
		{Node: "node-b", NetNS: "host", In: "eth0", Out: "veth9f8e7d6c", Steps: []trace.Step{
			step(trace.StageReceive, "eth0", v, text.F("comes from outside by %s", "eth0")),
			step(trace.StageDecap, "flannel.1", d, text.F("%s takes the frame out of VXLAN %d", "flannel.1", 1)),
			step(trace.StageRoute, "cni0", d, text.F("the route to %s leads by %s", d.Dst.Addr(), "flannel.1"), route("node-b/host", "10.244.2.0/24 dev cni0 proto kernel scope link src 10.244.2.1")),
		}},
		{Node: "node-b", NetNS: "pod-" + api, Pod: "shop/" + api, In: "eth0", Steps: []trace.Step{
			step(trace.StageDeliver, "", d, text.F("a socket takes it: %s", "0.0.0.0:8080 nginx"),
				snapshot.Evidence{File: "nodes/node-b/pod-" + api + "/sockets", Line: 1, Text: `tcp LISTEN 0 511 0.0.0.0:8080 0.0.0.0:* users:(("nginx",pid=7,fd=6))`, Command: "ss -ltnp"}),
		}},
	}
}

// replyHops is the way back, by the same nodes.
func replyHops(size int, api string) []trace.Hop {
	p := tcp("10.244.2.5:8080", "10.244.1.4:40000", size)
	d := p
	d.Src = ap("10.96.0.20:80")
	v := vxlan("192.168.0.2:50124", "192.168.0.1:8472", p)
	return []trace.Hop{
		{Node: "node-b", NetNS: "pod-" + api, Pod: "shop/" + api, Out: "eth0", Steps: []trace.Step{
			step(trace.StageSend, "", p, text.F("%s sends it from %s by %s", "the Pod", p.Src.Addr(), "eth0")),
			step(trace.StageRoute, "eth0", p, text.F("the route to %s leads by %s", p.Dst.Addr(), "eth0"), route("node-b/pod-"+api, "default via 10.244.2.1 dev eth0")),
		}},
		{Node: "node-b", NetNS: "host", In: "veth9f8e7d6c", Out: "eth0", Steps: []trace.Step{
			step(trace.StageRoute, "flannel.1", p, text.F("the route to %s leads by %s", p.Dst.Addr(), "eth0"), route("node-b/host", "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink")),
			step(trace.StageEncap, "flannel.1", v, text.F("%s puts the frame for %s into VXLAN %d to %s, port %d", "flannel.1", "e6:01:02:03:04:05", 1, v.Dst.Addr(), 8472)),
		}},
		{Node: "node-a", NetNS: "host", In: "eth0", Out: "veth1a2b3c4d", Steps: []trace.Step{
			step(trace.StageDecap, "flannel.1", p, text.F("%s takes the frame out of VXLAN %d", "flannel.1", 1)),
			step(trace.StagePrerouting, "", d, text.F("%s: source %s becomes %s", "conntrack", p.Src, d.Src)),
			step(trace.StageRoute, "cni0", d, text.F("the route to %s leads by %s", d.Dst.Addr(), "flannel.1"), route("node-a/host", "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1")),
		}},
		{Node: "node-a", NetNS: "pod-shop-web-0", Pod: "shop/web-0", In: "eth0", Steps: []trace.Step{
			step(trace.StageDeliver, "", d, text.F("the answer reaches the socket that waits for it")),
		}},
	}
}

// there and back, as one path.
func arrives(weight float64, size int, api string) trace.Path {
	back := trace.Path{Weight: 1, Hops: replyHops(size, api), End: trace.Delivered, At: trace.Place{Node: "node-a", NetNS: "pod-shop-web-0"}, Why: text.F("the answer reaches the socket that waits for it")}
	return trace.Path{Weight: weight, Hops: vxlanHops(size, api), End: trace.Delivered, At: trace.Place{Node: "node-b", NetNS: "pod-" + api},
		Why: text.F("a socket takes it: %s", "0.0.0.0:8080 nginx"), Reply: []trace.Path{back}}
}

// tooBig dies on node-a's uplink, inside the tunnel.
func tooBig(weight float64) trace.Path {
	hops := vxlanHops(1450, "api-0")[:2]
	host := &hops[1]
	host.Steps = host.Steps[:len(host.Steps)-1]
	v := *host.Steps[len(host.Steps)-1].Out
	host.Steps = append(host.Steps, step(trace.StageTransmit, "eth0", v, text.F("%d bytes do not fit %s: its MTU is %d", 1500, "eth0", 1400),
		snapshot.Evidence{File: "nodes/node-a/host/addr.json", Text: "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc fq_codel state UP", Command: "ip -d link show eth0"}))
	return trace.Path{Weight: weight, Hops: hops, End: trace.TooBig, At: trace.Place{Node: "node-a", NetNS: "host", Link: "eth0"},
		Why:  text.F("%d bytes do not fit %s: its MTU is %d", 1500, "eth0", 1400),
		ICMP: []trace.Path{{Weight: 1, End: trace.Dropped, At: trace.Place{Node: "node-a", NetNS: "host", Link: "cni0"}, Why: text.F("%s's %s chain drops it: policy %s", "node-a/host", "INPUT", "DROP")}}}
}

func baseReport() *diagnose.Report {
	return &diagnose.Report{
		Ask:    diagnose.Ask{Src: "shop/web-0", Dst: "svc/shop/api:http"},
		Source: diagnose.Endpoint{Kind: "pod", Name: "shop/web-0", Node: "node-a", NetNS: "pod-shop-web-0", Addrs: []netip.Addr{netip.MustParseAddr("10.244.1.4")}},
		Dest:   diagnose.Endpoint{Kind: "service", Name: "shop/api", Addrs: []netip.Addr{netip.MustParseAddr("10.96.0.20")}, Port: 80},
		Checks: check.Result{Ran: []string{"mtu-mismatch", "no-endpoints", "proxy-rules-missing"}},
	}
}

func traced(title text.Text, big bool, v diagnose.Verdict, paths ...trace.Path) diagnose.Trace {
	return diagnose.Trace{Title: title, Big: big, Verdict: v, Result: trace.Result{Query: trace.Query{Proto: packet.TCP, Dst: ap("10.96.0.20:80")}, Paths: paths}}
}

func mtuFinding() check.Finding {
	return check.Finding{
		Check: "mtu-mismatch", Severity: check.Error, Where: "node-a/host/flannel.1", OnPath: true,
		What: text.F("%s MTU %d needs %d from %s, which has %d", "vxlan", 1450, 1500, "eth0", 1400),
		Fix:  check.Fix{What: text.F("lower %s to %d", "flannel.1", 1350), Commands: []string{"ip link set dev flannel.1 mtu 1350"}},
		Evidence: []snapshot.Evidence{
			{File: "nodes/node-a/host/addr.json", Text: "4: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN", Command: "ip -d link show flannel.1"},
			{File: "nodes/node-a/host/addr.json", Text: "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc fq_codel state UP", Command: "ip -d link show eth0"},
		},
		Consequences: []check.Finding{
			{Check: "pmtu-black-hole", Severity: check.Warning, Where: "node-a/host/cni0", What: text.F("%s's %s chain drops it: policy %s", "node-a/host", "INPUT", "DROP")},
			{Check: "mtu-uneven", Severity: check.Warning, Where: "node-a/host", What: text.F("%s MTU %d needs %d from %s, which has %d", "veth", 1450, 1500, "eth0", 1400)},
		},
	}
}

func sampleMTU() *diagnose.Report {
	r := baseReport()
	r.Verdict, r.Summary = diagnose.Partly, text.F("%s reaches %s with small packets, but full-sized ones are lost", "shop/web-0", "shop/api port 80")
	r.Traces = []diagnose.Trace{
		traced(text.F("the first packet to %s", "10.96.0.20:80"), false, diagnose.Works, arrives(1, 60, "api-0")),
		traced(text.F("a full-sized packet to %s", "10.96.0.20:80"), true, diagnose.Broken, tooBig(1)),
		traced(text.F("a full-sized answer from %s", "10.96.0.20:80"), true, diagnose.Works, arrives(1, 1450, "api-0")),
	}
	r.Checks.Findings = []check.Finding{mtuFinding(),
		{Check: "proxy-priority", Severity: check.Warning, Where: "pod/kube-system/kube-proxy-x7k2p", What: text.F("its priority class is %q: on a full node it is evicted, and the node's network with it", "")},
		{Check: "conntrack-near-limit", Severity: check.Info, Where: "node-b/host", What: text.F("the connection table holds %d of at most %d entries", 1200, 262144)},
	}
	return r
}

func sampleNoEndpoints() *diagnose.Report {
	r := baseReport()
	r.Verdict, r.Summary = diagnose.Broken, text.F("%s does not reach %s", "shop/web-0", "shop/api port 80")
	hops := vxlanHops(60, "api-0")[:2]
	p := *hops[0].Steps[0].Out
	hops[1].Out = ""
	hops[1].Steps = append(hops[1].Steps[:2:2],
		step(trace.StageRoute, "eth0", p, text.F("the route to %s leads by %s", p.Dst.Addr(), "eth0"), route("node-a/host", "default via 192.168.0.254 dev eth0")),
		step(trace.StageForward, "", p, text.F("%s's %s chain rejects it with %s: %s", "node-a/host", "FORWARD", "icmp-port-unreachable", "KUBE-SERVICES 44"), rule("node-a/host", 44,
			`-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "shop/api:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable`)))
	path := trace.Path{Weight: 1, Hops: hops, End: trace.Rejected, At: trace.Place{Node: "node-a", NetNS: "host"}, Why: text.F("%s's %s chain rejects it with %s: %s", "node-a/host", "FORWARD", "icmp-port-unreachable", "KUBE-SERVICES 44"),
		ICMP: []trace.Path{{Weight: 1, End: trace.Delivered, At: trace.Place{Node: "node-a", NetNS: "pod-shop-web-0"}}}}
	r.Traces = []diagnose.Trace{traced(text.F("the first packet to %s", "10.96.0.20:80"), false, diagnose.Broken, path)}
	r.Checks.Findings = []check.Finding{{
		Check: "no-endpoints", Severity: check.Error, Where: "service/shop/api", OnPath: true,
		What:     text.F("no endpoints for port %d: its selector %s matches no Pod", 80, "app=api"),
		Fix:      check.Fix{What: text.F("make the Service's selector match its Pods' labels"), Commands: []string{`kubectl -n shop patch service api -p '{"spec":{"selector":{"app":"api-v2"}}}'`}},
		Evidence: []snapshot.Evidence{{File: "objects/services.json", Text: "selector: app=api", Command: "kubectl -n shop get service api -o yaml"}},
	}}
	return r
}

func sampleWorks() *diagnose.Report {
	r := baseReport()
	r.Verdict, r.Summary = diagnose.Works, text.F("%s reaches %s", "shop/web-0", "shop/api port 80")
	r.Traces = []diagnose.Trace{
		traced(text.F("the first packet to %s", "10.96.0.20:80"), false, diagnose.Works, arrives(0.5, 60, "api-0"), arrives(0.5, 60, "api-1")),
		traced(text.F("a full-sized packet to %s", "10.96.0.20:80"), true, diagnose.Works, arrives(0.5, 1450, "api-0"), arrives(0.5, 1450, "api-1")),
	}
	return r
}

func samplePartly() *diagnose.Report {
	r := baseReport()
	r.Verdict, r.Summary = diagnose.Partly, text.F("%s reaches %s with some connections only", "shop/web-0", "shop/api port 80")
	bad := arrives(1.0/3, 60, "api-2")
	back := bad.Reply[0]
	back.Hops = back.Hops[:2]
	last := &back.Hops[1]
	last.Out = ""
	last.Steps = []trace.Step{step(trace.StageRoute, "", *last.Steps[0].Out, text.F("%s has no route to %s: %s", "node-b/host", "10.244.1.4", "blackhole"), route("node-b/host", "blackhole 10.244.1.0/24"))}
	back.End, back.At, back.Why = trace.NoRoute, trace.Place{Node: "node-b", NetNS: "host"}, text.F("%s has no route to %s: %s", "node-b/host", "10.244.1.4", "blackhole")
	bad.Reply = []trace.Path{back}
	r.Traces = []diagnose.Trace{traced(text.F("the first packet to %s", "10.96.0.20:80"), false, diagnose.Partly, arrives(1.0/3, 60, "api-0"), arrives(1.0/3, 60, "api-1"), bad)}
	r.Checks.Findings = []check.Finding{{
		Check: "route-missing", Severity: check.Error, Where: "node-b/host", OnPath: true, What: text.F("no route to %s, the Pods of %s", "10.244.1.0/24", "node-a"),
		Fix:      check.Fix{What: text.F("restart the CNI agent on %s, which writes its routes again", "node-b"), Commands: []string{"kubectl -n kube-flannel delete pod kube-flannel-ds-9xw2l"}},
		Evidence: []snapshot.Evidence{route("node-b/host", "blackhole 10.244.1.0/24")},
	}}
	return r
}

func sampleUnknown() *diagnose.Report {
	r := baseReport()
	r.Verdict, r.Summary = diagnose.CannotTell, text.F("cannot tell whether %s reaches %s", "shop/web-0", "shop/api port 80")
	hops := vxlanHops(60, "api-0")[:2]
	hops[1].Out = "eth0"
	why := text.F("next hop %s is not in the snapshot", "192.168.0.2")
	path := trace.Path{Weight: 1, Hops: hops, End: trace.Unknown, At: trace.Place{Node: "node-a", NetNS: "host", Link: "eth0"}, Why: why,
		Assumed: []trace.Assumption{{What: text.F("leaves by %s for router %s, which is not in the snapshot; supposed to come to %s", "eth0", "192.168.0.254", "node-b")}}}
	r.Traces = []diagnose.Trace{traced(text.F("the first packet to %s", "10.96.0.20:80"), false, diagnose.CannotTell, path)}
	r.Needs = []diagnose.Need{{What: text.F("the state of node %s, on which %s is: no snapshot of it was given", "node-b", "shop/api-0")}}
	r.Gaps = []snapshot.Gap{{Path: "nodes/node-b", Why: "the agent did not answer in 5 s"}, {Path: "nodes/node-a/host/ipset", Why: "not collected"}}
	r.Checks.Unjudged = []check.Unjudged{
		{Check: "mtu-mismatch", Where: "nodes/node-b/host", Why: "the state of this node was not collected"},
		{Check: "no-endpoints", Where: "objects/EndpointSlice", Why: "no objects of this kind were collected"},
		{Check: "proxy-rules-missing", Where: "nodes/node-b/host", Why: "the state of this node was not collected"},
	}
	return r
}

// evil holds what a hostile snapshot would put into a name.
const evil = "x\x1b[2J\x1b]0;pwn\a\r\n<script>alert(1)</script>\u202e\u009b31m\xff\"'><img src=x onerror=alert(1)>"

func sampleHostile() *diagnose.Report {
	r := sampleMTU()
	r.Ask.Src, r.Source.Name = evil, evil
	r.Summary = text.F("%s does not reach %s", evil, evil)
	h := &r.Traces[1].Result.Paths[0].Hops[1]
	h.Node, h.In, h.Out, h.Pod = evil, evil, evil, evil
	h.Steps[2].Quotes = []trace.Quote{said{File: evil, Line: 3, Text: evil, Command: evil}}
	h.Steps[2].Stage = trace.Stage(evil)
	r.Traces[1].Result.Paths[0].At.Node = evil
	f := &r.Checks.Findings[0]
	f.Check, f.Where, f.Fix.Commands = evil, evil, []string{evil}
	f.What, f.Evidence[0].Text = text.F("%s has no address", evil), evil
	r.Gaps = []snapshot.Gap{{Path: evil, Why: evil}}
	r.Needs = []diagnose.Need{{What: text.F("%s has no address", evil)}}
	r.Checks.Unjudged = []check.Unjudged{{Check: evil, Where: evil, Why: evil}}
	return r
}
