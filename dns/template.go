package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	gotemplate "text/template"
	"text/template/parse"
	"unicode"

	"github.com/plumbnet/plumb/text"
)

// templates answers with records that are made of the query.
type templates struct {
	zones zones // of all
	all   []recordTemplate
}

// A recordTemplate is one block of the plugin.
type recordTemplate struct {
	line         int
	class, qtype string
	zones        zones
	match        []*regexp.Regexp
	answer       []*gotemplate.Template
	additional   []*gotemplate.Template
	authority    []*gotemplate.Template
	rcode        string
	through      zones
	strange      string // what is not followed
}

func setTemplate(in *input) (handler, error) {
	t := &templates{}
	for in.Next() {
		one := recordTemplate{line: in.Line(), rcode: NoError}
		for _, word := range []struct {
			to    *string
			known map[string]bool
		}{{&one.class, classes}, {&one.qtype, types}} {
			if !in.NextArg() {
				return nil, in.argErr()
			}
			if *word.to = in.Val(); !word.known[in.Val()] {
				return nil, fmt.Errorf("invalid class or type %s", in.Val())
			}
		}
		one.zones = in.zones(in.RemainingArgs())
		t.zones = append(t.zones, one.zones...)
		if err := in.each(func(property string) error { return one.property(in, property) }); err != nil {
			return nil, err
		}
		if len(one.match) == 0 {
			one.match = []*regexp.Regexp{regexp.MustCompile(".*")}
		}
		t.all = append(t.all, one)
	}
	return t, nil
}

func (t *recordTemplate) property(in *input, name string) error {
	switch name {
	case "rcode":
		if !in.NextArg() || !rcodes[in.Val()] {
			return in.argErr()
		}
		t.rcode = in.Val()
		return nil
	case "fallthrough":
		t.through = in.through()
		return nil
	}
	args := in.RemainingArgs()
	if len(args) == 0 && name != "upstream" {
		return in.argErr()
	}
	for _, a := range args {
		switch name {
		case "match":
			re, err := compile(a)
			if err != nil {
				return fmt.Errorf("could not parse regex: %s, %w", a, err)
			}
			t.match = append(t.match, re)
		case "answer", "additional", "authority":
			made, err := t.record(a)
			if err != nil {
				return fmt.Errorf("could not compile template: %s, %w", a, err)
			}
			to := map[string]*[]*gotemplate.Template{"answer": &t.answer, "additional": &t.additional, "authority": &t.authority}[name]
			*to = append(*to, made)
		}
	}
	switch name {
	case "match", "answer", "additional", "authority", "upstream":
	case "var", "expr": // a language of its own
		t.strange = name
	case "ederror":
		if len(args) > 2 {
			return in.argErr()
		}
		_, err := strconv.ParseUint(args[0], 10, 16)
		return err
	default:
		return in.argErr()
	}
	return nil
}

// known are the fields that a template may use, of those that CoreDNS has.
var known = set("Zone Name Regex Match Group Class Type Question")

// record compiles a template. What could run for long, or asks for what is not known here, is not followed.
func (t *recordTemplate) record(s string) (*gotemplate.Template, error) {
	made, err := gotemplate.New("record").Funcs(gotemplate.FuncMap{"parseInt": strconv.ParseUint}).Parse(s)
	if err != nil {
		return nil, err
	}
	for _, sub := range made.Templates() {
		if sub.Tree == nil {
			continue
		}
		if what := strange(sub.Root); what != "" {
			t.strange = what
		}
	}
	if len(made.Templates()) > 1 {
		t.strange = "define"
	}
	return made, nil
}

