package proxyrules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Missing reports nodes whose nat table does not translate cluster IPs.
var Missing = &check.Check{
	Name: "proxy-rules-missing",
	Doc: `a node has no rules for Services that have endpoints

Symptom: from the node and its Pods a cluster IP times out, the cluster's DNS among them; Pod addresses answer.
Cause: kube-proxy does not run there, or something flushed iptables after it wrote its rules (a restarted firewall or network service).
Cure: get kube-proxy to run; restart it, and it writes its rules again.
Commands:
    iptables-save -t nat | grep KUBE-SERVICES
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName=NODE`,
	DocZH: `节点上缺少 Service 的转发规则，而 Service 有可用后端

症状：从该节点及其 Pod 访问 ClusterIP 超时（包括集群 DNS），访问 Pod 地址正常。
原因：该节点没有运行 kube-proxy，或规则写入后被清空（重启防火墙或网络服务）。
处理：让 kube-proxy 运行；重启它会重新写入规则。
命令：
    iptables-save -t nat | grep KUBE-SERVICES
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName=节点`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, missing) },
}

// Stale reports nodes whose nat table sends to other endpoints than Services have.
var Stale = &check.Check{
	Name: "proxy-rules-stale",
	Doc: `a node's rules send a Service's connections to endpoints that it no longer has

Symptom: from one node a share of the connections to a Service time out or reach the wrong Pod; from other nodes all is well.
Cause: kube-proxy on that node is stopped, stuck or cut off from the API server, while endpoints changed.
Cure: restart kube-proxy there; look in its log why it did not follow.
Commands:
    kubectl get endpointslices -l kubernetes.io/service-name=SERVICE
    iptables-save -t nat | grep NAMESPACE/SERVICE
    kubectl -n kube-system logs KUBE-PROXY-POD`,
	DocZH: `节点规则把 Service 的连接转发到了已不存在的后端

症状：从某个节点访问 Service 时，一部分连接超时或到了错误的 Pod；从其他节点访问正常。
原因：后端变化时，该节点的 kube-proxy 已停止、卡住或与 API server 失联。
处理：重启该节点的 kube-proxy，并在日志中查找它没有跟上的原因。
命令：
    kubectl get endpointslices -l kubernetes.io/service-name=服务名
    iptables-save -t nat | grep 命名空间/服务名
    kubectl -n kube-system logs KUBE-PROXY-POD`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, stale) },
}

// Affinity reports sticky Services whose rules remember clients for endpoints that are gone.
var Affinity = &check.Check{
	Name: "affinity-dead-endpoint",
	Doc: `session affinity binds clients to an endpoint that is gone

Symptom: some clients cannot use a Service at all, for hours; for others it works.
Cause: the Service has sessionAffinity ClientIP, and a node's rules still remember clients for an
endpoint that the Service no longer has: kube-proxy on the node does not follow.
Cure: restart kube-proxy on the node, which removes the endpoint's chain and with it the memory of its clients.
Commands:
    iptables-save -t nat | grep -e '-m recent'
    cat /proc/net/xt_recent/KUBE-SEP-…`,
	DocZH: `会话保持把客户端绑在已不存在的后端上

症状：部分客户端长时间完全无法访问某个 Service，其他客户端正常。
原因：Service 设置了 sessionAffinity ClientIP，而节点规则仍为已不存在的后端记着客户端：该节点的 kube-proxy 没有跟上。
处理：重启该节点的 kube-proxy，它会删除该后端的链及其客户端记录。
命令：
    iptables-save -t nat | grep -e '-m recent'
    cat /proc/net/xt_recent/KUBE-SEP-…`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, affinity) },
}

// A node is a node's own namespace and its nat tables, by family.
type node struct {
	ns    *network.NS
	books map[bool]*book // by "is IPv6"
}

// eachNode calls judge for each node whose Services are iptables rules.
func eachNode(p *check.Pass, judge func(*check.Pass, node)) {
	for _, ns := range p.Hosts() {
		if p.Network.Missing(ns, "iptables") != "" {
			continue // Needs says so
		}
		if why := otherMode(p, ns); why != "" {
			p.Unjudged(ns.String(), why)
			continue
		}
		judge(p, node{ns, books(p, ns)})
	}
}

