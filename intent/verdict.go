package intent

import (
	"fmt"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// A Verdict is an answer, and what it rests on.
type Verdict struct {
	Answer  Answer
	Egress  Side // of the source; the zero Side where that is no Pod with a network of its own
	Ingress Side // of the destination, likewise
	Fix     Fix  // of Denied
}

// A Side is what the policies of one Pod say of a connection.
type Side struct {
	Answer Answer
	Pod    string // "shop/web-0"
	Why    text.Text
	// Rules are those that decide, in the order in which they are asked: rules that match, and of
	// a Pod that no rule allows the NetworkPolicies that select it.
	Rules []Ref
}

// A Ref names a rule, or a policy.
type Ref struct {
	Kind, Namespace, Name string
	Egress                bool
	Rule                  int    // from 0, in spec.ingress or spec.egress; -1: the policy, which selects the Pod
	RuleName              string // of a policy of the cluster, where it has one
	Action                string // "Accept", "Deny", "Pass"; "" where the API does not know it
	Maybe                 bool   // whether it matches, or selects the Pod, is not known
	policy                *policy
}

// String returns "NetworkPolicy shop/web ingress[0]".
func (r Ref) String() string {
	s := r.Kind + " " + r.Name
	if r.Namespace != "" {
		s = r.Kind + " " + r.Namespace + "/" + r.Name
	}
	if r.Rule < 0 {
		return s
	}
	direction := "ingress"
	if r.Egress {
		direction = "egress"
	}
	s += fmt.Sprintf(" %s[%d]", direction, r.Rule)
	if r.RuleName != "" {
		s += " " + r.RuleName
	}
	return s
}

// maxNamed is how many rules a sentence names.
const maxNamed = 3

// list names rules in a sentence.
func list(refs []Ref) string {
	var names []string
	for _, r := range refs[:min(len(refs), maxNamed)] {
		names = append(names, r.String())
	}
	if n := len(refs) - maxNamed; n > 0 {
		names = append(names, fmt.Sprintf("+%d", n))
	}
	return strings.Join(names, ", ")
}

// Verdict says whether the policies let a new connection through, and why.
func (e *Engine) Verdict(from, to Peer, port Port) Verdict {
	out, in := e.sides(from, to, port)
	v := Verdict{Answer: join(out, in)}
	family, ok := commonFamily(from, to)
	if from.kind == isPod {
		v.Egress = Side{Answer: answerOf(out), Pod: e.podName(from)}
		e.explain(&v.Egress, from, to, port, family, ok, egress)
	}
	if to.kind == isPod {
		v.Ingress = Side{Answer: answerOf(in), Pod: e.podName(to)}
		e.explain(&v.Ingress, to, from, port, family, ok, ingress)
	}
	if v.Answer == Denied {
		v.Fix = e.fix(&v, from, to, port, family)
	}
	return v
}

func answerOf(o outcome) Answer { return join(o, mayAllow) }

func (e *Engine) podName(p Peer) string {
	o := e.pods[p.at].object
	return o.Namespace + "/" + o.Name
}

// explain fills in why the policies of pod answer as they do.
func (e *Engine) explain(s *Side, pod, other Peer, port Port, family uint8, common bool, direction int) {
	switch {
	case !common:
		s.Why = text.F("the two have no address of one family in common")
		return
	case e.noPods && other.kind == isOutside:
		s.Why = text.F("Pods were not collected, and the address may be one's")
		return
	case other.kind == isPod && other.at == pod.at:
		s.Why = text.F("a Pod reaches itself within its own network namespace")
		return
	}
	q := query{direction: direction, class: pod.class[family], other: other.class[family], dst: other.class[family], family: family,
		proto: port.Proto, number: port.Number, local: other.kind == isNode && other.node == pod.node}
	if direction == ingress {
		q.dst = q.class
	}
	x := explainer{Engine: e, q: &q, side: s}
	x.run(e.programs[direction][e.classes[q.class].program[direction]])
	if other.maybe >= 0 && other.maybe == pod.node && s.Answer == Unknown {
		s.Why = text.F("the address may be one of the Pod's own node, %s, which NetworkPolicies never stop", e.nodes[pod.node].name)
	}
}

// An explainer walks the tiers as [Engine.side] does, and notes what decides.
type explainer struct {
	*Engine
	q    *query
	side *Side
}

func (x *explainer) run(p *program) {
	if len(p.others) > 0 {
		for i := range p.others {
			x.note(&p.others[i], -1, maybe)
		}
		x.side.Why = text.F("policies of another API may decide, whose rules are not judged: %s", list(x.side.Rules))
		return
	}
	o := x.layer(&p.admin, x.q)
	x.layerRefs(&p.admin)
	if o&mayGoOn != 0 {
		o = o&^mayGoOn | x.named(p, x.q)
		x.namedRefs(p)
	}
	if o&mayGoOn != 0 {
		x.layerRefs(&p.baseline)
	}
	x.side.Why = x.why(p)
}

// layerRefs notes the rules of a tier that match, up to those that decide.
func (x *explainer) layerRefs(l *layer) {
	for _, groups := range l {
		for _, g := range groups {
			done := false
			for i := range g {
				done = x.firstRefs(&g[i]) || done
			}
			if done {
				break
			}
		}
	}
}

// firstRefs notes the first rules of a policy that match, and reports whether one matches for sure.
func (x *explainer) firstRefs(a *applied) bool {
	rules := a.rules[x.q.direction]
	for i := range rules {
		m := x.match(&rules[i], x.q)
		if m == no {
			continue
		}
		x.note(a, i, m)
		if m == yes {
			return a.sure
		}
	}
	return false
}

// note notes a rule of a policy, or the policy.
func (x *explainer) note(a *applied, rule int, m match) {
	r := Ref{Kind: a.kind, Namespace: a.namespace, Name: a.name, Egress: x.q.direction == egress, Rule: rule, Maybe: m != yes || !a.sure, policy: a.policy}
	if rule >= 0 {
		r.RuleName, r.Action = a.rules[x.q.direction][rule].name, actionNames[a.rules[x.q.direction][rule].action]
	}
	x.side.Rules = append(x.side.Rules, r)
}

var actionNames = [...]string{accept: "Accept", deny: "Deny", pass: "Pass", unclear: ""}

// namedRefs notes the rules of NetworkPolicies that match, or where none does for sure the
// policies that select the Pod.
func (x *explainer) namedRefs(p *program) {
	if p.isolated == no || x.q.local {
		return
	}
	best := x.best(p, x.q)
	for i := range p.named {
		a := &p.named[i]
		for j := range a.rules[x.q.direction] {
			if m := x.match(&a.rules[x.q.direction][j], x.q); m != no && (m == best && a.sure || best != yes) {
				x.note(a, j, m)
			}
		}
		if best == no {
			x.note(a, -1, yes)
		}
	}
}

// decided returns the rules that decide: Pass alone does not.
func (x *explainer) decided() (out []Ref) {
	for _, r := range x.side.Rules {
		if r.Action != "Pass" {
			out = append(out, r)
		}
	}
	return out
}

// why puts the side into one sentence.
func (x *explainer) why(p *program) text.Text {
	refs := x.decided()
	switch x.side.Answer {
	case Allowed:
		return x.whyAllowed(p, refs)
	case Denied:
		if n := len(refs); n > 0 && refs[n-1].Rule >= 0 {
			return text.F("%s denies it", list(refs))
		}
		if x.q.direction == egress {
			return text.F("%s may send only what a rule allows, and none matches: %s", x.side.Pod, list(refs))
		}
		return text.F("%s receives only what a rule allows, and none matches: %s", x.side.Pod, list(refs))
	}
	return x.whyUnknown(refs)
}

func (x *explainer) whyAllowed(p *program, refs []Ref) text.Text {
	switch {
	case len(refs) > 0:
		return text.F("%s allows it", list(refs))
	case x.q.local && p.isolated != no:
		return text.F("NetworkPolicies never stop traffic with the Pod's own node")
	case x.q.direction == egress:
		return text.F("no policy limits what %s sends there", x.side.Pod)
	}
	return text.F("no policy limits what %s receives from there", x.side.Pod)
}

func (x *explainer) whyUnknown(refs []Ref) text.Text {
	sure := true
	for _, r := range refs {
		sure = sure && !r.Maybe
	}
	switch {
	case x.missing[x.q.direction] != "" && len(refs) == 0:
		return text.F("NetworkPolicies were not collected")
	case x.q.local:
		return text.F("%s denies it, and whether it may stop traffic with the Pod's own node no document says", list(refs))
	case !x.q.proto.HasPorts() && sure:
		return text.F("for protocols other than TCP, UDP and SCTP the API does not say what a NetworkPolicy does: %s", list(refs))
	case sure:
		return text.F("policies that have equal precedence disagree: %s", list(refs))
	case x.unlabelled() != "":
		return text.F("the labels of the namespace %s were not collected, and %s asks for them", x.unlabelled(), list(unsure(refs)))
	}
	return text.F("whether it matches is not known: %s", list(unsure(refs)))
}

func unsure(refs []Ref) (out []Ref) {
	for _, r := range refs {
		if r.Maybe {
			out = append(out, r)
		}
	}
	return out
}

// unlabelled returns the namespace of one of the two Pods that there is no object of, or "".
func (x *explainer) unlabelled() string {
	for _, i := range [2]int32{x.q.other, x.q.class} {
		if c := &x.classes[i]; c.kind == isPod && !x.namespaces[c.ns].known {
			return x.namespaces[c.ns].name
		}
	}
	return ""
}
