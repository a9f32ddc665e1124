//go:build linux

package fault

import (
	"strings"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
)

// outsideName and apiName are looked up by web-1: a name that CoreDNS forwards, and one of its own.
var (
	outsideName = lab.Path{From: webB, To: "svc/kube-system/kube-dns:dns", Proto: packet.UDP, Name: "outside.example."}
	apiName     = lab.Path{From: webB, To: "svc/kube-system/kube-dns:dns", Proto: packet.UDP, Name: "api.shop.svc.cluster.local."}
)

// deadDNS is a Service of name servers that has none.
const deadDNS = "10.96.0.77"

// names are faults of CoreDNS, and of the name servers that it asks.
var names = []Fault{
	{
		Name: "coredns-loop", Check: "coredns-loop",
		Story:  "The Corefile, which does not look for loops, forwards to the address of the cluster's own DNS Service.",
		Path:   outsideName,
		Inject: edited("203.0.113.10", "10.96.0.10", "    loop\n", ""),
	},
	{
		Name: "dns-upstream-dead", Check: "no-endpoints", // upstream-unreachable tells of the consequence
		Story: "The Corefile forwards to the company's name servers, a Service of the cluster whose Pods are gone.",
		Path:  outsideName,
		Inject: both(func(l *lab.Lab) error {
			s := *l.Service("kube-system/kube-dns").DeepCopy()
			s.Namespace, s.Name, s.Labels = "corp", "dns", nil
			s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.Selector = deadDNS, append([]string{deadDNS}, s.Spec.ClusterIPs[1:]...), map[string]string{"app": "dns"}
			l.Objects.Services = append(l.Objects.Services, s)
			return sync(l)
		}, edited("203.0.113.10", deadDNS)),
	},
	{
		Name: "corefile-refused", Check: "corefile-refused", Incident: 2,
		Story: "Someone put upstream into kubernetes, as old articles have it, and restarted CoreDNS: it does not know the word, and its Pods crash.",
		Path:  apiName,
		Inject: both(edited("       ttl 30\n", "       ttl 30\n       upstream\n"), func(l *lab.Lab) error {
			for _, n := range l.Nodes {
				for _, p := range n.Pods {
					if p.App != "coredns" {
						continue
					}
					if err := crash(l, p); err != nil {
						return err
					}
				}
			}
			return sync(l)
		}),
	},
	{
		Name: "hosts-no-fallthrough", Check: "hosts-no-fallthrough",
		Story:  "The Corefile got a block hosts for one name, without fallthrough: CoreDNS finds no other name any more.",
		Path:   apiName,
		Inject: edited("    ready\n", "    ready\n    hosts {\n       10.20.0.50 office.corp\n    }\n"),
	},
}

// edited replaces texts of the Corefile, pairs of old and new, and has CoreDNS load it.
func edited(pairs ...string) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return l.SetCorefile(strings.NewReplacer(pairs...).Replace(l.Corefile())) }
}

// crash ends the name server of a Pod, and has its object say so.
func crash(l *lab.Lab, p *lab.Pod) error {
	for _, s := range []string{"udp :53", "tcp :53"} {
		network, addr, _ := strings.Cut(s, " ")
		if err := l.Unlisten(p.NS, network, addr); err != nil {
			return err
		}
	}
	l.SetReady(p.Key(), false)
	for i := range l.PodObject(p.Key()).Status.ContainerStatuses {
		s := &l.PodObject(p.Key()).Status.ContainerStatuses[i]
		s.RestartCount, s.State = 5, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	}
	return nil
}