// strange returns what in a template is not followed, or "".
func strange(n parse.Node) string {
	var nodes []parse.Node
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			nodes = n.Nodes
		}
	case *parse.ActionNode:
		nodes = append(nodes, n.Pipe)
	case *parse.IfNode:
		nodes = append(nodes, n.Pipe, n.List, n.ElseList)
	case *parse.WithNode:
		nodes = append(nodes, n.Pipe, n.List, n.ElseList)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			nodes = append(nodes, c.Args...)
		}
	case *parse.FieldNode:
		if !known[n.Ident[0]] {
			return n.Ident[0]
		}
	case *parse.ChainNode:
		nodes = append(nodes, n.Node)
	case *parse.IdentifierNode:
		if n.Ident == "printf" || n.Ident == "call" {
			return n.Ident
		}
	case *parse.RangeNode, *parse.TemplateNode:
		return n.String()
	}
	for _, c := range nodes {
		if s := strange(c); s != "" {
			return s
		}
	}
	return ""
}

// question is what a template sees of a query, by CoreDNS's names.
type question struct {
	Zone, Name, Regex string
	Match             []string
	Group             map[string]string
	Class, Type       string
	Question          struct{ Name string }
}

func (t *templates) serve(r *run, i int, q Query) Answer {
	if t.zones.match(q.Name) == "" {
		return r.next(i, q)
	}
	for n := range t.all {
		one := &t.all[n]
		d, ok, goes := one.data(q)
		switch {
		case !ok && goes:
			continue
		case !ok:
			r.step(i, text.F("the one in line %d does not match %s, and does not fall through", one.line, q))
			return Answer{Outcome: Answered, Rcode: ServFail, By: r.place(i)}
		case one.strange != "":
			return r.unknown(i, text.F("%s of the one in line %d is not followed", one.strange, one.line))
		case one.rcode == ServFail:
			return Answer{Outcome: Answered, Rcode: ServFail, By: r.place(i)}
		}
		a, err := one.make(r, i, q, d)
		if errors.Is(err, errRecord) {
			return r.unknown(i, text.F("%s of the one in line %d is not followed", err, one.line))
		}
		if err != nil {
			r.step(i, text.F("the one in line %d makes no record: %s", one.line, err))
			return Answer{Outcome: Answered, Rcode: ServFail, By: r.place(i), broken: true}
		}
		return a
	}
	return r.next(i, q)
}

// data matches a query. Of one that does not match, goes says that others are tried.
func (t *recordTemplate) data(q Query) (d question, ok, goes bool) {
	d.Zone = t.zones.match(q.Name)
	if d.Zone == "" || t.class != "ANY" && q.Class != "ANY" && t.class != q.Class || t.qtype != "ANY" && q.Type != "ANY" && t.qtype != q.Type {
		return d, false, true
	}
	for _, re := range t.match {
		m := re.FindStringSubmatch(q.Name)
		if m == nil {
			continue
		}
		d.Name, d.Regex, d.Match, d.Class, d.Type = q.Name, re.String(), m, q.Class, q.Type
		d.Question.Name = q.Name
		if q.Type == "ANY" {
			d.Type = t.qtype
		}
		d.Group = map[string]string{}
		for i, g := range m {
			d.Group[strconv.Itoa(i)] = g
		}
		for i, name := range re.SubexpNames() {
			if name != "" {
				d.Group[name] = m[i]
			}
		}
		return d, true, false
	}
	return d, false, t.through.match(q.Name) != ""
}

// make executes the templates.
func (t *recordTemplate) make(r *run, i int, q Query, d question) (Answer, error) {
	a := r.answer(i, t.rcode)
	a.failed = t.rcode == Refused || t.rcode == "FORMERR" || t.rcode == "NOTIMP"
	for _, tmpl := range t.answer {
		record, err := execute(tmpl, d)
		if err != nil {
			return a, err
		}
		a.Records = append(a.Records, record)
		if record.Type == "CNAME" && (q.Type == "A" || q.Type == "AAAA") {
			if a = join(a, r.lookup(i, record.Target, q.Type)); a.Outcome == Unknown {
				return a, nil
			}
		}
	}
	for _, section := range []struct {
		of []*gotemplate.Template
		to *[]Record
	}{{t.additional, &a.Extra}, {t.authority, &a.authority}} {
		for _, tmpl := range section.of {
			record, err := execute(tmpl, d)
			if err != nil {
				return a, err
			}
			*section.to = append(*section.to, record)
		}
	}
	return a, nil
}

