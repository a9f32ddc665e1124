package whatif

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// This file compares Services. Their endpoints are what the control plane would make of them:
// the Pods that the selector selects and that are ready, where their state says so. Of a Service
// without a selector they are those of its slices.

// backends finds the endpoints of Services.
type backends struct {
	o    *snapshot.Objects
	pods map[string][]*corev1.Pod // by namespace
}

func newBackends(o *snapshot.Objects) *backends {
	b := &backends{o, map[string][]*corev1.Pod{}}
	for i := range o.Pods {
		p := &o.Pods[i]
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			b.pods[p.Namespace] = append(b.pods[p.Namespace], p)
		}
	}
	return b
}

// selected returns the Pods that a Service selects.
func (b *backends) selected(s *corev1.Service) (out []*corev1.Pod) {
	if len(s.Spec.Selector) == 0 {
		return nil
	}
	sel := labels.SelectorFromSet(s.Spec.Selector)
	for _, p := range b.pods[s.Namespace] {
		if sel.Matches(labels.Set(p.Labels)) && (s.Spec.PublishNotReadyAddresses || ready(p)) {
			out = append(out, p)
		}
	}
	return out
}

// ready reports whether a Pod is ready, or does not say.
func ready(p *corev1.Pod) bool {
	return !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue
	})
}

// endpoints returns the port of each endpoint of a Service's port, by Pod or address.
func (b *backends) endpoints(s *corev1.Service, port *corev1.ServicePort) map[string]uint16 {
	out := map[string]uint16{}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return out
	}
	if len(s.Spec.Selector) == 0 {
		for i := range b.o.EndpointSlices {
			sl := &b.o.EndpointSlices[i]
			if sl.Namespace != s.Namespace || sl.Labels[discoveryv1.LabelServiceName] != s.Name {
				continue
			}
			for _, e := range service.Append(nil, sl) {
				if e.Ready && e.Port == port.Name {
					out[e.Addr.Addr().String()] = e.Addr.Port()
				}
			}
		}
		return out
	}
	for _, p := range b.selected(s) {
		if n, ok := targetPort(port, p); ok {
			out[p.Name] = n
		}
	}
	return out
}

// targetPort returns the port of a Pod that a Service's port leads to.
func targetPort(port *corev1.ServicePort, p *corev1.Pod) (uint16, bool) {
	switch t := port.TargetPort; {
	case t.Type == intstr.Int && t.IntVal == 0:
		return uint16(port.Port), true
	case t.Type == intstr.Int:
		return uint16(t.IntVal), true
	}
	for _, c := range containers(&p.Spec) {
		for _, cp := range c.Ports {
			if cp.Name == port.TargetPort.StrVal && service.ProtoOf(cp.Protocol) == service.ProtoOf(port.Protocol) {
				return uint16(cp.ContainerPort), true
			}
		}
	}
	return 0, false
}

// declares reports whether one of the Pods that a Service selects declares a port.
func (b *backends) declares(s *corev1.Service, port *corev1.ServicePort, number uint16) bool {
	return slices.ContainsFunc(b.selected(s), func(p *corev1.Pod) bool {
		return slices.ContainsFunc(containers(&p.Spec), func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool {
				return uint16(cp.ContainerPort) == number && service.ProtoOf(cp.Protocol) == service.ProtoOf(port.Protocol)
			})
		})
	})
}

// serviceDiffer compares the Services of two sets of objects.
type serviceDiffer struct {
	backends [2]*backends
	engines  [2]*intent.Engine
	services [2]*corev1.Service // at hand
	out      []Service
}

