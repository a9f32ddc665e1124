package route

import (
	"cmp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/text"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

const gatewayGroup = "gateway.networking.k8s.io"

func (t *Table) gateways() {
	for i := range t.o.Gateways {
		g := &t.o.Gateways[i]
		t.entry(Object{"Gateway", g.Namespace, g.Name}, func(e *Entry) { t.gateway(g, e) })
	}
	for i := range t.o.HTTPRoutes {
		h := &t.o.HTTPRoutes[i]
		o := Object{"HTTPRoute", h.Namespace, h.Name}
		t.attach(o, h.Spec.ParentRefs, h.Status.Parents, func(e *Entry, l *gatewayv1.Listener, fault text.Text) {
			if l.Protocol == gatewayv1.HTTPProtocolType || l.Protocol == gatewayv1.HTTPSProtocolType {
				t.httpRoute(h, e, l, fault)
			}
		})
	}
	for i := range t.o.TCPRoutes {
		c := &t.o.TCPRoutes[i]
		o := Object{"TCPRoute", c.Namespace, c.Name}
		t.attach(o, c.Spec.ParentRefs, c.Status.Parents, func(e *Entry, l *gatewayv1.Listener, fault text.Text) {
			if l.Protocol != gatewayv1.TCPProtocolType || len(c.Spec.Rules) == 0 {
				return
			}
			r := Rule{Object: o, Entry: e, scheme: "tcp", port: uint16(l.Port), Fault: fault, created: c.CreationTimestamp.Time, order: len(t.Rules)}
			for _, b := range c.Spec.Rules[0].BackendRefs {
				r.Backends = append(r.Backends, t.backend(o, b))
			}
			t.Rules = append(t.Rules, &r)
		})
	}
}

func (t *Table) gateway(g *gatewayv1.Gateway, e *Entry) {
	found := false
	for i := range t.o.GatewayClasses {
		if c := &t.o.GatewayClasses[i]; c.Name == string(g.Spec.GatewayClassName) {
			e.Controller, found = string(c.Spec.ControllerName), true
		}
	}
	if !found && t.o.Have["GatewayClass"] {
		e.Fault = text.F("there is no GatewayClass %s", g.Spec.GatewayClassName)
	}
	for _, a := range g.Status.Addresses {
		e.at(a.Value)
	}
}

// attach calls add for each listener that takes a route, with why it does not work there all the same.
func (t *Table) attach(o Object, parents []gatewayv1.ParentReference, status []gatewayv1.RouteParentStatus, add func(*Entry, *gatewayv1.Listener, text.Text)) {
	for _, p := range parents {
		if deref(p.Group, gatewayGroup) != gatewayGroup || deref(p.Kind, "Gateway") != "Gateway" {
			continue // a Service: a mesh
		}
		at := Object{"Gateway", string(deref(p.Namespace, gatewayv1.Namespace(o.Namespace))), string(p.Name)}
		for i := range t.o.Gateways {
			g := &t.o.Gateways[i]
			if g.Namespace != at.Namespace || g.Name != at.Name {
				continue
			}
			e := t.entry(at, nil)
			for j := range g.Spec.Listeners {
				l := &g.Spec.Listeners[j]
				if p.SectionName != nil && *p.SectionName != l.Name || p.Port != nil && *p.Port != l.Port || !t.allows(g, l, o) {
					continue
				}
				add(e, l, fault(g, l, p, status))
			}
		}
	}
}

// fault says why the controller does not serve a route at a listener, as the status of the two has it.
func fault(g *gatewayv1.Gateway, l *gatewayv1.Listener, p gatewayv1.ParentReference, status []gatewayv1.RouteParentStatus) text.Text {
	for _, s := range g.Status.Listeners {
		if s.Name != l.Name {
			continue
		}
		for _, c := range s.Conditions {
			if c.Status == metav1.ConditionFalse && (c.Type == string(gatewayv1.ListenerConditionAccepted) || c.Type == string(gatewayv1.ListenerConditionResolvedRefs) && l.TLS != nil) {
				return text.F("listener %s of Gateway %s/%s does not work: %s: %s", l.Name, g.Namespace, g.Name, c.Reason, c.Message)
			}
		}
	}
	for _, s := range status {
		same := s.ParentRef.Name == p.Name && deref(s.ParentRef.SectionName, "") == deref(p.SectionName, "") && deref(s.ParentRef.Namespace, "") == deref(p.Namespace, "")
		for _, c := range s.Conditions {
			if same && c.Type == string(gatewayv1.RouteConditionAccepted) && c.Status == metav1.ConditionFalse {
				return text.F("%s does not accept it: %s: %s", s.ControllerName, c.Reason, c.Message)
			}
		}
	}
	return text.Text{}
}

// allows reports whether a listener takes routes of that kind and namespace.
func (t *Table) allows(g *gatewayv1.Gateway, l *gatewayv1.Listener, o Object) bool {
	a := deref(l.AllowedRoutes, gatewayv1.AllowedRoutes{})
	if len(a.Kinds) > 0 && !slices.ContainsFunc(a.Kinds, func(k gatewayv1.RouteGroupKind) bool {
		return string(k.Kind) == o.Kind && deref(k.Group, gatewayGroup) == gatewayGroup
	}) {
		return false
	}
	from := deref(a.Namespaces, gatewayv1.RouteNamespaces{})
	switch deref(from.From, gatewayv1.NamespacesFromSame) {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return o.Namespace == g.Namespace
	case gatewayv1.NamespacesFromSelector:
		sel, err := metav1.LabelSelectorAsSelector(from.Selector)
		ns := t.spaces[o.Namespace]
		return err == nil && ns != nil && sel.Matches(labels.Set(ns.Labels))
	}
	return false
}

// httpRoute adds the rules of an HTTPRoute behind one listener.
func (t *Table) httpRoute(h *gatewayv1.HTTPRoute, e *Entry, l *gatewayv1.Listener, fault text.Text) {
	base := Rule{Object: Object{"HTTPRoute", h.Namespace, h.Name}, Entry: e, Fault: fault, created: h.CreationTimestamp.Time,
		scheme: strings.ToLower(string(l.Protocol)), port: uint16(l.Port), catches: strings.ToLower(string(deref(l.Hostname, "")))}
	hosts := []gatewayv1.Hostname{""}
	if len(h.Spec.Hostnames) > 0 {
		hosts = h.Spec.Hostnames
	}
	for _, host := range hosts {
		both, ok := narrower(base.catches, strings.ToLower(string(host)))
		if !ok {
			continue
		}
		for i := range h.Spec.Rules {
			r := base
			r.Host = both
			t.httpRule(r, &h.Spec.Rules[i])
		}
	}
}

// narrower returns the host that both a listener and a route are for.
func narrower(a, b string) (string, bool) {
	switch {
	case covers(a, strings.TrimPrefix(b, "*"), "") && b != "":
		return b, true
	case covers(b, strings.TrimPrefix(a, "*"), "") && a != "":
		return a, true
	}
	return b, a == b
}

// httpRule adds a rule once for each of its matches.
func (t *Table) httpRule(base Rule, from *gatewayv1.HTTPRouteRule) {
	for _, b := range from.BackendRefs {
		to := t.backend(base.Object, b.BackendRef)
		if len(b.Filters) > 0 && to.Unclear.IsZero() {
			to.Unclear = odd(b.Filters)
		}
		base.Backends = append(base.Backends, to)
	}
	base.Unclear = odd(from.Filters)
	base.Redirect = slices.ContainsFunc(from.Filters, func(f gatewayv1.HTTPRouteFilter) bool { return f.Type == gatewayv1.HTTPRouteFilterRequestRedirect })
	matches := from.Matches
	if len(matches) == 0 {
		matches = []gatewayv1.HTTPRouteMatch{{}}
	}
	for _, m := range matches {
		r := base
		r.order = len(t.Rules)
		r.Type, r.Path = httpPath(m.Path)
		r.Method = string(deref(m.Method, ""))
		for _, h := range m.Headers {
			p := Pair{strings.ToLower(string(h.Name)), h.Value, deref(h.Type, gatewayv1.HeaderMatchExact) != gatewayv1.HeaderMatchExact}
			if !slices.ContainsFunc(r.Headers, func(o Pair) bool { return o.Name == p.Name }) { // of several with one name the first counts
				r.Headers = append(r.Headers, p)
			}
		}
		for _, q := range m.QueryParams {
			r.Query = append(r.Query, Pair{string(q.Name), q.Value, deref(q.Type, gatewayv1.QueryParamMatchExact) != gatewayv1.QueryParamMatchExact})
		}
		t.Rules = append(t.Rules, &r)
	}
}

func httpPath(p *gatewayv1.HTTPPathMatch) (PathType, string) {
	if p == nil {
		return Prefix, "/"
	}
	path := deref(p.Value, "/")
	switch deref(p.Type, gatewayv1.PathMatchPathPrefix) {
	case gatewayv1.PathMatchExact:
		return Exact, path
	case gatewayv1.PathMatchPathPrefix:
		return Prefix, path
	}
	return Pattern, path
}

// odd says which filter makes it unclear where a request goes. Those that are known change the request or its
// answer, or send a copy elsewhere.
func odd(filters []gatewayv1.HTTPRouteFilter) text.Text {
	for _, f := range filters {
		switch f.Type {
		case gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier, gatewayv1.HTTPRouteFilterRequestRedirect,
			gatewayv1.HTTPRouteFilterURLRewrite, gatewayv1.HTTPRouteFilterRequestMirror, gatewayv1.HTTPRouteFilterCORS:
		default:
			return text.F("what the filter %s does is not known", f.Type)
		}
	}
	return text.Text{}
}

// backend reads what a route sends to.
func (t *Table) backend(from Object, b gatewayv1.BackendRef) Backend {
	out := Backend{Namespace: string(deref(b.Namespace, gatewayv1.Namespace(from.Namespace))), Name: string(b.Name), Port: deref(b.Port, 0), Weight: deref(b.Weight, 1)}
	kind, group := deref(b.Kind, "Service"), deref(b.Group, "")
	switch {
	case group == "" && kind != "Service":
		out.Fault = text.F("a %s is nothing that requests are sent to", kind)
	case kind != "Service" || group != "":
		out.Unclear = text.F("what a %s does is not known", string(kind)+"."+string(group))
	case out.Namespace != from.Namespace && !t.o.Have["ReferenceGrant"] && len(t.o.ReferenceGrants) == 0:
		out.Unclear = text.F("ReferenceGrants were not collected")
	case out.Namespace != from.Namespace && !t.granted(from, out):
		out.Fault = text.F("no ReferenceGrant in namespace %s lets %s in %s use Service %s", out.Namespace, cmp.Or(from.Kind, "?"), from.Namespace, out.Name)
	}
	return t.judge(out)
}

// granted reports whether a ReferenceGrant lets a route send to a Service of another namespace.
func (t *Table) granted(from Object, b Backend) bool {
	for i := range t.o.ReferenceGrants {
		g := &t.o.ReferenceGrants[i]
		if g.Namespace != b.Namespace {
			continue
		}
		lets := slices.ContainsFunc(g.Spec.From, func(f gatewayv1beta1.ReferenceGrantFrom) bool {
			return f.Group == gatewayGroup && string(f.Kind) == from.Kind && string(f.Namespace) == from.Namespace
		})
		to := slices.ContainsFunc(g.Spec.To, func(s gatewayv1beta1.ReferenceGrantTo) bool {
			return s.Group == "" && s.Kind == "Service" && (s.Name == nil || string(*s.Name) == b.Name)
		})
		if lets && to {
			return true
		}
	}
	return false
}

func deref[T any](p *T, zero T) T {
	if p == nil {
		return zero
	}
	return *p
}
