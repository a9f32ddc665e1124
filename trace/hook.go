package trace

import (
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// A hookPoint is a netfilter hook with its names.
type hookPoint struct {
	hook  netfilter.Hook
	name  any // a string, as sentences take it
	stage Stage
}

var (
	hookPrerouting  = hookPoint{netfilter.PreRouting, "PREROUTING", StagePrerouting}
	hookInput       = hookPoint{netfilter.LocalIn, "INPUT", StageInput}
	hookForward     = hookPoint{netfilter.Forward, "FORWARD", StageForward}
	hookOutput      = hookPoint{netfilter.LocalOut, "OUTPUT", StageOutput}
	hookPostrouting = hookPoint{netfilter.PostRouting, "POSTROUTING", StagePostrouting}
)

// after goes on with a packet that a hook let pass; before is the packet as it came to the hook.
type after func(w *walk, s *state, before packet.Packet) stage

// hook runs a hook of the namespace, and goes on with next for every outcome that lets the packet pass.
func (w *walk) hook(s *state, h hookPoint, in, out string, next after) stage {
	rules := &s.ns.Netfilter
	if missing := s.ns.RulesMissing(s.p.Is6()); missing != "" {
		return w.unknown(s, text.F("the rules of %s are not known: %s", s.ns, missing))
	}
	if len(rules.Tables) == 0 && len(rules.NFTables) == 0 && len(rules.Opaque) == 0 {
		return next(w, s, s.p)
	}
	w.all.env = env{w: w, s: s}
	w.all.in = netfilter.Input{
		Hook: h.hook, Packet: s.p, In: in, Out: out, PhysIn: name(s.shown(0)), PhysOut: name(s.shown(1)),
		SrcMAC: s.frame.src, Conn: s.conn, UID: s.uid, Env: &w.all.env,
	}
	outs := w.all.eval.Eval(rules, &w.all.in)
	if len(outs) == 0 {
		return w.unknown(s, text.F("%s of %s gave no verdict", h.name, s.ns))
	}
	for i := len(outs) - 1; i > 0; i-- {
		o := &outs[i]
		w.branch(s.clone(), o.Weight, func(w *walk, s *state) stage { return w.outcome(s, h, o, next) })
	}
	s.weight *= outs[0].Weight
	return w.outcome(s, h, &outs[0], next)
}

// shown returns the bridge port by which a packet came (0) or goes (1), as rules are shown it: where br_netfilter does not
// hand the bridge's frames to them, they see none, in FORWARD and INPUT as little as on the bridge.
func (s *state) shown(i int) *network.Iface {
	if d := s.phys[i]; d != nil && d.PortOf() != nil && s.bridgeNF(d.PortOf()) {
		return d
	}
	return nil
}

func name(d *network.Iface) string {
	if d == nil {
		return ""
	}
	return d.Name()
}

// outcome applies what a hook did to the packet.
func (w *walk) outcome(s *state, h hookPoint, o *netfilter.Outcome, next after) stage {
	before := s.p
	s.p = o.Packet
	if o.Conn.Orig.Src.IsValid() || o.Conn.State != netfilter.New {
		s.attached(&o.Conn)
	}
	for i := range o.Assumed {
		s.supposeRule(&o.Assumed[i])
	}
	switch o.Verdict {
	case netfilter.Accept, netfilter.TProxy:
		s.notePassed(h, o, before)
		s.proxy = s.proxy || o.Verdict == netfilter.TProxy
		if o.KeepsRoute {
			before = s.p
		}
		return next(w, s, before)
	case netfilter.Drop:
		why := dropped(s, h, o)
		s.note(h.stage, "", why, s.all.keep.rulesOf(o.Rules, 1))
		w.end(s, Dropped, "", why)
		return nil
	case netfilter.Reject:
		why := text.F("%s's %s chain rejects it with %s: %s", s.ns, h.name, o.RejectWith, lastRule(o.Rules))
		s.note(h.stage, "", why, s.all.keep.rulesOf(o.Rules, 1))
		w.tellSender(s, w.end(s, Rejected, "", why), rejection(o.RejectWith, &s.p))
		return nil
	}
	why := text.F("what %s of %s does is not known: %s", h.name, s.ns, o.Why)
	s.note(h.stage, "", why, s.all.keep.rulesOf(o.Rules, 1))
	return w.unknown(s, why)
}

func (s *state) supposeRule(a *netfilter.Assumption) {
	ev := (*ruleQuote)(&a.Ref)
	if a.Matched {
		s.assume(text.F("a rule is supposed to match: %s", a.Why), ev)
		return
	}
	s.assume(text.F("a rule is supposed not to match: %s", a.Why), ev)
}

// notePassed writes down that rules decided something about a packet that goes on.
func (s *state) notePassed(h hookPoint, o *netfilter.Outcome, before packet.Packet) {
	var what text.Text
	switch {
	case s.p.Dst != before.Dst && s.p.Src != before.Src:
		what = text.F("%s: source becomes %s, destination %s", h.name, s.endpoint(s.p.Src), s.endpoint(s.p.Dst))
	case s.p.Dst != before.Dst:
		what = text.F("%s: destination %s becomes %s", h.name, s.endpoint(before.Dst), s.endpoint(s.p.Dst))
	case s.p.Src != before.Src:
		what = text.F("%s: source %s becomes %s", h.name, s.endpoint(before.Src), s.endpoint(s.p.Src))
	case s.p.Mark != before.Mark:
		what = text.F("%s: the packet is marked %s", h.name, hex(s.p.Mark))
	case s.p.MSS != before.MSS:
		what = text.F("%s: the MSS %d becomes %d", h.name, before.MSS, s.p.MSS)
	case o.Verdict == netfilter.TProxy:
		what = text.F("%s: given to the local socket %s", h.name, o.Proxy)
	case hasRule(o.Rules):
		what = text.F("%s lets it pass", h.name)
	default:
		return
	}
	s.note(h.stage, "", what, s.all.keep.rulesOf(o.Rules, 4))
}

func hasRule(refs []netfilter.Ref) bool {
	for i := range refs {
		if refs[i].Rule != nil {
			return true
		}
	}
	return false
}

func dropped(s *state, h hookPoint, o *netfilter.Outcome) text.Text {
	if len(o.Rules) > 0 {
		r := o.Rules[len(o.Rules)-1]
		if r.Rule == nil && r.Chain != nil && !r.IsNative() {
			return text.F("%s's %s chain drops it: policy %s", s.ns, h.name, r.Chain.Policy)
		}
	}
	return text.F("%s's %s chain drops it: %s", s.ns, h.name, lastRule(o.Rules))
}

// lastRule quotes the rule that decided; of nf_tables, where many rules read alike, after its table and chain.
func lastRule(refs []netfilter.Ref) string {
	if len(refs) == 0 {
		return "no rule is named"
	}
	r := refs[len(refs)-1]
	if r.IsNative() && r.Chain != nil {
		return r.Table.Family + " " + r.Table.Name + " " + r.Chain.Name + ": " + r.Quote()
	}
	return r.Quote()
}
