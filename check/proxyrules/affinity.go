package proxyrules

import (
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Affinity reports sticky Services whose rules remember clients for endpoints that are gone.
var Affinity = &check.Check{
	Name: "affinity-dead-endpoint",
	Doc: `session affinity binds clients to an endpoint that is gone

Symptom: some clients cannot use a Service at all, for hours; for others it works.
Cause: the Service has sessionAffinity ClientIP, and a node's rules still remember clients for an
endpoint that the Service no longer has: kube-proxy on the node does not follow.
Cure: restart kube-proxy on the node, which removes the endpoint's chain or set and with it the memory of its clients.
Commands:
    iptables-save -t nat | grep -e '-m recent'
    cat /proc/net/xt_recent/KUBE-SEP-…
    nft list sets ip`,
	DocZH: `会话保持把客户端绑在已不存在的后端上

症状：部分客户端长时间完全无法访问某个 Service，其他客户端正常。
原因：Service 设置了 sessionAffinity ClientIP，而节点规则仍为已不存在的后端记着客户端：该节点的 kube-proxy 没有跟上。
处理：重启该节点的 kube-proxy，它会删除该后端的链或集合及其客户端记录。
命令：
    iptables-save -t nat | grep -e '-m recent'
    cat /proc/net/xt_recent/KUBE-SEP-…
    nft list sets ip`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "host/iptables"},
	Run:   func(p *check.Pass) { eachNode(p, affinity) },
}

// held returns the first target of g that is no endpoint and that clients are bound to, and how; nil for none.
func (g gone) held() (i int, b *binding) {
	for _, i := range g.dead {
		if b := g.way.binds(g.way.targets[i]); b != nil {
			return i, b
		}
	}
	return 0, nil
}

func affinity(p *check.Pass, n node) {
	var sticky []gone
	for _, g := range differ(p, n) {
		if _, b := g.held(); b != nil {
			sticky = append(sticky, g)
		}
	}
	if len(sticky) == 0 {
		return
	}
	g := sticky[0]
	i, b := g.held()
	t, rule := g.way.targets[i], g.way.rules[i]
	f := check.Finding{
		Severity: check.Error, Where: n.ns.String(), Fix: restart(p, n.ns),
		What: text.F("session affinity of %s may hold clients to %s, which is not among its endpoints (%s)", g.port, t, list(addrs(g.all))),
		Evidence: []snapshot.Evidence{
			check.RuleOf(rule),
			p.Object("Service", g.svc.Namespace, g.svc.Name, "sessionAffinity: "+string(g.svc.Spec.SessionAffinity)),
		},
	}
	if b.set != "" {
		f.What = text.F("session affinity of %s holds %d clients, such as %s, to %s, which is not among its endpoints (%s)", g.port, len(b.clients), b.clients[0], t, list(addrs(g.all)))
		f.Evidence = append([]snapshot.Evidence{clients(n, rule.Table, b)}, f.Evidence...)
	}
	if len(sticky) == len(differ(p, n)) {
		f.Explains = []check.Symptom{{Check: "proxy-rules-stale", Where: n.ns.String()}}
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.Passes(n.ns) && slices.ContainsFunc(sticky, func(g gone) bool {
			i, _ := g.held()
			return g.dest.met(b.Query) && b.Met(g.way.targets[i].Addr())
		})
	})
	p.Report(f)
}

// clients returns the evidence that a set holds clients, the first few of them.
func clients(n node, t *netfilter.Table, b *binding) snapshot.Evidence {
	return check.File(n.ns, "nft.json", "elements = { "+list(b.clients)+" }", check.Cmd("nft list set %s %s %s", t.Family, t.Name, b.set))
}
