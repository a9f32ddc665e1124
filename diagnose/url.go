package diagnose

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/route"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// A Link is one step of a request's way through the objects: the class, the rule, the Service, its endpoints, the
// Pods that requests come from.
type Link struct {
	Object  string    // "Ingress/shop/api"
	Verdict Verdict   // Works where the step holds
	What    text.Text // what it does, or why it does not
}

// maxLegs bounds the ways from a controller's Pods to endpoints that are followed.
const maxLegs = 12

// url follows a request for a URL through the objects, and aims from the controller's Pods at the endpoints.
func (r *resolver) url(s string) error {
	q, err := route.Parse(s)
	if err != nil {
		return err
	}
	r.q.dst = Endpoint{Kind: "url", Name: s}
	table := route.New(&r.c.Objects)
	ways := table.Find(q)
	if len(ways) == 0 {
		return r.noRoute(q)
	}
	ways = reached(ways, r.hostAddrs(q.Host))
	for i, w := range ways {
		r.way(table, q, w)
		if i == 0 && len(w.Entry.Addrs) > 0 && r.q.src.Name != "" {
			r.q.need(text.F("the way from %s to %s itself, which was not followed: ask for -d %s", r.q.src.Name, w.Entry.Object, netip.AddrPortFrom(w.Entry.Addrs[0], q.Port)))
		}
	}
	return nil
}

// hostAddrs returns what the host's name comes to: in the Pod that asks, as far as the objects tell, and on this machine.
func (r *resolver) hostAddrs(host string) []netip.Addr {
	out := r.ask.Hosts[host]
	if _, err := netip.ParseAddr(host); err == nil || r.q.src.Kind != "pod" {
		return out
	}
	ns, short, _ := strings.Cut(r.q.src.Name, "/")
	res, why := r.followName(host, find(r.c.Objects.Pods, ns, short))
	if res == nil {
		if !why.IsZero() {
			r.q.need(why)
		}
		return out
	}
	r.q.name = res
	switch last := res.Last(); {
	case last.Outcome == dns.Unknown:
		r.q.need(text.F("what CoreDNS answers to %s: %s", res.Queries[len(res.Queries)-1].Name, last.Why))
	case last.Outcome == dns.Answered && len(res.Addrs) == 0:
		r.q.nothing = unresolved(res)
	}
	return slices.Concat(out, res.Addrs)
}

