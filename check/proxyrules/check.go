package proxyrules

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Missing reports nodes whose rules do not translate cluster IPs.
var Missing = &check.Check{
	Name: "proxy-rules-missing",
	Doc: `a node has no rules for Services that have endpoints

Symptom: from the node and its Pods a cluster IP times out, the cluster's DNS among them; Pod addresses answer.
Cause: kube-proxy does not run there, or something flushed its rules after it wrote its rules (a restarted firewall or network service).
Cure: get kube-proxy to run; restart it, and it writes its rules again.
Commands:
    iptables-save -t nat | grep KUBE-SERVICES
    nft list map ip kube-proxy service-ips
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName=NODE`,
	DocZH: `节点上缺少 Service 的转发规则，而 Service 有可用后端

症状：从该节点及其 Pod 访问 ClusterIP 超时（包括集群 DNS），访问 Pod 地址正常。
原因：该节点没有运行 kube-proxy，或规则写入后被清空（重启防火墙或网络服务）。
处理：让 kube-proxy 运行；重启它会重新写入规则。
命令：
    iptables-save -t nat | grep KUBE-SERVICES
    nft list map ip kube-proxy service-ips
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName=节点`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, missing) },
}

// Stale reports nodes whose rules send to other endpoints than Services have.
var Stale = &check.Check{
	Name: "proxy-rules-stale",
	Doc: `a node's rules send a Service's connections to endpoints that it no longer has

Symptom: from one node a share of the connections to a Service time out or reach the wrong Pod; from other nodes all is well.
Cause: kube-proxy on that node is stopped, stuck or cut off from the API server, while endpoints changed.
Cure: restart kube-proxy there; look in its log why it did not follow.
Commands:
    kubectl get endpointslices -l kubernetes.io/service-name=SERVICE
    iptables-save -t nat | grep NAMESPACE/SERVICE
    nft list table ip kube-proxy | grep NAMESPACE/SERVICE
    kubectl -n kube-system logs KUBE-PROXY-POD`,
	DocZH: `节点规则把 Service 的连接转发到了已不存在的后端

症状：从某个节点访问 Service 时，一部分连接超时或到了错误的 Pod；从其他节点访问正常。
原因：后端变化时，该节点的 kube-proxy 已停止、卡住或与 API server 失联。
处理：重启该节点的 kube-proxy，并在日志中查找它没有跟上的原因。
命令：
    kubectl get endpointslices -l kubernetes.io/service-name=服务名
    iptables-save -t nat | grep 命名空间/服务名
    nft list table ip kube-proxy | grep 命名空间/服务名
    kubectl -n kube-system logs KUBE-PROXY-POD`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, stale) },
}

// A port is one address and port at which a Service is reached, and the endpoints behind it.
type port struct {
	svc   *corev1.Service
	port  *corev1.ServicePort
	front service.Front
	dest  dest
	is6   bool
	node  string             // whose rules are judged
	want  []service.Endpoint // those that a proxy on the node may use
	local []service.Endpoint // those that connections from outside may use, where the policy is Local
	all   []service.Endpoint // those that a proxy may use somewhere
}

var protocols = map[corev1.Protocol]packet.Proto{corev1.ProtocolTCP: packet.TCP, corev1.ProtocolUDP: packet.UDP, corev1.ProtocolSCTP: packet.SCTP}

// destOf returns what rules match for a front: a node port has no address.
func destOf(f service.Front, sp *corev1.ServicePort) dest {
	return dest{f.Addr, protocols[check.ProtoOf(sp.Protocol)]}
}

// A claim is a destination of one family.
type claim struct {
	dest
	is6 bool
}

type claimsKey struct{}

// claims counts the ports of Services that ask for each destination: where there are several, which of them has it is
// for a proxy to decide.
func claims(p *check.Pass) map[claim]int {
	return check.Once(p, claimsKey{}, func() map[claim]int {
		out := map[claim]int{}
		for i := range p.Snapshot.Objects.Services {
			s := &p.Snapshot.Objects.Services[i]
			for j := range s.Spec.Ports {
				for _, is6 := range families {
					for _, f := range service.Fronts(s, &s.Spec.Ports[j], is6) {
						out[claim{destOf(f, &s.Spec.Ports[j]), is6}]++
					}
				}
			}
		}
		return out
	})
}

var families = []bool{false, true}

