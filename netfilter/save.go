package netfilter

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// maxInput bounds what one parser reads. 100,000 rules of kube-proxy are 15 MB.
const maxInput = 256 << 20

// maxRules bounds the rules of one file, and maxMembers the entries of all its sets.
const maxRules, maxMembers = 1 << 20, 1 << 21

// A Problem is a place in a file that could not be read.
type Problem struct {
	File string
	Line int // from 1; 0 for the whole file
	Why  string
}

// Error returns "nodes/a/host/iptables: line 12: …".
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Why)
	}
	return fmt.Sprintf("%s: line %d: %s", p.File, p.Line, p.Why)
}

// readAll returns what r holds, up to maxInput.
func readAll(r io.Reader) (string, error) {
	var b strings.Builder
	b.Grow(min(sizeOf(r)+1, maxInput+1))
	n, err := io.Copy(&b, io.LimitReader(r, maxInput+1))
	if err == nil && n > maxInput {
		err = fmt.Errorf("more than %d MB", maxInput>>20)
	}
	s := b.String()
	return s[:min(len(s), maxInput)], err
}

// sizeOf returns how much r holds, where it says so.
func sizeOf(r io.Reader) int {
	switch r := r.(type) {
	case interface{ Len() int }:
		return max(r.Len(), 0)
	case fs.File:
		if info, err := r.Stat(); err == nil {
			return int(max(info.Size(), 0))
		}
	}
	return 0
}

// A saveParser reads what iptables-save prints, line by line.
type saveParser struct {
	ruleParser
	file     string
	backend  Backend
	tables   []*Table
	problems []Problem
	order    []*Chain // of the table, as declared
	at       int      // of the chain that the last rule went to, in order
	last     *Chain   // that chain
	jumps    []jump   // to chains that were not declared yet
	line     int
	skip     bool // the rest of the table
	count    int  // of rules
	chains   room[Chain]
	rules    room[Rule]
}

// A jump is a rule whose target is no module.
type jump struct {
	from *Table
	rule *Rule
}

// ParseSave reads what iptables-save or ip6tables-save prints, with or without
// counters; file is where it comes from, for evidence. A rule that is not
// understood is no problem: it is kept, and a packet that meets it has a fate
// that is not known. After a line that cannot be a rule, and where the text
// ends before COMMIT, what was read stays usable, and the rest of that table counts as not known.
func ParseSave(r io.Reader, is6 bool, backend Backend, file string) ([]*Table, []Problem) {
	text, err := readAll(r)
	p := &saveParser{file: file, backend: backend}
	p.is6 = is6
	for rest, line, whole := text, "", false; rest != ""; {
		line, rest, whole = strings.Cut(rest, "\n")
		p.line++
		if line = strings.TrimSpace(line); !whole && p.table != nil && line != "COMMIT" {
			p.damage("the text ends within a line")
			break
		}
		p.parseLine(line)
	}
	p.line++
	p.damage("the text ends before COMMIT")
	p.finish()
	if err != nil {
		p.problem(err.Error())
	}
	for _, j := range p.jumps {
		j.rule.resolve(j.from)
	}
	return p.tables, p.problems
}

func (p *saveParser) problem(why string) {
	p.problems = append(p.problems, Problem{p.file, p.line, why})
}

func (p *saveParser) parseLine(s string) {
	switch {
	case s == "":
	case s[0] == '#':
		p.comment(s)
	case s[0] == '*':
		p.damage("a table begins before COMMIT")
		p.finish()
		p.begin(strings.TrimSpace(s[1:]))
	case p.skip:
		p.skip = s != "COMMIT"
	case s == "COMMIT":
		p.finish()
	case p.table == nil:
		p.problem(fmt.Sprintf("not in a table: %q", short(s)))
	case s[0] == ':':
		p.chain(s[1:])
	case s[0] == '-' || s[0] == '[':
		p.rule(s)
	default:
		p.damage(fmt.Sprintf("not a rule: %q", short(s)))
	}
}

