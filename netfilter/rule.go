package netfilter

import (
	"net/netip"
	"slices"
	"strings"

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
	pool  []match
	why   string // what is not understood of the matches of the rule at hand
	odd   string // the same of its target
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

// tokenize splits a rule into words as iptables-restore does.
func (p *ruleParser) tokenize(s string) bool {
	p.toks = p.toks[:0]
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return true
		}
		end := strings.IndexAny(s, " \t\"")
		if end < 0 {
			end = len(s)
		}
		if end == len(s) || s[end] != '"' {
			p.toks = append(p.toks, token{s: s[:end]})
			s = s[end:]
			continue
		}
		word, n := unquote(s)
		if n < 0 {
			return false
		}
		p.toks = append(p.toks, token{s: word, quoted: true})
		s = s[n:]
	}
}

// unquote reads one word that has quotes, and returns its length in s, or -1 if a quote is left open.
func unquote(s string) (string, int) {
	if end := strings.IndexAny(s[1:], "\"\\"); s[0] == '"' && end >= 0 && s[1+end] == '"' &&
		(end+2 == len(s) || s[end+2] == ' ') {
		return s[1 : 1+end], end + 2
	}
	var b strings.Builder
	open := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case open && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			open = !open
		case !open && (c == ' ' || c == '\t'):
			return b.String(), i
		default:
			b.WriteByte(c)
		}
	}
	if open {
		return "", -1
	}
	return b.String(), len(s)
}

// arg returns the i-th word.
func (p *ruleParser) arg(i int) string {
	if i < len(p.toks) {
		return p.toks[i].s
	}
	p.misread("the rule ends within an option")
	return ""
}

// misread notes that the rule is not understood; the first reason stays.
func (p *ruleParser) misread(why string) {
	if p.why == "" {
		p.why = why
	}
}

// option reads the option at i, and returns where the next one is.
func (p *ruleParser) option(r *rule, i int, not bool) int {
	name := p.toks[i].s
	i++
	if i < len(p.toks) && p.toks[i].s == "!" && !p.toks[i].quoted { // the old form: --dport ! 80
		not = true
		i++
	}
	switch name {
	case "-s", "--source":
		r.src = p.address(p.arg(i))
		r.invert(notSrc, not)
	case "-d", "--destination":
		r.dst = p.address(p.arg(i))
		r.invert(notDst, not)
	case "-i", "--in-interface":
		r.in = p.arg(i)
		r.invert(notIn, not)
	case "-o", "--out-interface":
		r.out = p.arg(i)
		r.invert(notOut, not)
	case "-p", "--protocol":
		r.proto, r.anyProto = p.protocol(p.arg(i))
		r.invert(notProto, not)
	case "-f", "--fragment":
		r.fragment, r.noFragment = !not, not
		return i
	case "-m", "--match":
		p.use(p.arg(i), false)
	case "-j", "--jump", "-g", "--goto":
		r.targetName = p.arg(i)
		r.isGoto = name == "-g" || name == "--goto"
		p.use(r.targetName, true)
	case "-c", "--set-counters":
		return i + 2
	case "-4", "-6":
		return i
	default:
		return p.extension(r, name, i, not)
	}
	return i + 1
}

func (r *rule) invert(which inverted, not bool) {
	if not {
		r.not |= which
	}
}

// use begins the options of a match or a target.
func (p *ruleParser) use(name string, isTarget bool) {
	known := matchModules[name]
	if isTarget {
		known = targetModules[name]
	}
	p.mods = append(p.mods, mod{name, isTarget, known})
}

// extension reads an option that is not one of the basic ones. It belongs to the
// match or target named last that has such an option, else to the match of the protocol.
func (p *ruleParser) extension(r *rule, name string, i int, not bool) int {
	for m := len(p.mods) - 1; m >= 0; m-- {
		known := p.mods[m].known
		if known == nil {
			return p.skipArgs(name, i)
		}
		if n, ok := known.opts[name]; ok {
			return p.take(m, n, name, i, not)
		}
	}
	implied := matchModules[r.proto.String()]
	if n, ok := implied.arity(name); ok && !r.anyProto {
		p.mods = append(p.mods, mod{r.proto.String(), false, implied})
		return p.take(len(p.mods)-1, n, name, i, not)
	}
	return p.skipArgs(name, i)
}

