package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Stale reports packets that a policy agent's rules drop, although the policies allow them.
var Stale = &check.Check{
	Name: "policy-stale",
	Doc: `a node's policy agent drops what the policies allow

Symptom: a connection that NetworkPolicies allow times out or is refused; without the policy it works.
Cause: the agent that enforces policies on that node does not know who the other end is (mixed CNI plugins: the agents
of one do not know the Pods of the other), or it is behind: it does not reach the API server, or does not run any more.
Cure: look at the agent; until it knows the other end, allow the range of its Pods by an ipBlock.
Commands:
    kubectl -n kube-system get pods -o wide
    kubectl get networkpolicies -A
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY
    nft list ruleset | grep -i policy`,
	DocZH: `节点上的策略代理丢弃了策略允许的流量

症状：NetworkPolicy 允许的连接超时或被拒绝；去掉策略就正常。
原因：该节点上执行策略的代理不认识对端（混用 CNI 插件时，一种插件的代理不认识另一种插件的 Pod），或者代理落后了：连不上 API server，或已不再运行。
处理：检查该代理；在它认识对端之前，用 ipBlock 放行对端 Pod 的网段。
命令：
    kubectl -n kube-system get pods -o wide
    kubectl get networkpolicies -A
    iptables-save | grep -i -e policy -e cali- -e KUBE-NWPLCY
    nft list ruleset | grep -i policy`,
	Run: stale,
}

func stale(p *check.Pass) {
	e := engine(p)
	if e == nil {
		return
	}
	seen := map[string]bool{}
	for _, b := range stopped(p) {
		if b.Request != nil || b.Path.Final.Inner != nil || !byAgent(p, b) {
			continue
		}
		v := asks(e, b.Path)
		if v.Answer != intent.Allowed {
			continue
		}
		f := check.Finding{Severity: check.Error, Where: b.Where(), Evidence: b.Evidence(), OnPath: len(p.Results) > 0}
		why := v.Ingress
		if why.Pod == "" || len(why.Rules) == 0 && len(v.Egress.Rules) > 0 {
			why = v.Egress
		}
		gone := deleted(p, b)
		if key := f.Where + " " + gone + why.Why.String(); len(p.Results) == 0 {
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		f.What = text.F("the policy agent's rules drop %s, which the policies allow: %s", b.Path.Final.String(), why.Why)
		if gone != "" {
			f.What = text.F("the policy agent's rules for NetworkPolicy %s drop %s, and there is no such policy", gone, b.Path.Final.String())
		}
		for _, r := range why.Rules[:min(len(why.Rules), maxEvidence)] {
			f.Evidence = append(f.Evidence, p.Object(r.Kind, r.Namespace, r.Name, r.String()))
		}
		f.Fix = known(p, v, b)
		if gone != "" {
			f.Fix = check.Fix{What: text.F("restart the policy agent of %s, which does not follow", b.Path.At.Node)}
		}
		f.Explains = []check.Symptom{{Check: "forward-drop", Where: b.Where()}, {Check: "firewall-drop", Where: b.Where()}, b.Symptom()}
		p.Report(f)
	}
}

// stopped returns the packets asked about that a rule drops or, where none was, those of the sweep.
func stopped(p *check.Pass) (out []check.Broken) {
	if len(p.Results) > 0 {
		return check.DiesOf(p, trace.Dropped, trace.Rejected)
	}
	for _, r := range observed(p) {
		for i := range r.Paths {
			if path := &r.Paths[i]; path.End == trace.Dropped || path.End == trace.Rejected {
				out = append(out, check.Broken{Query: r.Query, Path: path})
			}
		}
	}
	return out
}

// deleted returns the policy "shop/web" that the rule which decides is of, where there is none of that name; "" otherwise.
func deleted(p *check.Pass, b check.Broken) string {
	if _, missing := p.Snapshot.MissingKind("NetworkPolicy"); missing {
		return ""
	}
	for _, e := range b.Evidence() {
		for _, w := range strings.FieldsFunc(e.Text, func(r rune) bool { return r == ' ' || r == '"' || r == '\\' }) {
			namespace, name, ok := strings.Cut(strings.Replace(w, "/knp.default.", "/", 1), "/")
			if !ok || !hasNamespace(p, namespace) || strings.Contains(name, "/") {
				continue
			}
			if !slices.ContainsFunc(p.Snapshot.Objects.NetworkPolicies, func(o networkingv1.NetworkPolicy) bool { return o.Namespace == namespace && o.Name == name }) {
				return namespace + "/" + name
			}
		}
	}
	return ""
}

func hasNamespace(p *check.Pass, name string) bool {
	return slices.ContainsFunc(p.Snapshot.Objects.Namespaces, func(o corev1.Namespace) bool { return o.Name == name })
}

// agents are what the rules of policy agents are known by in iptables: their chains and comments.
var agents = []string{"cali-", "KUBE-NWPLCY-", "KUBE-POD-FW-", "WEAVE-NPC", "ANTREA-"}

// byAgent reports whether the rule that decides is a policy agent's: by its name, or by that of a policy in it.
func byAgent(p *check.Pass, b check.Broken) bool {
	for _, e := range b.Evidence() {
		line := e.Command + " " + e.Text
		inTable := slices.ContainsFunc(agentTables, func(s string) bool { return strings.Contains(e.Command, " "+s+" ") })
		if inTable || slices.ContainsFunc(agents, func(s string) bool { return strings.Contains(line, s) }) {
			return true
		}
		for i := range p.Snapshot.Objects.NetworkPolicies {
			if o := &p.Snapshot.Objects.NetworkPolicies[i]; strings.Contains(line, o.Namespace+"/"+o.Name) {
				return true
			}
		}
	}
	return false
}

// known returns what helps until the agent knows the other end: a policy by its address range.
func known(p *check.Pass, v intent.Verdict, b check.Broken) check.Fix {
	fix := check.Fix{What: text.F("look why the policy agent of %s does not know %s", b.Path.At.Node, b.Path.Final.Src.Addr())}
	to, from := p.PodByAddr(b.Path.Final.Dst.Addr()), p.PodByAddr(b.Path.Final.Src.Addr())
	if to == nil || from == nil || v.Ingress.Pod == "" {
		return fix
	}
	c, ok := rangeOf(p, from.Spec.NodeName, b.Path.Final.Src.Addr())
	if !ok {
		return fix
	}
	fix.What = text.F("look why the policy agent of %s does not know %s; until it does, allow the Pods of %s by their range", b.Path.At.Node, b.Path.Final.Src.Addr(), from.Spec.NodeName)
	data, err := json.Marshal(byRange(to, from.Spec.NodeName, c))
	if err == nil {
		fix.Commands = []string{"echo " + check.Quote(tidy(string(data))) + " | kubectl apply -f -"}
	}
	return fix
}

// rangeOf returns the Pod range of a node that holds a.
func rangeOf(p *check.Pass, node string, a netip.Addr) (netip.Prefix, bool) {
	o := p.NodeObject(node)
	if o == nil {
		return netip.Prefix{}, false
	}
	for _, c := range check.PodCIDRs(o) {
		if c.Contains(a) {
			return c, true
		}
	}
	return netip.Prefix{}, false
}

// byRange is a policy that lets the Pods of a node reach those of a workload.
func byRange(to *corev1.Pod, node string, c netip.Prefix) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: to.Namespace, Name: "allow-pods-of-" + node},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: intent.WorkloadLabels(to)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
				IPBlock: &networkingv1.IPBlock{CIDR: c.String()}}}}},
		},
	}
}
