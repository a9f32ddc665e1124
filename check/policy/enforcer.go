package policy

import (
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// NoEnforcer reports nodes on which nothing enforces the policies that select their Pods.
var NoEnforcer = &check.Check{
	Name: "no-policy-enforcer",
	Doc: `NetworkPolicies exist, and nothing on the nodes enforces them

Symptom: none that a user sees: the API server takes policies, and what they should keep out gets in.
Cause: the CNI plugin enforces none (flannel and kubenet alone do not, nor does a CNI plugin whose policy agent is off).
Cure: run an enforcer on every node: a CNI plugin that has one, or one beside it (kube-router --run-firewall, kube-network-policies).
Commands:
    kubectl get networkpolicies -A
    kubectl -n kube-system get pods -o wide
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY`,
	DocZH: `存在 NetworkPolicy，但节点上没有任何组件执行它们

症状：用户没有感觉：API server 接受了策略，本应被拦住的流量却能进来。
原因：CNI 插件不执行策略（单独的 flannel 和 kubenet 不执行，关闭了策略代理的插件也不执行）。
处理：在每个节点上运行策略执行组件：自带的 CNI 插件，或并行部署的组件（kube-router --run-firewall、kube-network-policies）。
命令：
    kubectl get networkpolicies -A
    kubectl -n kube-system get pods -o wide
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY`,
	Run: noEnforcer,
}

// An enforcing says what keeps the policies on a node.
type enforcing uint8

const (
	byNobody enforcing = iota // nothing that is known of
	byRules                   // an agent, by rules of netfilter
	byOther                   // eBPF or Open vSwitch, which are not understood
)

// otherDevices are on nodes of plugins that do not enforce by rules, and of Calico where it does so by eBPF.
var otherDevices = []string{"cilium_host", "bpfin.cali", "antrea-gw0", "ovn-k8s-mp0", "ovn0", "kube-ovn0"}

// otherAgents are such plugins' Pods, by the start of their names.
var otherAgents = []string{"cilium-", "anetd-", "antrea-agent-", "ovnkube-node-", "kube-ovn-cni-", "aws-node-", "azure-cns-"}

// agentTables are the tables of nf_tables that policy agents keep: Calico's, kube-network-policies' and kindnet's, kube-router's, the lab's.
var agentTables = []string{"calico", "kube-network-policies", "kindnet-network-policies", "kube-router", "plumb-lab-policy"}

type enforcerKey struct{ ns *network.NS }

// enforcer says what keeps the policies on a node.
func enforcer(p *check.Pass, ns *network.NS) enforcing {
	return check.Once(p, enforcerKey{ns}, func() enforcing {
		if slices.ContainsFunc(otherDevices, func(d string) bool { return ns.Iface(d) != nil }) {
			return byOther
		}
		if hasAgent(ns) {
			return byRules
		}
		for _, pod := range p.SystemPods(check.CNI) {
			if pod.Spec.NodeName == ns.Node.Name && slices.ContainsFunc(otherAgents, func(s string) bool { return strings.HasPrefix(pod.Name, s) }) {
				return byOther
			}
		}
		return byNobody
	})
}

// hasAgent reports whether a policy agent keeps rules in a namespace.
func hasAgent(ns *network.NS) bool {
	for _, t := range ns.Netfilter.Tables {
		if t.Name != "filter" {
			continue
		}
		for name := range t.Chains {
			if slices.ContainsFunc(agents, func(s string) bool { return strings.HasPrefix(name, s) }) {
				return true
			}
		}
	}
	for _, t := range ns.Netfilter.NFTables {
		if slices.Contains(agentTables, t.Name) {
			return true
		}
	}
	return false
}

// A leak is a packet that gets through, although the policies of a Pod deny it.
type leak struct {
	path     *trace.Path
	v        intent.Verdict
	pod      string // whose policies do: "shop/web-0"
	node     string // that the Pod is on
	enforcer enforcing
}

type leaksKey struct{}

// leaks returns what gets through of the packets asked about or, where none was, of those of the sweep.
func leaks(p *check.Pass) []leak {
	return check.Once(p, leaksKey{}, func() (out []leak) {
		e := engine(p)
		if e == nil {
			return nil
		}
		for _, r := range observed(p) {
			for i := range r.Paths {
				path := &r.Paths[i]
				if !passes(p, path) || path.Final.Inner != nil {
					continue
				}
				v := asks(e, path)
				left := path.End == trace.LeftCluster && v.Egress.Answer != intent.Denied // where it goes in is not known
				if v.Answer != intent.Denied || left {
					continue
				}
				l := leak{path: path, v: v, pod: side(v).Pod}
				if o := p.PodByName(l.pod); o != nil {
					l.node = o.Spec.NodeName
				}
				if ns := p.Host(l.node); ns != nil {
					l.enforcer = enforcer(p, ns)
				}
				out = append(out, l)
			}
		}
		return out
	})
}

// passes reports whether no rule stopped a packet: of the sweep also one that nothing listens for, or that leaves the cluster.
func passes(p *check.Pass, path *trace.Path) bool {
	swept := len(p.Results) == 0 && (path.End == trace.NoListener || path.End == trace.LeftCluster)
	return path.End == trace.Delivered || swept
}

// noEnforcer makes one finding about all nodes.
func noEnforcer(p *check.Pass) {
	var fs []check.Finding
	at := map[string]int{}
	for _, l := range leaks(p) {
		if l.enforcer != byNobody || p.Host(l.node) == nil {
			continue
		}
		i, seen := at[l.node]
		if !seen {
			i, at[l.node] = len(fs), len(fs)
			f := check.Finding{Severity: check.Warning, Where: "node/" + l.node, OnPath: len(p.Results) > 0}
			if i == 0 {
				f.Evidence, f.What = finding(p, l.v, l.path).Evidence, side(l.v).Why
			}
			fs = append(fs, f)
		}
		fs[i].Explains = append(fs[i].Explains, check.Symptom{Check: NotEnforced.Name, Where: "pod/" + l.pod})
	}
	if len(fs) == 0 {
		return
	}
	why := fs[0].What
	f, nodes := check.Together(fs)
	f.What = text.F("NetworkPolicies exist, and nothing on %s enforces them: %s", nodes, why)
	f.Fix = check.Fix{What: text.F("run a policy agent on every node, or a CNI plugin that has one; until then policies keep nothing out")}
	p.Report(f)
}
