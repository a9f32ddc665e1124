package snapshot

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Trim takes out of the objects what tells nothing of the network, or may be secret: the
// environment, commands, files and probe headers of containers, annotations but those that
// say how the network is laid out, managed fields, and ConfigMaps but those that the parts of
// the cluster's network are configured by. What is left is a tenth, and diagnoses the same.
func (o *Objects) Trim() {
	for i := range o.Pods {
		trimPod(&o.Pods[i])
	}
	trimAll(o.Nodes)
	for i := range o.Nodes {
		o.Nodes[i].Status.Images = nil
	}
	trimAll(o.Services)
	trimAll(o.EndpointSlices)
	o.ConfigMaps = slices.DeleteFunc(o.ConfigMaps, func(m corev1.ConfigMap) bool { return !NetworkConfig(m.Namespace, m.Name) })
	trimAll(o.ConfigMaps)
	trimAll(o.Namespaces)
	trimAll(o.DaemonSets)
	for i := range o.DaemonSets {
		trimTemplate(&o.DaemonSets[i].Spec.Template)
	}
	trimAll(o.Deployments)
	for i := range o.Deployments {
		trimTemplate(&o.Deployments[i].Spec.Template)
	}
	trimAll(o.ReplicaSets)
	for i := range o.ReplicaSets {
		trimTemplate(&o.ReplicaSets[i].Spec.Template)
	}
	trimAll(o.StatefulSets)
	for i := range o.StatefulSets {
		trimTemplate(&o.StatefulSets[i].Spec.Template)
		o.StatefulSets[i].Spec.VolumeClaimTemplates = nil
	}
	trimAll(o.NetworkPolicies)
	trimAll(o.Ingresses)
	trimAll(o.IngressClasses)
	trimAll(o.GatewayClasses)
	trimAll(o.Gateways)
	trimAll(o.HTTPRoutes)
	trimAll(o.TCPRoutes)
	trimAll(o.ReferenceGrants)
	trimAll(o.ClusterNetworkPolicies)
	trimAll(o.AdminNetworkPolicies)
	trimAll(o.BaselineAdminNetworkPolicies)
	trimAll(o.CiliumNetworkPolicies)
	trimAll(o.CiliumClusterwideNetworkPolicies)
	trimAll(o.CalicoNetworkPolicies)
	trimAll(o.CalicoGlobalNetworkPolicies)
}

// networkConfigs are the ConfigMaps that configure the cluster's network, by name. Each is
// looked for in the namespaces that its project's manifests and kubeadm put it in.
var networkConfigs = map[string][]string{
	"kube-system":   {"kubeadm-config", "kube-proxy", "coredns", "coredns-custom", "node-local-dns", "kube-flannel-cfg", "calico-config", "cilium-config", "kube-router-cfg", "ip-masq-agent", "antrea-config"},
	"kube-flannel":  {"kube-flannel-cfg"},
	"calico-system": {"calico-config"},
	"cilium":        {"cilium-config"},
}

// NetworkConfig reports whether that ConfigMap configures the cluster's network.
func NetworkConfig(namespace, name string) bool {
	return slices.Contains(networkConfigs[namespace], name)
}

// NetworkConfigs returns the names of all such ConfigMaps, sorted: "kube-system/coredns".
func NetworkConfigs() []string {
	var names []string
	for ns, list := range networkConfigs {
		for _, name := range list {
			names = append(names, ns+"/"+name)
		}
	}
	slices.Sort(names)
	return names
}

// networkAnnotations are the beginnings of the annotations that say how the network is laid
// out: those of Kubernetes itself about Services, Nodes and Ingresses, and of CNI plugins.
var networkAnnotations = []string{
	"flannel.alpha.coreos.com/", "projectcalico.org/", "cni.projectcalico.org/", "cilium.io/", "io.cilium", "network.cilium.io/", "kube-router.io/",
	"k8s.v1.cni.cncf.io/", "k8s.ovn.org/", "ovn.kubernetes.io/", "node.antrea.io/",
	"service.kubernetes.io/", "endpoints.kubernetes.io/", "service.beta.kubernetes.io/", "metallb.io/", "nginx.ingress.kubernetes.io/", "ingressclass.kubernetes.io/",
	"kubernetes.io/ingress", "kubernetes.io/egress", "networking.", "policy.networking.k8s.io/",
	"kubeadm.alpha.kubernetes.io/", "node.alpha.kubernetes.io/ttl", "alpha.kubernetes.io/provided-node-ip",
}

// trimMeta takes out what the object's metadata has for others.
func trimMeta(o metav1.Object) {
	o.SetManagedFields(nil)
	o.SetSelfLink("")
	have := o.GetAnnotations()
	for key := range have {
		if !slices.ContainsFunc(networkAnnotations, func(start string) bool { return strings.HasPrefix(key, start) }) {
			delete(have, key)
		}
	}
	if len(have) == 0 {
		o.SetAnnotations(nil)
	}
}

func trimAll[T any, P object[T]](list []T) {
	for i := range list {
		trimMeta(P(&list[i]))
	}
}

func trimPod(p *corev1.Pod) {
	trimMeta(p)
	trimSpec(&p.Spec)
	for i := range p.Status.ContainerStatuses {
		trimStatus(&p.Status.ContainerStatuses[i])
	}
	for i := range p.Status.InitContainerStatuses {
		trimStatus(&p.Status.InitContainerStatuses[i])
	}
	p.Status.EphemeralContainerStatuses = nil
}

func trimTemplate(t *corev1.PodTemplateSpec) {
	trimMeta(t)
	trimSpec(&t.Spec)
}

func trimSpec(s *corev1.PodSpec) {
	s.Volumes, s.EphemeralContainers, s.ImagePullSecrets, s.SecurityContext, s.Overhead = nil, nil, nil, nil, nil
	for i := range s.Containers {
		trimContainer(&s.Containers[i])
	}
	for i := range s.InitContainers {
		trimContainer(&s.InitContainers[i])
	}
}

func trimContainer(c *corev1.Container) {
	*c = corev1.Container{
		Name: c.Name, Image: c.Image, Ports: c.Ports, Resources: c.Resources,
		LivenessProbe: trimProbe(c.LivenessProbe), ReadinessProbe: trimProbe(c.ReadinessProbe), StartupProbe: trimProbe(c.StartupProbe),
		RestartPolicy: c.RestartPolicy,
	}
}

// trimProbe keeps what a probe asks of the network: a command may hold a password, and a header a token.
func trimProbe(p *corev1.Probe) *corev1.Probe {
	if p == nil {
		return nil
	}
	out := *p
	if out.Exec != nil {
		out.Exec = &corev1.ExecAction{}
	}
	if out.HTTPGet != nil {
		get := *out.HTTPGet
		get.HTTPHeaders = nil
		if path, query, ok := strings.Cut(get.Path, "?"); ok && query != "" {
			get.Path = path
		}
		out.HTTPGet = &get
	}
	return &out
}

// trimStatus keeps the state; the message of a container that ended is what it wrote itself.
func trimStatus(s *corev1.ContainerStatus) {
	s.VolumeMounts, s.AllocatedResources, s.Resources, s.User = nil, nil, nil, nil
	s.ImageID = ""
	for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
		if t != nil {
			t.Message = ""
		}
	}
}
