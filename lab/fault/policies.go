//go:build linux

package fault

import (
	"fmt"
	"slices"

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
		Path:   webToAPI,
		Inject: policed([]string{"node-b"}, "api", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`),
	},
	{
		Name: "policy-stale-rule", Check: "policy-stale",
		Story: "A NetworkPolicy that kept the web Pods from the API was deleted; node-b's enforcer hangs, and still drops what they send.",
		Path:  webToAPI,
		Inject: both(policed(nil, "web", openToAll), policed(nil, "api", onlyAdmin), hung(func(l *lab.Lab) error {
			removePolicy(l, "api")
			return nil
		})),
	},
	{
		Name: "policy-allow-missing", Check: "policy-stale",
		Story:  "A NetworkPolicy was changed to let the web Pods reach the API too; node-b's enforcer hangs, and knows the former rule alone.",
		Path:   webToAPI,
		Inject: both(policed(nil, "api", onlyAdmin), hung(policyObject("api", andWeb))),
	},
	{
		Name: "policy-missing-rule", Check: "policy-not-enforced", Opens: policed(nil, "api", onlyAdmin),
		Story:  "A NetworkPolicy was changed to keep the web Pods from the API; node-b's enforcer hangs, and still lets them in.",
		Path:   webToAPI,
		Inject: both(policed(nil, "api", andWeb), hung(policyObject("api", onlyAdmin))),
	},
	{
		Name: "no-policy-enforcer", Check: "no-policy-enforcer", Opens: policed(nil, "api", onlyAdmin),
		Story:      "A NetworkPolicy keeps the web Pods from the API, the API server took it, and flannel alone enforces none.",
		Topologies: bridged,
		Path:       webToAPI,
		Inject:     both(policyObject("api", onlyAdmin), unenforced),
	},
}

// onlyAdmin lets the API be reached by Pods of app=admin alone, andWeb by the web Pods too; openToAll is a policy that limits nobody.
const (
	openToAll = `{podSelector: {matchLabels: {app: web}}, ingress: [{}]}`
	onlyAdmin = `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: admin}}}]}]}`
	andWeb    = `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: admin}}}, {podSelector: {matchLabels: {app: web}}}]}]}`
)

var webToAPI = lab.Path{From: webA, To: apiB + ":8080"}

// policed adds a policy, and has the enforcers of all nodes load what they make of it; that of node-b knows
// the Pods of some nodes only.
func policed(own []string, name, spec string) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		if err := addPolicy(l, name, spec); err != nil {
			return err
		}
		for _, n := range l.Nodes {
			e := policy.Enforcer{Node: n.Name}
			if n.Name == "node-b" {
				e.Own = own
			}
			if err := enforce(l, n, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// addPolicy adds a policy to the objects, in place of one of that name.
func addPolicy(l *lab.Lab, name, spec string) error {
	p := networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		return fmt.Errorf("policy %s: %w", name, err)
	}
	removePolicy(l, name)
	l.Objects.NetworkPolicies = append(l.Objects.NetworkPolicies, p)
	return nil
}

func removePolicy(l *lab.Lab, name string) {
	l.Objects.NetworkPolicies = slices.DeleteFunc(l.Objects.NetworkPolicies, func(p networkingv1.NetworkPolicy) bool { return p.Name == name })
}

// enforce has the enforcer of a node load what it makes of the objects as they are.
func enforce(l *lab.Lab, n *lab.Node, e policy.Enforcer) error {
	world := policy.World{Pods: l.Objects.Pods, Namespaces: l.Objects.Namespaces, Policies: l.Objects.NetworkPolicies}
	return n.NS.Run(e.Ruleset(world), "nft", "-f", "-")
}

// hung has the enforcers of all nodes but node-b follow what change does to the objects.
func hung(change func(*lab.Lab) error) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		if err := change(l); err != nil {
			return err
		}
		return Enforce(l, "node-b")
	}
}

// Enforce has the enforcers of all nodes, but those that hang, load what they make of the objects as they are.
func Enforce(l *lab.Lab, hung ...string) error {
	for _, n := range l.Nodes {
		if slices.Contains(hung, n.Name) {
			continue
		}
		if err := enforce(l, n, policy.Enforcer{Node: n.Name}); err != nil {
			return err
		}
	}
	return nil
}

// unenforced takes the enforcers' tables off all nodes.
func unenforced(l *lab.Lab) error {
	for _, n := range l.Nodes {
		if err := n.NS.Run(policy.Removal(), "nft", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

// policyObject sets a policy in the objects alone.
func policyObject(name, spec string) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return addPolicy(l, name, spec) }
}
