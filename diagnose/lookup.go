package diagnose

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// dnsPort is where name servers are asked.
const dnsPort = 53

// lookupOf returns the name that a name server is asked for where a datagram to it is what is
// probed: it need not answer an empty one. "" is for all other ports.
func (r *Report) lookupOf(q trace.Query) string {
	if q.Proto != packet.UDP || q.Dst.Port() != dnsPort {
		return ""
	}
	return "kubernetes.default.svc." + clusterDomain(r.network.Snapshot)
}

// defaultDomain is the cluster's domain where nobody chose another.
const defaultDomain = "cluster.local"

// clusterDomain returns the domain that CoreDNS answers for Services of: the first of the plugin "kubernetes".
func clusterDomain(c *snapshot.Cluster) string {
	for i := range c.Objects.ConfigMaps {
		m := &c.Objects.ConfigMaps[i]
		if m.Namespace != "kube-system" || !strings.HasPrefix(m.Name, "coredns") {
			continue
		}
		for line := range strings.Lines(m.Data["Corefile"]) {
			f := strings.Fields(line)
			if len(f) > 1 && f[0] == "kubernetes" && !strings.ContainsAny(f[1], "{}/") {
				return strings.Trim(f[1], ".")
			}
		}
	}
	return defaultDomain
}

// lookups returns the plans that look the destination up as the source's Pod would, where the
// destination is a host name.
func (r *Report) lookups() (plans []ProbePlan) {
	name := r.hostName()
	var from *network.NS
	switch {
	case name == "":
		return nil
	case len(r.Traces) > 0:
		from = r.Traces[0].Result.Query.From
	case r.Name != nil:
		from = r.Name.Way.Result.Query.From
	}
	if from == nil {
		return nil
	}
	ns, short, _ := strings.Cut(from.PodName, "/")
	pod := find(r.network.Snapshot.Objects.Pods, ns, short)
	for _, server := range nameServers(r.network.Snapshot, pod) {
		q := trace.Query{From: from, Dst: netip.AddrPortFrom(server, dnsPort), Proto: packet.UDP, DF: true}
		if slices.ContainsFunc(from.Links, func(l snapshot.Link) bool { return hasFamily(l, server.Is6()) }) {
			plan := r.plan(q, trace.Run(r.network, q))
			plan.Lookup, plan.Lookup6, plan.named = name, len(r.Traces) > 0 && r.Traces[0].Result.Query.Dst.Addr().Is6(), true
			if r.Name != nil && r.Name.Last().Outcome == dns.Forwarded { // upstreams decide whether it is answered in time
				plan.Predicted = CannotTell
			}
			plans = append(plans, plan)
		}
	}
	return append(plans, r.upstreams()...)
}

// upstreams returns the plans that ask each upstream as CoreDNS does: who answers outside the cluster, no snapshot tells.
func (r *Report) upstreams() (plans []ProbePlan) {
	if r.Name == nil {
		return nil
	}
	d := check.FindCoreDNS(&r.network.Snapshot.Objects, r.network.Snapshot.Nodes)
	for _, w := range r.Name.Onward {
		if d.Itself(w.Result.Query.Dst.Addr()) {
			continue
		}
		plan := r.plan(w.Result.Query, w.Result)
		plan.Lookup, plan.upstream = r.Name.Last().Asked.Name, true
		plans = append(plans, plan)
	}
	return plans
}

// unanswered reports an upstream that does not answer CoreDNS, as a finding: that it was asked is the evidence.
func (r *Report) unanswered(plan ProbePlan, o Observation) {
	p := &o.Probe
	bad := p.Answered == 0 || p.Lookup != nil && p.Lookup.Rcode != "" && p.Lookup.Rcode != rcodeGood && p.Lookup.Rcode != dns.NXDomain
	if o.verdict() == CannotTell || !bad || slices.ContainsFunc(r.Checks.Findings, func(f check.Finding) bool { return f.Check == upstreamCheck }) {
		return
	}
	r.Checks.Findings = slices.Insert(r.Checks.Findings, 0, check.Finding{
		Check: upstreamCheck, Severity: check.Error, Where: "configmap/kube-system/coredns", OnPath: true,
		What:     text.F("the upstream %s does not answer %s: %s", plan.Dst, plan.Pod, o.What),
		Fix:      check.Fix{What: text.F("have the name server %s answer, or forward to another", plan.Dst), Commands: []string{"kubectl -n kube-system edit configmap coredns"}},
		Evidence: []snapshot.Evidence{{File: "objects/configmaps.json", Text: "forward … " + plan.Dst.Addr().String(), Command: "dig @" + plan.Dst.Addr().String() + " " + plan.Lookup}},
	})
}

