// Package whatif says what a change of objects would do before it is applied: which connections
// would open, close or change, which lookups would fail, what Services would lose, and where requests
// from outside would go. It knows what package intent knows: what the objects ask for, not what the kernels do.
package whatif

import (
	"cmp"
	"slices"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Diff is what a change would do.
type Diff struct {
	Refusal     string   // why CoreDNS would not start with the new Corefile, so that every lookup fails; ""
	Lookups     []Lookup // that would fail: of connections, those that are said first
	Names       []Name   // that CoreDNS answers otherwise
	Asked       int      // of how many names that were asked, where its configuration changes
	Connections []Connection
	Services    []Service
	Requests    []Request       // from outside, that are sent elsewhere
	New, Gone   []intent.Member // workloads whose Pods are only after the change, or only before; their connections are not compared
	Unjudged    []text.Text     // what changes, and what that does is not known
	Missing     []string        // kinds of objects that were not collected
	Pods        map[string]int  // how many were compared, by namespace
}

// A Connection is connections that open, close or change.
type Connection struct {
	intent.Change
	Declared []intent.PortRange // those of the ports that the containers of To declare, where Ports are more
}

// A Lookup is Pods of which the change takes the way to the cluster's DNS.
type Lookup struct {
	From, DNS []intent.Member // the Pods, and those that answer
	Ports     []intent.PortRange
	All       bool // no lookup can go out; else only those that are too large for UDP fail
	After     intent.Decision
}

// A Service is a change of one of its ports, or of all of it.
type Service struct {
	Namespace, Name, Port string // "80/TCP"; "" for all
	What                  text.Text
	Breaks                bool
	From                  []intent.Member // whose connections change so; none: everybody's
}

// None reports whether nothing changes.
func (d *Diff) None() bool {
	return d.Refusal == "" && len(d.Names)+len(d.Lookups)+len(d.Connections)+len(d.Services)+len(d.Requests)+len(d.New)+len(d.Gone)+len(d.Unjudged) == 0
}

// Breaks reports whether something closes, or breaks.
func (d *Diff) Breaks() bool {
	return d.Refusal != "" || len(d.Lookups) > 0 || slices.ContainsFunc(d.Names, func(n Name) bool { return n.Breaks }) || slices.ContainsFunc(d.Services, func(s Service) bool { return s.Breaks }) ||
		slices.ContainsFunc(d.Requests, func(r Request) bool { return r.Breaks }) ||
		slices.ContainsFunc(d.Connections, func(c Connection) bool { return c.After.Answer == intent.Denied })
}

// Unsure reports whether what changes is not all known.
func (d *Diff) Unsure() bool {
	return len(d.Unjudged) > 0 || slices.Contains(d.Missing, "NetworkPolicy") || slices.Contains(d.Missing, "Pod") ||
		slices.ContainsFunc(d.Requests, func(r Request) bool { return r.Unknown }) ||
		slices.ContainsFunc(d.Connections, func(c Connection) bool { return c.After.Answer == intent.Unknown })
}

// Compare says what it does to have the objects is instead of was. Touched are the keys of those
// that were applied or deleted.
func Compare(was, is *snapshot.Objects, touched []string) *Diff {
	before, after := intent.New(was), intent.New(is)
	d := &Diff{Missing: before.Missing(), Services: compareServices(was, is, before, after), Pods: map[string]int{}}
	declared := declaredPorts(is)
	for _, c := range intent.Compare(before, after) {
		d.Connections = append(d.Connections, Connection{c, among(declared, &c)})
	}
	d.Lookups = lookups(was, d.Connections)
	for i := range was.Pods {
		p := &was.Pods[i]
		if _, ok := after.Pod(p.Namespace, p.Name); ok && !p.Spec.HostNetwork {
			d.Pods[p.Namespace]++
		}
	}
	d.New, d.Gone = workloadsOnlyIn(is, was), workloadsOnlyIn(was, is)
	if slices.ContainsFunc(corednsConfigs, func(m string) bool {
		return slices.Contains(touched, "ConfigMap/"+m) && len(leftover(was, is, "ConfigMap", "kube-system", m[len("kube-system/"):], nil)) > 0
	}) {
		d.names(was, is)
	}
	d.Requests = requests(was, is, touched)
	for _, key := range touched {
		if t := unjudged(was, is, key); !t.IsZero() {
			d.Unjudged = append(d.Unjudged, t)
		}
	}
	return d
}

// corednsConfigs are the ConfigMaps that CoreDNS reads.
var corednsConfigs = []string{"kube-system/coredns", "kube-system/coredns-custom"}

// workloadsOnlyIn returns the workloads that have Pods in one of two sets of objects alone.
func workloadsOnlyIn(a, b *snapshot.Objects) (out []intent.Member) {
	has := map[intent.Member]bool{}
	of := intent.Workloads(b)
	for i := range b.Pods {
		has[of(&b.Pods[i])] = true
	}
	of = intent.Workloads(a)
	for i := range a.Pods {
		if w := of(&a.Pods[i]); !has[w] {
			has[w] = true
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(x, y intent.Member) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
	})
	return out
}

// lookups finds the changes that close the way to the cluster's DNS.
func lookups(was *snapshot.Objects, changes []Connection) (out []Lookup) {
	targets := dnsTargets(was)
	for i := range changes {
		c := &changes[i]
		if c.Before.Answer != intent.Allowed || c.After.Answer != intent.Denied {
			continue
		}
		l := Lookup{After: c.After, From: slices.DeleteFunc(slices.Clone(c.From), func(m intent.Member) bool { return m.Namespace == "" })}
		for _, t := range targets {
			hit := holds(c.Ports, t.port)
			in := slices.ContainsFunc(c.To, func(m intent.Member) bool {
				return m.Namespace == t.workload.Namespace && m.Kind == t.workload.Kind && m.Name == t.workload.Name
			})
			if !hit || !in {
				continue
			}
			l.All = l.All || t.port.Proto == packet.UDP
			if !slices.Contains(l.DNS, t.workload) {
				l.DNS = append(l.DNS, t.workload)
			}
			if r := (intent.PortRange{Proto: t.port.Proto, Lo: t.port.Number, Hi: t.port.Number}); !slices.Contains(l.Ports, r) {
				l.Ports = append(l.Ports, r)
			}
		}
		if len(l.DNS) == 0 || len(l.From) == 0 {
			continue
		}
		same := slices.IndexFunc(out, func(o Lookup) bool {
			return slices.Equal(o.DNS, l.DNS) && slices.Equal(o.Ports, l.Ports) && o.After.Why.String() == l.After.Why.String()
		})
		if same < 0 {
			out = append(out, l)
			continue
		}
		for _, m := range l.From {
			if !slices.Contains(out[same].From, m) {
				out[same].From = append(out[same].From, m)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Lookup) int { return cmp.Compare(order(a), order(b)) })
	return out
}

func order(l Lookup) int {
	if l.All {
		return 0
	}
	return 1
}

func holds(list []intent.PortRange, p intent.Port) bool {
	return slices.ContainsFunc(list, func(r intent.PortRange) bool { return r.Proto == p.Proto && r.Lo <= p.Number && p.Number <= r.Hi })
}

// declaredPorts returns the ports that the containers of workloads declare.
func declaredPorts(o *snapshot.Objects) map[intent.Member][]intent.Port {
	out, of := map[intent.Member][]intent.Port{}, intent.Workloads(o)
	for i := range o.Pods {
		w := of(&o.Pods[i])
		for _, c := range containers(&o.Pods[i].Spec) {
			for _, cp := range c.Ports {
				p := intent.Port{Proto: protos[service.ProtoOf(cp.Protocol)], Number: uint16(cp.ContainerPort)}
				if !slices.Contains(out[w], p) {
					out[w] = append(out[w], p)
				}
			}
		}
	}
	return out
}

// among returns those of the ports of a change that are declared, where it has others too.
func among(declared map[intent.Member][]intent.Port, c *intent.Change) (out []intent.PortRange) {
	if !slices.ContainsFunc(c.Ports, func(r intent.PortRange) bool { return r.Lo < r.Hi }) {
		return nil
	}
	for _, m := range c.To {
		for _, p := range declared[intent.Member{Namespace: m.Namespace, Kind: m.Kind, Name: m.Name}] {
			if r := (intent.PortRange{Proto: p.Proto, Lo: p.Number, Hi: p.Number}); holds(c.Ports, p) && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b intent.PortRange) int { return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Lo, b.Lo)) })
	return out
}
