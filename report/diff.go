package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/whatif"
)

// Diff prints what a change of objects would do: the lookups that fail first, then what breaks
// of Services, and connections by what becomes of them.
func Diff(w io.Writer, d *whatif.Diff, o Options) error {
	p := &differ{matrix: matrix{printer: newPrinter(o), say: tongue(o.Lang).say}, d: d, all: o.Verbose}
	p.heading(bold, p.say(text.F("what would change")))
	if d.None() {
		p.para("✓ ", "  ", green, p.say(text.F("no change: every connection is answered as before")))
	}
	if d.Refusal != "" {
		p.para("✗ ", "  ", red, p.say(text.F("every lookup would fail: CoreDNS refuses the new Corefile: %s", d.Refusal)))
	}
	for i := range d.Lookups {
		p.para("✗ ", "  ", red, p.lookup(&d.Lookups[i]))
	}
	p.names()
	p.services()
	p.requests()
	for _, k := range diffKinds {
		p.connections(k)
	}
	for _, g := range []struct {
		list []intent.Member
		what text.Text
	}{{d.New, text.F("Pods that are new, whose connections are not compared: %s", p.members(d.New))}, {d.Gone, text.F("Pods that go away: %s", p.members(d.Gone))}} {
		if len(g.list) > 0 {
			p.para("· ", "  ", plain, p.say(g.what))
		}
	}
	for _, t := range d.Unjudged {
		p.para("? ", "  ", yellow, p.say(t))
	}
	p.missing(d.Missing)
	return p.flush(w)
}

// A diffKind is what becomes of connections.
type diffKind struct {
	mark   string
	style  style
	holds  func(before, after intent.Answer) bool
	title  func(n int) text.Text
	answer string // in JSON
}

var diffKinds = []diffKind{
	{"✗", red, func(_, a intent.Answer) bool { return a == intent.Denied }, func(n int) text.Text { return text.F("would close: %d", n) }, "closes"},
	{"?", yellow, func(_, a intent.Answer) bool { return a == intent.Unknown }, func(n int) text.Text { return text.F("would change, and may close: %d", n) }, "unknown"},
	{"+", green, func(_, a intent.Answer) bool { return a == intent.Allowed }, func(n int) text.Text { return text.F("would open: %d", n) }, "opens"},
}

// differ prints one Diff.
type differ struct {
	matrix
	d   *whatif.Diff
	all bool
}

func (p *differ) lookup(l *whatif.Lookup) string {
	from, ports, dns := p.members(l.From), ranges(l.Ports), p.members(l.DNS)
	if l.All {
		return p.say(text.F("every lookup of %s would fail: %s to the cluster's DNS Pods (%s) is closed: %s", from, ports, dns, l.After.Why))
	}
	return p.say(text.F("lookups of %s whose answer is too large for UDP would fail: %s to the cluster's DNS Pods (%s) is closed: %s", from, ports, dns, l.After.Why))
}

// names tells of the names that CoreDNS answers otherwise, those that break first.
func (p *differ) names() {
	list := slices.Clone(p.d.Names)
	slices.SortStableFunc(list, func(a, b whatif.Name) int { return map[bool]int{a.Breaks: -1}[true] - map[bool]int{b.Breaks: -1}[true] })
	for i, n := range list {
		if i == maxChanges && !p.all {
			p.para("· ", "  ", dim, p.say(text.F("%d more", len(list)-i)))
			break
		}
		mark, st := "· ", plain
		if n.Breaks {
			mark, st = "✗ ", red
		}
		p.para(mark, "  ", st, p.say(text.F("%s: before: %s; after: %s", n.Name, n.Before, n.After)))
	}
	if p.d.Asked > 0 {
		p.para("· ", "  ", dim, p.say(text.F("the configuration of CoreDNS changes; names that were asked: %d; answered otherwise: %d", p.d.Asked, len(list))))
	}
}

func (p *differ) services() {
	if len(p.d.Services) == 0 {
		return
	}
	p.put()
	p.put(p.paint(bold, p.say(text.F("Services: %d", len(p.d.Services)))))
	for i := range p.d.Services {
		s := &p.d.Services[i]
		mark, st := "· ", plain
		if s.Breaks {
			mark, st = "✗ ", red
		}
		p.para("  "+mark, "    ", st, p.service(s))
	}
}

func (p *differ) service(s *whatif.Service) string {
	name := clean(strings.TrimSuffix(s.Namespace+"/"+s.Name+" "+s.Port, " "))
	if len(s.From) > 0 {
		return p.say(text.F("%s, from %s: %s", name, p.members(s.From), s.What))
	}
	return p.say(text.F("%s: %s", name, s.What))
}

