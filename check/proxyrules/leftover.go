package proxyrules

import (
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Leftover reports rules of kube-proxy that nothing maintains any more.
var Leftover = &check.Check{
	Name: "leftover-rules",
	Doc: `rules of an earlier kube-proxy are still there

Symptom: Services work at times, or send to endpoints that are long gone; restarting kube-proxy does not help.
Cause: kube-proxy changed its mode (iptables, IPVS, nftables) or iptables its back end (legacy, nf_tables), and
the old rules stayed: both are run. Or rules remain of a Service that was deleted.
Cure: kube-proxy --cleanup on the node, or a restart of the node.
Commands:
    iptables-legacy-save | grep -c KUBE-
    iptables-nft-save | grep -c KUBE-
    nft list table ip kube-proxy`,
	DocZH: `以前的 kube-proxy 规则仍残留

症状：Service 时好时坏，或转发到早已不存在的后端；重启 kube-proxy 也没用。
原因：kube-proxy 换过模式（iptables、IPVS、nftables）或 iptables 换过后端（legacy、nf_tables），旧规则没有清理，两套都会执行；或残留着已删除 Service 的规则。
处理：在节点上执行 kube-proxy --cleanup，或重启节点。
命令：
    iptables-legacy-save | grep -c KUBE-
    iptables-nft-save | grep -c KUBE-
    nft list table ip kube-proxy`,
	Needs: []string{"host/iptables", "objects/Service"},
	Run: func(p *check.Pass) {
		for _, ns := range p.Hosts() {
			for _, is6 := range families {
				twoBackends(p, ns, is6)
			}
			if p.Network.Missing(ns, "iptables") == "" || len(check.ProxyTables(ns))+len(ns.IPVS) > 0 {
				n := node{ns, books(p, ns)}
				deleted(p, n)
				twoModes(p, n, false)
				twoModes(p, n, true)
			}
		}
	},
}

// kubeTables returns the tables of a family that hold chains of kube-proxy with rules, by back end.
func kubeTables(ns *network.NS, is6 bool) map[netfilter.Backend][]*netfilter.Table {
	out := map[netfilter.Backend][]*netfilter.Table{}
	for _, t := range ns.Netfilter.Tables {
		if t.Is6 == is6 && jump(t) != nil {
			out[t.Backend] = append(out[t.Backend], t)
		}
	}
	return out
}

// proxyChains are chains that only kube-proxy makes; the kubelet makes others.
var proxyChains = []string{"KUBE-SERVICES", "KUBE-FORWARD", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING"}

// jump returns the first rule of a built-in chain that jumps to a chain of kube-proxy, or nil.
func jump(t *netfilter.Table) *netfilter.Rule {
	for _, hook := range []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"} {
		c := t.Chains[hook]
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			if slices.Contains(proxyChains, r.Target()) {
				return r
			}
		}
	}
	return nil
}

func chains(ts []*netfilter.Table) int {
	n := 0
	for _, t := range ts {
		n += len(t.Chains)
	}
	return n
}

var backendNames = map[netfilter.Backend]string{netfilter.NFT: "nf_tables", netfilter.Legacy: "legacy"}

func twoBackends(p *check.Pass, ns *network.NS, is6 bool) {
	by := kubeTables(ns, is6)
	if len(by) < 2 {
		return
	}
	old, now := by[netfilter.Legacy], by[netfilter.NFT]
	if chains(old) > chains(now) {
		old, now = now, old
	}
	f := check.Finding{
		Severity: check.Warning, Where: ns.String(),
		What: text.F("kube-proxy has rules in both back ends of iptables: %d chains in %s, %d in %s; both are run", chains(old), backendNames[old[0].Backend], chains(now), backendNames[now[0].Backend]),
		Fix:  check.Fix{What: text.F("remove the rules that kube-proxy no longer maintains"), Commands: remove(old)},
		Evidence: []snapshot.Evidence{
			check.RuleLine(old[0], jump(old[0])),
			check.RuleLine(now[0], jump(now[0])),
		},
	}
	p.Blame(&f, func(b check.Broken) bool { return b.In(ns) && check.DecidedBy(b, old[0].Backend, ns) })
	if f.OnPath {
		f.Severity = check.Error
	}
	for _, c := range []string{"proxy-rules-stale", "forward-drop", "firewall-drop"} {
		f.Explains = append(f.Explains, check.Symptom{Check: c, Where: ns.String()})
	}
	p.Report(f)
}