// maxRecord bounds what a template makes.
const maxRecord = 4096

// bounded is a writer that takes so much.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRecord {
		return 0, errRecord
	}
	return b.Builder.Write(p)
}

func execute(t *gotemplate.Template, d question) (Record, error) {
	var b bounded
	if err := t.Execute(&b, d); err != nil {
		return Record{}, err
	}
	return parseRecord(b.String())
}

// errRecord is the error of a record that may be one, and is not read here.
var errRecord = errors.New("the record")

// parseRecord reads a record as zone files have it: "name [ttl] [IN] type data".
func parseRecord(s string) (r Record, err error) {
	if strings.ContainsAny(s, `\();$@`+"\n") {
		return r, errRecord
	}
	f := strings.Fields(s)
	if len(f) < 3 {
		return r, fmt.Errorf("%q is no record", s)
	}
	r = Record{Name: fqdn(f[0]), TTL: 3600}
	f = f[1:]
	for range 2 {
		n, err := strconv.ParseUint(f[0], 10, 32)
		switch {
		case err == nil && len(f) > 1:
			r.TTL, f = uint32(n), f[1:]
		case strings.EqualFold(f[0], "IN") && len(f) > 1:
			f = f[1:]
		}
	}
	r.Type = strings.ToUpper(f[0])
	if f = f[1:]; !isName(r.Name) {
		return r, fmt.Errorf("%q is no record", s)
	}
	n, ok := places[r.Type]
	switch {
	case !types[r.Type]:
		return r, fmt.Errorf("%q is no record", s)
	case r.Type == "TXT" && len(f) > 0 && strings.Count(s, `"`)%2 == 0:
		r.Head = txt(behind(s, len(strings.Fields(s))-len(f)))
		return r, nil
	case !ok:
		return r, errRecord
	case len(f) != n+1:
		return r, fmt.Errorf("%q is no record", s)
	}
	if r.Type == "A" || r.Type == "AAAA" {
		r.Addr, err = netip.ParseAddr(f[0])
		if err != nil || r.Addr.Is4() != (r.Type == "A") || r.Addr.Zone() != "" {
			return r, fmt.Errorf("%q is no record", s)
		}
		return r, nil
	}
	for _, number := range f[:n] {
		if _, err := strconv.ParseUint(number, 10, 16); err != nil {
			return r, fmt.Errorf("%q is no record", s)
		}
	}
	if !isName(f[n]) {
		return r, fmt.Errorf("%q is no record", s)
	}
	r.Head, r.Target = strings.Join(f[:n], " "), fqdn(f[n])
	return r, nil
}

// behind returns what comes after so many words, of which there are more.
func behind(s string, words int) string {
	for range words {
		s = strings.TrimSpace(s)
		s = s[strings.IndexFunc(s, unicode.IsSpace):]
	}
	return s
}

// places says how many numbers are before the name or address in the data of a record.
var places = map[string]int{"A": 0, "AAAA": 0, "CNAME": 0, "NS": 0, "PTR": 0, "DNAME": 0, "MX": 1, "SRV": 3}

// txt writes strings of a TXT record in quotes.
func txt(s string) string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if rest, quoted := strings.CutPrefix(s, `"`); quoted {
			one, after, _ := strings.Cut(rest, `"`)
			out, s = append(out, `"`+one+`"`), after
			continue
		}
		end := strings.IndexAny(s, " \t\"")
		if end < 0 {
			end = len(s)
		}
		out, s = append(out, `"`+s[:end]+`"`), s[end:]
	}
	return strings.Join(out, " ")
}