// upstreamCheck is the check that names a dead upstream.
const upstreamCheck = "upstream-unreachable"

// hasFamily reports whether a device has an address by which others of a family are reached.
func hasFamily(l snapshot.Link, is6 bool) bool {
	return slices.ContainsFunc(l.Addrs, func(a snapshot.LinkAddr) bool {
		return a.Local.Is6() == is6 && !a.Local.IsLoopback() && !a.Local.IsLinkLocalUnicast()
	})
}

// hostName returns the name that was asked about, in full, or "".
func (r *Report) hostName() string {
	t, err := parseTarget("-d", r.Ask.Dst, r.Ask.Namespace)
	if err != nil || t.kind != "host" {
		return ""
	}
	if r.Dest.Kind == "service" { // "api.shop", "api.shop.svc": the search list of the Pod would complete it
		ns, name, _ := strings.Cut(r.Dest.Name, "/")
		return name + "." + ns + ".svc." + clusterDomain(r.network.Snapshot)
	}
	return strings.TrimSuffix(t.name, ".")
}

// nameServers returns those that a Pod asks, by its resolv.conf or, where that was not collected, as far as the objects tell: by its dnsPolicy the cluster's DNS
// Service, or those of its own. Of a node, and of a Pod that asks as its node does, they are not known.
func nameServers(c *snapshot.Cluster, pod *corev1.Pod) (out []netip.Addr) {
	if pod == nil {
		return nil
	}
	if own, ok := check.ConfOf(c.Nodes, pod); ok {
		return own.Conf.Asked()[:1]
	}
	policy := pod.Spec.DNSPolicy
	if policy == corev1.DNSNone && pod.Spec.DNSConfig != nil {
		for _, s := range pod.Spec.DNSConfig.Nameservers {
			if a, err := netip.ParseAddr(s); err == nil {
				out = append(out, a)
			}
		}
		return out[:min(1, len(out))]
	}
	if policy == corev1.DNSDefault || pod.Spec.HostNetwork && policy != corev1.DNSClusterFirstWithHostNet {
		return nil
	}
	for i := range c.Objects.Services {
		s := &c.Objects.Services[i]
		if s.Namespace == "kube-system" && check.RoleOf(s.Labels) == check.DNS {
			out = append(out, check.ClusterIPs(s)...)
		}
	}
	return out[:min(1, len(out))]
}

// lookedUp says what came of a lookup.
func lookedUp(p *snapshot.Probe) text.Text {
	l := p.Lookup
	switch {
	case p.Answered == 0:
		return text.F("%d lookups of %s at %s were not answered", p.Sent, l.Name, p.Dst)
	case l.Rcode != rcodeGood:
		return text.F("%d of %d lookups of %s at %s were answered, by %s", p.Answered, p.Sent, l.Name, p.Dst, l.Rcode)
	case len(l.Addrs) == 0:
		return text.F("%d of %d lookups of %s at %s were answered, by no address", p.Answered, p.Sent, l.Name, p.Dst)
	}
	var addrs []string
	for _, a := range l.Addrs[:min(3, len(l.Addrs))] {
		addrs = append(addrs, a.String())
	}
	return text.F("%d of %d lookups of %s at %s were answered, by %s", p.Answered, p.Sent, l.Name, p.Dst, strings.Join(addrs, ", "))
}

// nameless reports whether a name server answered that a name has no address here.
func nameless(l *snapshot.Lookup) bool {
	return l != nil && l.Rcode != "" && (l.Rcode != rcodeGood || len(l.Addrs) == 0)
}

// lookupNeed is what an answer about a name lacks that was not looked up.
const lookupNeed = "the name lookup itself, which was not followed: %s was taken for Service %s/%s"

// rcodeGood is the answer of a name server that knows the name.
const rcodeGood = "NOERROR"
