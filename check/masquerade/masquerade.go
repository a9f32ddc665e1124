// Package masquerade checks that Pods' packets leave the cluster with their node's address, and stay as they are inside it.
package masquerade

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Missing reports Pods' packets that leave the cluster with the Pod's address, where the node's peers translate it.
var Missing = &check.Check{
	Name: "masquerade-missing",
	Doc: `Pods' packets leave the cluster with the Pod's own address

Symptom: Pods reach nothing outside the cluster, from one node or from all; the node itself does.
Cause: the rule that masquerades what leaves the cluster is gone (iptables was flushed), or the CNI agent
was told not to write it (flannel without --ip-masq); nothing outside knows a way back to Pods.
Cure: restart the CNI agent, which writes the rule again.
Commands:
    iptables-save -t nat | grep -e MASQUERADE -e SNAT
    tcpdump -ni eth0 host ADDRESS`,
	DocZH: `Pod 的包以 Pod 自己的地址离开集群

症状：某个节点（或全部节点）上的 Pod 访问不了集群外；节点本机可以。
原因：对出集群流量做地址伪装的规则丢失（iptables 被清空），或 CNI 代理被配置为不写（flannel 没有 --ip-masq）；外部不知道回 Pod 的路。
处理：重启 CNI 代理，由它重新写入规则。
命令：
    iptables-save -t nat | grep -e MASQUERADE -e SNAT
    tcpdump -ni eth0 host 地址`,
	Needs: []string{"objects/Node", "host/iptables"},
	Run:   missing,
}

// Unwanted reports packets between Pods whose source is translated on the way.
var Unwanted = &check.Check{
	Name: "masquerade-unwanted",
	Doc: `packets between Pods are masqueraded

Symptom: servers see a node's address in place of the client Pod's; network policies by Pod do not match; logs name the wrong client.
Cause: a masquerading rule that does not leave out the Pod range: written by hand, by Docker, or by a CNI agent that was given another Pod range.
Cure: leave the Pod range out of the rule (! -d POD-RANGE), or delete it.
Commands:
    iptables-save -t nat | grep -e MASQUERADE -e SNAT`,
	DocZH: `Pod 之间的包被做了地址伪装

症状：服务端看到的是节点地址而不是客户端 Pod 地址；按 Pod 的网络策略不匹配；日志记录的客户端不对。
原因：有一条没有排除 Pod 网段的伪装规则：手工、Docker，或配置了另一网段的 CNI 代理写入。
处理：在规则中排除 Pod 网段（! -d Pod网段），或删除它。
命令：
    iptables-save -t nat | grep -e MASQUERADE -e SNAT`,
	Needs: []string{"objects/Node", "host/iptables"},
	Run:   unwanted,
}

func missing(p *check.Pass) {
	for _, r := range check.Traced(p) {
		for i := range r.Paths {
			path := &r.Paths[i]
			src := path.Final.Src.Addr()
			if path.End != trace.LeftCluster || p.NodeByPodCIDR(src) == "" || p.Inside(path.Final.Dst.Addr()) {
				continue
			}
			if at := path.At.Node; at != "" {
				if rule, ok := elsewhere(p, at, r.Query); ok {
					p.Report(missingFinding(p, path, at, rule))
				}
			}
		}
	}
}

// elsewhere reports whether what a Pod of another node sends to the same
// destination leaves with another address than its own, and the rules that do
// that. Where it does not, a router outside may know the Pods, or translate for them.
func elsewhere(p *check.Pass, but string, q trace.Query) ([]snapshot.Evidence, bool) {
	for _, ns := range p.Network.NS {
		if ns.Node.Name == but || ns.IsHost() || ns.PodName == "" {
			continue
		}
		r := trace.Run(p.Network, trace.Query{From: ns, Dst: q.Dst, Proto: q.Proto, OneWay: true})
		for i := range r.Paths {
			if path := &r.Paths[i]; path.End == trace.LeftCluster && path.At.Node != but && p.NodeByPodCIDR(path.Final.Src.Addr()) == "" {
				return translated(path), true
			}
		}
	}
	return nil, false
}

// translated returns the rule of POSTROUTING that changed the source of a path's packet.
func translated(path *trace.Path) []snapshot.Evidence {
	for _, h := range path.Hops {
		for _, s := range h.Steps {
			if s.Stage == trace.StagePostrouting && s.Out.Src.Addr() == path.Final.Src.Addr() && len(s.Quotes) > 0 {
				return s.Evidence()[len(s.Quotes)-1:]
			}
		}
	}
	return nil
}

func missingFinding(p *check.Pass, path *trace.Path, node string, rule []snapshot.Evidence) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: node + "/host",
		What: text.F("packets of the Pod %s leave the cluster with its own address; on other nodes they are masqueraded", path.Final.Src.Addr()),
		Fix:  check.Fix{What: text.F("restart the CNI agent on %s, which writes the rule again", node)},
	}
	f.Fix.Commands = []string{p.Restart(check.CNI, node)}
	if ns := p.Host(node); ns != nil {
		f.Evidence = []snapshot.Evidence{check.File(ns, "iptables", "(no rule masquerades "+path.Final.Src.Addr().String()+")", "iptables-save -t nat | grep MASQUERADE")}
	}
	f.Evidence = append(f.Evidence, rule...)
	p.Lose(&f, path, false)
	return f
}

func unwanted(p *check.Pass) {
	for _, r := range check.Traced(p) {
		if p.PodByAddr(r.Query.Dst.Addr()) == nil || r.Query.From == nil || r.Query.From.IsHost() {
			continue // through a Service, kube-proxy may have to
		}
		for i := range r.Paths {
			path := &r.Paths[i]
			src := path.Final.Src.Addr()
			to := p.PodByAddr(path.Final.Dst.Addr()) // where a rule sends it elsewhere, its source is the least of it
			if to != nil && path.Final.Inner == nil && r.Query.From.Owner(src) == nil && src.IsValid() {
				p.Report(unwantedFinding(p, path, src))
			}
		}
	}
}

func unwantedFinding(p *check.Pass, path *trace.Path, src netip.Addr) check.Finding {
	f := check.Finding{
		Severity: check.Warning, OnPath: len(p.Results) > 0,
		What: text.F("packets to the Pod %s come from %s, not from the Pod that sends them", path.Final.Dst.Addr(), src),
		Fix:  check.Fix{What: text.F("leave the Pod range out of the rule, or delete it")},
	}
	for _, h := range path.Hops {
		for _, s := range h.Steps {
			if s.Out.Src.Addr() == src && s.Stage == trace.StagePostrouting && f.Where == "" {
				f.Where = h.Node + "/" + h.NetNS
				f.Evidence = s.Evidence()
			}
		}
	}
	if len(f.Evidence) > 0 {
		f.Fix.Commands = []string{"iptables -t nat -D " + check.QuoteRule(trimA(f.Evidence[len(f.Evidence)-1].Text))}
	}
	return f
}

func trimA(s string) string {
	if len(s) > 3 && s[:3] == "-A " {
		return s[3:]
	}
	return s
}