// comment looks for the one comment that says something: iptables-nft-save
// cannot print a table that nft has changed.
func (p *saveParser) comment(s string) {
	name, ok := strings.CutPrefix(s, "# Table `")
	name, ok2 := strings.CutSuffix(name, "' is incompatible, use 'nft' tool.")
	if !ok || !ok2 {
		return
	}
	p.finish()
	p.begin(name)
	p.damage("iptables-save cannot print table " + name + ", which was changed by nft")
	p.finish()
}

func (p *saveParser) begin(name string) {
	for _, t := range p.tables {
		if t.Name == name {
			p.problem("table " + name + " begins again")
			t.unread = fmt.Sprintf("line %d: table %s begins again", p.line, name)
			p.skip = true
			return
		}
	}
	p.skip = false
	p.table = &Table{Name: name, Is6: p.is6, Backend: p.backend, File: p.file, Chains: map[string]*Chain{}}
	p.tables = append(p.tables, p.table)
	p.order, p.last, p.at = p.order[:0], nil, 0
}

// damage notes that the rest of the table cannot be read. iptables-save prints
// the rules of the chains in the order of their declarations, so the chains before the one that it was at are whole.
func (p *saveParser) damage(why string) {
	if p.table == nil {
		return
	}
	p.problem(why)
	why = fmt.Sprintf("line %d: %s", p.line, why)
	whole := p.last != nil
	for _, c := range p.order {
		whole = whole && c != p.last
		if !whole {
			c.unread = why
		}
	}
	if p.last == nil {
		p.table.unread = why
	}
	p.finish()
	p.skip = true
}

func (p *saveParser) finish() {
	for _, c := range p.order {
		c.buildIndex()
	}
	p.order = p.order[:0]
	p.table, p.last = nil, nil
	p.skip = false
}

// chain reads ":FORWARD DROP [12:3456]" without its colon.
func (p *saveParser) chain(s string) {
	name, rest, _ := strings.Cut(s, " ")
	policy, _, _ := strings.Cut(rest, " ")
	if name == "" || policy == "" || p.table.Chains[name] != nil {
		p.damage(fmt.Sprintf("not a chain: %q", short(s)))
		return
	}
	if policy == "-" {
		policy = ""
	}
	c := p.chains.get()
	*c = Chain{Name: name, Policy: policy, Line: p.line}
	p.table.Chains[name] = c
	p.order = append(p.order, c)
}

// rule reads "-A FORWARD …", which counters in brackets may precede.
func (p *saveParser) rule(s string) {
	if s[0] == '[' {
		_, after, ok := strings.Cut(s, "] ")
		if !ok {
			p.damage(fmt.Sprintf("not a rule: %q", short(s)))
			return
		}
		s = strings.TrimLeft(after, " ")
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(s, "-A "), " ")
	c := p.find(name)
	if c == nil || !strings.HasPrefix(s, "-A ") {
		p.damage(fmt.Sprintf("not a rule of a declared chain: %q", short(s)))
		return
	}
	if p.count++; p.count > maxRules {
		p.damage(fmt.Sprintf("more than %d rules", maxRules))
		return
	}
	r := p.rules.get()
	r.Line, r.Text = p.line, s
	if !p.parse(&r.rule, s[len("-A ")+len(name):]) {
		p.damage(fmt.Sprintf("a quote is left open: %q", short(s)))
		return
	}
	if r.target == nil && !r.noop {
		if r.jump = p.table.Chains[r.targetName]; r.jump == nil {
			p.jumps = append(p.jumps, jump{p.table, r})
		}
	}
	c.Rules = append(c.Rules, r)
	p.last = c
}

// find returns the chain of a rule, which is mostly that of the rule before, or the next that was declared.
func (p *saveParser) find(name string) *Chain {
	for i := p.at; i < min(p.at+3, len(p.order)); i++ {
		if p.order[i].Name == name {
			p.at = i
			return p.order[i]
		}
	}
	return p.table.Chains[name]
}

// short cuts what an error quotes.
func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
