package dns

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// rewrite changes queries on their way, and the answers on their way back.
type rewrite struct{ rules []rule }

// A rule is one line of the plugin rewrite.
type rule struct {
	kind  string // "name", "type", "class", "ttl", "rcode", "cname", "edns0"
	line  int
	stop  bool // no rule after it is tried
	names pattern
	to    string   // of name: the replacement; of type and class: the other
	from  string   // of type and class
	auto  bool     // of name: answers get the name back that was asked for
	then  []change // what is done with the answers
}

// A pattern says which names are meant.
type pattern struct {
	how  string // "exact", "prefix", "suffix", "substring", "regex"
	from string
	re   *regexp.Regexp
}

// patterns are the ways in which names are matched.
var patterns = []string{"exact", "prefix", "suffix", "substring", "regex"}

func newPattern(how, from string) (p pattern, err error) {
	p = pattern{how: strings.ToLower(how), from: fqdn(from)}
	switch {
	case !slices.Contains(patterns, p.how):
		return p, fmt.Errorf("only exact, prefix, suffix, substring, and regex name matching are supported, received: %s", how)
	case p.how == "regex":
		if p.re, err = compile(from); err != nil {
			return p, fmt.Errorf("invalid regex matching pattern: %s", from)
		}
	}
	return p, nil
}

// replace returns a name with what the pattern matches of it replaced; ok is false where it does not match.
func (p pattern) replace(name, to string) (out string, ok bool) {
	switch p.how {
	case "exact":
		return to, name == p.from
	case "prefix":
		rest, ok := strings.CutPrefix(name, p.from)
		return to + rest, ok
	case "suffix":
		rest, ok := strings.CutSuffix(name, p.from)
		return rest + to, ok
	case "substring":
		if ok = strings.Contains(name, p.from); ok && len(to) <= maxName+1 {
			name = strings.ReplaceAll(name, p.from, to)
		}
		return name, ok
	}
	return expand(p.re, name, to)
}

func (p pattern) matches(name string) bool {
	_, ok := p.replace(name, "")
	return ok
}

// maxReplaced bounds what replacements come to; no name is nearly as long.
const maxReplaced = 8192

// expand puts the groups that a pattern finds into a replacement: "{0}", "{1}".
func expand(re *regexp.Regexp, s, to string) (string, bool) {
	groups := re.FindStringSubmatch(s)
	if len(groups) == 0 {
		return s, false
	}
	for i, g := range groups {
		if len(to) > maxReplaced {
			break
		}
		to = strings.ReplaceAll(to, "{"+strconv.Itoa(i)+"}", g)
	}
	return to[:min(len(to), maxReplaced)], true
}

// A change is what a rule does with each record of an answer.
type change struct {
	what     string // "name", "value", "ttl", "rcode", "cname"
	re       *regexp.Regexp
	from, to string // of name and value without re: names that end in from end in to
	whole    bool   // from is a name, not just an end
	low      uint32
	high     uint32
}

func (c change) rewrite(s string) string {
	switch {
	case c.re != nil:
		s, _ = expand(c.re, s, c.to)
	case c.whole && s == c.from:
		return c.to
	case c.whole && strings.HasSuffix(s, "."+c.from), !c.whole && strings.HasSuffix(s, c.from):
		return strings.TrimSuffix(s, c.from) + c.to
	}
	return s
}

// valued are the types of records that lead to a name, which rewrite can change.
var valued = set("SRV MX CNAME NS DNAME NAPTR SOA PTR")

func (c change) apply(a *Answer, r *Record) {
	switch c.what {
	case "name":
		r.Name = c.rewrite(r.Name)
	case "value":
		if valued[r.Type] && r.Target != "" {
			r.Target = c.rewrite(r.Target)
		}
	case "ttl":
		r.TTL = min(max(r.TTL, c.low), c.high)
	case "rcode":
		c.code(a)
	}
}

// code changes the answer's rcode.
func (c change) code(a *Answer) {
	if a.Rcode == c.from {
		a.Rcode = c.to
	}
}