// otherMode says why a node's Services are not a matter of iptables rules, or "".
func otherMode(p *check.Pass, ns *network.NS) string {
	if natWith(ns, "KUBE-SERVICES") {
		return ""
	}
	for _, t := range ns.Netfilter.NFTables {
		if t.Name == "kube-proxy" {
			return "kube-proxy runs in nftables mode, whose rules this check does not read"
		}
	}
	for _, d := range ns.Ifaces {
		switch d.Name() {
		case "kube-ipvs0":
			return "kube-proxy runs in IPVS mode, which is not understood"
		case "cilium_host":
			return "Cilium may stand in for kube-proxy, which is not understood"
		}
	}
	if _, known := p.Absent(check.Proxy); !known && !anywhere(p) {
		return "no node has rules of kube-proxy, and no kube-proxy Pod is known: Services may work by other means"
	}
	return ""
}

func anywhere(p *check.Pass) bool {
	return slices.ContainsFunc(p.Hosts(), func(ns *network.NS) bool { return natWith(ns, "KUBE-SERVICES") })
}

func natWith(ns *network.NS, chain string) bool {
	return slices.ContainsFunc(ns.Netfilter.Tables, func(t *netfilter.Table) bool { return t.Name == "nat" && t.Chains[chain] != nil })
}

// booksKey is where the books of a node are kept for the next check of the same run.
type booksKey struct{ ns *network.NS }

func books(p *check.Pass, ns *network.NS) map[bool]*book {
	return check.Once(p, booksKey{ns}, func() map[bool]*book {
		largest := map[bool]*netfilter.Table{} // of two back ends' tables, the one that is in use has the more chains
		for _, t := range ns.Netfilter.Tables {
			if old := largest[t.Is6]; t.Name == "nat" && (old == nil || len(t.Chains) > len(old.Chains)) {
				largest[t.Is6] = t
			}
		}
		out := map[bool]*book{}
		for is6, t := range largest {
			out[is6] = read(t)
		}
		return out
	})
}

// A port is one cluster IP and port of a Service, and the endpoints behind it.
type port struct {
	svc  *corev1.Service
	port *corev1.ServicePort
	dest dest
	want []check.Endpoint // usable ones
}

var protocols = map[corev1.Protocol]packet.Proto{corev1.ProtocolTCP: packet.TCP, corev1.ProtocolUDP: packet.UDP, corev1.ProtocolSCTP: packet.SCTP}

// eachPort calls f for each cluster IP and port that has usable endpoints of its family.
func eachPort(p *check.Pass, f func(port)) {
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for _, a := range check.ClusterIPs(s) {
			for j := range s.Spec.Ports {
				sp := &s.Spec.Ports[j]
				d := dest{netip.AddrPortFrom(a, uint16(sp.Port)), protocols[check.ProtoOf(sp.Protocol)]}
				f(port{s, sp, d, p.Usable(s, sp.Name, a.Is6())})
			}
		}
	}
}

func (pt port) String() string {
	return fmt.Sprintf("%s/%s:%d (%s)", pt.svc.Namespace, pt.svc.Name, pt.port.Port, pt.dest.at.Addr())
}

// local reports whether the Service may be without endpoints on a node that has some elsewhere.
func (pt port) local() bool {
	t := pt.svc.Spec.InternalTrafficPolicy
	return t != nil && *t == corev1.ServiceInternalTrafficPolicyLocal
}

func missing(p *check.Pass, n node) {
	var lost []port
	total := 0
	eachPort(p, func(pt port) {
		if len(pt.want) == 0 || pt.local() || p.Network.Missing(n.ns, fileOf(pt)) != "" {
			return
		}
		total++
		b := n.books[pt.dest.at.Addr().Is6()]
		if b == nil || b.ways[pt.dest] == nil || len(b.ways[pt.dest].targets) == 0 {
			lost = append(lost, pt)
		}
	})
	if len(lost) > 0 {
		p.Report(missingFinding(p, n, lost, total))
	}
}

func fileOf(pt port) string {
	if pt.dest.at.Addr().Is6() {
		return "ip6tables"
	}
	return "iptables"
}

func missingFinding(p *check.Pass, n node, lost []port, total int) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(),
		What: text.F("no rules for %d of the %d ports of Services that have endpoints, such as %s", len(lost), total, lost[0]),
		Fix:  restart(p, n.ns),
		Evidence: []snapshot.Evidence{
			check.File(n.ns, fileOf(lost[0]), "(no rule for "+lost[0].dest.at.Addr().String()+")", "iptables-save -t nat | grep "+lost[0].dest.at.Addr().String()),
			p.Object("Service", lost[0].svc.Namespace, lost[0].svc.Name, "clusterIP: "+lost[0].dest.at.Addr().String()),
		},
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.Passes(n.ns) && slices.ContainsFunc(lost, func(pt port) bool {
			return b.Query.Dst == pt.dest.at || pt.port.NodePort != 0 && int32(b.Query.Dst.Port()) == pt.port.NodePort
		})
	})
	return f
}