func compareServices(was, is *snapshot.Objects, before, after *intent.Engine) []Service {
	d := &serviceDiffer{backends: [2]*backends{newBackends(was), newBackends(is)}, engines: [2]*intent.Engine{before, after}}
	known := map[string]*corev1.Service{}
	for i := range is.Services {
		s := &is.Services[i]
		known[s.Namespace+"/"+s.Name] = s
	}
	for i := range was.Services {
		s := &was.Services[i]
		d.services = [2]*corev1.Service{s, known[s.Namespace+"/"+s.Name]}
		delete(known, s.Namespace+"/"+s.Name)
		if d.services[1] == nil {
			d.say("", true, text.F("the Service goes away"))
			continue
		}
		d.compare()
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		s := known[name]
		d.services = [2]*corev1.Service{nil, s}
		d.added(s)
	}
	slices.SortStableFunc(d.out, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return d.out
}

// say adds a change of the Service at hand.
func (d *serviceDiffer) say(port string, breaks bool, what text.Text) {
	s := cmp.Or(d.services[0], d.services[1])
	d.out = append(d.out, Service{Namespace: s.Namespace, Name: s.Name, Port: port, What: what, Breaks: breaks})
}

func (d *serviceDiffer) added(s *corev1.Service) {
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		n := len(d.backends[1].endpoints(s, p))
		if n == 0 && len(s.Spec.Selector) > 0 && s.Spec.Type != corev1.ServiceTypeExternalName {
			d.say(portName(p), true, text.F("the Service is new, and has no endpoints: %s", d.why(p)))
			continue
		}
		d.say(portName(p), false, text.F("the Service is new; its endpoints: %d", n))
	}
}

func portName(p *corev1.ServicePort) string {
	return fmt.Sprintf("%d/%s", p.Port, service.ProtoOf(p.Protocol))
}

// compare compares a Service with what it becomes.
func (d *serviceDiffer) compare() {
	was, is := d.services[0], d.services[1]
	d.policies(&was.Spec, &is.Spec)
	find := func(list []corev1.ServicePort, p *corev1.ServicePort) *corev1.ServicePort {
		i := slices.IndexFunc(list, func(o corev1.ServicePort) bool { return portName(&o) == portName(p) })
		if i < 0 {
			return nil
		}
		return &list[i]
	}
	for i := range was.Spec.Ports {
		p := &was.Spec.Ports[i]
		next := find(is.Spec.Ports, p)
		if next == nil {
			d.say(portName(p), true, text.F("the port goes away"))
			continue
		}
		if p.NodePort != 0 && next.NodePort != 0 && p.NodePort != next.NodePort {
			d.say(portName(p), true, text.F("its node port %d becomes %d", p.NodePort, next.NodePort))
		}
		d.port(p, next)
	}
	for i := range is.Spec.Ports {
		if p := &is.Spec.Ports[i]; find(was.Spec.Ports, p) == nil {
			d.say(portName(p), false, text.F("the port is new; its endpoints: %d", len(d.backends[1].endpoints(is, p))))
		}
	}
}

// ways are the types by how many ways lead to such a Service.
var ways = map[corev1.ServiceType]int{corev1.ServiceTypeExternalName: 0, "": 1, corev1.ServiceTypeClusterIP: 1, corev1.ServiceTypeNodePort: 2, corev1.ServiceTypeLoadBalancer: 3}