// changed returns an answer as the changes make it: they are undone in the reverse order, record by record.
func changed(a Answer, cs []change) Answer {
	records := 0
	for _, section := range []*[]Record{&a.authority, &a.Records, &a.Extra} {
		*section = slices.Clone(*section)
		for i := range *section {
			records++
			for _, c := range slices.Backward(cs) {
				c.apply(&a, &(*section)[i])
			}
		}
	}
	for _, c := range slices.Backward(cs) {
		if records == 0 && c.what == "rcode" {
			c.code(&a)
		}
	}
	return a
}

func (w *rewrite) serve(r *run, i int, q Query) Answer {
	var cs []change
	for _, rule := range w.rules {
		was := q
		then, done := rule.apply(&q)
		if !done {
			continue
		}
		if q != was {
			r.step(i, text.F("rule in line %d: %s is asked for as %s", rule.line, was, q))
		}
		if !isName(q.Name) {
			return Answer{Outcome: Answered, Rcode: ServFail, By: r.place(i)}
		}
		cs = append(cs, then...)
		if rule.stop {
			break
		}
	}
	a := r.next(i, q)
	if len(cs) == 0 {
		return a
	}
	a.written = true
	if slices.ContainsFunc(cs, func(c change) bool { return c.what == "cname" }) &&
		(a.Outcome != Answered || slices.ContainsFunc(a.Records, func(r Record) bool { return r.Type == "CNAME" })) {
		return r.unknown(i, text.F("what its rule in line %d does with answers is not followed", w.cname()))
	}
	return changed(a, cs)
}

// cname returns the line of the first rule for aliases.
func (w *rewrite) cname() int {
	i := slices.IndexFunc(w.rules, func(r rule) bool { return r.kind == "cname" })
	return w.rules[max(0, i)].line
}

// apply changes a query, and returns what is then done with its answers.
func (u *rule) apply(q *Query) (then []change, done bool) {
	switch u.kind {
	case "type":
		if done = q.Type == u.from; done {
			q.Type = u.to
		}
	case "class":
		if done = q.Class == u.from; done {
			q.Class = u.to
		}
	case "ttl", "rcode":
		done = u.names.matches(q.Name)
		then = u.then
	case "cname":
		return u.then, true
	case "edns0": // there is nothing of the kind to replace in what Pods ask
		return nil, u.to != "replace"
	case "name":
		to, ok := u.names.replace(q.Name, u.to)
		if !ok {
			return nil, false
		}
		to = strings.ToLower(to)
		if u.auto {
			then = append(then, change{what: "name", from: to, to: q.Name, whole: true}, change{what: "value", from: to, to: q.Name, whole: true})
		}
		q.Name = to
		return append(then, u.then...), true
	}
	return then, done
}

func setRewrite(in *input) (handler, error) {
	w := &rewrite{}
	for in.Next() {
		line := in.Line()
		args := in.RemainingArgs()
		if len(args) < 2 { // the rest is in braces
			for in.NextBlock() {
				args = append(args, in.Val())
			}
		}
		u, err := newRule(in, args)
		if err != nil {
			return nil, err
		}
		u.line = line
		w.rules = append(w.rules, u)
	}
	return w, nil
}

func newRule(in *input, args []string) (u rule, err error) {
	if len(args) == 0 {
		return u, errors.New("no rule type specified for rewrite")
	}
	u.stop = true
	if first := strings.ToLower(args[0]); first == "continue" || first == "stop" {
		u.stop = first == "stop"
		if args = args[1:]; len(args) == 0 {
			return u, fmt.Errorf("%s rule must begin with a rule type", first)
		}
	}
	u.kind = strings.ToLower(args[0])
	args = args[1:]
	if refused(in.options.Version, "rewrite", u.kind) {
		return u, fmt.Errorf("invalid rule type %q", u.kind)
	}
	switch u.kind {
	case "answer":
		err = errors.New("response rewrites must begin with a name rule")
	case "name":
		err = u.name(args)
	case "class", "type":
		err = u.swap(args)
	case "ttl":
		err = u.ttl(args)
	case "rcode":
		err = u.rcode(args)
	case "cname":
		err = u.cname(args)
	case "edns0":
		err = u.edns0(args)
	default:
		err = fmt.Errorf("invalid rule type %q", u.kind)
	}
	return u, err
}