func restart(p *check.Pass, ns *network.NS) check.Fix {
	return check.Fix{What: text.F("restart kube-proxy on %s, which writes its rules again", ns.Node.Name), Commands: []string{p.Restart(check.Proxy, ns.Node.Name)}}
}

// A gone is a Service's port whose rules send to something else than its endpoints.
type gone struct {
	port
	way    *way
	dead   []int            // indexes of targets that are no endpoint
	absent []netip.AddrPort // endpoints that no rule sends to
}

type differKey struct{ ns *network.NS }

// differ compares the rules of a node with the endpoints.
func differ(p *check.Pass, n node) []gone {
	return check.Once(p, differKey{n.ns}, func() []gone { return n.differ(p) })
}

func (n node) differ(p *check.Pass) []gone {
	var out []gone
	eachPort(p, func(pt port) {
		b := n.books[pt.dest.at.Addr().Is6()]
		if b == nil || b.ways[pt.dest] == nil || len(b.ways[pt.dest].targets) == 0 {
			return
		}
		g := gone{port: pt, way: b.ways[pt.dest]}
		for i, t := range g.way.targets {
			if !slices.ContainsFunc(p.Endpoints(pt.svc), func(e check.Endpoint) bool { return e.Addr == t && e.Port == pt.port.Name && (e.Ready || e.Serving) }) {
				g.dead = append(g.dead, i)
			}
		}
		for _, e := range pt.want {
			if !pt.local() && !e.Hints && !slices.Contains(g.way.targets, e.Addr) {
				g.absent = append(g.absent, e.Addr)
			}
		}
		if len(g.dead)+len(g.absent) > 0 {
			out = append(out, g)
		}
	})
	return out
}

func stale(p *check.Pass, n node) {
	all := differ(p, n)
	if len(all) == 0 {
		return
	}
	g := all[0]
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(), Fix: restart(p, n.ns),
		Evidence: []snapshot.Evidence{p.Object("Service", g.svc.Namespace, g.svc.Name, "endpoints: "+list(g.want))},
	}
	switch {
	case len(g.dead) > 0:
		t := g.way.targets[g.dead[0]]
		f.What = text.F("the rules for %s send to %s, which is not among its endpoints (%s); stale for %d ports of Services in all", g.port, t, list(g.want), len(all))
		f.Evidence = append(f.Evidence, check.RuleLine(n.books[t.Addr().Is6()].table, g.way.rules[g.dead[0]]))
	default:
		f.What = text.F("no rule for %s sends to its endpoint %s; stale for %d ports of Services in all", g.port, g.absent[0], len(all))
		f.Evidence = append(f.Evidence, check.RuleLine(n.books[g.absent[0].Addr().Is6()].table, g.way.rules[0]))
	}
	blame(p, &f, n, all)
	p.Report(f)
}

// blame makes f the cause of broken paths that were sent to a target that is no endpoint.
func blame(p *check.Pass, f *check.Finding, n node, all []gone) {
	p.Blame(f, func(b check.Broken) bool {
		return b.Passes(n.ns) && slices.ContainsFunc(all, func(g gone) bool {
			return slices.ContainsFunc(g.dead, func(i int) bool { return b.Met(g.way.targets[i].Addr()) })
		})
	})
}

func list(es []check.Endpoint) string {
	var out []string
	for _, e := range es[:min(3, len(es))] {
		out = append(out, e.Addr.String())
	}
	if len(es) > 3 {
		out = append(out, "…")
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func affinity(p *check.Pass, n node) {
	var sticky []gone
	for _, g := range differ(p, n) {
		if g.way.recent && len(g.dead) > 0 {
			sticky = append(sticky, g)
		}
	}
	if len(sticky) == 0 {
		return
	}
	g := sticky[0]
	t := g.way.targets[g.dead[0]]
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(), Fix: restart(p, n.ns),
		What: text.F("session affinity of %s may hold clients to %s, which is not among its endpoints (%s)", g.port, t, list(g.want)),
		Evidence: []snapshot.Evidence{
			check.RuleLine(n.books[t.Addr().Is6()].table, g.way.rules[g.dead[0]]),
			p.Object("Service", g.svc.Namespace, g.svc.Name, "sessionAffinity: "+string(g.svc.Spec.SessionAffinity)),
		},
	}
	if len(sticky) == len(differ(p, n)) {
		f.Explains = []check.Symptom{{Check: "proxy-rules-stale", Where: n.ns.String()}}
	}
	blame(p, &f, n, sticky)
	p.Report(f)
}