// eachPort calls f for each address and port of each Service: cluster IPs, external IPs, those of load balancers, and
// node ports.
func (n node) eachPort(p *check.Pass, f func(port)) {
	here := service.Node{Name: n.ns.Node.Name}
	o := p.NodeObject(here.Name)
	if o != nil {
		here = service.NodeOf(o)
	}
	claims := claims(p)
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for j := range s.Spec.Ports {
			sp := &s.Spec.Ports[j]
			for _, is6 := range families {
				fronts := service.Fronts(s, sp, is6)
				if len(fronts) == 0 {
					continue
				}
				c := service.Choose(service.Of(p.Endpoints(s), sp, is6), here)
				all := p.Usable(s, sp, is6)
				if o == nil && len(c.Cluster) > 0 && len(c.Cluster[0].Zones) > 0 {
					c.Cluster = nil // the node's zone is not known
				}
				for _, fr := range fronts {
					if d := destOf(fr, sp); claims[claim{d, is6}] == 1 {
						f(port{s, sp, fr, d, is6, here.Name, c.To(fr, true), c.Local, all})
					}
				}
			}
		}
	}
}

// String returns "shop/api:80 (10.96.0.20)", or "shop/front:80 (*:30080)" of a node port.
func (pt port) String() string {
	at := pt.dest.String()
	if pt.front.Kind != service.NodePort {
		at = pt.dest.at.Addr().String()
	}
	return fmt.Sprintf("%s/%s:%d (%s)", pt.svc.Namespace, pt.svc.Name, pt.port.Port, at)
}

// outside reports whether connections from outside may use other endpoints than those of the cluster. Where only some
// sources may, no rule is for all.
func (pt port) outside() bool {
	return pt.front.Local && pt.front.Kind != service.ClusterIP && len(pt.front.Sources) == 0
}

// way returns what the node's rules make of a port: one without targets where there are none for it.
func (n node) way(pt port) *way {
	b := n.books[pt.is6]
	switch {
	case b == nil:
		return &way{}
	case b.ways[pt.dest] == nil:
		return &way{odd: b.odd}
	}
	return b.ways[pt.dest]
}

func missing(p *check.Pass, n node) {
	var lost []port
	total := 0
	n.eachPort(p, func(pt port) {
		if len(pt.want) == 0 || p.Network.Missing(n.ns, n.file(pt)) != "" {
			return
		}
		total++
		switch w := n.way(pt); {
		case w.odd != "":
			p.Unjudged(n.ns.String(), "the rules for "+pt.String()+" are not understood: "+w.odd)
		case len(w.targets) == 0:
			lost = append(lost, pt)
		}
	})
	if len(lost) > 0 {
		p.Report(missingFinding(p, n, lost, total))
	}
}

// file returns the file that holds, or would hold, the rules for a port.
func (n node) file(pt port) string {
	switch {
	case n.ipvs():
		return "ipvs"
	case n.native():
		return "nft.json"
	case pt.is6:
		return "ip6tables"
	}
	return "iptables"
}

// ipvs reports whether the node's Services are virtual services of IPVS.
func (n node) ipvs() bool {
	for _, b := range n.books {
		if b.table != nil {
			return false
		}
	}
	return n.ns.Iface(device) != nil
}

// native reports whether the node's Services are rules of nf_tables.
func (n node) native() bool {
	for _, b := range n.books {
		if (netfilter.Ref{Table: b.table}).IsNative() {
			return true
		}
	}
	return false
}

// looks returns what rules for a port name, and the command that shows whether there are any.
func (n node) looks(pt port) (name, command string) {
	name, list := pt.dest.at.Addr().String(), "service-ips"
	if pt.front.Kind == service.NodePort {
		name, list = strconv.Itoa(int(pt.port.NodePort)), "service-nodeports"
	}
	switch {
	case n.ipvs():
		return name, check.Cmd("ipvsadm -Ln | grep %s", name)
	case n.native() && pt.is6:
		return name, check.Cmd("nft list map ip6 kube-proxy %s | grep %s", list, name)
	case n.native():
		return name, check.Cmd("nft list map ip kube-proxy %s | grep %s", list, name)
	case pt.is6:
		return name, check.Cmd("ip6tables-save -t nat | grep %s", name)
	}
	return name, check.Cmd("iptables-save -t nat | grep %s", name)
}

