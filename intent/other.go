package intent

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// This file reads the policies that CNI plugins have of their own: Calico's and Cilium's. What
// their rules do is not judged. Whom they may select is, so that an answer is Unknown only
// where they could decide: a part of a selector that is not understood selects everybody.

// otherTier is that of policies whose rules are not judged.
const otherTier = baselineTier + 1

// otherPolicies reads all of them.
func (b *builder) otherPolicies() {
	o := b.objects
	for i := range o.CiliumNetworkPolicies {
		b.cilium(&o.CiliumNetworkPolicies[i])
	}
	for i := range o.CiliumClusterwideNetworkPolicies {
		b.cilium(&o.CiliumClusterwideNetworkPolicies[i])
	}
	for i := range o.CalicoNetworkPolicies {
		b.calico(&o.CalicoNetworkPolicies[i], "NetworkPolicy (Calico)")
	}
	for i := range o.CalicoGlobalNetworkPolicies {
		b.calico(&o.CalicoGlobalNetworkPolicies[i], "GlobalNetworkPolicy (Calico)")
	}
}

// other adds a policy for the Pods of its namespace, or of all, that a selector selects.
func (b *builder) other(o *snapshot.OtherPolicy, kind string, namespaces, pods *metav1.LabelSelector, touches [2]bool) {
	if o.Namespace == "" && namespaces == nil {
		namespaces = &metav1.LabelSelector{}
	}
	b.policies = append(b.policies, policy{kind: kind, namespace: o.Namespace, name: o.Name, tier: otherTier,
		subject: b.podsIn(o.Namespace, namespaces, pods), touches: touches})
}

// cilium reads a CiliumNetworkPolicy, or one of the whole cluster (https://docs.cilium.io/en/stable/security/policy/).
func (b *builder) cilium(o *snapshot.OtherPolicy) {
	specs := o.Specs
	if len(o.Spec) > 0 {
		specs = append(slices.Clone(specs), o.Spec)
	}
	if len(specs) == 0 {
		b.other(o, o.Kind, nil, nil, [2]bool{true, true})
	}
	for _, raw := range specs {
		var s struct {
			EndpointSelector *metav1.LabelSelector
			NodeSelector     *metav1.LabelSelector
			Ingress          json.RawMessage
			IngressDeny      json.RawMessage
			Egress           json.RawMessage
			EgressDeny       json.RawMessage
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			b.other(o, o.Kind, nil, nil, [2]bool{true, true})
			continue
		}
		if s.NodeSelector != nil && s.EndpointSelector == nil {
			continue // it is for nodes
		}
		in, out := len(s.Ingress)+len(s.IngressDeny) > 0, len(s.Egress)+len(s.EgressDeny) > 0
		if !in && !out {
			in, out = true, true
		}
		namespaces, pods := ciliumLabels(s.EndpointSelector)
		if o.Namespace != "" {
			namespaces = nil // it selects within its own
		}
		b.other(o, o.Kind, namespaces, pods, [2]bool{ingress: in, egress: out})
	}
}

// The labels by which Cilium knows the namespace of a Pod.
const (
	ciliumNamespace       = "io.kubernetes.pod.namespace"
	ciliumNamespaceLabels = "io.cilium.k8s.namespace.labels."
)

// ciliumLabels splits a selector into one of namespaces and one of Pods. Keys may name their source:
// "k8s:app". What is of another source is left out.
func ciliumLabels(s *metav1.LabelSelector) (namespaces, pods *metav1.LabelSelector) {
	namespaces, pods = &metav1.LabelSelector{}, &metav1.LabelSelector{}
	if s == nil || !valid(s) {
		return namespaces, pods
	}
	put := func(r metav1.LabelSelectorRequirement) {
		source, key, ok := strings.Cut(r.Key, ":")
		if !ok {
			source, key = "any", r.Key
		}
		to := pods
		switch {
		case source != "k8s" && source != "any" || strings.HasPrefix(key, "reserved"):
			return
		case key == ciliumNamespace:
			to, key = namespaces, nameLabel
		case strings.HasPrefix(key, ciliumNamespaceLabels):
			to, key = namespaces, strings.TrimPrefix(key, ciliumNamespaceLabels)
		case strings.HasPrefix(key, "io.cilium.") || strings.HasPrefix(key, "io.kubernetes."):
			return // of Cilium's own making
		}
		r.Key = key
		to.MatchExpressions = append(to.MatchExpressions, r)
	}
	for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		put(metav1.LabelSelectorRequirement{Key: k, Operator: metav1.LabelSelectorOpIn, Values: []string{s.MatchLabels[k]}})
	}
	for _, r := range s.MatchExpressions {
		put(r)
	}
	return namespaces, pods
}

// calico reads a NetworkPolicy or GlobalNetworkPolicy of Calico (https://docs.tigera.io/calico/latest/reference/resources/).
func (b *builder) calico(o *snapshot.OtherPolicy, kind string) {
	var s struct {
		Selector, NamespaceSelector string
		Types                       []string
		Ingress, Egress             []json.RawMessage
		PreDNAT, DoNotTrack         bool
	}
	if len(o.Spec) > 0 && json.Unmarshal(o.Spec, &s) != nil {
		b.other(o, kind, nil, nil, [2]bool{true, true})
		return
	}
	touches := [2]bool{ingress: slices.Contains(s.Types, "Ingress"), egress: slices.Contains(s.Types, "Egress")}
	if len(s.Types) == 0 { // it is for ingress, and for egress where it has rules for that
		touches = [2]bool{ingress: len(s.Ingress) > 0 || len(s.Egress) == 0, egress: len(s.Egress) > 0}
	}
	namespaces := calicoSelector(s.NamespaceSelector)
	if o.Namespace != "" {
		namespaces = nil
	}
	b.other(o, kind, namespaces, calicoSelector(s.Selector), touches)
}

// calicoSelector reads the terms of a selector that all must hold: "app == 'web' && has(tier)". The others
// are left out.
func calicoSelector(text string) *metav1.LabelSelector {
	out := &metav1.LabelSelector{}
	// Brackets may turn round, or leave open, what stands in them.
	if strings.Contains(text, "||") || strings.Contains(strings.ReplaceAll(text, "has(", ""), "(") && strings.TrimSpace(text) != "all()" {
		return out
	}
	for term := range strings.SplitSeq(text, "&&") {
		r, ok := calicoTerm(strings.TrimSpace(term))
		if ok && !strings.HasPrefix(r.Key, "projectcalico.org/") && !strings.HasPrefix(r.Key, "pcns.") && !strings.HasPrefix(r.Key, "pcsa.") {
			out.MatchExpressions = append(out.MatchExpressions, r)
		}
	}
	return out
}

// calicoTerm reads "key == 'value'" and "has(key)".
func calicoTerm(term string) (r metav1.LabelSelectorRequirement, ok bool) {
	if key, found := strings.CutPrefix(term, "has("); found {
		key, found = strings.CutSuffix(key, ")")
		return metav1.LabelSelectorRequirement{Key: strings.TrimSpace(key), Operator: metav1.LabelSelectorOpExists}, found && plainKey(strings.TrimSpace(key))
	}
	key, value, found := strings.Cut(term, "==")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !found || !plainKey(key) || len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '\'' && value[0] != '"' {
		return r, false
	}
	value = value[1 : len(value)-1]
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}}, !strings.ContainsAny(value, `'"`)
}

// plainKey reports whether s is a label's key, and nothing else.
func plainKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./", r))
	})
}
