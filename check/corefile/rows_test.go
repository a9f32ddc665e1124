package corefile

import (
	"maps"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

var all = []*check.Check{Refused, Loop, Hosts, Dead, Rewrite, Reverse, OneNode}

// edits changes the Corefile: pairs of old and new.
func edits(pairs ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for i := range f.Objects.ConfigMaps {
			m := &f.Objects.ConfigMaps[i]
			if m.Name == "coredns" {
				m.Data = map[string]string{"Corefile": strings.NewReplacer(pairs...).Replace(m.Data["Corefile"])}
			}
		}
	}
}

// pods changes CoreDNS's Pods.
func pods(change func(*corev1.Pod)) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for i := range f.Objects.Pods {
			if p := &f.Objects.Pods[i]; strings.HasPrefix(p.Name, "coredns") {
				change(p)
			}
		}
	}
}

func both(fs ...func(*checktest.Facts)) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, one := range fs {
			one(f)
		}
	}
}

// file has the Corefile forward to CoreDNS's resolv.conf, which the first Pod has, "" where it was not collected.
func file(text string) func(*checktest.Facts) {
	return both(edits("203.0.113.10", "/etc/resolv.conf"), func(f *checktest.Facts) {
		if text != "" {
			f.NS("node-a/pod-kube-system-coredns-76f75df574-h8x2k").Resolv = map[string]string{snapshot.ResolvConf: text}
		}
	})
}

// hostFile has the Corefile forward to its Pods' resolv.conf, which is that of their nodes.
func hostFile(name, text string) func(*checktest.Facts) {
	return both(edits("203.0.113.10", "/etc/resolv.conf"), func(f *checktest.Facts) {
		for _, at := range []string{"node-a/host", "node-b/host"} {
			ns := f.NS(at)
			ns.Resolv = maps.Clone(ns.Resolv)
			if ns.Resolv == nil {
				ns.Resolv = map[string]string{}
			}
			ns.Resolv[name] = text
		}
	})
}