// policies compares what a Service says of all its ports.
func (d *serviceDiffer) policies(was, is *corev1.ServiceSpec) {
	if a, b := typeOf(was), typeOf(is); a != b {
		d.say("", ways[b] < ways[a] || a == corev1.ServiceTypeExternalName, text.F("its type %s becomes %s", a, b))
	}
	if a, b := was.ClusterIP, is.ClusterIP; a != b && a != "" && b != "" {
		d.say("", true, text.F("its address %s becomes %s", a, b))
	}
	if a, b := was.ExternalName, is.ExternalName; a != b {
		d.say("", a != "", text.F("its external name %q becomes %q", a, b))
	}
	if a, b := strings.Join(was.LoadBalancerSourceRanges, ","), strings.Join(is.LoadBalancerSourceRanges, ","); a != b {
		d.say("", b != "", text.F("its loadBalancerSourceRanges %q become %q", a, b))
	}
	if a, b := was.ExternalIPs, is.ExternalIPs; lacks(a, b) || lacks(b, a) {
		d.say("", lacks(b, a), text.F("its externalIPs %q become %q", strings.Join(a, ","), strings.Join(b, ",")))
	}
	if a, b := families(was), families(is); a != b && a != "" && b != "" {
		d.say("", lacks(strings.Split(b, ","), strings.Split(a, ",")), text.F("its ipFamilies %q become %q", a, b))
	}
	internal := func(s *corev1.ServiceSpec) string {
		if s.InternalTrafficPolicy == nil {
			return string(corev1.ServiceInternalTrafficPolicyCluster)
		}
		return string(*s.InternalTrafficPolicy)
	}
	external := func(s *corev1.ServiceSpec) string {
		return string(cmp.Or(s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster))
	}
	affinity := func(s *corev1.ServiceSpec) string {
		c := s.SessionAffinityConfig
		if s.SessionAffinity == corev1.ServiceAffinityClientIP && c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil && *c.ClientIP.TimeoutSeconds != corev1.DefaultClientIPServiceAffinitySeconds {
			return fmt.Sprintf("%s (%d s)", s.SessionAffinity, *c.ClientIP.TimeoutSeconds)
		}
		return string(cmp.Or(s.SessionAffinity, corev1.ServiceAffinityNone))
	}
	distribution := func(s *corev1.ServiceSpec) string {
		if s.TrafficDistribution == nil {
			return "-"
		}
		return *s.TrafficDistribution
	}
	for _, f := range []struct {
		name   string
		of     func(*corev1.ServiceSpec) string
		breaks string
	}{{"internalTrafficPolicy", internal, "Local"}, {"externalTrafficPolicy", external, "Local"}, {"sessionAffinity", affinity, ""}, {"trafficDistribution", distribution, ""}} {
		if a, b := f.of(was), f.of(is); a != b && ways[typeOf(is)] > 0 && (f.name != "externalTrafficPolicy" || ways[typeOf(is)] > 1) {
			bare := d.bareNodes()
			if b == f.breaks && bare > 0 {
				d.say("", true, text.F("its %s %s becomes %s: connections by the nodes that have none of its Pods (%d) are dropped", f.name, a, b, bare))
				continue
			}
			d.say("", false, text.F("its %s %s becomes %s", f.name, a, b))
		}
	}
}

func families(s *corev1.ServiceSpec) string {
	var out []string
	for _, f := range s.IPFamilies {
		out = append(out, string(f))
	}
	return strings.Join(out, ",")
}

// lacks reports whether one of b is not in a.
func lacks(a, b []string) bool {
	return slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
}

func typeOf(s *corev1.ServiceSpec) corev1.ServiceType {
	return cmp.Or(s.Type, corev1.ServiceTypeClusterIP)
}

// bareNodes counts the nodes that have none of the Service's Pods.
func (d *serviceDiffer) bareNodes() int {
	with := map[string]bool{}
	for _, p := range d.backends[1].selected(d.services[1]) {
		with[p.Spec.NodeName] = true
	}
	n := 0
	for i := range d.backends[1].o.Nodes {
		if !with[d.backends[1].o.Nodes[i].Name] {
			n++
		}
	}
	return n
}

// port compares the endpoints of a port.
func (d *serviceDiffer) port(was, is *corev1.ServicePort) {
	before, after := d.backends[0].endpoints(d.services[0], was), d.backends[1].endpoints(d.services[1], is)
	if maps.Equal(before, after) {
		return
	}
	if len(after) == 0 {
		d.say(portName(is), true, text.F("no endpoints are left of %d: %s", len(before), d.why(is)))
		return
	}
	lost, gained := without(before, after), without(after, before)
	if len(lost) > 0 {
		d.say(portName(is), false, text.F("loses endpoints (%d of %d): %s", len(lost), len(before), some(lost)))
	}
	if len(gained) > 0 {
		d.say(portName(is), false, text.F("gains endpoints (%d): %s", len(gained), some(gained)))
	}
	d.moved(is, before, after)
	d.reach(was, is, before, after)
}

