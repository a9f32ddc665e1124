package route

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// A Table holds all rules of a cluster.
type Table struct {
	Entries []*Entry // in the order of the kind and the name
	Rules   []*Rule  // in the order of the objects; a rule of an HTTPRoute once for each of its hosts, matches and listeners

	o        *snapshot.Objects
	services map[Object]*corev1.Service
	spaces   map[string]*corev1.Namespace
}

// New reads the objects.
func New(o *snapshot.Objects) *Table {
	t := &Table{o: o, services: map[Object]*corev1.Service{}, spaces: map[string]*corev1.Namespace{}}
	for i := range o.Services {
		s := &o.Services[i]
		t.services[Object{"Service", s.Namespace, s.Name}] = s
	}
	for i := range o.Namespaces {
		t.spaces[o.Namespaces[i].Name] = &o.Namespaces[i]
	}
	t.ingresses()
	t.gateways()
	for _, e := range t.Entries {
		slices.SortFunc(e.Addrs, netip.Addr.Compare)
		e.Addrs = slices.Compact(e.Addrs)
		slices.Sort(e.Names)
		e.Names = slices.Compact(e.Names)
	}
	slices.SortStableFunc(t.Entries, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return t
}

// Service returns the Service behind a backend, and its port; nil where there is none.
func (t *Table) Service(b Backend) (*corev1.Service, *corev1.ServicePort) {
	s := t.services[Object{"Service", b.Namespace, b.Name}]
	if s == nil {
		return nil, nil
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if b.PortName != "" && p.Name == b.PortName || b.PortName == "" && p.Port == b.Port {
			return s, p
		}
	}
	return s, nil
}

// judge says why a backend has nothing behind it.
func (t *Table) judge(b Backend) Backend {
	switch s, p := t.Service(b); {
	case !b.Fault.IsZero() || !b.Unclear.IsZero():
	case s == nil && !t.o.Have["Service"]:
		b.Unclear = text.F("Services were not collected")
	case s == nil:
		b.Fault = text.F("there is no Service %s/%s", b.Namespace, b.Name)
	case p == nil && b.PortName != "":
		b.Fault = text.F("Service %s/%s has no port named %q", b.Namespace, b.Name, b.PortName)
	case p == nil:
		b.Fault = text.F("Service %s/%s has no port %d", b.Namespace, b.Name, b.Port)
	}
	return b
}

// entry returns the entry of that name, which it makes where it is new.
func (t *Table) entry(o Object, fill func(*Entry)) *Entry {
	for _, e := range t.Entries {
		if e.Object == o {
			return e
		}
	}
	e := &Entry{Object: o}
	fill(e)
	t.Entries = append(t.Entries, e)
	return e
}

// at adds an address, or a name, at which an entry is reached.
func (e *Entry) at(s string) {
	if s == "" {
		return
	}
	if a, err := netip.ParseAddr(s); err == nil {
		e.Addrs = append(e.Addrs, a.Unmap())
		return
	}
	e.Names = append(e.Names, s)
}