// swap reads "type A AAAA" and "class IN CH".
func (u *rule) swap(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s rules must have exactly two arguments", u.kind)
	}
	known := types
	if u.kind == "class" {
		known = classes
	}
	for _, a := range args {
		if !known[strings.ToUpper(a)] {
			return fmt.Errorf("invalid %s %q", u.kind, strings.ToUpper(a))
		}
	}
	u.from, u.to = strings.ToUpper(args[0]), strings.ToUpper(args[1])
	return nil
}

// name reads "name [exact|prefix|suffix|substring|regex] FROM TO [answer …]".
func (u *rule) name(args []string) (err error) {
	if len(args) < 2 {
		return errors.New("too few arguments for a name rule")
	}
	if len(args) == 2 {
		args = []string{"exact", args[0], args[1]}
	}
	how := strings.ToLower(args[0])
	u.to = fqdn(args[2])
	auto := false
	if rest := args[3:]; len(rest) > 0 {
		if rest[0] == "metadata" && how == "regex" {
			return u.metadata(args)
		}
		if auto, u.then, err = answers(how, rest); err != nil {
			return err
		}
	}
	if u.names, err = newPattern(how, args[1]); err != nil {
		return err
	}
	switch how {
	case "exact":
		u.auto = true
		_, err = fits(u.to, u.names.from)
	case "suffix":
		if auto {
			back := change{what: "name", from: u.to, to: u.names.from}
			value := back
			value.what = "value"
			u.then = append([]change{back, value}, u.then...)
		}
	case "regex":
		u.auto = auto
		_, err = fits(args[1], args[2])
	default:
		u.auto = auto
	}
	return err
}

// metadata would read a replacement with what other plugins tell of a query.
func (u *rule) metadata([]string) error {
	u.kind, u.then = "cname", []change{{what: "cname"}}
	return nil
}

// answers reads what a name rule does with answers: "answer auto", "answer name FROM TO", "answer value FROM TO".
func answers(how string, args []string) (auto bool, cs []change, err error) {
	if len(args) < 2 {
		return false, nil, fmt.Errorf("invalid arguments for %s rule", how)
	}
	named := false
	for first := true; len(args) > 0; first = false {
		if first && args[0] != "answer" {
			return false, nil, fmt.Errorf("exceeded the number of arguments for a non-answer rule argument for %s rule", how)
		}
		if args[0] == "answer" {
			args = args[1:]
		}
		if len(args) == 0 {
			return false, nil, fmt.Errorf("type missing for answer rule for %s rule", how)
		}
		what := args[0]
		args = args[1:]
		switch {
		case what == "auto":
			auto = true
			continue
		case what != "name" && what != "value":
			return false, nil, fmt.Errorf("invalid type %q for answer rule for %s rule", what, how)
		case len(args) < 2:
			return false, nil, fmt.Errorf("%s answer rule for %s rule: 2 arguments required", what, how)
		}
		re, err := fits(args[0], args[1])
		if err != nil {
			return false, nil, fmt.Errorf("%s answer rule for %s rule: %w", what, how, err)
		}
		named = named || what == "name"
		cs = append(cs, change{what: what, re: re, to: fqdn(args[1])})
		args = args[2:]
	}
	if auto && named {
		return false, nil, errors.New("auto name answer rule cannot be combined with explicit name answer rules")
	}
	return auto, cs, nil
}

// fits compiles a pattern, whose groups a replacement may use.
func fits(from, to string) (*regexp.Regexp, error) {
	re, err := compile(from)
	if err != nil {
		return nil, fmt.Errorf("invalid regex matching pattern: %s", from)
	}
	used := 0
	for i := range 101 {
		if strings.Contains(to, "{"+strconv.Itoa(i)+"}") {
			used++
		}
	}
	if used > re.NumSubexp() {
		return nil, fmt.Errorf("the rewrite regex pattern (%s) uses more subexpressions than its corresponding matching regex pattern (%s)", to, from)
	}
	return re, nil
}

