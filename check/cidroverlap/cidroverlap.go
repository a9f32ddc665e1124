// Package cidroverlap finds ranges of addresses that mean two things at once:
// the cluster's own (Pods, Services, nodes) and those of networks outside.
package cidroverlap

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Check reports overlaps among the cluster's ranges, and between them and networks outside.
var Check = &check.Check{
	Name: "cidr-overlap",
	Doc: `two networks use the same range of addresses

Symptom: hosts of an office or a partner reach the cluster, and get no answer; Pods do not reach them. Everybody else is well.
Cause: their range overlaps the Pod, Service or node range. What is for them never leaves the
cluster: a node's own route to Pods is more specific than the way out.
Cure: on the router between the two networks, translate the other network's addresses to a range that is free
(iptables -j NETMAP; the finding proposes one), and use those from the cluster; or give the cluster another range.
Commands:
    ip route get ADDRESS
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR
    kubectl -n kube-system get configmap kubeadm-config -o yaml | grep -i subnet`,
	DocZH: `两个网络使用了相同的地址段

症状：办公网或合作方的主机能访问到集群却收不到应答；Pod 也访问不到它们；其他人都正常。
原因：它们的网段与 Pod、Service 或节点网段重叠。发给它们的包出不了集群：节点自己到 Pod 的路由比出口路由更具体。
处理：在两个网络之间的路由器上，把对方的地址转换到空闲网段（iptables -j NETMAP；结论会给出建议），并在集群内使用转换后的地址；或给集群换网段。
命令：
    ip route get 地址
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR
    kubectl -n kube-system get configmap kubeadm-config -o yaml | grep -i subnet`,
	Needs: []string{"objects/Node"},
	Run:   run,
}

func run(p *check.Pass) {
	rs := ranges(p)
	for i, a := range rs {
		for _, b := range rs[:i] {
			if a.use != b.use && a.prefix.Overlaps(b.prefix) {
				p.Report(inner(p, b, a))
			}
		}
	}
	for _, e := range p.External {
		for _, r := range rs {
			if r.prefix.Overlaps(e) {
				p.Report(outer(p, e, r, rs))
				break // the widest of them is enough
			}
		}
	}
	for _, ns := range p.Hosts() {
		foreign(p, ns, rs)
	}
}

// inner reports two of the cluster's own ranges.
func inner(p *check.Pass, a, b usedRange) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: b.where,
		What:     text.F("the %s range %s overlaps the %s range %s", b.use, b.prefix, a.use, a.prefix),
		Fix:      check.Fix{What: text.F("give one of them another range, such as %s", free(b.prefix.Bits(), nil, []usedRange{a, b}))},
		Evidence: []snapshot.Evidence{a.evidence, b.evidence},
	}
	p.Blame(&f, func(x check.Broken) bool { return x.Toward(a.prefix) && x.Toward(b.prefix) })
	return f
}

// outer reports a range that the user says is outside, and proposes what to translate it to.
func outer(p *check.Pass, e netip.Prefix, r usedRange, rs []usedRange) check.Finding {
	to := free(e.Bits(), p.External, rs)
	f := check.Finding{
		Severity: check.Error, Where: r.where,
		What: text.F("the outside range %s overlaps the %s range %s: what is for the outside stays in the cluster", e, r.use, r.prefix),
		Fix: check.Fix{What: text.F("on the router between them, translate %s to the free range %s; or give the cluster another range", e, to), Commands: []string{
			"iptables -t nat -A POSTROUTING -s " + e.String() + " -j NETMAP --to " + to.String(),
			"iptables -t nat -A PREROUTING -d " + to.String() + " -j NETMAP --to " + e.String(),
		}},
		Evidence: []snapshot.Evidence{r.evidence},
		Explains: []check.Symptom{{Check: "duplicate-address"}},
	}
	f.Evidence = append(f.Evidence, routes(p, e)...)
	blame(p, &f, e)
	return f
}

// blame makes f the cause of what was asked about an address in e, and not a Pod's there.
func blame(p *check.Pass, f *check.Finding, e netip.Prefix) {
	p.Blame(f, func(b check.Broken) bool {
		outside := b.Query.From == nil && e.Contains(b.Query.Src)
		return outside || e.Contains(b.Query.Dst.Addr()) && p.PodByAddr(b.Query.Dst.Addr()) == nil
	})
	for _, r := range p.Results { // what arrives, arrives at the wrong one
		q := r.Query
		f.OnPath = f.OnPath || q.From == nil && e.Contains(q.Src) || e.Contains(q.Dst.Addr()) && p.PodByAddr(q.Dst.Addr()) == nil
	}
}

// routes quotes where the nodes send the range.
func routes(p *check.Pass, e netip.Prefix) []snapshot.Evidence {
	var out []snapshot.Evidence
	dst := e.Addr().Next()
	for _, ns := range p.Hosts() {
		r := ns.FIB.Lookup(fib.Query{Dst: dst})
		if r.Unknown != "" || len(r.Choices) == 0 || r.Choices[0].Route == nil || r.Choices[0].Route.Dst.Bits() == 0 {
			continue
		}
		ev := check.RouteLine(ns, r.Choices[0].Route)
		ev.Command = "ip route get " + dst.String()
		if out = append(out, ev); len(out) == 3 {
			return out
		}
	}
	return out
}

// foreign reports routes of a node to a router outside for a part of the Pod or Service range.
func foreign(p *check.Pass, ns *network.NS, rs []usedRange) {
	for i := range ns.FIB.Routes {
		r := &ns.FIB.Routes[i]
		if r.Type != fib.Unicast || r.Dst.Bits() == 0 || len(r.Hops) == 0 || p.HostOf(r.Hops[0].Via) != nil {
			continue
		}
		d := ns.Iface(r.Hops[0].Dev)
		via := r.Hops[0].Via
		if d == nil || !d.Uplink || via.IsValid() && p.Inside(via) || !via.IsValid() && d.OnLink(r.Dst.Addr()) {
			continue // the uplink's own subnet is no network behind it
		}
		for _, u := range rs {
			if (u.use == pods || u.use == services) && u.prefix.Overlaps(r.Dst) && u.prefix.Bits() <= r.Dst.Bits() && p.NodeByPodCIDR(r.Dst.Addr()) == "" {
				p.Report(check.Finding{
					Severity: check.Warning, Where: d.String(),
					What:     text.F("the node has a route to %s outside, which overlaps the %s range %s", r.Dst, u.use, u.prefix),
					Fix:      check.Fix{What: text.F("delete the route, or give the network behind it another range"), Commands: []string{check.Cmd("ip route del %s", r.Dst)}},
					Evidence: []snapshot.Evidence{check.RouteLine(ns, r), u.evidence},
				})
				break
			}
		}
	}
}
