package whatif

import (
	"cmp"
	"maps"
	"slices"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// Apply returns the objects as they would be with those of over applied and those that gone has
// the keys of deleted. An object of over is taken as a whole; only what the cluster adds by itself,
// such as the address of a Service or a Pod, stays. With a namespace go the objects in it,
// and Pods follow the template of their workload, which replaces those that are deleted.
func Apply(was, over *snapshot.Objects, gone map[string]bool) *snapshot.Objects {
	next := *over
	next.Services, next.Pods = slices.Clone(over.Services), slices.Clone(over.Pods)
	next.Nodes = kept(was.Nodes, over.Nodes, func(n, old *corev1.Node) {
		n.Status = old.Status
		if n.Spec.PodCIDR == "" {
			n.Spec.PodCIDR, n.Spec.PodCIDRs, n.Spec.ProviderID = old.Spec.PodCIDR, old.Spec.PodCIDRs, old.Spec.ProviderID
		}
	})
	class := defaultClass(over.IngressClasses, was.IngressClasses)
	next.Ingresses = kept(was.Ingresses, over.Ingresses, func(i, old *networkingv1.Ingress) {
		i.Status = old.Status
		if i.Annotations["kubernetes.io/ingress.class"] != "" {
			return
		}
		i.Spec.IngressClassName = cmp.Or(i.Spec.IngressClassName, old.Spec.IngressClassName)
		if old.Name == "" { // it is new
			i.Spec.IngressClassName = cmp.Or(i.Spec.IngressClassName, class)
		}
	})
	next.Gateways = kept(was.Gateways, over.Gateways, func(g, old *gatewayv1.Gateway) { g.Status = old.Status })
	next.HTTPRoutes = kept(was.HTTPRoutes, over.HTTPRoutes, func(r, old *gatewayv1.HTTPRoute) { r.Status = old.Status })
	next.TCPRoutes = kept(was.TCPRoutes, over.TCPRoutes, func(r, old *gatewayv1alpha2.TCPRoute) { r.Status = old.Status })
	for i := range next.Services {
		keepService(&next.Services[i], was)
	}
	for i := range next.Pods {
		p := &next.Pods[i]
		if old := find(was.Pods, p.Namespace, p.Name); old != nil {
			p.Status = old.Status
			p.Spec.NodeName = old.Spec.NodeName
			p.OwnerReferences = old.OwnerReferences
		}
	}
	out := snapshot.Overlay(was, &next, replaced(was, &next, gone))
	out.Pods = follow(was, out)
	return out
}

// never is when what is new was made, so that everything there is is older.
var never = metav1.Unix(1<<40, 0)

// kept returns objects with what the API server keeps of those that they take the place of.
func kept[T any, P named[T]](was, over []T, keep func(o, old P)) []T {
	over = slices.Clone(over)
	for i := range over {
		o := P(&over[i])
		if old := P(find[T, P](was, o.GetNamespace(), o.GetName())); old == nil {
			keep(o, new(T))
			o.SetCreationTimestamp(never)
		} else {
			keep(o, old)
			o.SetCreationTimestamp(old.GetCreationTimestamp())
		}
	}
	return over
}

// defaultClass returns the name of the class that the API server gives an Ingress that is made without one.
func defaultClass(lists ...[]networkingv1.IngressClass) *string {
	for _, list := range lists {
		for i := range list {
			if list[i].Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
				return &list[i].Name
			}
		}
	}
	return nil
}

// replaced returns gone without the Pods that a workload would make again.
func replaced(was, over *snapshot.Objects, gone map[string]bool) map[string]bool {
	gone = maps.Clone(gone)
	of, after := intent.Workloads(was), templates(snapshot.Overlay(was, over, gone))
	for i := range was.Pods {
		p := &was.Pods[i]
		if key := snapshot.Key("Pod", p.Namespace, p.Name); gone[key] && after[of(p)].pods > 0 {
			delete(gone, key)
		}
	}
	return gone
}

// named is an object by its namespace and name.
type named[T any] interface {
	*T
	metav1.Object
}

func find[T any, P named[T]](list []T, namespace, name string) *T {
	for i := range list {
		if o := P(&list[i]); o.GetName() == name && o.GetNamespace() == namespace {
			return &list[i]
		}
	}
	return nil
}

// keepService keeps what the API server gives a Service.
func keepService(s *corev1.Service, was *snapshot.Objects) {
	old := find(was.Services, s.Namespace, s.Name)
	if old == nil {
		return
	}
	s.Status = old.Status
	s.Spec.AllocateLoadBalancerNodePorts = cmp.Or(s.Spec.AllocateLoadBalancerNodePorts, old.Spec.AllocateLoadBalancerNodePorts)
	s.Spec.LoadBalancerClass = cmp.Or(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass)
	s.Spec.IPFamilyPolicy = cmp.Or(s.Spec.IPFamilyPolicy, old.Spec.IPFamilyPolicy)
	s.Spec.HealthCheckNodePort = cmp.Or(s.Spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	if s.Spec.ClusterIP == "" && old.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName {
		s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies = old.Spec.ClusterIP, old.Spec.ClusterIPs, old.Spec.IPFamilies
	}
	if s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	s.Spec.Ports = slices.Clone(s.Spec.Ports)
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		for _, o := range old.Spec.Ports {
			if p.NodePort == 0 && p.Port == o.Port && service.ProtoOf(p.Protocol) == service.ProtoOf(o.Protocol) {
				p.NodePort = o.NodePort
			}
		}
	}
}

