//go:build linux

package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	corev1 "k8s.io/api/core/v1"
)

// The questions about names: of the DNS Service itself, of a Service's name, and of a name outside.
var (
	toDNS       = Question{From: "web@node-a", To: "svc/kube-system/kube-dns:53", Proto: "udp", By: lookup}
	nameWithin  = Question{From: "web@node-a", To: "api.shop.svc.cluster.local:80", By: lookup}
	nameOutside = Question{From: "web@node-a", To: "outside.example:80", By: lookup}
)

// names are faults of CoreDNS, and of the name servers that it asks.
var names = []Fault{
	{
		Name: "coredns-loop", Check: "coredns-loop",
		Story:    "The nodes' resolv.conf names systemd's stub, 127.0.0.53; since CoreDNS's Pods, which get that file, were made anew, they forward to themselves and exit.",
		Question: toDNS,
		inject:   do(resolvConf("127.0.0.53"), anew, crashing),
		heal:     every(resolvConf(cluster.OutsideIP), anew, rolledOut(dnsDeploy)),
	},
	{
		Name: "coredns-loop-service", Check: "coredns-loop",
		Story:    "The Corefile forwards to the address of the cluster's own DNS Service.",
		Question: nameOutside,
		inject:   do(edit(loopPlugin, ""), corefile("/etc/resolv.conf", "10.96.0.10")), // the plugin would have it exit
		heal:     every(edit("    reload\n", loopPlugin+"    reload\n"), corefile("10.96.0.10", "/etc/resolv.conf")),
	},
	{
		Name: "dns-upstream-dead", Check: "upstream-unreachable",
		Story:    "The name server outside, to which CoreDNS forwards, has ended.",
		Question: nameOutside,
		inject:   func(_ context.Context, c *cluster.Cluster) error { return c.Stop(cluster.Outside, "coredns") },
		heal:     func(_ context.Context, c *cluster.Cluster) error { return c.Start(cluster.Outside, "coredns") },
	},
	{
		Name: "corefile-refused", Check: "corefile-refused",
		Story:    "Someone put upstream into kubernetes, as old articles have it; the CoreDNS that runs does not know it, and does not start again.",
		Question: toDNS,
		inject:   do(corefile("pods insecure", "pods insecure\n       upstream"), crashing),
		heal:     corefile("pods insecure\n       upstream", "pods insecure"),
	},
	{
		Name: "hosts-no-fallthrough", Check: "hosts-no-fallthrough",
		Story:    "The Corefile got a block hosts for one name, without fallthrough: CoreDNS finds no other name any more.",
		Question: nameWithin,
		inject:   corefile("ready\n", withHosts),
		heal:     corefile(withHosts, "ready\n"),
	},
}

// loopPlugin is the line by which CoreDNS looks for loops when it starts.
const loopPlugin = "    loop\n"

// withHosts is what the Corefile says of office.corp.
const withHosts = "ready\n    hosts {\n       " + cluster.OfficeIP + " office.corp\n    }\n"

// resolvConf makes a name server that of all nodes.
func resolvConf(server string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		for _, n := range c.Nodes {
			if err := on(n, "echo nameserver "+server+" > /etc/resolv.conf")(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// anew deletes CoreDNS's Pods, so that others are made.
var anew = kubectl("delete pods -n kube-system -l k8s-app=kube-dns")

// corefile replaces a text of the Corefile, and has CoreDNS's Pods made anew: by itself it would
// load it within a minute, and go on with the old one where it refuses it.
func corefile(old, new string) step {
	return do(edit(old, new), anew)
}

// edit replaces a text of the Corefile.
func edit(old, new string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		var m corev1.ConfigMap
		if err := c.Get(ctx, "/api/v1/namespaces/kube-system/configmaps/coredns", &m); err != nil {
			return err
		}
		text := m.Data["Corefile"]
		if strings.Count(text, old) != 1 {
			return fmt.Errorf("the Corefile does not have %q once:\n%s", old, text)
		}
		change, err := json.Marshal(map[string]any{"data": map[string]string{"Corefile": strings.Replace(text, old, new, 1)}})
		if err != nil {
			return err
		}
		return patch("-n kube-system configmap/coredns", string(change))(ctx, c)
	}
}

// crashing waits until all of CoreDNS's Pods have ended, and been started again in vain.
var crashing = await("CoreDNS's Pods to crash", func(p places) bool {
	n := 0
	for _, pod := range p.pods {
		if pod.Labels["k8s-app"] != "kube-dns" {
			continue
		}
		if pod.DeletionTimestamp != nil || !slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return !s.Ready && s.RestartCount > 0 }) {
			return false
		}
		n++
	}
	return n > 0
})
