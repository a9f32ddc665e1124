package route

import (
	"cmp"
	"strings"

	"github.com/plumbnet/plumb/text"
	networkingv1 "k8s.io/api/networking/v1"
)

// classAnnotation named the class before the field did; controllers still read it.
const classAnnotation = "kubernetes.io/ingress.class"

// canaryAnnotation marks an Ingress of ingress-nginx that takes a share of another's requests.
const canaryAnnotation = "nginx.ingress.kubernetes.io/canary"

func (t *Table) ingresses() {
	for i := range t.o.Ingresses {
		in := &t.o.Ingresses[i]
		e := t.class(in)
		for _, l := range in.Status.LoadBalancer.Ingress {
			e.at(l.IP)
			e.at(l.Hostname)
		}
		t.ingress(in, e)
	}
}

// class returns the entry that an Ingress is for. One without a class gets the default one when it is made, or
// never: whether a controller acts on it all the same is not known.
func (t *Table) class(in *networkingv1.Ingress) *Entry {
	name := in.Annotations[classAnnotation]
	byField := in.Spec.IngressClassName != nil
	if byField {
		name = *in.Spec.IngressClassName
	}
	return t.entry(Object{Kind: "IngressClass", Name: name}, func(e *Entry) {
		found := false
		for i := range t.o.IngressClasses {
			if c := &t.o.IngressClasses[i]; c.Name == name {
				e.Controller, found = c.Spec.Controller, true
			}
		}
		switch {
		case found || !t.o.Have["IngressClass"]:
		case name == "":
			e.Fault = text.F("it has no class, and there was no default one when it was made")
		case byField:
			e.Fault = text.F("there is no IngressClass %s", name)
		}
	})
}

func (t *Table) ingress(in *networkingv1.Ingress, e *Entry) {
	base := Rule{Object: Object{"Ingress", in.Namespace, in.Name}, Entry: e, Canary: in.Annotations[canaryAnnotation] == "true", created: in.CreationTimestamp.Time}
	add := func(r Rule, b *networkingv1.IngressBackend) {
		r.order = len(t.Rules)
		r.Backends = []Backend{t.judge(t.ingressBackend(in, b))}
		t.Rules = append(t.Rules, &r)
	}
	if in.Spec.DefaultBackend != nil {
		r := base
		r.Path, r.fixed = "/", true
		add(r, in.Spec.DefaultBackend)
	}
	for i := range in.Spec.Rules {
		from := &in.Spec.Rules[i]
		if from.HTTP == nil {
			continue // all of the host goes to the default backend
		}
		for j := range from.HTTP.Paths {
			p := &from.HTTP.Paths[j]
			r := base
			r.Host, r.Path = strings.ToLower(from.Host), p.Path
			r.Type = ingressPath(p.PathType)
			add(r, &p.Backend)
		}
	}
}

func ingressPath(t *networkingv1.PathType) PathType {
	switch {
	case t == nil:
		return Specific
	case *t == networkingv1.PathTypeExact:
		return Exact
	case *t == networkingv1.PathTypePrefix:
		return Prefix
	}
	return Specific
}

func (t *Table) ingressBackend(in *networkingv1.Ingress, b *networkingv1.IngressBackend) Backend {
	if b.Service == nil {
		kind := "?"
		if b.Resource != nil {
			kind = b.Resource.Kind
		}
		return Backend{Namespace: in.Namespace, Weight: 1, Unclear: text.F("what a %s does is not known", cmp.Or(kind, "?"))}
	}
	return Backend{Namespace: in.Namespace, Name: b.Service.Name, Port: b.Service.Port.Number, PortName: b.Service.Port.Name, Weight: 1}
}