// moved says which port of its Pods a Service's port leads to now.
func (d *serviceDiffer) moved(p *corev1.ServicePort, before, after map[string]uint16) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		a, b := before[name], after[name]
		if b == 0 || a == b {
			continue
		}
		if d.backends[0].declares(d.services[0], p, a) && !d.backends[1].declares(d.services[1], p, b) {
			d.say(portName(p), true, text.F("leads to port %d of its Pods instead of %d, which they declare; none declares %d", b, a, b))
			return
		}
		d.say(portName(p), false, text.F("leads to port %d of its Pods instead of %d", b, a))
		return
	}
}

// reachWords say what a reach is.
var reachWords = map[intent.Reach]text.Text{
	intent.ReachNone: text.F("no connection arrives"), intent.ReachSome: text.F("some connections arrive"), intent.ReachAll: text.F("connections arrive"),
	intent.ReachUnknown: text.F("whether connections arrive is not known"),
}

// reach says whose connections the policies treat otherwise at the other endpoints.
func (d *serviceDiffer) reach(was, is *corev1.ServicePort, before, after map[string]uint16) {
	ns := d.services[1].Namespace
	if len(before) == 0 {
		return
	}
	for _, c := range intent.CompareReach(d.engines[0], d.engines[1], targets(ns, was, before), targets(ns, is, after)) {
		s := Service{Namespace: ns, Name: d.services[1].Name, Port: portName(is), From: c.From, Breaks: c.After < c.Before && c.After != intent.ReachUnknown}
		s.What = text.F("by the policies %s, where before: %s", reachWords[c.After], reachWords[c.Before])
		d.out = append(d.out, s)
	}
}

func targets(namespace string, p *corev1.ServicePort, endpoints map[string]uint16) (out []intent.Target) {
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		out = append(out, intent.Target{Namespace: namespace, Pod: name, Port: intent.Port{Proto: protos[service.ProtoOf(p.Protocol)], Number: endpoints[name]}})
	}
	return out
}

var protos = map[corev1.Protocol]packet.Proto{corev1.ProtocolTCP: packet.TCP, corev1.ProtocolUDP: packet.UDP, corev1.ProtocolSCTP: packet.SCTP}

func without(a, b map[string]uint16) (out []string) {
	for name := range a {
		if _, ok := b[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// some names the first of a list.
func some(list []string) string {
	const enough = 4
	if len(list) <= enough {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:enough], ", ") + fmt.Sprintf(", +%d", len(list)-enough)
}

// why says why a port of what the Service becomes has no endpoints.
func (d *serviceDiffer) why(p *corev1.ServicePort) text.Text {
	s := d.services[1]
	switch pods := d.backends[1].selected(s); {
	case len(s.Spec.Selector) == 0:
		return text.F("it has no selector")
	case len(pods) == 0:
		return text.F("its selector %s matches no Pod that is ready", labels.FormatLabels(s.Spec.Selector))
	}
	return text.F("none of its Pods has a port named %q", p.TargetPort.StrVal)
}

// A dnsTarget is a port of Pods that answer the cluster's lookups.
type dnsTarget struct {
	workload intent.Member
	port     intent.Port
}

// dnsNames are the Services that clusters have for their DNS. That of kubeadm, and of most others,
// has the label k8s-app=kube-dns also where its name is another.
var dnsNames = []string{"kube-system/kube-dns", "kube-system/coredns", "openshift-dns/dns-default"}

// dnsTargets returns the ports of the Pods behind the cluster's DNS.
func dnsTargets(o *snapshot.Objects) (out []dnsTarget) {
	b, of := newBackends(o), intent.Workloads(o)
	for i := range o.Services {
		s := &o.Services[i]
		if s.Labels["k8s-app"] != "kube-dns" && !slices.Contains(dnsNames, s.Namespace+"/"+s.Name) {
			continue
		}
		for j := range s.Spec.Ports {
			p := &s.Spec.Ports[j]
			if p.Port != 53 {
				continue
			}
			for _, pod := range b.selected(s) {
				n, ok := targetPort(p, pod)
				t := dnsTarget{of(pod), intent.Port{Proto: protos[service.ProtoOf(p.Protocol)], Number: n}}
				if ok && !slices.Contains(out, t) {
					out = append(out, t)
				}
			}
		}
	}
	return out
}