// requests tells of requests from outside that are sent elsewhere, those that break first.
func (p *differ) requests() {
	list := slices.Clone(p.d.Requests)
	if len(list) == 0 {
		return
	}
	slices.SortStableFunc(list, func(a, b whatif.Request) int {
		return map[bool]int{a.Breaks: -1}[true] - map[bool]int{b.Breaks: -1}[true]
	})
	p.put()
	p.put(p.paint(bold, p.say(text.F("requests from outside: %d", len(list)))))
	for i, r := range list {
		if i == maxChanges && !p.all {
			p.para("  ", "    ", dim, p.say(text.F("%d more", len(list)-i)))
			break
		}
		mark, st := "· ", plain
		switch {
		case r.Breaks:
			mark, st = "✗ ", red
		case r.Unknown:
			mark, st = "? ", yellow
		}
		p.para("  "+mark, "    ", st, p.say(text.F("%s by %s: before: %s; after: %s", clean(r.Title), clean(r.Entry), r.Before, r.After)))
	}
}

// maxChanges is how many changes of a kind are told, where not all are asked for.
const maxChanges = 30

func (p *differ) connections(k diffKind) {
	var list []*whatif.Connection
	for i := range p.d.Connections {
		if c := &p.d.Connections[i]; k.holds(c.Before.Answer, c.After.Answer) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return
	}
	p.put()
	p.put(p.paint(bold, p.say(k.title(len(list)))))
	for i, c := range list {
		if i == maxChanges && !p.all {
			p.para("  ", "    ", dim, p.say(text.F("%d more", len(list)-i)))
			break
		}
		p.para("  "+k.mark+" ", "    ", k.style, p.connection(c))
		p.para("    ", "      ", plain, p.say(text.F("before: %s", c.Before.Why)))
		p.para("    ", "      ", plain, p.say(text.F("after: %s", c.After.Why)))
	}
}

func (p *differ) connection(c *whatif.Connection) string {
	t := text.F("%s → %s: %s", p.members(c.From), p.members(c.To), p.ports(c.Ports))
	if len(c.Declared) > 0 {
		t = text.F("%s → %s: %s, among them declared: %s", p.members(c.From), p.members(c.To), p.ports(c.Ports), ranges(c.Declared))
	}
	if c.Is6 {
		t = text.F("%s (IPv6)", t)
	}
	return p.say(t)
}

// ports names ports: all of a protocol by its name.
func (p *differ) ports(list []intent.PortRange) string {
	var out []string
	for _, r := range list {
		if r.Lo == 1 && r.Hi == 65535 {
			out = append(out, r.Proto.String())
			continue
		}
		out = append(out, r.String())
	}
	if slices.Equal(out, []string{"tcp", "udp", "sctp"}) {
		return p.say(text.F("all ports"))
	}
	return strings.Join(out, ", ")
}

// members names members; those that are all Pods of a namespace by it.
func (p *differ) members(list []intent.Member) string {
	pods, count := map[string]int{}, map[string]int{}
	for _, m := range list {
		pods[m.Namespace] += m.Pods
		count[m.Namespace]++
	}
	whole := func(ns string) bool { return ns != "" && count[ns] > 1 && pods[ns] == p.d.Pods[ns] }
	wholes := 0
	for ns := range p.d.Pods {
		if whole(ns) || pods[ns] == p.d.Pods[ns] {
			wholes++
		}
	}
	var names []string
	if wholes > 1 && wholes == len(p.d.Pods) {
		names = append(names, p.say(text.F("all Pods")))
	}
	done := map[string]bool{}
	for _, m := range list {
		switch {
		case m.Namespace != "" && len(names) > 0 && wholes > 1 && wholes == len(p.d.Pods):
		case whole(m.Namespace):
			if !done[m.Namespace] {
				done[m.Namespace] = true
				names = append(names, p.say(text.F("all Pods of %s", m.Namespace)))
			}
		case m.Kind == intent.Outside:
			names = append(names, p.say(text.F("everything outside the cluster")))
		case m.Kind == "Node":
			names = append(names, p.say(text.F("node %s", m.Name)))
		default:
			names = append(names, p.member(m))
		}
	}
	if n := len(names) - maxMembers; n > 0 && !p.all {
		names = append(names[:maxMembers], p.say(text.F("%d more", n)))
	}
	return strings.Join(names, ", ")
}