func missingFinding(p *check.Pass, n node, lost []port, total int) check.Finding {
	name, command := n.looks(lost[0])
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(),
		What: text.F("no rules for %d of the %d ports of Services that have endpoints, such as %s", len(lost), total, lost[0]),
		Fix:  restart(p, n.ns),
		Evidence: []snapshot.Evidence{
			check.File(n.ns, n.file(lost[0]), "(no rule for "+name+")", command),
			p.Object("Service", lost[0].svc.Namespace, lost[0].svc.Name, fields[lost[0].front.Kind]+name),
		},
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.Passes(n.ns) && slices.ContainsFunc(lost, func(pt port) bool { return pt.dest.met(b.Query) })
	})
	return f
}

// fields are where in a Service an address is written.
var fields = map[service.Kind]string{
	service.ClusterIP: "clusterIP: ", service.ExternalIP: "externalIPs: ", service.LoadBalancer: "status.loadBalancer.ingress: ", service.NodePort: "nodePort: ",
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
	far    []int            // indexes of targets of connections from outside that are on other nodes, where the policy is Local
}

type differKey struct{ ns *network.NS }

// differ compares the rules of a node with the endpoints.
func differ(p *check.Pass, n node) []gone {
	return check.Once(p, differKey{n.ns}, func() []gone { return n.differ(p) })
}

func (n node) differ(p *check.Pass) []gone {
	var out []gone
	n.eachPort(p, func(pt port) {
		w := n.way(pt)
		if len(w.targets) == 0 || w.odd != "" {
			return // missing says so
		}
		g := gone{port: pt, way: w}
		g.compare(p.Endpoints(pt.svc))
		if len(g.dead)+len(g.absent)+len(g.far) > 0 {
			out = append(out, g)
		}
	})
	return out
}

// compare compares the targets with all endpoints of the Service.
func (g *gone) compare(all []service.Endpoint) {
	for i, t := range g.way.targets {
		switch e := slices.IndexFunc(all, func(e service.Endpoint) bool { return e.Addr == t && e.Port == g.port.port.Name }); {
		case e < 0 || !all[e].Ready && !all[e].Serving:
			g.dead = append(g.dead, i)
		case g.outside() && g.way.open[i] && all[e].Node != g.node:
			g.far = append(g.far, i)
		}
	}
	for _, e := range g.want {
		if g.way.virtual != nil && g.front.Local {
			break // IPVS mode leaves out those on other nodes, for connections from Pods too
		}
		if !slices.Contains(g.way.targets, e.Addr) {
			g.absent = append(g.absent, e.Addr)
		}
	}
	for _, e := range g.local {
		if i := slices.Index(g.way.targets, e.Addr); g.outside() && g.way.virtual == nil && i >= 0 && !g.way.open[i] {
			g.absent = append(g.absent, e.Addr)
		}
	}
}

func stale(p *check.Pass, n node) {
	all := differ(p, n)
	if len(all) == 0 {
		return
	}
	g := all[0]
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(), Fix: restart(p, n.ns),
		Evidence: []snapshot.Evidence{p.Object("Service", g.svc.Namespace, g.svc.Name, "endpoints: "+list(addrs(g.all)))},
	}
	switch {
	case len(g.dead) > 0:
		t := g.way.targets[g.dead[0]]
		f.What = text.F("the rules for %s send to %s, which is not among its endpoints (%s); stale for %d ports of Services in all", g.port, t, list(addrs(g.all)), len(all))
		f.Evidence = append(f.Evidence, n.quote(g.way, g.dead[0], netfilter.Ref{}))
	case len(g.absent) == 0:
		f.What = text.F("the rules for %s send connections from outside to %s on another node, and externalTrafficPolicy is Local; stale for %d ports of Services in all", g.port, g.way.targets[g.far[0]], len(all))
		f.Evidence = append(f.Evidence, n.quote(g.way, g.far[0], netfilter.Ref{}))
	default:
		f.What = text.F("no rule for %s sends to its endpoint %s; stale for %d ports of Services in all", g.port, g.absent[0], len(all))
		f.Evidence = append(f.Evidence, n.quote(g.way, 0, netfilter.Ref{}))
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

// addrs returns the addresses of endpoints.
func addrs(es []service.Endpoint) (out []netip.AddrPort) {
	for _, e := range es {
		out = append(out, e.Addr)
	}
	return out
}

// list names the first few of all, or says that there is none.
func list[T fmt.Stringer](all []T) string {
	var out []string
	for _, x := range all[:min(3, len(all))] {
		out = append(out, x.String())
	}
	if len(all) > 3 {
		out = append(out, "…")
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
