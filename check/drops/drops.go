// Package drops finds the netfilter rules that drop or refuse packets which should pass.
package drops

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// Forward reports drops of what a node forwards.
var Forward = &check.Check{
	Name: "forward-drop",
	Doc: `a node drops or refuses what it forwards for Pods

Symptom: Pods on the node are not reached from elsewhere, or reach nothing; the node itself reaches them.
Cause: the FORWARD chain's policy is DROP (Docker sets it so), a restarted iptables service loaded its saved
rules, a hardening script added one; or a policy agent does not know the sender.
Cure: delete the rule or accept the Pod range before it: kube-proxy's and the CNI's own rules do that when they are restarted.
Commands:
    iptables -L FORWARD -nv --line-numbers
    iptables-save -c | grep -e FORWARD -e DROP -e REJECT`,
	DocZH: `节点丢弃或拒绝了为 Pod 转发的包

症状：从别处访问不到该节点的 Pod，或这些 Pod 什么都访问不到；节点本机访问正常。
原因：FORWARD 链默认策略为 DROP（Docker 会这样设置），重启的 iptables 服务加载了它保存的规则，加固脚本加了规则；或策略代理不认识发送方。
处理：删除该规则，或在它之前放行 Pod 网段；重启 kube-proxy 和 CNI 会补上各自的放行规则。
命令：
    iptables -L FORWARD -nv --line-numbers
    iptables-save -c | grep -e FORWARD -e DROP -e REJECT`,
	Needs: []string{"iptables"},
	Run: func(p *check.Pass) {
		run(p, forward)
		behindRouter(p, forward)
	},
}

// Firewall reports drops at the other hooks, in any namespace.
var Firewall = &check.Check{
	Name: "firewall-drop",
	Doc: `a firewall rule drops or refuses the packet

Symptom: connections time out (DROP) or are refused (REJECT), though something listens.
Cause: a rule in INPUT, OUTPUT, PREROUTING or POSTROUTING of a node or of the Pod's own namespace: a host
firewall that does not know the cluster's ports (VXLAN 8472/UDP, kubelet 10250/TCP …), an init container's rules.
Cure: delete the rule, or accept what the cluster needs before it.
Commands:
    iptables-save -c | grep -e DROP -e REJECT
    nft list ruleset | grep -e drop -e reject`,
	DocZH: `防火墙规则丢弃或拒绝了数据包

症状：有进程监听，但连接超时（DROP）或被拒绝（REJECT）。
原因：节点或 Pod 自己命名空间的 INPUT、OUTPUT、PREROUTING、POSTROUTING 中有规则：主机防火墙不认识集群端口（VXLAN 8472/UDP、kubelet 10250/TCP 等），或 init 容器留下的规则。
处理：删除该规则，或在它之前放行集群所需的流量。
命令：
    iptables-save -c | grep -e DROP -e REJECT
    nft list ruleset | grep -e drop -e reject`,
	Needs: []string{"iptables"},
	Run: func(p *check.Pass) {
		run(p, firewall)
		behindRouter(p, firewall)
	},
}

// NodePort reports drops of what is sent to a node port.
var NodePort = &check.Check{
	Name: "nodeport-firewall",
	Doc: `a firewall rule drops what is sent to a node port

Symptom: the Service answers inside the cluster, and on some nodes' ports; on this node's port it times out.
Cause: the node's firewall does not let the range of node ports (30000-32767) in.
Cure: accept the range from where it is used.
Commands:
    iptables-save -c | grep -e DROP -e REJECT
    kubectl get services -A | grep NodePort`,
	DocZH: `防火墙规则丢弃了发往 NodePort 的包

症状：该 Service 在集群内正常，部分节点的端口也正常；访问该节点的端口超时。
原因：节点防火墙没有放行 NodePort 端口范围（30000-32767）。
处理：对使用来源放行该端口范围。
命令：
    iptables-save -c | grep -e DROP -e REJECT
    kubectl get services -A | grep NodePort`,
	Needs: []string{"iptables"},
	Run:   func(p *check.Pass) { run(p, nodePort) },
}

// A kind is a kind of drop, and the check that reports it.
type kind uint8

const (
	other kind = iota
	forward
	firewall
	nodePort
)

func run(p *check.Pass, want kind) {
	for _, b := range check.DiesOf(p, trace.Dropped, trace.Rejected) {
		rule, ok := decisive(b)
		if ok && kindOf(p, b, rule) == want && !meant(rule) {
			p.Report(finding(p, b, rule))
		}
	}
}

// decisive returns the rule or policy that a packet died of; false where no rule did it.
func decisive(b check.Broken) (snapshot.Evidence, bool) {
	for _, e := range b.Evidence() {
		base := e.File[strings.LastIndex(e.File, "/")+1:]
		if strings.HasPrefix(base, "iptables") || strings.HasPrefix(base, "ip6tables") || strings.HasPrefix(base, "nft") {
			return e, true
		}
	}
	return snapshot.Evidence{}, false
}

