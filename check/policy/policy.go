// Package policy compares what NetworkPolicies ask for with what becomes of packets.
package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Denies reports packets that die of a rule because a policy asks for it.
var Denies = &check.Check{
	Name: "policy-denies",
	Doc: `a NetworkPolicy does not allow the connection

Symptom: connections between two Pods, or of a Pod with the outside, time out or are refused; others of the same Pods work.
Cause: a NetworkPolicy selects one of the two, and no rule of any policy allows the other end, or the port; often DNS
(port 53, UDP and TCP) was forgotten for egress, a namespace lacks the label that a rule asks for, or only one side was allowed.
Cure: allow it by a policy, as the fix shows, or narrow the one that denies.
Commands:
    kubectl -n NAMESPACE get networkpolicies -o yaml
    kubectl get pods -A --show-labels
    kubectl get namespaces --show-labels`,
	DocZH: `NetworkPolicy 不允许该连接

症状：两个 Pod 之间，或 Pod 与外部之间的连接超时或被拒绝；同样的 Pod 的其他连接正常。
原因：有 NetworkPolicy 选中了其中一端，而没有任何策略的规则允许另一端或该端口；常见的是出方向忘了放行 DNS（53 端口，UDP 和 TCP）、命名空间缺少规则要求的标签，或只放行了一侧。
处理：按修复建议用一条策略放行，或收窄拒绝它的策略。
命令：
    kubectl -n 命名空间 get networkpolicies -o yaml
    kubectl get pods -A --show-labels
    kubectl get namespaces --show-labels`,
	Run: denies,
}

// NotEnforced reports packets that arrive although no policy allows them.
var NotEnforced = &check.Check{
	Name: "policy-not-enforced",
	Doc: `a NetworkPolicy denies a connection that the nodes let through

Symptom: none that a user sees: what a policy should keep out gets in.
Cause: the CNI plugin does not enforce policies (flannel and kubenet alone do not), its agent does not run on that
node, or it has not yet, or wrongly, programmed its rules.
Cure: install an enforcer, or restart the plugin's agent on that node.
Commands:
    kubectl -n NAMESPACE get networkpolicies
    kubectl -n kube-system get pods -o wide
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY`,
	DocZH: `NetworkPolicy 拒绝的连接被节点放行

症状：用户没有感觉：策略本应拦住的流量进来了。
原因：CNI 插件不执行策略（单独的 flannel 和 kubenet 都不执行），它的代理没有在该节点上运行，或者还没有、或错误地写入规则。
处理：安装执行策略的组件，或重启该节点上的插件代理。
命令：
    kubectl -n 命名空间 get networkpolicies
    kubectl -n kube-system get pods -o wide
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY`,
	Run: notEnforced,
}

type engineKey struct{}

// engine returns what the policies ask for, or nil where there are none, nor rules of an agent that may be left of one.
func engine(p *check.Pass) *intent.Engine {
	o := &p.Snapshot.Objects
	none := len(o.NetworkPolicies)+len(o.ClusterNetworkPolicies)+len(o.AdminNetworkPolicies)+len(o.BaselineAdminNetworkPolicies) == 0
	if none && !(o.Have["NetworkPolicy"] && slices.ContainsFunc(p.Hosts(), func(ns *network.NS) bool { return enforcer(p, ns) == byRules })) {
		return nil
	}
	return check.Once(p, engineKey{}, func() *intent.Engine { return intent.New(o) })
}

// asks returns what the policies say of the packet of a path: those of the Pod that sends it by
// the address that it is for, and those of the Pod that it is for by the address that it comes from.
func asks(e *intent.Engine, path *trace.Path) intent.Verdict {
	f := path.Final
	port := intent.Port{Proto: f.Proto, Number: f.Dst.Port()}
	to := e.Addr(f.Dst.Addr())
	seen := e.Verdict(source(e, path, f.Src.Addr()), to, port)
	if sender, ok := sender(e, path); ok && seen.Egress.Pod == "" {
		// It is masqueraded, after the sender's own policies were asked.
		switch own := e.Verdict(sender, to, port); own.Egress.Answer {
		case intent.Denied:
			return own
		case intent.Unknown:
			return intent.Verdict{Egress: own.Egress}
		}
	}
	return seen
}

// source returns who has the source address of a packet.
func source(e *intent.Engine, path *trace.Path, a netip.Addr) intent.Peer {
	p := e.Addr(a)
	if !p.Outside() || len(path.Hops) == 0 || path.Hops[0].In != "" || path.Hops[0].Pod != "" {
		return p
	}
	if node, ok := e.Node(path.Hops[0].Node); ok {
		return node // by an address that the API does not know, such as a bridge's
	}
	return p
}

// sender returns the Pod that a path begins in.
func sender(e *intent.Engine, path *trace.Path) (intent.Peer, bool) {
	if len(path.Hops) == 0 {
		return intent.Peer{}, false
	}
	ns, name, ok := strings.Cut(path.Hops[0].Pod, "/")
	if !ok {
		return intent.Peer{}, false
	}
	return e.Pod(ns, name)
}