// reached returns the ways of those entries that have one of the addresses that the host's name resolves to; all
// of them, where none has or the name was not looked up: a balancer before them has it.
func reached(ways []route.Way, addrs []netip.Addr) []route.Way {
	out := slices.DeleteFunc(slices.Clone(ways), func(w route.Way) bool {
		return !slices.ContainsFunc(w.Entry.Addrs, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	})
	if len(out) == 0 {
		return ways
	}
	return out
}

// noRoute aims at the host itself.
func (r *resolver) noRoute(q route.Request) error {
	r.link("", CannotTell, text.F("no Ingress and no route of a Gateway has the host %s and the port %d", q.Host, q.Port))
	if g, lacks := r.c.MissingKind("Ingress"); lacks {
		r.q.need(text.F("the Ingresses: %s", g.Why))
	}
	t := target{kind: "host", name: q.Host, port: strconv.Itoa(int(q.Port))}
	if a, err := netip.ParseAddr(q.Host); err == nil {
		t.kind, t.addr = "address", a.Unmap()
	}
	return r.dest(t)
}

func (r *resolver) link(object string, v Verdict, what text.Text) {
	r.q.links = append(r.q.links, Link{object, v, what})
}

// fails ends the way: nothing is to be followed.
func (r *resolver) fails(object string, what text.Text) {
	r.link(object, Broken, what)
	if r.q.nothing.IsZero() {
		r.q.nothing = what
	}
}

// way judges what one entry does with the request, link by link.
func (r *resolver) way(t *route.Table, q route.Request, w route.Way) {
	entry := w.Entry.Object.String()
	switch {
	case !w.Entry.Fault.IsZero() && len(w.Entry.Addrs)+len(w.Entry.Names) == 0:
		r.fails(entry, text.F("no controller acts on it: %s", w.Entry.Fault))
		return
	case w.Entry.Controller == "":
		r.link(entry, CannotTell, text.F("its controller is not known"))
	default:
		r.link(entry, Works, text.F("%s acts on it", w.Entry.Controller))
	}
	if !w.Unclear.IsZero() {
		r.link(entry, CannotTell, w.Unclear)
		r.q.need(w.Unclear)
	}
	if w.Rule == nil {
		if w.Unclear.IsZero() {
			r.fails(entry, text.F("no rule takes %s: it is answered by 404", q.Path))
		}
		return
	}
	object := w.Rule.Object.String()
	r.link(object, Works, text.F("its rule %s takes it", w.Rule.Title()))
	if w.Rule.Redirect {
		r.link(object, Works, text.F("it answers that the request is to go elsewhere"))
		return
	}
	total := int32(0)
	for _, b := range w.Rule.Backends {
		total += b.Weight
	}
	if total == 0 {
		r.fails(object, text.F("it has no backend that requests are sent to: they are answered by 500 or 503"))
		return
	}
	froms, known := r.controllers(w.Entry)
	for _, b := range w.Rule.Backends {
		if b.Weight > 0 {
			r.backend(t, object, b, froms, known)
		}
	}
}

// backend judges a backend and its endpoints.
func (r *resolver) backend(t *route.Table, object string, b route.Backend, froms []*corev1.Pod, known Link) {
	switch {
	case !b.Fault.IsZero():
		r.fails(object, text.F("requests are answered by 500 or 503: %s", b.Fault))
		return
	case !b.Unclear.IsZero():
		r.link(object, CannotTell, b.Unclear)
		r.q.need(b.Unclear)
		return
	}
	s, port := t.Service(b)
	name := "Service/" + s.Namespace + "/" + s.Name
	r.link(object, Works, text.F("it sends to %s port %d", name, port.Port))
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		r.link(name, CannotTell, text.F("it is another name for %s, which is not followed", s.Spec.ExternalName))
		return
	}
	if g, lacks := r.c.MissingKind("EndpointSlice"); lacks {
		r.link(name, CannotTell, text.F("its endpoints are not known: %s", g.Why))
		return
	}
	eps := r.endpoints(s, port)
	if len(eps) == 0 {
		r.fails(name, text.F("requests are answered by 503: Service %s/%s has no endpoint that may be used", s.Namespace, s.Name))
		return
	}
	r.link(name, Works, text.F("endpoints that may be used: %d", len(eps)))
	r.q.links = append(r.q.links, known)
	for _, pod := range froms {
		r.legs(pod, eps, port)
	}
}

// endpoints returns those of both families that may be used.
func (r *resolver) endpoints(s *corev1.Service, port *corev1.ServicePort) []service.Endpoint {
	var all []service.Endpoint
	for i := range r.c.Objects.EndpointSlices {
		sl := &r.c.Objects.EndpointSlices[i]
		if sl.Namespace == s.Namespace && sl.Labels["kubernetes.io/service-name"] == s.Name {
			all = service.Append(all, sl)
		}
	}
	all = service.Sort(all)
	return slices.Concat(service.Usable(service.Of(all, port, false)), service.Usable(service.Of(all, port, true)))
}

// legs aims from one of the controller's Pods at the endpoints of its families.
func (r *resolver) legs(pod *corev1.Pod, eps []service.Endpoint, port *corev1.ServicePort) {
	name := pod.Namespace + "/" + pod.Name
	r.q.vias = append(r.q.vias, name)
	from := r.n.Pod(name)
	if from == nil && pod.Spec.HostNetwork {
		from = r.n.Host(pod.Spec.NodeName)
	}
	if from == nil {
		r.q.need(text.F("the state of node %s, on which %s is: no snapshot of it was given", orUnknown(pod.Spec.NodeName), name))
		return
	}
	r.q.proto = packet.TCP
	for _, e := range eps {
		if !slices.ContainsFunc(podAddrs(pod), func(a netip.Addr) bool { return a.Is6() == e.Addr.Addr().Is6() }) {
			continue
		}
		if len(r.q.aims) == maxLegs {
			r.q.need(text.F("the ways from the controller's Pods beyond the first %d, which were not followed", maxLegs))
			return
		}
		r.q.aims = append(r.q.aims, aim{dst: e.Addr, from: from, via: name})
	}
}

