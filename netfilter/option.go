package netfilter

import "strings"

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

// only returns the one option that a match or target must have.
func (p *ruleParser) only(o []opt) opt {
	if len(o) == 0 {
		p.misread("it lacks its option")
		return opt{}
	}
	return o[len(o)-1]
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
	var known *module
	switch {
	case !isTarget:
		known = matchModules[name]
	case len(name) <= longestTarget: // else it is a chain
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
