//go:build linux

package fault

import (
	"context"
	"slices"

	"github.com/plumbnet/plumb/lab/cluster"
)

// policies are faults of NetworkPolicies, and of those that enforce them: here the lab's own enforcer.
var policies = []Fault{
	{
		Name: "policy-drop", Check: "policy-denies",
		Story:    "A NetworkPolicy lets the API be reached by Pods of app=admin only, and the shop's Pods have another label.",
		Question: Question{From: "web@node-a", To: "svc/shop/api:80"},
		inject:   do(enforce(nil), allowOnly("admin")),
		heal:     every(allowAll, unenforce),
	},
	{
		Name: "policy-egress", Check: "policy-denies",
		Story:    "A NetworkPolicy lets the shop's Pods send to Pods of app=db alone: they do not reach the API.",
		Question: Question{From: "web@node-a", To: "svc/shop/api:80"},
		inject:   do(enforce(nil), sendOnly("db")),
		heal:     every(allowAll, unenforce),
	},
	{
		Name: "policy-dns-forgotten", Check: "policy-denies",
		Story:    "A NetworkPolicy lets the shop's Pods send to the API, and forgets the cluster's DNS: they find no name any more.",
		Question: Question{From: "web@node-a", To: "svc/kube-system/kube-dns:53", Proto: "udp", By: lookup},
		inject:   do(enforce(nil), sendOnly("api")),
		heal:     every(allowAll, unenforce),
	},
	{
		Name: "policy-unknown-identity", Check: "policy-stale", Incident: 4,
		Story:    "A NetworkPolicy lets the shop's Pods reach the API; node-b's enforcer knows only its own node's Pods, and takes all others for the world.",
		Says:     ", which the policies allow: NetworkPolicy shop/api ingress[0] allows it", // the API's verdict beside the node's
		Question: Question{From: "web@node-a", To: "api@node-b:8080"},
		inject:   do(enforce([]string{"node-b"}), allowOnly("web")),
		heal:     every(allowAll, unenforce),
	},
}

// enforce starts the enforcers of all nodes; that of node-b knows the Pods of some nodes only.
func enforce(own []string) step {
	return func(_ context.Context, c *cluster.Cluster) error {
		for _, n := range c.Nodes {
			knows := own
			if n != "node-b" {
				knows = nil
			}
			if err := c.Enforce(n, knows); err != nil {
				return err
			}
		}
		return nil
	}
}

var unenforce step = func(ctx context.Context, c *cluster.Cluster) error {
	var steps []step
	for _, n := range slices.Backward(c.Nodes) {
		steps = append(steps, func(context.Context, *cluster.Cluster) error { return c.Unenforce(n) })
	}
	return every(steps...)(ctx, c)
}

// allowOnly makes a policy by which the API's Pods can be reached by one app's alone.
func allowOnly(app string) step {
	return policy("api", `{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: `+app+`}}}]}]}`)
}

// sendOnly makes a policy by which the shop's Pods can send to one app's alone.
func sendOnly(app string) step {
	return policy("web", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: `+app+`}}}]}]}`)
}

// policy makes a NetworkPolicy of the namespace shop.
func policy(name, spec string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		return c.Apply(ctx, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "+name+", namespace: shop}\nspec: "+spec+"\n")
	}
}

var allowAll = kubectl("delete --ignore-not-found -n shop networkpolicy/api networkpolicy/web")
