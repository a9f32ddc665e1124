package whatif

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// This file says what of a change is not judged, so that what is not said to change does not. What an
// object says is compared field by field, but for those that the rest of the package judges. Not
// looked at is what may keep a Pod from working at all: its image, its probes, its volumes.

// judged are the fields of each kind that are judged, or change no connection. "[]" is each of a
// list. Kinds that are not here, such as NetworkPolicy, are judged as a whole, or not at all.
var judged = map[string][]string{
	"Service": {"spec.type", "spec.clusterIP", "spec.clusterIPs", "spec.externalName", "spec.loadBalancerSourceRanges", "spec.internalTrafficPolicy", "spec.externalTrafficPolicy",
		"spec.sessionAffinity", "spec.sessionAffinityConfig", "spec.selector", "spec.publishNotReadyAddresses", "spec.trafficDistribution", "spec.externalIPs", "spec.ipFamilies",
		"spec.ipFamilyPolicy", "spec.ports[].name", "spec.ports[].port", "spec.ports[].protocol", "spec.ports[].targetPort", "spec.ports[].nodePort"},
	"EndpointSlice": {"addressType", "ports", "endpoints[].addresses", "endpoints[].conditions.ready", "endpoints[].targetRef", "endpoints[].nodeName"},
	"Ingress":       {"spec.ingressClassName", "spec.defaultBackend", "spec.rules", "metadata.annotations.kubernetes~io/ingress~class", "metadata.annotations.nginx~ingress~kubernetes~io/canary"},
	"IngressClass":  {"spec.controller"},
	"GatewayClass":  {"spec.controllerName", "spec.description"},
	"Gateway": {"spec.gatewayClassName", "spec.listeners[].name", "spec.listeners[].hostname", "spec.listeners[].port", "spec.listeners[].protocol", "spec.listeners[].allowedRoutes",
		"spec.listeners[].tls.mode"},
	"HTTPRoute":      {"spec.parentRefs", "spec.hostnames", "spec.rules[].name", "spec.rules[].matches", "spec.rules[].backendRefs"},
	"TCPRoute":       {"spec.parentRefs", "spec.rules"},
	"ReferenceGrant": {"spec"},
	"Node":           {"metadata.annotations", "spec.podCIDR", "spec.podCIDRs", "spec.providerID"},
}

// podFields are the fields of a Pod that say how it talks, and are not judged.
var podFields = []string{"hostNetwork", "dnsPolicy", "dnsConfig", "hostAliases"}

// placeFields are those that say where it runs.
var placeFields = []string{"nodeName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"}

