package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// A rule is what a Rule says, compiled.
type rule struct {
	src, dst   addrs
	in, out    string // devices; "eth+" stands for all that begin so; "" for any
	proto      packet.Proto
	anyProto   bool
	not        inverted
	noFragment bool // "! -f" is no condition; "-f" never matches what is whole
	fragment   bool
	jump       *Chain // of a jump or goto
	isGoto     bool
	share      float64 // of "-m statistic": the part of the packets that match; 1 where there is none
	matches    []match
	noop       bool   // whether it matches makes no difference
	target     target // nil for a jump, and for a rule that only counts
	targetName string
	dport      uint16 // the one port that matches, where hasDPort, for the index
	hasDPort   bool
}

// inverted says which of the basic conditions have a "!".
type inverted uint8

const (
	notSrc inverted = 1 << iota
	notDst
	notIn
	notOut
	notProto
)

// addrs is an address with a mask; the zero value is any address.
type addrs struct {
	netip.Prefix
}

// A match is a condition of a rule beyond the basic ones.
type match interface {
	// match answers whether the packet of s meets it. Where it answers Maybe it leaves the reason in e.why.
	match(e *eval, s *state) Tri
}

// A target is what a rule does to a packet that meets its conditions.
type target interface {
	// apply changes s; it returns false where the packet goes on to the next rule.
	apply(e *eval, s *state, at Ref) (decided bool)
}

// A token is a word of a rule; one in quotes is never an option.
type token struct {
	s      string
	quoted bool
}

// An opt is an option of a match or target, with its arguments.
type opt struct {
	mod  int // in ruleParser.mods
	not  bool
	name string // "--dport"
	a, b string
}

// A mod is a match or target that a rule names.
type mod struct {
	name   string
	target bool
	known  *module // nil: not understood
}

// ruleParser reads rules. Its slices are used again for each.
type ruleParser struct {
	is6   bool
	table *Table
	toks  []token
	mods  []mod
	opts  []opt
	ms    []match
	pool  room[match]
	ports *portsMatch // the last that was made
	why   string      // what is not understood of the matches of the rule at hand
	odd   string      // the same of its target
}

// parse reads a rule without its "-A CHAIN". It returns false if a quote is left open.
func (p *ruleParser) parse(r *rule, s string) bool {
	if !p.tokenize(s) {
		return false
	}
	p.mods, p.opts, p.ms, p.why = p.mods[:0], p.opts[:0], p.ms[:0], ""
	p.odd = ""
	r.anyProto, r.share = true, 1
	for i, not := 0, false; i < len(p.toks); {
		t := p.toks[i]
		if t.s == "!" && !t.quoted {
			not = true
			i++
			continue
		}
		i = p.option(r, i, not)
		not = false
	}
	p.build(r)
	return true
}

// resolve finds the chain that a jump names.
func (r *rule) resolve(t *Table) {
	if r.jump = t.Chains[r.targetName]; r.jump != nil {
		return
	}
	if t.unread != "" {
		r.target = &unknownTarget{why: "the chain " + r.targetName + " was not read: " + t.unread}
		return
	}
	r.target = &unknownTarget{why: "the target " + r.targetName + " is not understood"}
}
