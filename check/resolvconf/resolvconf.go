// Package resolvconf finds Pods whose resolv.conf is not the one that their dnsPolicy asks for.
package resolvconf

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Check reports Pods that ask other name servers than the cluster's, or search other domains.
var Check = &check.Check{
	Name: "resolv-conf-differs",
	Doc: `a Pod's resolv.conf is not the one that its dnsPolicy asks for

Symptom: in Pods of one node, or in one Pod, no name of the cluster resolves, or only full names do.
Cause: clusterDNS or clusterDomain of the node's kubelet is not the DNS Service's address or domain, the DNS Service was
made anew with another address since the Pod started, or a program in the Pod wrote the file.
Cure: set clusterDNS and clusterDomain in the kubelet's configuration, restart it, and have the Pods made anew.
Commands:
    kubectl exec POD -- cat /etc/resolv.conf
    kubectl -n kube-system get service kube-dns -o jsonpath='{.spec.clusterIP}'
    grep -A2 clusterD /var/lib/kubelet/config.yaml`,
	DocZH: `Pod 的 resolv.conf 与其 dnsPolicy 不符

症状：某个节点的 Pod（或某个 Pod）中，集群内名称全部无法解析，或只有完整域名能解析。
原因：该节点 kubelet 的 clusterDNS 或 clusterDomain 不是 DNS Service 的地址或集群域名；DNS Service 在 Pod 启动后以另一地址重建；或 Pod 中的程序改写了该文件。
处理：改正 kubelet 配置中的 clusterDNS 和 clusterDomain，重启 kubelet，并重建这些 Pod。
命令：
    kubectl exec POD -- cat /etc/resolv.conf
    kubectl -n kube-system get service kube-dns -o jsonpath='{.spec.clusterIP}'
    grep -A2 clusterD /var/lib/kubelet/config.yaml`,
	Needs: []string{"objects/Pod", "objects/Service", "objects/ConfigMap"},
	Run:   run,
}

func run(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || len(d.Services) == 0 || d.Corefile == nil {
		return
	}
	pods, told := 0, false
	for _, ns := range p.Network.NS {
		pod := p.PodByName(ns.PodName)
		if ns.IsHost() || pod == nil || pod.Spec.HostNetwork {
			continue
		}
		pods++
		if said, ok := ns.Resolv[snapshot.ResolvConf]; ok {
			told = true
			compare(p, d, ns, pod, dns.ParseConf(said))
		}
	}
	if pods > 0 && !told && len(p.Results) == 0 { // of a path it is said where names are resolved
		p.Unjudged("nodes", "what resolv.conf Pods have: none was collected")
	}
}

// compare reports what of a Pod's resolv.conf is not as it must be. What comes from the node's own, which kubelets
// may be given any file as, is left out.
func compare(p *check.Pass, d *check.CoreDNS, ns *network.NS, pod *corev1.Pod, has dns.Conf) {
	must, _ := d.Kubelet().Conf(check.PodDNS(pod))
	f := check.Finding{
		Severity: check.Warning, Where: check.Place(ns, ""),
		Fix: check.Fix{What: text.F("set clusterDNS and clusterDomain of %s's kubelet to the cluster's, and have its Pods made anew", ns.Node.Name),
			Commands: []string{"grep -A2 clusterD /var/lib/kubelet/config.yaml", "kubectl -n " + pod.Namespace + " delete pod " + pod.Name}},
		Evidence: []snapshot.Evidence{p.Object("Pod", pod.Namespace, pod.Name, "dnsPolicy: "+string(pod.Spec.DNSPolicy))},
	}
	say := func(line string) {
		f.Evidence = append(f.Evidence, snapshot.Evidence{File: ns.Path(snapshot.ResolvConf), Text: line,
			Command: "kubectl -n " + pod.Namespace + " exec " + pod.Name + " -- cat /etc/resolv.conf"})
	}
	own := pod.Spec.DNSPolicy != corev1.DNSDefault // the node's are not in it
	i := slices.IndexFunc(has.Servers, func(a netip.Addr) bool { return !expected(p, d, ns, must, a) })
	j := slices.IndexFunc(must.Search, func(s string) bool { return !slices.Contains(has.Search, s) })
	switch {
	case own && i >= 0:
		if i == 0 {
			f.Severity = check.Error
		}
		f.What = text.F("%s asks %s for names, and by its dnsPolicy it is to ask %s", ns.PodName, has.Servers[i], must.Asked()[0])
		say("nameserver " + has.Servers[i].String())
		p.Blame(&f, func(b check.Broken) bool { return b.Query.From == ns && b.Query.Dst.Addr() == has.Servers[i] })
	case j >= 0:
		f.What = text.F("%s does not search %s for names, and by its dnsPolicy it is to", ns.PodName, must.Search[j])
		say("search " + strings.Join(has.Search, " "))
	case own && has.NDots() != must.NDots():
		f.What = text.F("%s has ndots %d in its resolv.conf, and by its dnsPolicy it is to have %d", ns.PodName, has.NDots(), must.NDots())
		say("options " + strings.Join(has.Options, " "))
	default:
		return
	}
	p.Report(f)
}

// expected reports whether a Pod may be told to ask a name server: by its own object, or as one of the cluster's, of
// which NodeLocal DNSCache has an address on the node.
func expected(p *check.Pass, d *check.CoreDNS, ns *network.NS, must dns.Conf, a netip.Addr) bool {
	host := p.Host(ns.Node.Name)
	return slices.Contains(must.Servers, a) || d.Serves(a) || a.IsLinkLocalUnicast() || host != nil && check.LinkWith(host, a) != nil
}
