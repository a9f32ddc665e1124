package check

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Role is what a system Pod does for a cluster's network.
type Role uint8

// The roles.
const (
	NoRole Role = iota
	Proxy       // makes Services work on its node
	CNI         // makes Pods' networks on its node
	DNS
)

// known says by which label values and name prefixes system Pods are known.
var known = []struct {
	role  Role
	names []string
}{
	{Proxy, []string{"kube-proxy"}},
	{CNI, []string{"kube-flannel", "kube-flannel-ds", "flannel", "calico-node", "canal", "cilium", "kube-router", "weave-net", "antrea-agent", "kindnet", "aws-node", "azure-cni", "kube-ovn-cni", "ovnkube-node"}},
	{DNS, []string{"kube-dns", "coredns"}},
}

// roleLabels are the labels that such Pods carry.
var roleLabels = []string{"k8s-app", "app", "app.kubernetes.io/name", "component", "name"}

// RoleOf returns what a Pod, or what makes Pods with these labels, does for the network.
func RoleOf(labels map[string]string) Role {
	for _, k := range known {
		for _, l := range roleLabels {
			if v := labels[l]; v != "" && slices.Contains(k.names, v) {
				return k.role
			}
		}
	}
	return NoRole
}

// SystemPods returns the Pods that have a role.
func (p *Pass) SystemPods(r Role) []*corev1.Pod {
	type key struct{}
	roles := Once(p, key{}, func() map[Role][]*corev1.Pod {
		out := map[Role][]*corev1.Pod{}
		for i := range p.Snapshot.Objects.Pods {
			pod := &p.Snapshot.Objects.Pods[i]
			if role := RoleOf(pod.Labels); role != NoRole {
				out[role] = append(out[role], pod)
			}
		}
		return out
	})
	return slices.Clone(roles[r])
}

// NodeOf returns the node that a Pod is on, or for which a DaemonSet's Pod waits; "" where that is open.
func NodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range t.MatchFields {
			if f.Key == "metadata.name" && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// Running reports whether a Pod runs: all its containers are ready or it says that it is.
func Running(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && Ready(pod)
}

// StateOf returns what a Pod's status says, as a short line: "Pending: Unschedulable: 0/3 nodes …".
func StateOf(pod *corev1.Pod) string {
	out := []string{string(pod.Status.Phase)}
	if pod.Status.Reason != "" {
		out = append(out, pod.Status.Reason)
	}
	if pod.Status.Message != "" {
		out = append(out, pod.Status.Message)
	}
	for _, c := range pod.Status.Conditions {
		if c.Status != corev1.ConditionTrue && c.Reason != "" {
			out = append(out, c.Reason)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			out = append(out, c.Name+" "+c.State.Waiting.Reason)
		}
	}
	return strings.Join(out, ": ")
}

// Restart returns the command that restarts what has a role on a node: its
// DaemonSet makes its Pod again. What the snapshot does not tell is in angle brackets.
func (p *Pass) Restart(r Role, node string) string {
	for _, pod := range p.SystemPods(r) {
		if NodeOf(pod) == node && slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "DaemonSet" }) {
			return Cmd("kubectl -n %s delete pod %s", pod.Namespace, pod.Name)
		}
	}
	o := p.NodeObject(node)
	switch {
	case r == Proxy:
		return Cmd("kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector %s", "spec.nodeName="+node)
	case o != nil && o.Annotations[flannel+"backend-type"] != "":
		return Cmd("kubectl -n kube-flannel delete pod -l app=flannel --field-selector %s", "spec.nodeName="+node)
	}
	return Cmd("kubectl -n <NAMESPACE> delete pod -l <LABEL-OF-THE-AGENT> --field-selector %s", "spec.nodeName="+node)
}

// Rewire returns the command that deletes the Pod "namespace/name", which is then wired anew.
func (p *Pass) Rewire(pod string) string {
	namespace, name, _ := strings.Cut(pod, "/")
	return Cmd("kubectl -n %s delete pod %s", namespace, name)
}

// A NodeAgent is the Pod of a DaemonSet that a node should have.
type NodeAgent struct {
	Node  string
	Pod   *corev1.Pod // the one that does not run; nil where there is none
	Owner string      // the DaemonSet: "kube-system/kube-proxy"
}

// Absent returns the nodes on which no Pod with the role runs, though other nodes or a
// DaemonSet say that one should. known is false where the cluster seems to run none as Pods.
func (p *Pass) Absent(r Role) (out []NodeAgent, known bool) {
	runs, waits := map[string]bool{}, map[string]*corev1.Pod{}
	owner := ""
	for _, pod := range p.SystemPods(r) {
		for _, o := range pod.OwnerReferences {
			if o.Kind == "DaemonSet" {
				owner = pod.Namespace + "/" + o.Name
			}
		}
		node := NodeOf(pod)
		if Running(pod) {
			runs[node] = true
		} else {
			waits[node] = pod
		}
	}
	for _, ds := range p.Snapshot.Objects.DaemonSets {
		if owner == "" && RoleOf(ds.Spec.Template.Labels) == r {
			owner = ds.Namespace + "/" + ds.Name
		}
	}
	if owner == "" && len(runs) == 0 {
		return nil, false
	}
	for _, o := range p.Snapshot.Objects.Nodes {
		if !runs[o.Name] {
			out = append(out, NodeAgent{o.Name, waits[o.Name], owner})
		}
	}
	return out, true
}