func denies(p *check.Pass) {
	e := engine(p)
	for _, b := range check.DiesOf(p, trace.Dropped, trace.Rejected) {
		if b.Request != nil || b.Path.Final.Inner != nil || !byRule(b) {
			continue
		}
		if e == nil {
			lacks(p)
			return
		}
		v := asks(e, b.Path)
		if v.Answer != intent.Denied {
			continue
		}
		f := finding(p, v, b.Path)
		f.What = text.F("%s is not allowed: %s", b.Path.Final.String(), side(v).Why)
		f.Where, f.Severity, f.OnPath = b.Where(), severity(p), len(p.Results) > 0
		f.Evidence = append(f.Evidence, b.Evidence()...)
		f.Explains = []check.Symptom{{Check: "forward-drop", Where: b.Where()}, {Check: "firewall-drop", Where: b.Where()}, b.Symptom()}
		p.Report(f)
	}
}

// lacks says so where it is not known which policies there are.
func lacks(p *check.Pass) {
	if gap, missing := p.Snapshot.MissingKind("NetworkPolicy"); missing {
		p.Unjudged("objects/NetworkPolicy", gap.Why)
	}
}

// byRule reports whether a rule of netfilter decided.
func byRule(b check.Broken) bool {
	for _, e := range b.Evidence() {
		base := e.File[strings.LastIndex(e.File, "/")+1:]
		if strings.HasPrefix(base, "iptables") || strings.HasPrefix(base, "ip6tables") || strings.HasPrefix(base, "nft") {
			return true
		}
	}
	return false
}

// severity returns how bad a denial is: where nobody asked about the connection, it is meant.
func severity(p *check.Pass) check.Severity {
	if len(p.Results) == 0 {
		return check.Info
	}
	return check.Error
}

func notEnforced(p *check.Pass) {
	unjudged(p)
	at := map[string]int{}
	var out []check.Finding
	for _, l := range leaks(p) {
		if len(p.Results) == 0 && l.enforcer != byRules {
			continue // the other check says so, once
		}
		pod, key := "pod/"+l.pod, "pod/"+l.pod
		if len(p.Results) == 0 && len(side(l.v).Rules) > 0 {
			key = l.node + " " + side(l.v).Rules[0].Name
		}
		if i, seen := at[key]; seen {
			if f := &out[i]; f.Where != pod && !slices.Contains(f.Also, pod) {
				f.Also = append(f.Also, pod)
			}
			continue
		}
		at[key] = len(out)
		f := finding(p, l.v, l.path)
		f.What = text.F("%s arrives, although the policies do not allow it: %s", l.path.Final.String(), side(l.v).Why)
		f.Where, f.Severity = pod, check.Warning
		f.Fix = check.Fix{What: text.F("look whether a policy agent runs on the node of %s; flannel and kubenet alone enforce no policies", l.pod)}
		if l.enforcer == byRules {
			f.Fix.What = text.F("restart the policy agent of %s, which does not follow", l.node)
		}
		out = append(out, f)
	}
	for _, f := range out {
		slices.Sort(f.Also)
		p.Report(f)
	}
}

// side returns the side that denies.
func side(v intent.Verdict) *intent.Side {
	if v.Egress.Answer == intent.Denied {
		return &v.Egress
	}
	return &v.Ingress
}

// maxEvidence is how many policies a finding quotes.
const maxEvidence = 3

// finding makes a finding of a verdict, with its policies and its cure.
func finding(p *check.Pass, v intent.Verdict, path *trace.Path) check.Finding {
	f := check.Finding{Fix: check.Fix{What: v.Fix.What, Commands: apply(v.Fix)}}
	for _, r := range side(v).Rules[:min(len(side(v).Rules), maxEvidence)] {
		f.Evidence = append(f.Evidence, p.Object(r.Kind, r.Namespace, r.Name, r.String()))
	}
	return f
}

// apply returns the commands that make the objects of a fix.
func apply(f intent.Fix) (out []string) {
	var objects []any
	for i := range f.NetworkPolicies {
		objects = append(objects, &f.NetworkPolicies[i])
	}
	for i := range f.ClusterNetworkPolicies {
		objects = append(objects, &f.ClusterNetworkPolicies[i])
	}
	for _, o := range objects {
		if data, err := json.Marshal(o); err == nil {
			out = append(out, "echo "+check.Quote(tidy(string(data)))+" | kubectl apply -f -")
		}
	}
	return out
}

// tidy takes out what the types print although it is not set.
func tidy(s string) string {
	return strings.NewReplacer(`"creationTimestamp":null,`, "", `,"creationTimestamp":null`, "", `,"status":{"conditions":null}`, "", `,"status":{}`, "").Replace(s)
}