// wholly are the kinds that intent and Apply judge.
var wholly = []string{"Namespace", "NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}

// unjudged says of an object what it changes that is not judged; nothing, of one of which all is,
// or that stays as it was.
func unjudged(was, is *snapshot.Objects, key string) text.Text {
	kind, rest, _ := strings.Cut(key, "/")
	namespace, name, _ := strings.Cut(rest, "/")
	title := strings.TrimPrefix(namespace+"/"+name, "/")
	_, had := was.Object(kind, namespace, name)
	_, has := is.Object(kind, namespace, name)
	_, known := judged[kind]
	var fields []string
	switch {
	case slices.Contains(routed, kind) && !was.Have[kind]:
		return text.F("%s %s changes, and others of its kind were not collected", kind, title)
	case kind == "Namespace" && had && has:
		fields = injected(was, is, kind, namespace, name)
	case slices.Contains(wholly, kind):
	case kind == "ConfigMap" && (!snapshot.NetworkConfig(namespace, name) || slices.Contains(corednsConfigs, namespace+"/"+name)):
	case kind == "EndpointSlice" && !byHand(was, is, namespace, name), kind == "Node" && had != has, !known && podSpecs[kind] == nil:
		if had != has || len(leftover(was, is, kind, namespace, name, nil)) > 0 {
			return text.F("%s %s changes, and what that does is not judged", kind, title)
		}
	case had != has: // what it does as a whole is judged
	case kind == "Node":
		fields = append(leftover(was, is, kind, namespace, name, judged[kind]), nodeLabels(was, is, name)...)
	case podSpecs[kind] != nil:
		fields = append(podChanges(was, is, kind, namespace, name), injected(was, is, kind, namespace, name)...)
	default:
		fields = leftover(was, is, kind, namespace, name, judged[kind])
	}
	if len(fields) == 0 {
		return text.Text{}
	}
	return text.F("%s %s changes %s, and what that does is not judged", kind, title, strings.Join(fields, ", "))
}

// leftover returns the fields of an object that differ, but for those at some paths.
func leftover(was, is *snapshot.Objects, kind, namespace, name string, but []string) (out []string) {
	a, b := fieldsOf(was, kind, namespace, name), fieldsOf(is, kind, namespace, name)
	for _, path := range but {
		drop(a, path)
		drop(b, path)
	}
	for _, part := range []string{"", "spec", "metadata"} {
		x, y := a, b
		if part != "" {
			x, _ = a[part].(map[string]any)
			y, _ = b[part].(map[string]any)
			part += "."
		}
		for _, f := range either(x, y) {
			if f != "spec" && f != "metadata" && !reflect.DeepEqual(tidy(x[f]), tidy(y[f])) {
				out = append(out, part+f)
			}
		}
	}
	return out
}

// bookkeepers begin annotations that are no matter of the network.
var bookkeepers = []string{"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "app.kubernetes.io/", "meta.helm.sh/", "argocd.argoproj.io/", "prometheus.io/", "endpoints.kubernetes.io/"}

// fieldsOf returns what an object says, but for its names, labels and state.
func fieldsOf(o *snapshot.Objects, kind, namespace, name string) map[string]any {
	out := plain(o, kind, namespace, name)
	if out == nil {
		return map[string]any{}
	}
	for _, f := range []string{"apiVersion", "kind", "status"} {
		delete(out, f)
	}
	meta, _ := out["metadata"].(map[string]any)
	notes, _ := meta["annotations"].(map[string]any)
	maps.DeleteFunc(notes, func(key string, _ any) bool {
		return !strings.Contains(key, "/") || slices.ContainsFunc(bookkeepers, func(p string) bool { return strings.HasPrefix(key, p) })
	})
	out["metadata"] = map[string]any{"annotations": notes}
	return out
}

// plain returns an object as JSON has it; nil where there is none.
func plain(o *snapshot.Objects, kind, namespace, name string) (out map[string]any) {
	data, _ := o.Object(kind, namespace, name)
	_ = json.Unmarshal(data, &out) // it was JSON, or is nothing
	return out
}

// injectors begin labels and annotations by which others give a Pod another network, or stand in its way.
var injectors = []string{"k8s.v1.cni.cncf.io/", "cni.projectcalico.org/", "kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth",
	"istio-injection", "istio.io/", "sidecar.istio.io/", "ambient.istio.io/", "linkerd.io/", "config.linkerd.io/"}

// injected returns those of the labels and annotations of Pods, or a namespace, that differ.
func injected(was, is *snapshot.Objects, kind, namespace, name string) (out []string) {
	at := func(o *snapshot.Objects) map[string]any {
		m := plain(o, kind, namespace, name)
		if path := podSpecs[kind]; len(path) > 0 {
			for _, part := range path[:len(path)-1] {
				m, _ = m[part].(map[string]any)
			}
		}
		m, _ = m["metadata"].(map[string]any)
		all := map[string]any{}
		for _, f := range []string{"labels", "annotations"} {
			list, _ := m[f].(map[string]any)
			maps.Copy(all, list)
		}
		return all
	}
	a, b := at(was), at(is)
	for _, key := range either(a, b) {
		if a[key] != b[key] && slices.ContainsFunc(injectors, func(p string) bool { return strings.HasPrefix(key, p) }) {
			out = append(out, key)
		}
	}
	return out
}

// drop takes a field out of an object. "~" in its name is a dot.
func drop(v any, path string) {
	head, rest, more := strings.Cut(path, ".")
	head, each := strings.CutSuffix(head, "[]")
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	head = strings.ReplaceAll(head, "~", ".")
	if !more {
		delete(m, head)
		return
	}
	if !each {
		drop(m[head], rest)
		return
	}
	list, _ := m[head].([]any)
	for _, item := range list {
		drop(item, rest)
	}
}

// tidy returns a value without what is empty, or what the API server fills in with a group and a kind.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			if item = tidy(item); item != nil && key != "group" && key != "kind" {
				out[key] = item
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		var out []any
		for _, item := range v {
			if item = tidy(item); item != nil {
				out = append(out, item)
			}
		}
		if len(out) > 0 {
			return out
		}
	case string:
		if v != "" {
			return v
		}
	case bool:
		if v {
			return v
		}
	case nil:
	default:
		return v
	}
	return nil
}

