package whatif

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/route"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Request is requests from outside that are sent elsewhere than before.
type Request struct {
	Entry         string // "IngressClass/nginx", "Gateway/shop/web"
	Title         string // "http://shop.example.com/orders/…"
	Before, After text.Text
	Breaks        bool // they led to a Service, and no longer do
	Unknown       bool // where they go after the change is not known, where it was
}

// routed are the kinds that say where requests are sent.
var routed = []string{"Ingress", "IngressClass", "Gateway", "GatewayClass", "HTTPRoute", "TCPRoute", "ReferenceGrant", "Service", "Namespace"}

// requests compares where requests are sent. What is asked about is what the rules before and
// after the change are for: each rule's path, and what is below it.
func requests(was, is *snapshot.Objects, touched []string) (out []Request) {
	if !slices.ContainsFunc(touched, func(key string) bool {
		kind, _, _ := strings.Cut(key, "/")
		return slices.Contains(routed, kind)
	}) {
		return nil
	}
	before, after := route.New(was), route.New(is)
	samples := map[string]route.Request{}
	for _, r := range slices.Concat(before.Rules, after.Rules) {
		for _, s := range r.Samples() {
			samples[s.Title] = s.Request
		}
	}
	for _, title := range slices.Sorted(maps.Keys(samples)) {
		a, b := entries(before, samples[title]), entries(after, samples[title])
		for _, entry := range either(a, b) {
			old, next := a[entry], b[entry]
			if then, now := goes(old), goes(next); then.String() != now.String() {
				out = append(out, Request{Entry: entry, Title: title, Before: then, After: now,
					Breaks: arrives(old) == route.Yes && arrives(next) == route.No, Unknown: arrives(next) == route.Unknown})
			}
		}
	}
	return out
}

// entries returns what each entry does with a request.
func entries(t *route.Table, q route.Request) map[string]*route.Way {
	out := map[string]*route.Way{}
	for _, w := range t.Find(q) {
		out[w.Entry.Object.String()] = &w
	}
	return out
}

// either returns the keys that one of two maps has, sorted.
func either[V any](a, b map[string]V) []string {
	all := map[string]V{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// arrives reports whether a way leads to a Service; for some of the requests is enough.
func arrives(w *route.Way) route.Answer {
	switch {
	case w == nil || !w.Entry.Fault.IsZero():
		return route.No
	case !w.Unclear.IsZero():
		return route.Unknown
	case w.Rule == nil:
		return route.No
	case w.Rule.Redirect:
		return route.Yes
	}
	out := route.No
	for _, b := range w.Rule.Backends {
		switch {
		case b.Weight == 0 || !b.Fault.IsZero():
		case !b.Unclear.IsZero():
			out = route.Unknown
		default:
			return route.Yes
		}
	}
	return out
}

// goes says where a way leads.
func goes(w *route.Way) text.Text {
	switch {
	case w == nil:
		return text.F("no rule is for its host")
	case !w.Entry.Fault.IsZero():
		return text.F("no controller acts on it: %s", w.Entry.Fault)
	case !w.Unclear.IsZero():
		return text.F("not known: %s", w.Unclear)
	case w.Rule == nil:
		return text.F("it is answered by 404: no rule takes it")
	case w.Rule.Redirect:
		return text.F("it is redirected")
	}
	return shares(w.Rule.Backends)
}

// shares says which Services get which part of a rule's requests.
func shares(list []route.Backend) text.Text {
	total := int32(0)
	for _, b := range list {
		total += b.Weight
	}
	var to []string
	var fault, unclear text.Text
	for _, b := range list {
		name := fmt.Sprintf("%s/%s:%d", b.Namespace, b.Name, b.Port)
		if b.PortName != "" {
			name = b.Namespace + "/" + b.Name + ":" + b.PortName
		}
		if b.Weight != total {
			name += fmt.Sprintf(" (%d/%d)", b.Weight, total)
		}
		switch {
		case b.Weight == 0:
		case !b.Fault.IsZero():
			fault = b.Fault
		case !b.Unclear.IsZero():
			unclear = b.Unclear
		default:
			to = append(to, name)
		}
	}
	slices.Sort(to)
	switch {
	case len(to) == 0 && !unclear.IsZero():
		return text.F("not known: %s", unclear)
	case len(to) == 0 && !fault.IsZero():
		return text.F("it is answered by an error: %s", fault)
	case len(to) == 0:
		return text.F("it is answered by an error: nothing is behind the rule")
	case !fault.IsZero():
		return text.F("it goes to %s, or is answered by an error: %s", strings.Join(to, ", "), fault)
	}
	return text.F("it goes to %s", strings.Join(to, ", "))
}