// skipArgs passes over the arguments of an option that is not understood.
func (p *ruleParser) skipArgs(name string, i int) int {
	if n := len(p.mods); n > 0 && p.mods[n-1].target {
		p.odd = "the target " + p.mods[n-1].name + " is not understood: it has the option " + name
	} else if n == 0 || p.mods[n-1].known != nil {
		p.misread("the option " + name + " is not understood")
	}
	for i < len(p.toks) && (p.toks[i].quoted || !strings.HasPrefix(p.toks[i].s, "-") && p.toks[i].s != "!") {
		i++
	}
	return i
}

// take reads the n arguments of an option of p.mods[m].
func (p *ruleParser) take(m int, n int8, name string, i int, not bool) int {
	o := opt{mod: m, not: not, name: name}
	if n == optional {
		n = 0
		if i < len(p.toks) && (p.toks[i].quoted || !strings.HasPrefix(p.toks[i].s, "-") && p.toks[i].s != "!") {
			n = 1
		}
	}
	if n > 0 {
		o.a = p.arg(i)
	}
	if n > 1 {
		o.b = p.arg(i + 1)
	}
	p.opts = append(p.opts, o)
	return i + int(n)
}

// build makes the matches and the target out of what was read.
func (p *ruleParser) build(r *rule) {
	byMod := func(a, b opt) int { return a.mod - b.mod }
	if !slices.IsSortedFunc(p.opts, byMod) {
		slices.SortStableFunc(p.opts, byMod)
	}
	opts := p.opts
	for i, m := range p.mods {
		n := 0
		for n < len(opts) && opts[n].mod == i {
			n++
		}
		p.buildMod(r, m, opts[:n])
		opts = opts[n:]
	}
	if _, already := r.target.(*unknownTarget); p.odd != "" && r.target != nil && !already {
		r.target = &unknownTarget{why: p.odd}
	}
	if p.why != "" {
		p.ms = append(p.ms, &unknownMatch{why: p.why})
	}
	r.matches = p.keep(p.ms)
}

func (p *ruleParser) buildMod(r *rule, m mod, opts []opt) {
	switch {
	case m.target && m.known != nil:
		p.buildTarget(r, m, opts)
	case m.target: // a chain, or a target that is not understood: see resolve
	case m.known == nil:
		p.ms = append(p.ms, &unknownMatch{why: "the match " + m.name + " is not understood"})
	case m.known.match != nil:
		p.buildMatch(r, m, opts)
	}
}

// buildMatch makes a match; one with an argument that is not understood may always meet.
func (p *ruleParser) buildMatch(r *rule, m mod, opts []opt) {
	before := p.why
	p.why = ""
	made := m.known.match(p, r, opts)
	if p.why != "" {
		made = &unknownMatch{why: "the match " + m.name + " is not understood: " + p.why}
	}
	if made != nil {
		p.ms = append(p.ms, made)
	}
	p.why = before
}

// buildTarget makes the target; one with an option that is not understood is unknown as a whole.
func (p *ruleParser) buildTarget(r *rule, m mod, opts []opt) {
	before := p.why
	p.why = ""
	r.target = m.known.target(p, r, opts)
	if p.why != "" {
		r.target = &unknownTarget{why: "the target " + m.name + " is not understood: " + p.why}
	}
	p.why = before
}

// keep copies matches into memory that many rules share.
func (p *ruleParser) keep(ms []match) []match {
	if len(ms) == 0 {
		return nil
	}
	if cap(p.pool)-len(p.pool) < len(ms) {
		p.pool = make([]match, 0, max(512, len(ms)))
	}
	at := len(p.pool)
	p.pool = append(p.pool, ms...)
	return p.pool[at:len(p.pool):len(p.pool)]
}

// resolve finds the chain that a jump names.
func (r *rule) resolve(t *Table) {
	if r.target == nil && (r.targetName == "" || targetModules[r.targetName] != nil) {
		r.noop = true
	}
	if r.target != nil || r.noop {
		return
	}
	if r.jump = t.Chains[r.targetName]; r.jump != nil {
		return
	}
	if t.unread != "" {
		r.target = &unknownTarget{why: "the chain " + r.targetName + " was not read: " + t.unread}
		return
	}
	r.target = &unknownTarget{why: "the target " + r.targetName + " is not understood"}
}