func TestCorefiles(t *testing.T) {
	const at = "configmap/kube-system/coredns: "
	crash := pods(func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "coredns", RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		p.Status.Conditions = nil
	})
	image := func(s string) func(*checktest.Facts) {
		return pods(func(p *corev1.Pod) { p.Spec.Containers[0].Image = s })
	}
	old := edits("ttl 30", "upstream")
	const refusal = "Corefile:10: kubernetes: unknown property 'upstream'"
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "as recorded"},
		{Name: "refused, and crashing", Edit: both(old, crash), Want: "error: " + at + "corefile-refused: CoreDNS 1.12.1 refuses it: " + refusal + "; 2 of its 2 Pods do not start",
			Fix: []string{"kubectl -n kube-system edit configmap coredns"}},
		{Name: "refused, and running", Edit: old, Want: "warning: " + at + "corefile-refused: CoreDNS 1.12.1 refuses it: " + refusal + "; what runs keeps its last configuration, and does not start again"},
		{Name: "not refused by an old one", Edit: both(old, image("coredns/coredns:1.6.2"))},
		{Name: "an image of one's own", Edit: both(edits("errors", "errands"), image("corp/names:7")), Want: "? configmap/kube-system/coredns: corefile-refused: CoreDNS's image may have plugins of its own: Corefile:2: Unknown directive 'errands'"},
		{Name: "too new", Edit: edits("max_concurrent 1000", "next NXDOMAIN\n max_age 1h"), Want: "warning: " + at + "corefile-refused: CoreDNS 1.12.1 refuses it: Corefile:15: forward: unknown property 'max_age'; what runs keeps its last configuration, and does not start again"},
		{Name: "a loop by localhost", Edit: edits("203.0.113.10", "127.0.0.1"), Want: "error: " + at + "coredns-loop: it forwards names of . to 127.0.0.1:53, which is CoreDNS itself: each query comes back"},
		{Name: "a loop by the Service", Edit: edits("203.0.113.10", "10.96.0.10"), Want: "error: " + at + "coredns-loop: it forwards names of . to 10.96.0.10:53, which is CoreDNS itself: each query comes back"},
		{Name: "localhost, for another server block", Edit: edits("203.0.113.10", "127.0.0.1:5353", "loadbalance\n}", "loadbalance\n}\n.:5353 {\n forward . 203.0.113.10\n}\n")},
		{Name: "a zone that is its own, by the Service", Edit: edits("loadbalance\n}", "loadbalance\n}\ncorp.example {\n forward . 10.96.0.10\n}\n"), Want: "error: " + at + "coredns-loop: it forwards names of corp.example. to 10.96.0.10:53, which is CoreDNS itself: each query comes back"},
		{Name: "hosts without fallthrough", Edit: edits("ready\n", "ready\n hosts {\n 10.0.0.1 a.b\n }\n"), Want: "error: " + at + "hosts-no-fallthrough: hosts has no fallthrough: all names of . that it does not list get SERVFAIL, and kubernetes, forward is not asked"},
		{Name: "hosts with it", Edit: edits("ready\n", "ready\n hosts {\n 10.0.0.1 a.b\n fallthrough\n }\n")},
		{Name: "hosts of a zone of its own", Edit: edits("ready\n", "ready\n hosts /etc/coredns/more corp.example {\n 10.0.0.1 a.corp.example\n }\n")},
		{Name: "a rewrite without answer", Edit: edits("ready\n", "ready\n rewrite name suffix .corp.example .shop.svc.cluster.local\n"), Want: "warning: " + at + "rewrite-no-answer: the rewrite rule in line 7 does not rewrite answers: resolvers drop an answer to another name than they asked for"},
		{Name: "a rewrite with answer", Edit: edits("ready\n", "ready\n rewrite name suffix .corp.example .shop.svc.cluster.local answer auto\n")},
		{Name: "an exact rewrite", Edit: edits("ready\n", "ready\n rewrite name a.corp.example api.shop.svc.cluster.local\n")},
		{Name: "no zone of addresses", Edit: edits("cluster.local in-addr.arpa ip6.arpa", "cluster.local"), Want: "info: " + at + "reverse-zone-missing: kubernetes serves no zone for the names of addresses such as 10.96.0.10: upstreams are asked for them"},
		{Name: "the range of Services as a zone", Edit: edits("cluster.local in-addr.arpa ip6.arpa", "cluster.local 10.96.0.0/12")},
		{Name: "on one node", Edit: pods(func(p *corev1.Pod) { p.Spec.NodeName = "node-a" }), Want: "info: deployment/kube-system/coredns: dns-one-node: all 2 Pods of CoreDNS are on node-a: when it is away, no name resolves"},
		{Name: "forward to a Service without endpoints", Edit: both(edits("203.0.113.10", "10.96.0.10:9153"), func(f *checktest.Facts) {
			f.Objects.Services = append(f.Objects.Services, corev1.Service{})
			s := &f.Objects.Services[len(f.Objects.Services)-1]
			s.Namespace, s.Name, s.Spec.ClusterIP, s.Spec.Ports = "corp", "dns", "10.96.0.77", []corev1.ServicePort{{Port: 53}}
		}, edits("10.96.0.10:9153", "10.96.0.77")), Want: "error: " + at + "upstream-unreachable: names of . are forwarded to 10.96.0.77:53, Service corp/dns, which has no endpoint for that port"},
		{Name: "no route to the upstream", Edit: func(f *checktest.Facts) { f.Unroute("node-a/host", "0.0.0.0/0"); f.Unroute("node-b/host", "0.0.0.0/0") },
			Want: "error: " + at + "upstream-unreachable: queries of coredns-76f75df574-h8x2k to the upstream 203.0.113.10:53 are lost at node-a/host: node-a/host has no route to 203.0.113.10: network unreachable"},
		{Name: "a file that is not known", Edit: file(""), Want: "? " + at + "coredns-loop: which name servers CoreDNS forwards to: the resolv.conf of its Pods was not collected"},
		{Name: "a Pod's file", Edit: file("nameserver 203.0.113.10\n")},
		{Name: "a Pod's file, by which it loops", Edit: file("nameserver 127.0.0.53\noptions edns0\n"), Want: "error: " + at + "coredns-loop: it forwards names of . to 127.0.0.53:53, which is CoreDNS itself: each query comes back"},
		{Name: "one of two, and crashing", Edit: both(file("nameserver 203.0.113.10\nnameserver 10.96.0.10\n"), crash), Want: "error: " + at + "coredns-loop: it forwards names of . to 10.96.0.10:53, which is CoreDNS itself: each query comes back"},
		{Name: "the node's file", Edit: hostFile(snapshot.ResolvConf, "nameserver 127.0.0.1\n"), Want: "error: " + at + "coredns-loop: it forwards names of . to 127.0.0.1:53, which is CoreDNS itself: each query comes back"},
		{Name: "a node of two files", Edit: both(hostFile(snapshot.ResolvConf, "nameserver 127.0.0.53\n"), hostFile(snapshot.SystemdResolvConf, "nameserver 203.0.113.10\n")),
			Want: "? " + at + "coredns-loop: which name servers CoreDNS forwards to: the resolv.conf of its Pods was not collected"},
	})
	checktest.Rows(t, checktest.Flannel, []*check.Check{Refused}, []checktest.Row{
		{Name: "not collected", Without: []string{"objects/configmaps.json"}, Want: "? objects/ConfigMap: corefile-refused: not collected"},
	})
}
