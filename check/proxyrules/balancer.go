package proxyrules

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Balancer reports nodes that do not do for load balancers what Services ask.
var Balancer = &check.Check{
	Name: "load-balancer-rules",
	Doc: `a node lets other clients reach a load balancer's address than the Service says, or does not answer its health check

Symptom: clients that loadBalancerSourceRanges names time out, or others get in; or the load balancer takes a node with endpoints for one without.
Cause: kube-proxy on that node does not follow, its rules were changed, or it does not run: nothing listens on healthCheckNodePort.
Cure: restart kube-proxy there; look in its log why it did not follow.
Commands:
    kubectl -n NAMESPACE get service SERVICE -o jsonpath='{.spec.loadBalancerSourceRanges} {.spec.healthCheckNodePort}'
    iptables-save | grep KUBE-FW-
    nft list map ip kube-proxy firewall-ips
    ss -ltn`,
	DocZH: `节点放行的客户端与负载均衡 Service 的要求不符，或不应答其健康检查

症状：loadBalancerSourceRanges 允许的客户端超时，或不该放行的客户端能访问；或负载均衡器把有后端的节点当成没有后端。
原因：该节点的 kube-proxy 没有跟上，规则被改动，或 kube-proxy 没有运行：healthCheckNodePort 无人监听。
处理：重启该节点的 kube-proxy，并在日志中查找它没有跟上的原因。
命令：
    kubectl -n 命名空间 get service 服务名 -o jsonpath='{.spec.loadBalancerSourceRanges} {.spec.healthCheckNodePort}'
    iptables-save | grep KUBE-FW-
    nft list map ip kube-proxy firewall-ips
    ss -ltn`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run: func(p *check.Pass) {
		eachNode(p, func(p *check.Pass, n node) {
			if !n.ipvs() { // its ranges are sets, which marks of rules of INPUT ask for
				n.ranges(p)
			}
			n.healthChecks(p)
		})
	},
}

// maxAsked bounds the packets that are asked about on a node.
const maxAsked = 1000

// ranges asks what becomes of a client of each range that may, and of one that may not.
func (n node) ranges(p *check.Pass) {
	var ev netfilter.Evaluator
	asked := 0
	n.eachPort(p, func(pt port) {
		if len(pt.front.Sources) == 0 || len(pt.want) == 0 || len(n.way(pt).targets) == 0 || pt.front.Local && len(pt.local) == 0 {
			return
		}
		if asked += len(pt.front.Sources) + 1; asked > maxAsked {
			return
		}
		for _, r := range pt.front.Sources {
			if n.letsIn(&ev, pt, r.Addr()) == netfilter.No {
				p.Report(n.clientFinding(p, pt, text.F("a client %s does not reach %s, and loadBalancerSourceRanges allows it", r.Addr(), pt)))
				return
			}
		}
		other := check.Outside(pt.is6)
		if slices.ContainsFunc(pt.front.Sources, func(r netip.Prefix) bool { return r.Contains(other) }) {
			return
		}
		if n.letsIn(&ev, pt, other) == netfilter.Yes {
			p.Report(n.clientFinding(p, pt, text.F("a client %s reaches %s, and loadBalancerSourceRanges does not allow it", other, pt)))
		}
	})
	if asked > maxAsked {
		p.Unjudged(n.ns.String(), "the clients of some load balancers: there are more than "+strconv.Itoa(maxAsked)+" ranges of them")
	}
}

// letsIn says whether a new connection from a client gets the address of an endpoint.
func (n node) letsIn(ev *netfilter.Evaluator, pt port, client netip.Addr) netfilter.Tri {
	pk := packet.Packet{Src: netip.AddrPortFrom(client, 40000), Dst: pt.dest.at, Proto: pt.dest.proto, Flags: packet.SYN, TTL: 64, Size: 60}
	for _, o := range ev.Eval(&n.ns.Netfilter, &netfilter.Input{Hook: netfilter.PreRouting, Packet: pk}) {
		switch {
		case o.Verdict == netfilter.VerdictUnknown:
			return netfilter.Maybe
		case o.Verdict == netfilter.Accept && o.Conn.DNAT:
			return netfilter.Yes
		}
	}
	return netfilter.No
}

func (n node) clientFinding(p *check.Pass, pt port, what text.Text) check.Finding {
	return check.Finding{
		Severity: check.Error, Where: n.ns.String(), What: what, Fix: restart(p, n.ns),
		Evidence: []snapshot.Evidence{
			n.quote(n.way(pt), -1, n.books[pt.is6].from[pt.dest]),
			p.Object("Service", pt.svc.Namespace, pt.svc.Name, "loadBalancerSourceRanges: "+list(pt.front.Sources)),
		},
	}
}

// healthChecks looks for what listens on the ports at which load balancers ask.
func (n node) healthChecks(p *check.Pass) {
	if p.Network.Missing(n.ns, "sockets") != "" {
		return // listeners are not known
	}
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		hc := service.HealthCheck(s)
		if hc == 0 || n.listens(uint16(hc)) {
			continue
		}
		p.Report(check.Finding{
			Severity: check.Error, Where: n.ns.String(), Fix: restart(p, n.ns),
			What: text.F("nothing listens on healthCheckNodePort %d of %s: load balancers take the node for one without endpoints", hc, s.Namespace+"/"+s.Name),
			Evidence: []snapshot.Evidence{
				check.File(n.ns, "sockets", "(no listener on port "+strconv.Itoa(int(hc))+")", "ss -ltn"),
				p.Object("Service", s.Namespace, s.Name, "healthCheckNodePort: "+strconv.Itoa(int(hc))),
			},
		})
	}
}

func (n node) listens(port uint16) bool {
	return slices.ContainsFunc(n.ns.Sockets, func(s snapshot.Socket) bool { return s.Proto == packet.TCP && s.Local.Port() == port })
}