// The stable form of a diff. Fields are added, never changed.
type (
	diffJSON struct {
		Refusal     string               `json:"refusal,omitempty"` // why CoreDNS would not start
		Lookups     []diffLookupJSON     `json:"lookups"`
		Names       []diffNameJSON       `json:"names,omitempty"`
		Services    []diffServiceJSON    `json:"services"`
		Requests    []diffRequestJSON    `json:"requests,omitempty"`
		Connections []diffConnectionJSON `json:"connections"`
		New         []matrixMemberJSON   `json:"new,omitempty"`
		Gone        []matrixMemberJSON   `json:"gone,omitempty"`
		Unjudged    []jsonText           `json:"unjudged,omitempty"`
		Missing     []string             `json:"missing,omitempty"`
	}
	diffLookupJSON struct {
		From  []matrixMemberJSON `json:"from"`
		DNS   []matrixMemberJSON `json:"dns"`
		Ports []string           `json:"ports"`
		All   bool               `json:"all"` // false: only those whose answer is too large for UDP
		Why   jsonText           `json:"why"`
	}
	diffNameJSON struct {
		Name   string   `json:"name"`
		Breaks bool     `json:"breaks"`
		Before jsonText `json:"before"`
		After  jsonText `json:"after"`
	}
	diffRequestJSON struct {
		Entry   string   `json:"entry"` // "IngressClass/nginx", "Gateway/shop/web"
		Request string   `json:"request"`
		Breaks  bool     `json:"breaks"`
		Unknown bool     `json:"unknown,omitempty"` // where it goes after the change
		Before  jsonText `json:"before"`
		After   jsonText `json:"after"`
	}
	diffServiceJSON struct {
		Namespace string             `json:"namespace"`
		Name      string             `json:"name"`
		Port      string             `json:"port,omitempty"`
		Breaks    bool               `json:"breaks"`
		From      []matrixMemberJSON `json:"from,omitempty"`
		What      jsonText           `json:"what"`
	}
	diffConnectionJSON struct {
		Change   string             `json:"change"` // "closes", "opens", "unknown"
		From     []matrixMemberJSON `json:"from"`
		To       []matrixMemberJSON `json:"to"`
		Ports    []string           `json:"ports"`
		Declared []string           `json:"declaredPorts,omitempty"`
		Before   diffDecisionJSON   `json:"before"`
		After    diffDecisionJSON   `json:"after"`
		IPv6     bool               `json:"ipv6,omitempty"` // only by IPv6
	}
	diffDecisionJSON struct {
		Answer string   `json:"answer"`
		Side   string   `json:"side"` // whose policies: "egress", "ingress"
		Why    jsonText `json:"why"`
		Rules  []string `json:"rules,omitempty"`
	}
)

// DiffJSON prints what a change would do as JSON.
func DiffJSON(w io.Writer, d *whatif.Diff, o Options) error {
	j := jsoner{lang: o.Lang}
	out := diffJSON{Lookups: []diffLookupJSON{}, Services: []diffServiceJSON{}, Connections: []diffConnectionJSON{}, New: membersJSON(d.New), Gone: membersJSON(d.Gone), Missing: d.Missing}
	for i := range d.Lookups {
		l := &d.Lookups[i]
		out.Lookups = append(out.Lookups, diffLookupJSON{membersJSON(l.From), membersJSON(l.DNS), names(l.Ports), l.All, j.text(l.After.Why)})
	}
	out.Refusal = d.Refusal
	for _, n := range d.Names {
		out.Names = append(out.Names, diffNameJSON{n.Name, n.Breaks, j.text(n.Before), j.text(n.After)})
	}
	for i := range d.Services {
		s := &d.Services[i]
		out.Services = append(out.Services, diffServiceJSON{s.Namespace, s.Name, s.Port, s.Breaks, membersJSON(s.From), j.text(s.What)})
	}
	for _, r := range d.Requests {
		out.Requests = append(out.Requests, diffRequestJSON{r.Entry, r.Title, r.Breaks, r.Unknown, j.text(r.Before), j.text(r.After)})
	}
	for i := range d.Connections {
		c := &d.Connections[i]
		k := diffKinds[slices.IndexFunc(diffKinds, func(k diffKind) bool { return k.holds(c.Before.Answer, c.After.Answer) })]
		out.Connections = append(out.Connections, diffConnectionJSON{k.answer, membersJSON(c.From), membersJSON(c.To), names(c.Ports), names(c.Declared),
			j.decision(&c.Before), j.decision(&c.After), c.Is6})
	}
	for _, t := range d.Unjudged {
		out.Unjudged = append(out.Unjudged, j.text(t))
	}
	return writeJSON(w, out)
}

func (j jsoner) decision(d *intent.Decision) diffDecisionJSON {
	out := diffDecisionJSON{Answer: d.Answer.String(), Side: "ingress", Why: j.text(d.Why)}
	if d.Egress {
		out.Side = "egress"
	}
	for _, r := range d.Rules {
		out.Rules = append(out.Rules, r.String())
	}
	return out
}

func membersJSON(list []intent.Member) []matrixMemberJSON {
	out := make([]matrixMemberJSON, 0, len(list))
	for _, m := range list {
		out = append(out, matrixMemberJSON(m))
	}
	return out
}

// RollbackNotes returns what a rollback is to say beside its objects, line by line.
func RollbackNotes(r *whatif.Rollback, o Options) (out []string) {
	for _, name := range r.Delete {
		kind, rest, _ := strings.Cut(name, "/")
		namespace, own, ok := strings.Cut(rest, "/")
		line := fmt.Sprintf("kubectl delete %s %s", kind, rest)
		if ok {
			line = fmt.Sprintf("kubectl -n %s delete %s %s", namespace, kind, own)
		}
		out = append(out, clean(line))
	}
	for _, t := range r.Notes {
		out = append(out, tongue(o.Lang).say(t))
	}
	return out
}
