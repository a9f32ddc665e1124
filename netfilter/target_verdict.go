package netfilter

import "strings"

// decide is ACCEPT and DROP.
type decide struct{ verdict Verdict }

func (t decide) apply(e *eval, s *state, at Ref) bool {
	if t.verdict == Drop {
		e.end(s, at, Drop, "")
		return true
	}
	e.add(s, at)
	e.passed = append(e.passed, s)
	return true
}

func verdict(v Verdict) func(*ruleParser, *rule, []opt) target {
	return func(*ruleParser, *rule, []opt) target { return decide{v} }
}

// goBack is RETURN; the walk knows it.
type goBack struct{}

func (goBack) apply(*eval, *state, Ref) bool { return false }

func newReturn(*ruleParser, *rule, []opt) target { return goBack{} }

// reject is REJECT.
type reject struct{ with string }

func (t reject) apply(e *eval, s *state, at Ref) bool {
	s.rejectWith = t.with
	e.end(s, at, Reject, "")
	return true
}

// rejectNames are the other names that ip6tables takes for the answers of REJECT.
var rejectNames = map[string]string{
	"net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable", "proto-unreach": "icmp-proto-unreachable",
	"port-unreach": "icmp-port-unreachable", "net-prohib": "icmp-net-prohibited", "host-prohib": "icmp-host-prohibited",
	"admin-prohib": "icmp-admin-prohibited", "tcp-rst": "tcp-reset",
}

var rejectNames6 = map[string]string{
	"no-route": "icmp6-no-route", "adm-prohibited": "icmp6-adm-prohibited", "addr-unreach": "icmp6-addr-unreachable",
	"port-unreach": "icmp6-port-unreachable", "policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
	"tcp-rst": "tcp-reset",
}

func newReject(p *ruleParser, _ *rule, o []opt) target {
	t, names := reject{"icmp-port-unreachable"}, rejectNames
	if p.is6 {
		t, names = reject{"icmp6-port-unreachable"}, rejectNames6
	}
	for _, o := range o {
		if t.with = o.a; names[o.a] != "" {
			t.with = names[o.a]
		}
		if !strings.HasPrefix(t.with, "icmp") && t.with != "tcp-reset" {
			return &unknownTarget{"the answer " + short(o.a) + " of REJECT is not understood"}
		}
	}
	return t
}

// unknownTarget is a target that is not understood.
type unknownTarget struct{ why string }

func (t *unknownTarget) apply(e *eval, s *state, at Ref) bool {
	e.end(s, at, VerdictUnknown, t.why)
	return true
}

func unreadable(why string) func(*ruleParser, *rule, []opt) target {
	t := &unknownTarget{why}
	return func(*ruleParser, *rule, []opt) target { return t }
}

// harmless makes a target that changes nothing of what a packet is followed by.
func harmless(*ruleParser, *rule, []opt) target { return nil }