// remove returns the commands that take kube-proxy's rules out of a back end, and set its FORWARD policy as kernels have it.
func remove(ts []*netfilter.Table) []string {
	if len(ts) == 0 {
		return nil
	}
	save := check.Save(ts[0])
	if ts[0].Backend == netfilter.NFT {
		save = strings.Replace(save, "-save", "-nft-save", 1)
	}
	program := strings.TrimSuffix(save, "-save")
	out := []string{save + " > /root/" + program + ".saved", "grep -v KUBE- /root/" + program + ".saved | " + program + "-restore"}
	for _, t := range ts {
		if c := t.Chains["FORWARD"]; t.Name == "filter" && c != nil && c.Policy == "DROP" {
			out = append(out, program+" -P FORWARD ACCEPT")
		}
	}
	return out
}

// deleted reports rules of kube-proxy for destinations that no Service asks for.
func deleted(p *check.Pass, n node) {
	claims := claims(p)
	for _, is6 := range families {
		b := n.books[is6]
		if b == nil {
			continue
		}
		var none []dest
		for _, d := range b.dests {
			if n.ofProxy(b, d) && claims[claim{d, is6}] == 0 && len(b.ways[d].targets) > 0 {
				none = append(none, d)
			}
		}
		if len(none) == 0 {
			continue
		}
		d := none[0]
		f := check.Finding{
			Severity: check.Warning, Where: n.ns.String(),
			What:     text.F("rules for %d addresses that no Service has, such as %s", len(none), d),
			Fix:      restart(p, n.ns),
			Evidence: []snapshot.Evidence{n.quote(b.ways[d], -1, b.from[d])},
		}
		p.Blame(&f, func(x check.Broken) bool {
			return x.Passes(n.ns) && slices.ContainsFunc(none, func(d dest) bool { return d.met(x.Query) })
		})
		if f.OnPath {
			f.Severity = check.Error
		}
		p.Report(f)
	}
}

// ofProxy reports whether what is for a destination is kube-proxy's.
func (n node) ofProxy(b *book, d dest) bool {
	if b.ways[d].virtual != nil {
		return n.ns.Iface(device) != nil
	}
	r := b.from[d]
	return r.IsNative() || r.Chain.Name == "KUBE-SERVICES" || r.Chain.Name == "KUBE-NODEPORTS"
}

// twoModes reports rules of iptables and of nf_tables on one node: kube-proxy keeps up those of its mode alone.
func twoModes(p *check.Pass, n node, is6 bool) {
	at := slices.IndexFunc(check.ProxyTables(n.ns), func(t *netfilter.Table) bool { return t.Is6 == is6 })
	by := kubeTables(n.ns, is6)
	saved := slices.Concat(by[netfilter.NFT], by[netfilter.Legacy])
	if at < 0 || len(saved) == 0 {
		return
	}
	native := check.ProxyTables(n.ns)[at]
	name := native.Family + " " + native.Name
	f := check.Finding{
		Severity: check.Warning, Where: n.ns.String(),
		What: text.F("kube-proxy has rules of iptables and of nf_tables, %d and %d chains; both are run", chains(saved), len(native.Chains)),
		Fix:  check.Fix{What: text.F("remove the rules that kube-proxy no longer maintains"), Commands: []string{"nft delete table " + name}},
		Evidence: []snapshot.Evidence{
			check.RuleLine(saved[0], jump(saved[0])),
			check.File(n.ns, "nft.json", "table "+name, "nft list table "+name),
		},
	}
	old := native.File
	if n.books[is6].table == native {
		f.Fix.Commands = slices.Concat(remove(by[netfilter.NFT]), remove(by[netfilter.Legacy]))
		old = saved[0].File
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.In(n.ns) && slices.ContainsFunc(b.Evidence(), func(e snapshot.Evidence) bool { return e.File == old })
	})
	if f.OnPath {
		f.Severity = check.Error
	}
	for _, c := range []string{"proxy-rules-stale", "forward-drop", "firewall-drop"} {
		f.Explains = append(f.Explains, check.Symptom{Check: c, Where: n.ns.String()})
	}
	p.Report(f)
}