// gatewayLabel is what a Gateway's controller puts on what it makes for it (GEP-1762).
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// controllerLabels are the labels of controllers' Pods in their projects' own manifests and charts.
var controllerLabels = map[string]map[string]string{
	"k8s.io/ingress-nginx":                   {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
	"traefik.io/ingress-controller":          {"app.kubernetes.io/name": "traefik"},
	"haproxy.org/ingress-controller/haproxy": {"app.kubernetes.io/name": "kubernetes-ingress"},
	"projectcontour.io/ingress/contour":      {"app": "envoy"},
}

// controllers returns the Pods that requests of an entry come from: those behind a Service that has one of the
// entry's addresses, or that are labelled for the Gateway, or as the controller's project does.
func (r *resolver) controllers(e *route.Entry) (out []*corev1.Pod, found Link) {
	behind := map[string]bool{}
	for i := range r.c.Objects.Services {
		s := &r.c.Objects.Services[i]
		own := slices.Concat(service.ClusterIPs(s), parseAddrs(s.Spec.ExternalIPs))
		for _, in := range s.Status.LoadBalancer.Ingress {
			own = append(own, parseAddrs([]string{in.IP})...)
		}
		if !slices.ContainsFunc(own, func(a netip.Addr) bool { return slices.Contains(e.Addrs, a) }) {
			continue
		}
		for j := range s.Spec.Ports {
			for _, ep := range r.endpoints(s, &s.Spec.Ports[j]) {
				behind[ep.Pod] = true
			}
		}
	}
	want := controllerLabels[e.Controller]
	for i := range r.c.Objects.Pods {
		p := &r.c.Objects.Pods[i]
		is := behind[p.Namespace+"/"+p.Name]
		if e.Object.Kind == "Gateway" {
			is = is || p.Namespace == e.Object.Namespace && p.Labels[gatewayLabel] == e.Object.Name
		} else if len(behind) == 0 {
			is = is || len(want) > 0 && has(p.Labels, want)
		}
		if is && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		what := text.F("the Pods of its controller are not known: no Service has its address, and none has the labels of %s", cmp.Or(e.Controller, "?"))
		r.q.need(what)
		return nil, Link{e.Object.String(), CannotTell, what}
	}
	var names []string
	for _, p := range out[:min(3, len(out))] {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return out, Link{e.Object.String(), Works, text.F("requests come from its controller's Pods: %d, such as %s", len(out), strings.Join(names, ", "))}
}

func has(labels, want map[string]string) bool {
	for k, v := range want {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// judgeURL says what the links, and the ways of the last one, come to for a request.
func (r *Report) judgeURL(q question) {
	r.Links = q.links
	if r.Dest.Kind != "url" {
		return
	}
	links := Works
	for _, l := range r.Links {
		if l.Verdict == Broken || links == Works {
			links = l.Verdict
		}
	}
	switch {
	case r.Name != nil && r.Verdict == Broken && links == Works && worst(r.Traces) == Works: // the name is what fails
	case links == Broken && len(r.Traces) > 0 && worst(r.Traces) != Broken:
		r.Verdict, r.Summary = Partly, text.F("some requests for %s fail: %s", r.Dest.Name, q.nothing)
	case links == Broken:
	case links == CannotTell && (len(r.Traces) == 0 || r.Verdict == Works):
		r.Verdict, r.Summary = CannotTell, text.F("cannot tell what becomes of requests for %s: not every link of their way is known", r.Dest.Name)
	case links == Works && len(r.Traces) == 0 && len(q.vias) == 0:
		r.Verdict, r.Summary = Works, text.F("requests for %s are told to go elsewhere", r.Dest.Name)
	case r.Verdict == Works:
		r.Summary = text.F("requests for %s get from the controller's Pods to every backend", r.Dest.Name)
	case r.Verdict == Broken && len(r.Traces) > 0:
		r.Summary = text.F("requests for %s are answered by %d: no Pod of the controller gets to a backend", r.Dest.Name, r.status())
	case r.Verdict == Partly && len(r.Traces) > 0:
		r.Summary = text.F("some requests for %s are answered by %d: not every Pod of the controller gets to every backend", r.Dest.Name, r.status())
	}
}

// status returns what a controller answers where it does not get to a backend: at once 502, after a time 504.
func (r *Report) status() int {
	for _, t := range r.Traces {
		for _, p := range t.Result.Paths {
			if p.End == trace.NoListener || p.End == trace.Rejected || p.End == trace.NoRoute {
				return 502
			}
		}
	}
	return 504
}
