//go:build linux

package fault

import (
	"context"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	corev1 "k8s.io/api/core/v1"
)

// restartAPI gives the API's Pods new addresses.
var restartAPI = do(kubectl("rollout restart "+apiDeploy), rolledOut(apiDeploy))

// flannelAnew has flannel on node-b do again all that it does when it starts.
var flannelAnew = do(remove("flannel", "node-b"), rolledOut(flannelSet))

// agents are faults of the Pods that keep a node's network in order.
var agents = []Fault{
	{
		Name: "proxy-evicted", Check: "proxy-evicted", Incident: 7,
		Story:    "kube-proxy's DaemonSet has no critical priority: on node-b a batch job of higher priority took its place, it is Pending, and the node was started anew.",
		Question: Question{From: "web@node-b", To: "svc/shop/api:80"},
		inject:   do(unimportant, batchJob, evicted, proxyNeverRan("node-b")),
		heal:     every(kubectl("delete --ignore-not-found --now -n shop pod/batch priorityclass/batch"), important),
	},
	{
		Name: "proxy-stopped", Check: "proxy-evicted",
		Story:    "kube-proxy runs no more on node-a, and left its rules there: they lead to the addresses that the API's Pods had before the last rollout.",
		Question: toAPI,
		inject:   do(keepOff(proxySet, "node-a"), restartAPI),
		heal:     letBack(proxySet),
	},
	{
		Name: "proxy-hangs", Check: "proxy-rules-stale", Also: "proxy-evicted", // after 30 seconds it is not ready
		Story:    "kube-proxy on node-a runs, and does nothing: its rules lead to the addresses that the API's Pods had before the last rollout.",
		Question: toAPI,
		inject:   do(on("node-a", "pkill -STOP -f '^/usr/bin/kube-proxy'"), restartAPI),
		heal:     on("node-a", "pkill -CONT -f '^/usr/bin/kube-proxy'"),
	},
	{
		Name: "proxy-hangs-nftables", Check: "proxy-rules-stale", Also: "proxy-evicted",
		Story:    "The same on node-b, where kube-proxy writes nftables rules.",
		Question: Question{From: "web@node-b", To: "svc/shop/api:80"},
		inject:   do(on("node-b", "pkill -STOP -f '^/usr/bin/kube-proxy'"), restartAPI),
		heal:     on("node-b", "pkill -CONT -f '^/usr/bin/kube-proxy'"),
	},
	{
		Name: "cni-missing", Check: "cni-missing",
		Story:    "flannel has no Pod on node-c any more; after a reboot nobody has made flannel.1 and its routes there.",
		Question: Question{From: "web@node-c", To: "web@node-a:8080"},
		inject:   do(keepOff(flannelSet, "node-c"), on("node-c", "ip link del flannel.1")),
		heal:     letBack(flannelSet),
	},
}

// unimportant takes kube-proxy's priority away, and has it ask for CPU time.
var unimportant = do(patch(proxySet, `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"100%"}},"template":{"spec":{"priorityClassName":null,"priority":null,
	"containers":[{"name":"kube-proxy","resources":{"requests":{"cpu":"100m"}}}]}}}}`), rolledOut(proxySet))

// important undoes unimportant.
var important = do(patch(proxySet, `{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical","containers":[{"name":"kube-proxy","resources":null}]}}}}`),
	rolledOut(proxySet), patch(proxySet, `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":1}}}}`))

// batchJob is a Pod that takes all of node-b that kube-proxy's does not need: the scheduler
// preempts that one, since it is of lower priority.
var batchJob step = func(ctx context.Context, c *cluster.Cluster) error {
	p, err := placesOf(ctx, c)
	if err != nil {
		return err
	}
	free := p.node("node-b").Status.Allocatable.Cpu().DeepCopy()
	for _, pod := range p.pods {
		if pod.Spec.NodeName != "node-b" || pod.Labels["k8s-app"] == "kube-proxy" {
			continue
		}
		for _, k := range pod.Spec.Containers {
			free.Sub(*k.Resources.Requests.Cpu())
		}
	}
	web, err := p.pod("web@node-b")
	if err != nil {
		return err
	}
	return c.Apply(ctx, strings.NewReplacer("IMAGE", web.Spec.Containers[0].Image, "CPU", free.String()).Replace(`
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: batch}
value: 1000000
---
apiVersion: v1
kind: Pod
metadata: {name: batch, namespace: shop, labels: {app: batch}}
spec:
  priorityClassName: batch
  nodeSelector: {kubernetes.io/hostname: node-b}
  terminationGracePeriodSeconds: 1
  containers:
  - {name: batch, image: "IMAGE", imagePullPolicy: Never, args: [serve, ":9000"], resources: {requests: {cpu: "CPU"}}}
`))
}

// evicted waits until node-b's kube-proxy is Pending.
var evicted = await("kube-proxy on node-b to be Pending", func(p places) bool {
	pods := p.on("kube-proxy", "node-b")
	return len(pods) == 1 && pods[0].Spec.NodeName == "" && pods[0].Status.Phase == corev1.PodPending
})

// proxyNeverRan takes away what kube-proxy left on a node, as a reboot does.
func proxyNeverRan(node string) step {
	return func(_ context.Context, c *cluster.Cluster) error {
		if _, err := c.Run(node, c.Binary("hyper"), "kube-proxy", "--cleanup"); err != nil {
			return err
		}
		_, err := c.Run(node, "conntrack", "-F")
		return err
	}
}
