//go:build linux

package fault

import (
	"fmt"

	"github.com/plumbnet/plumb/lab"
	corev1 "k8s.io/api/core/v1"
)

// agents are faults of the Pods that keep a node's network in order.
var agents = []Fault{
	{
		Name: "proxy-evicted", Check: "proxy-evicted", Incident: 7,
		Story: "kube-proxy's DaemonSet has no critical priority: on node-b, added by the autoscaler, its Pod lost its place and is Pending.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			dropPriority(l, "kube-proxy")
			pending(l.PodObject("kube-system/kube-proxy-node-b"), "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].")
			notReady(l, "kube-proxy")
			return withoutProxy(l, "node-b")
		},
	},
	{
		Name: "critical-priority", Check: "critical-priority", Incident: 7, Preventive: true,
		Story: "kube-proxy's DaemonSet has no critical priority. Nothing is broken until a node runs full.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			dropPriority(l, "kube-proxy")
			return nil
		},
	},
	{
		Name: "cni-missing", Check: "cni-missing", Topologies: vxlan,
		Story: "flannel's Pod on node-c crashes; after a reboot nobody has made flannel.1 and its routes there.",
		Path:  lab.Path{From: webC, To: webA + ":8080"},
		Inject: func(l *lab.Lab) error {
			p := l.PodObject("kube-flannel/kube-flannel-ds-node-c")
			crashing(p)
			notReady(l, "kube-flannel-ds")
			return ip("node-c", "link del flannel.1\n")(l)
		},
	},
	{
		Name: "podcidr-missing", Check: "podcidr-missing", Topologies: []string{"flannel", "hostgw"},
		Story: "The controller manager gives node-c no Pod range (its cluster CIDR is used up): flannel does not start there, and Pods stay without address.",
		Path:  lab.Path{From: webC, To: webA + ":8080"},
		Inject: func(l *lab.Lab) error {
			c := l.Node("node-c")
			obj := l.NodeObject("node-c")
			obj.Spec.PodCIDR, obj.Spec.PodCIDRs = "", nil
			for k := range obj.Annotations {
				delete(obj.Annotations, k)
			}
			for _, p := range c.Pods {
				if err := lab.IPBatch(p.NS, "link del eth0\n"); err != nil {
					return err
				}
				unaddressed(l.PodObject(p.Key()))
			}
			crashing(l.PodObject("kube-flannel/kube-flannel-ds-node-c"))
			notReady(l, "kube-flannel-ds")
			if err := ip("node-c", "link del cni0\n")(l); err != nil {
				return err
			}
			if l.Topology.CNI == "flannel" {
				if err := ip("node-c", "link del flannel.1\n")(l); err != nil {
					return err
				}
			}
			for _, n := range []string{"node-a", "node-b"} {
				if err := ip(n, fmt.Sprintf("route del %s\n", c.PodCIDR))(l); err != nil {
					return err
				}
			}
			return sync(l)
		},
	},
}

func dropPriority(l *lab.Lab, daemonSet string) {
	for i := range l.Objects.DaemonSets {
		if d := &l.Objects.DaemonSets[i]; d.Name == daemonSet {
			d.Spec.Template.Spec.PriorityClassName = ""
		}
	}
	for i := range l.Objects.Pods {
		if p := &l.Objects.Pods[i]; len(p.OwnerReferences) == 1 && p.OwnerReferences[0].Name == daemonSet {
			p.Spec.PriorityClassName = ""
		}
	}
}

func notReady(l *lab.Lab, daemonSet string) {
	for i := range l.Objects.DaemonSets {
		if d := &l.Objects.DaemonSets[i]; d.Name == daemonSet {
			d.Status.NumberReady--
			d.Status.NumberAvailable--
			d.Status.NumberUnavailable++
		}
	}
}

// pending makes a Pod one that the scheduler finds no place for. What names its
// node then is the affinity that the DaemonSet controller writes.
func pending(p *corev1.Pod, why string) {
	node := p.Spec.NodeName
	p.Spec.NodeName = ""
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}},
	}}
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: why,
	}}}
}

// crashing makes a Pod one whose container ends again and again.
func crashing(p *corev1.Pod) {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status = corev1.ConditionFalse
		}
	}
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		c.Ready, c.RestartCount = false, 12
		c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container"}}
	}
}

// unaddressed makes a Pod one that the kubelet cannot give a network.
func unaddressed(p *corev1.Pod) {
	crashing(p)
	p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodPending, "", nil
	for i := range p.Status.ContainerStatuses {
		p.Status.ContainerStatuses[i].RestartCount = 0
		p.Status.ContainerStatuses[i].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
}