// byHand reports whether a slice is of a Service without a selector, before and after: the endpoints
// of another are the control plane's, which writes them again.
func byHand(was, is *snapshot.Objects, namespace, name string) bool {
	for _, o := range []*snapshot.Objects{was, is} {
		sl := find(o.EndpointSlices, namespace, name)
		if sl == nil {
			continue
		}
		s := find(o.Services, namespace, sl.Labels["kubernetes.io/service-name"])
		if s == nil || len(s.Spec.Selector) > 0 {
			return false
		}
	}
	return true
}

// podSpecs are the kinds that make Pods, and the path to what they make them of.
var podSpecs = map[string][]string{"Pod": {"spec"}, "Deployment": {"spec", "template", "spec"}, "DaemonSet": {"spec", "template", "spec"},
	"StatefulSet": {"spec", "template", "spec"}, "ReplicaSet": {"spec", "template", "spec"}}

// podChanges returns the fields that change how Pods talk, or where they run if a Service makes that count.
func podChanges(was, is *snapshot.Objects, kind, namespace, name string) (out []string) {
	at := func(o *snapshot.Objects) map[string]any {
		m := fieldsOf(o, kind, namespace, name)
		for _, part := range podSpecs[kind] {
			m, _ = m[part].(map[string]any)
		}
		return m
	}
	a, b := at(was), at(is)
	for _, f := range podFields {
		if x, y := tidy(a[f]), tidy(b[f]); !reflect.DeepEqual(x, y) && !(f == "dnsPolicy" && usual(x) == usual(y)) {
			out = append(out, f)
		}
	}
	if !slices.Equal(hostPorts(a), hostPorts(b)) {
		out = append(out, "hostPort")
	}
	for _, f := range placeFields {
		if !reflect.DeepEqual(tidy(a[f]), tidy(b[f])) && nearness(is, kind, namespace, name) {
			out = append(out, f)
		}
	}
	return out
}

// hostPorts returns the ports of the node that lead to a Pod, as its containers ask for them.
func hostPorts(pod map[string]any) (out []string) {
	for _, of := range []string{"initContainers", "containers"} {
		list, _ := pod[of].([]any)
		for _, c := range list {
			c, _ := c.(map[string]any)
			ports, _ := c["ports"].([]any)
			for _, p := range ports {
				if p, _ := p.(map[string]any); p["hostPort"] != nil {
					out = append(out, fmt.Sprint(p["hostIP"], p["hostPort"], p["containerPort"], p["protocol"]))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// nearness reports whether a Service of a workload's Pods asks which node a connection comes by.
func nearness(o *snapshot.Objects, kind, namespace, name string) bool {
	has := templates(o)[intent.Member{Namespace: namespace, Kind: kind, Name: name}].labels
	if p := find(o.Pods, namespace, name); kind == "Pod" && p != nil {
		has = p.Labels
	}
	return slices.ContainsFunc(o.Services, func(s corev1.Service) bool {
		in := s.Spec.InternalTrafficPolicy
		near := in != nil && *in == corev1.ServiceInternalTrafficPolicyLocal || s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal || s.Spec.TrafficDistribution != nil
		return near && s.Namespace == namespace && len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(has))
	})
}

// usual is a dnsPolicy, or the one that the API server fills in.
func usual(policy any) any {
	if policy == nil {
		return "ClusterFirst"
	}
	return policy
}

// nodeLabels returns the labels of a node that differ and that say where Pods may run, or which
// endpoints are near. What nodes peers of policies select is compared with the connections.
func nodeLabels(was, is *snapshot.Objects, name string) (out []string) {
	a, b := find(was.Nodes, "", name).Labels, find(is.Nodes, "", name).Labels
	for _, key := range either(a, b) {
		if a[key] != b[key] && (strings.HasPrefix(key, "topology.kubernetes.io/") || reads(is, key)) {
			out = append(out, "label "+key)
		}
	}
	return out
}

// reads reports whether a workload says by a label of nodes where its Pods may run.
func reads(o *snapshot.Objects, label string) bool {
	for _, t := range templates(o) {
		data, _ := json.Marshal([]any{t.spec.NodeSelector, t.spec.Affinity, t.spec.TopologySpreadConstraints}) // they were JSON
		if quoted, _ := json.Marshal(label); strings.Contains(string(data), string(quoted)) {
			return true
		}
	}
	return false
}