// named reads the names that a rule is for: "[exact|…] NAME" before n other arguments.
func (u *rule) named(args []string, n int) (rest []string, err error) {
	switch len(args) {
	case n + 1:
		args = append([]string{"exact"}, args...)
	case n + 2:
	default:
		return nil, fmt.Errorf("wrong number (%d) of arguments for a %s rule", len(args), u.kind)
	}
	u.names, err = newPattern(args[0], args[1])
	return args[2:], err
}

// ttl reads "ttl [exact|…] NAME SECONDS|LOW-HIGH".
func (u *rule) ttl(args []string) error {
	rest, err := u.named(args, 1)
	if err != nil {
		return err
	}
	low, high, isRange := strings.Cut(rest[0], "-")
	if !isRange {
		high = low
	}
	c := change{what: "ttl", high: math.MaxInt32}
	for i, to := range []*uint32{&c.low, &c.high} {
		s := []string{low, high}[i]
		if s == "" && isRange {
			continue
		}
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return fmt.Errorf("invalid TTL '%s' for a ttl rule", rest[0])
		}
		*to = uint32(n)
	}
	if rest[0] == "-" || c.low > c.high {
		return fmt.Errorf("invalid TTL '%s' for a ttl rule", rest[0])
	}
	u.then = []change{c}
	return nil
}

// rcode reads "rcode [exact|…] NAME FROM TO".
func (u *rule) rcode(args []string) error {
	rest, err := u.named(args, 2)
	if err != nil {
		return err
	}
	c := change{what: "rcode"}
	var ok bool
	if c.from, ok = parseRcode(rest[0]); !ok {
		return fmt.Errorf("invalid matching RCODE '%s' for a rcode rule", rest[0])
	}
	if c.to, ok = parseRcode(rest[1]); !ok {
		return fmt.Errorf("invalid replacement RCODE '%s' for a rcode rule", rest[1])
	}
	u.then = []change{c}
	return nil
}

// numbered are the rcodes by their number.
var numbered = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"DSOTYPENI", 16: "BADSIG", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE"}

func parseRcode(s string) (code string, ok bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil && n < uint64(len(numbered)) {
		if numbered[n] == "" {
			return s, true
		}
		return numbered[n], true
	}
	s = strings.ToUpper(s)
	return s, rcodes[s]
}

// cname reads "cname [exact|…] FROM TO". What it does is not followed.
func (u *rule) cname(args []string) error {
	if len(args) == 2 {
		args = append([]string{"exact"}, args...)
	}
	if len(args) != 3 {
		return fmt.Errorf("too few (%d) arguments for a cname rule", len(args))
	}
	_, err := newPattern(args[0], strings.ToLower(args[1]))
	u.then = []change{{what: "cname"}}
	return err
}

// edns0 reads "edns0 local|nsid|subnet append|replace|set|unset …". No answer depends on what it
// sets, but whether a rule after it is tried does.
func (u *rule) edns0(args []string) error {
	if len(args) < 2 {
		return errors.New("too few arguments for an EDNS0 rule")
	}
	u.to = strings.ToLower(args[1])
	if err := isOneOf(u.to, "append", "replace", "set", "unset"); err != nil {
		return err
	}
	kind, most := strings.ToLower(args[0]), 4
	if err := isOneOf(kind, "local", "nsid", "subnet"); err != nil {
		return err
	}
	switch {
	case kind == "nsid" || kind == "subnet" && u.to == "unset":
		most = 2
	case u.to == "unset":
		most = 3
	}
	if args[len(args)-1] == "revert" && u.to != "unset" {
		args = args[:len(args)-1]
	}
	if len(args) != most {
		return fmt.Errorf("wrong number (%d) of arguments for an EDNS0 %s rule", len(args), kind)
	}
	if most == 2 {
		return nil
	}
	n, err := strconv.ParseUint(args[2], 0, 16)
	if err != nil || kind == "local" {
		return err
	}
	m, err := strconv.ParseUint(args[3], 0, 16)
	if err == nil && (n > 32 || m > 128) {
		err = fmt.Errorf("invalid bit mask length %d or %d", n, m)
	}
	return err
}