// A template is what a workload makes its Pods of.
type template struct {
	labels map[string]string
	spec   *corev1.PodSpec
	pods   int32 // how many it wants
}

// templates returns the workloads' templates.
func templates(o *snapshot.Objects) map[intent.Member]template {
	out := map[intent.Member]template{}
	add := func(kind string, m *metav1.ObjectMeta, t *corev1.PodTemplateSpec, replicas *int32) {
		n := int32(1)
		if replicas != nil {
			n = *replicas
		}
		out[intent.Member{Namespace: m.Namespace, Kind: kind, Name: m.Name}] = template{t.Labels, &t.Spec, n}
	}
	for i := range o.Deployments {
		d := &o.Deployments[i]
		add("Deployment", &d.ObjectMeta, &d.Spec.Template, d.Spec.Replicas)
	}
	for i := range o.StatefulSets {
		s := &o.StatefulSets[i]
		add("StatefulSet", &s.ObjectMeta, &s.Spec.Template, s.Spec.Replicas)
	}
	for i := range o.DaemonSets {
		d := &o.DaemonSets[i]
		add("DaemonSet", &d.ObjectMeta, &d.Spec.Template, nil)
	}
	for i := range o.ReplicaSets {
		r := &o.ReplicaSets[i]
		if metav1.GetControllerOf(r) == nil {
			add("ReplicaSet", &r.ObjectMeta, &r.Spec.Template, r.Spec.Replicas)
		}
	}
	return out
}

// follow returns the Pods as their workloads would make them. Of one that is new there is one Pod.
func follow(was, is *snapshot.Objects) []corev1.Pod {
	before, after := templates(was), templates(is)
	ownerOf := intent.Workloads(was)
	kept := make(map[intent.Member]int, len(after))
	out := make([]corev1.Pod, 0, len(is.Pods))
	changed := false
	for i := range is.Pods {
		p := is.Pods[i]
		w := ownerOf(&p)
		old, had := before[w]
		t, has := after[w]
		switch {
		case had && (!has || t.pods == 0):
			changed = true // it goes
			continue
		case has && had && t.differs(old), has && !had:
			changed = true
			p = t.apply(p, old)
		}
		kept[w]++
		out = append(out, p)
	}
	for w, t := range after {
		if _, had := before[w]; kept[w] == 0 && t.pods > 0 && (!had || before[w].pods == 0) {
			changed = true
			out = append(out, t.first(w))
		}
	}
	if !changed {
		return is.Pods
	}
	slices.SortStableFunc(out, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// differs reports whether a workload makes other Pods than before, as far as connections go.
func (t template) differs(old template) bool {
	return !maps.Equal(t.labels, old.labels) || t.spec.HostNetwork != old.spec.HostNetwork ||
		!slices.EqualFunc(containers(t.spec), containers(old.spec), func(a, b corev1.Container) bool { return a.Name == b.Name && slices.Equal(a.Ports, b.Ports) })
}

func containers(s *corev1.PodSpec) []corev1.Container {
	return slices.Concat(s.InitContainers, s.Containers)
}

// apply makes of a Pod the one that would take its place. Labels and containers that were not
// the old template's, such as a sidecar's, stay.
func (t template) apply(p corev1.Pod, old template) corev1.Pod {
	labels := maps.Clone(t.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for k, v := range p.Labels {
		if _, templates := old.labels[k]; !templates {
			if _, ours := labels[k]; !ours {
				labels[k] = v
			}
		}
	}
	p.Labels = labels
	p.Spec.HostNetwork = t.spec.HostNetwork
	var was []corev1.Container
	if old.spec != nil {
		was = containers(old.spec)
	}
	injected := slices.DeleteFunc(slices.Concat(p.Spec.InitContainers, p.Spec.Containers), func(c corev1.Container) bool {
		same := func(x corev1.Container) bool { return x.Name == c.Name }
		return slices.ContainsFunc(was, same) || slices.ContainsFunc(containers(t.spec), same)
	})
	p.Spec.InitContainers, p.Spec.Containers = t.spec.InitContainers, slices.Concat(t.spec.Containers, injected)
	return p
}

// first makes the first Pod of a workload that has none.
func (t template) first(w intent.Member) corev1.Pod {
	yes := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name + "-new", Labels: maps.Clone(t.labels),
			OwnerReferences: []metav1.OwnerReference{{Kind: w.Kind, Name: w.Name, Controller: &yes}}},
		Spec: *t.spec,
	}
}
