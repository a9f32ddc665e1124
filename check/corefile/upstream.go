package corefile

import (
	"net/netip"
	"slices"
	"strconv"
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

// Loop reports a CoreDNS that forwards queries to itself.
var Loop = &check.Check{
	Name: "coredns-loop",
	Doc: `CoreDNS forwards queries to itself

Symptom: CoreDNS's Pods exit with "Loop … detected for zone", or names outside the cluster time out under load.
Cause: forward names 127.0.0.1, the cluster's own DNS Service or one of CoreDNS's Pods, by which the query comes back.
Cure: forward to the name servers of the network outside.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns --previous`,
	DocZH: `CoreDNS 把查询转发给了自己

症状：CoreDNS 的 Pod 以 “Loop … detected for zone” 退出，或负载下集群外的名称解析超时。
原因：forward 写了 127.0.0.1、集群自己的 DNS Service 或 CoreDNS 的某个 Pod，查询又回到自己。
处理：转发到集群外网络的 DNS 服务器。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns --previous`,
	Needs: needs,
	Run:   loop,
}

// Dead reports upstreams that CoreDNS's queries do not arrive at.
var Dead = &check.Check{
	Name: "upstream-unreachable",
	Doc: `CoreDNS cannot reach a name server that it forwards to

Symptom: names outside the cluster, or of one domain, get SERVFAIL after seconds.
Cause: forward names a Service without endpoints, or what CoreDNS's Pods send is dropped on its way.
Cure: let the packets pass, or forward to a name server that answers.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns | grep -i timeout`,
	DocZH: `CoreDNS 无法到达它所转发的上游 DNS 服务器

症状：集群外的名称或某个域名在数秒后得到 SERVFAIL。
原因：forward 指向的 Service 没有后端，或 CoreDNS 的 Pod 发出的报文在途中被丢弃。
处理：放行这些报文，或转发到能应答的 DNS 服务器。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns | grep -i timeout`,
	Needs: needs,
	Run:   dead,
}

// eachUpstream calls f for each upstream whose address is known.
func eachUpstream(d *check.CoreDNS, f func(dns.Forward, dns.Upstream)) {
	if d == nil || d.Corefile == nil {
		return
	}
	for _, fw := range d.Corefile.Forwards() {
		for _, u := range fw.To {
			if u.Addr.IsValid() {
				f(fw, u)
			}
		}
	}
}

func loop(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || d.Corefile == nil {
		return
	}
	for _, fw := range d.Corefile.Forwards() {
		for _, u := range fw.To {
			if u.File != "" && !p.Snapshot.Partial {
				p.Unjudged(where, "which name servers CoreDNS forwards to: the resolv.conf of its Pods was not collected")
			}
		}
	}
	eachUpstream(d, func(fw dns.Forward, u dns.Upstream) {
		a := u.Addr.Addr()
		if !d.Itself(a) || u.Transport != "dns" || !back(fw, u, d, !a.IsLoopback()) {
			return
		}
		f := check.Finding{
			Severity: check.Error, Where: where,
			What:     text.F("it forwards names of %s to %s, which is CoreDNS itself: each query comes back", fw.Zone, u.Addr),
			Fix:      check.Fix{What: text.F("forward to the name servers of the network outside"), Commands: edit},
			Evidence: []snapshot.Evidence{line(p, d, fw.Line)},
		}
		if from := finds(d, a); len(from) > 0 && !strings.Contains(f.Evidence[0].Text, a.String()) {
			f.Evidence = append(f.Evidence, from...)
			f.Fix = check.Fix{What: text.F("have resolvConf of the kubelets name a file without %s, and CoreDNS's Pods made anew", a),
				Commands: []string{"grep resolvConf /var/lib/kubelet/config.yaml", "kubectl -n kube-system rollout restart deployment coredns"}}
		}
		crashes(p, &f, d)
		p.Report(f)
	})
}

// finds returns where CoreDNS's Pods have a name server in their resolv.conf.
func finds(d *check.CoreDNS, a netip.Addr) (out []snapshot.Evidence) {
	for _, c := range d.Confs {
		if slices.Contains(c.Conf.Servers, a) {
			out = append(out, snapshot.Evidence{File: c.File, Text: "nameserver " + a.String(), Command: "cat /etc/resolv.conf"})
		}
	}
	return out
}

// back reports whether a query that is forwarded to CoreDNS itself is forwarded there again: it may come to
// another server block, by its port.
func back(fw dns.Forward, u dns.Upstream, d *check.CoreDNS, own bool) bool {
	port := u.Addr.Port()
	if own { // by the Service, or to the Pod's port
		port, _ = parsePort(fw.Port)
	}
	name := "loop." + fw.Zone
	if fw.Zone == "." {
		name = "loop.invalid."
	}
	a := d.Corefile.Ask(dns.Query{Name: name, Type: "HINFO", Port: port}, dns.Env{})
	return a.Outcome == dns.Forwarded && slices.Contains(a.Upstreams, u)
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

func dead(p *check.Pass) {
	d := p.CoreDNS()
	eachUpstream(d, func(fw dns.Forward, u dns.Upstream) {
		if s := p.ServiceOf(u.Addr.Addr()); s != nil {
			if p.Snapshot.Objects.Have["EndpointSlice"] {
				service(p, d, fw, u, s)
			}
			return
		}
		for _, pod := range d.Pods {
			ns := p.Network.Pod(pod.Namespace + "/" + pod.Name)
			if ns == nil || u.Transport != "dns" {
				continue
			}
			if path := lost(p.Network, ns, u.Addr); path != nil {
				p.Report(check.Finding{
					Severity: check.Error, Where: where,
					What:     text.F("queries of %s to the upstream %s are lost at %s: %s", pod.Name, u.Addr, path.At, path.Why),
					Fix:      check.Fix{What: text.F("let CoreDNS's queries to %s pass, or forward to another name server", u.Addr), Commands: edit},
					Evidence: []snapshot.Evidence{line(p, d, fw.Line)},
				})
				return
			}
		}
	})
}

// service reports an upstream that is a Service with nothing behind it.
func service(p *check.Pass, d *check.CoreDNS, fw dns.Forward, u dns.Upstream, s *corev1.Service) {
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.Port == int32(u.Addr.Port()) && len(p.Usable(s, port, u.Addr.Addr().Is6())) > 0 {
			return
		}
	}
	if d.Serves(u.Addr.Addr()) {
		return // coredns-loop says so
	}
	p.Report(check.Finding{
		Severity: check.Error, Where: where,
		What:     text.F("names of %s are forwarded to %s, Service %s/%s, which has no endpoint for that port", fw.Zone, u.Addr, s.Namespace, s.Name),
		Fix:      check.Fix{What: text.F("get the Service's Pods ready, or forward to another name server"), Commands: edit},
		Evidence: []snapshot.Evidence{line(p, d, fw.Line), p.Object("Service", s.Namespace, s.Name, "clusterIP: "+u.Addr.Addr().String())},
	})
}

// lost returns a path of a query to an upstream, if all of them end for certain on the way.
func lost(n *network.Network, from *network.NS, to netip.AddrPort) *trace.Path {
	r := trace.Run(n, trace.Query{From: from, Dst: to, Proto: packet.UDP, DF: true})
	for _, path := range r.Paths {
		if len(path.Assumed) > 0 || !slices.Contains([]trace.Fate{trace.Dropped, trace.Rejected, trace.NoRoute}, path.End) {
			return nil
		}
	}
	if len(r.Paths) == 0 {
		return nil
	}
	return &r.Paths[0]
}
