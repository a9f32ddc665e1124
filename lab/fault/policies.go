//go:build linux

package fault

import (
	"fmt"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/policy"
	"github.com/plumbnet/plumb/packet"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// policies are faults of NetworkPolicies, and of those that enforce them: here the lab's own enforcer.
var policies = []Fault{
	{
		Name: "policy-ingress", Check: "policy-denies",
		Story:  "A NetworkPolicy lets the API be reached by Pods of app=admin only, and the shop's Pods have another label.",
		Path:   toAPI,
		Inject: policed(nil, "api", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: admin}}}]}]}`),
	},
	{
		Name: "policy-egress", Check: "policy-denies",
		Story:  "A NetworkPolicy lets the web Pods send to Pods of app=db alone: they do not reach the API.",
		Path:   toAPI,
		Inject: policed(nil, "web", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}`),
	},
	{
		Name: "policy-dns-forgotten", Check: "policy-denies",
		Story:  "A NetworkPolicy lets the web Pods send to the API, and forgets the cluster's DNS: they find no name any more.",
		Path:   lab.Path{From: webB, To: "svc/kube-system/kube-dns:dns", Proto: packet.UDP},
		Inject: policed(nil, "web", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}`),
	},
	{
		Name: "policy-unknown-identity", Check: "policy-stale", Incident: 4,
		Story:  "A NetworkPolicy lets the web Pods reach the API; node-b's enforcer knows only its own node's Pods, and takes all others for the world.",
		Path:   lab.Path{From: webA, To: apiB + ":8080"},
		Inject: policed([]string{"node-b"}, "api", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`),
	},
}

// policed adds a policy, and has the enforcers of all nodes load what they make of it; that of node-b knows
// the Pods of some nodes only.
func policed(own []string, name, spec string) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		p := networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
		l.Objects.NetworkPolicies = append(l.Objects.NetworkPolicies, p)
		world := policy.World{Pods: l.Objects.Pods, Namespaces: l.Objects.Namespaces, Policies: l.Objects.NetworkPolicies}
		for _, n := range l.Nodes {
			e := policy.Enforcer{Node: n.Name}
			if n.Name == "node-b" {
				e.Own = own
			}
			if err := n.NS.Run(e.Ruleset(world), "nft", "-f", "-"); err != nil {
				return err
			}
		}
		return nil
	}
}