func kindOf(p *check.Pass, b check.Broken, rule snapshot.Evidence) kind {
	switch {
	case toNodePort(p, b) && p.HostOf(b.Query.Dst.Addr()) == p.NS(b.Path.At):
		return nodePort
	case b.Stage() == trace.StageForward && !strings.Contains(rule.Command, "-t mangle"):
		return forward
	}
	return firewall
}

// toNodePort reports whether the query asks for a node port that a Service has.
func toNodePort(p *check.Pass, b check.Broken) bool {
	proto := corev1.Protocol(strings.ToUpper(b.Query.Proto.String()))
	s, _ := p.ServiceByNodePort(b.Query.Dst.Port(), proto)
	return s != nil && b.Request == nil && p.HostOf(b.Query.Dst.Addr()) != nil
}

// meant reports whether a rule does what kube-proxy means it to do: it refuses
// Services without endpoints, drops what conntrack finds invalid, and keeps
// strangers from 127.0.0.1. Other checks explain these.
func meant(rule snapshot.Evidence) bool {
	if strings.HasPrefix(rule.Command, "nft -a list chain ip kube-proxy ") || strings.HasPrefix(rule.Command, "nft -a list chain ip6 kube-proxy ") {
		return true // what drops and refuses in kube-proxy's own tables
	}
	for _, s := range []string{"has no endpoints", "has no local endpoints", "block incoming localnet connections", "-A KUBE-FORWARD -m conntrack --ctstate INVALID"} {
		if strings.Contains(rule.Text, s) {
			return true
		}
	}
	return false
}

func finding(p *check.Pass, b check.Broken, rule snapshot.Evidence) check.Finding {
	f := check.Finding{
		Severity: severity(p), Where: b.Where(),
		What:     text.F("%s is dropped by %s", b.Path.Final.String(), named(rule)),
		Fix:      fix(p.NS(b.Path.At), rule),
		Evidence: b.Evidence(),
	}
	if b.Path.End == trace.Rejected {
		f.What = text.F("%s is refused by %s", b.Path.Final.String(), named(rule))
	}
	f.Explains = []check.Symptom{b.Symptom()}
	f.OnPath = len(p.Results) > 0
	return f
}

// named returns a rule in words that tell it from others: in nf_tables, where many read alike, after its table and chain.
func named(rule snapshot.Evidence) string {
	if chain, ok := strings.CutPrefix(rule.Command, nftChain); ok {
		return chain + ": " + rule.Text
	}
	return rule.Text
}

// severity returns how bad a drop is. Where nobody asked about the packet, it is
// one between two Pods, which network policies may well mean to stop.
func severity(p *check.Pass) check.Severity {
	if len(p.Results) == 0 && len(p.Snapshot.Objects.NetworkPolicies) > 0 {
		return check.Info
	}
	return check.Error
}

// nftChain begins the command that prints a chain of nf_tables; family, table and chain follow.
const nftChain = "nft -a list chain "

// fix returns the command that takes the rule away.
func fix(ns *network.NS, rule snapshot.Evidence) check.Fix {
	if chain, ok := strings.CutPrefix(rule.Command, nftChain); ok {
		return fixNFT(ns, rule.Text, chain)
	}
	program := "iptables"
	if strings.Contains(rule.File, "ip6tables") {
		program = "ip6tables"
	}
	if strings.HasSuffix(rule.File, "-legacy") {
		program += "-legacy"
	}
	table := ""
	if _, t, ok := strings.Cut(rule.Command, " -t "); ok {
		table = " -t " + strings.Fields(t)[0]
	}
	if spec, ok := strings.CutPrefix(rule.Text, "-A "); ok {
		return check.Fix{What: text.F("delete the rule, and find out who adds it"), Commands: []string{check.Within(ns, program+table+" -D "+check.QuoteRule(spec))}}
	}
	if name, policy, ok := strings.Cut(strings.TrimPrefix(rule.Text, "-P "), " "); ok && policy == "DROP" {
		return check.Fix{What: text.F("set the policy of %s to ACCEPT, or accept the Pod range in it", name), Commands: []string{check.Within(ns, program+table+check.Cmd(" -P %s ACCEPT", name))}}
	}
	return check.Fix{What: text.F("delete the rule, and find out who adds it")}
}

// fixNFT is fix for a rule, or a policy, of nf_tables; chain is "inet filter forward".
func fixNFT(ns *network.NS, rule, chain string) check.Fix {
	quoted := ""
	for f := range strings.FieldsSeq(chain) {
		quoted += " " + check.Quote(f)
	}
	if strings.HasSuffix(rule, "policy drop;") {
		return check.Fix{What: text.F("set the policy of %s to ACCEPT, or accept the Pod range in it", chain), Commands: []string{check.Within(ns, "nft chain"+quoted+" '{ policy accept ; }'")}}
	}
	fix := check.Fix{What: text.F("delete the rule, and find out who adds it")}
	if _, handle, ok := strings.Cut(rule, " # handle "); ok {
		fix.Commands = []string{check.Within(ns, "nft delete rule"+quoted+" handle "+check.Quote(handle))}
	}
	return fix
}
