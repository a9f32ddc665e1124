package dns

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"
	"github.com/plumbnet/plumb/text"
)

// An Error says why CoreDNS does not start with a Corefile.
type Error struct {
	File string // "" is the Corefile itself; else what it imports
	Line int
	Msg  string
}

// Error returns the place and the reason: "Corefile:12: Unknown directive 'proxy'".
func (e *Error) Error() string {
	if e.File == "" {
		return fmt.Sprintf("Corefile:%d: %s", e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// The most that is read of a Corefile with its imports; what is beyond makes the rest unknown.
const (
	maxTokens  = 50_000
	maxImports = 1000
)

// A block is a server block as it is written: its keys, and its tokens by directive.
type block struct {
	keys   []string
	line   int
	tokens map[string][]caddyfile.Token
	opaque map[string]unread // the directives that are not known as a whole; "" is all of the block
}

// unread says why a part of a Corefile is not known, and where.
type unread struct {
	line int
	why  text.Text
}

// A parser splits tokens into server blocks, as Caddy's does: snippets and files are imported in place.
type parser struct {
	tokens   []caddyfile.Token
	at       int
	files    Files
	snippets map[string][]caddyfile.Token
	imports  int
	block    block
	top      *unread // of the whole file
}

// lex splits a file into tokens.
func lex(name, body string) (out []caddyfile.Token) {
	d := caddyfile.NewDispenser(name, strings.NewReader(body))
	for d.Next() {
		out = append(out, caddyfile.Token{File: name, Line: d.Line(), Text: d.Val()})
	}
	return out
}

// blocks reads all server blocks.
func (p *parser) blocks() (out []block, err error) {
	for p.at = 0; p.at < len(p.tokens); p.at++ {
		p.block = block{line: p.tok().Line, tokens: map[string][]caddyfile.Token{}, opaque: map[string]unread{}}
		if err := p.one(); err != nil {
			return nil, err
		}
		if len(p.block.keys) > 0 {
			out = append(out, p.block)
		}
	}
	return out, nil
}

// tok returns the token that is read; beyond the end an empty one on the last line.
func (p *parser) tok() caddyfile.Token {
	if p.at < 0 || p.at >= len(p.tokens) {
		t := caddyfile.Token{}
		if n := len(p.tokens); n > 0 {
			t.File, t.Line = p.tokens[n-1].File, p.tokens[n-1].Line
		}
		return t
	}
	return p.tokens[p.at]
}

func (p *parser) errorf(format string, args ...any) error {
	t := p.tok()
	return &Error{File: t.File, Line: t.Line, Msg: fmt.Sprintf(format, args...)}
}

// newLine reports whether the token at i is the first of its line.
func (p *parser) newLine(i int) bool {
	if i < 1 || i >= len(p.tokens) {
		return i < 1
	}
	a, b := p.tokens[i-1], p.tokens[i]
	return a.File != b.File || a.Line+strings.Count(a.Text, "\n") < b.Line
}

// next reads on; false means that there is no more.
func (p *parser) next() bool {
	if p.at+1 >= len(p.tokens) {
		return false
	}
	p.at++
	return true
}

// one reads a server block or a snippet.
func (p *parser) one() error {
	end, err := p.keys()
	if err != nil || end {
		return err
	}
	if k := p.block.keys; len(k) == 1 && strings.HasPrefix(k[0], "(") && strings.HasSuffix(k[0], ")") {
		return p.snippet(strings.TrimSuffix(k[0][1:], ")"))
	}
	open := p.tok().Text == "{"
	if !open {
		p.at-- // a lone server needs no braces
	}
	if err := p.directives(); err != nil {
		return err
	}
	if open && p.tok().Text != "}" {
		return p.errorf("Syntax error: Unexpected token '%s', expecting '}'", p.tok().Text)
	}
	return nil
}

// keys reads the keys of a server block up to what follows them.
func (p *parser) keys() (end bool, err error) {
	another := false
	for {
		t := p.tok()
		if t.Text == "import" && p.newLine(p.at) {
			if err := p.include(""); err != nil {
				return false, err
			}
			if p.at++; p.at >= len(p.tokens) {
				return true, nil
			}
			continue
		}
		if t.Text == "{" {
			if another {
				return false, p.errorf("Expected another address but had '{' - check for extra comma")
			}
			return false, nil
		}
		if variable(t.Text) != "" && p.top == nil {
			p.top = &unread{t.Line, text.F("the environment variable %s is not known", variable(t.Text))}
		}
		if t.Text != "" {
			key, comma := strings.CutSuffix(t.Text, ",")
			another = comma
			p.block.keys = append(p.block.keys, key)
		}
		if !p.next() {
			if another {
				return false, p.errorf("Unexpected EOF")
			}
			return true, nil
		}
		if !another && p.newLine(p.at) {
			return false, nil
		}
	}
}

// snippet reads the body of "(name) {".
func (p *parser) snippet(name string) error {
	if _, dup := p.snippets[name]; dup {
		return p.errorf("redeclaration of previously declared snippet %s", name)
	}
	if p.tok().Text != "{" {
		return p.errorf("Syntax error: Unexpected token '%s', expecting '{'", p.tok().Text)
	}
	body := []caddyfile.Token{}
	depth := 1
	for p.next() {
		switch p.tok().Text {
		case "{":
			depth++
		case "}":
			depth--
		}
		if depth == 0 {
			break
		}
		body = append(body, p.tok())
	}
	if depth != 0 {
		return p.errorf("Syntax error: Unexpected token '%s', expecting '}'", p.tok().Text)
	}
	for i := range body[:max(0, len(body)-1)] {
		first := i == 0 || body[i-1].File != body[i].File || body[i-1].Line != body[i].Line
		if body[i].Text == "import" && first && body[i+1].Text == name {
			return p.errorf("maximum snippet import depth exceeded")
		}
	}
	p.snippets[name] = body
	p.block.keys = nil
	return nil
}

// directives reads the lines of a server block, to its closing brace or the end.
func (p *parser) directives() error {
	for p.next() {
		switch p.tok().Text {
		case "}":
			return nil
		case "import":
			if err := p.include(""); err != nil {
				return err
			}
			continue
		}
		if err := p.directive(); err != nil {
			return err
		}
	}
	p.at = len(p.tokens) - 1
	return nil
}

// directive reads one directive, with the block that it has.
func (p *parser) directive() error {
	name := p.tok().Text
	if _, known := order[name]; !known && variable(name) == "" {
		return p.errorf("Unknown directive '%s'", name)
	}
	p.take(name)
	if v := variable(name); v != "" {
		p.unread("", text.F("the environment variable %s is not known", v))
	}
	depth := 0
	for p.next() {
		t := p.tok().Text
		switch {
		case t == "{":
			depth++
		case p.newLine(p.at) && depth == 0:
			p.at--
			return nil
		case t == "}" && depth > 0:
			depth--
		case t == "}":
			return p.errorf("Unexpected '}' because no matching opening brace")
		case t == "import" && p.newLine(p.at):
			if err := p.include(name); err != nil {
				return err
			}
			continue
		}
		p.take(name)
	}
	if depth > 0 {
		return p.errorf("Unexpected EOF")
	}
	return nil
}

// take adds the token that is read to a directive.
func (p *parser) take(name string) {
	t := p.tok()
	p.block.tokens[name] = append(p.block.tokens[name], t)
	if v := variable(t.Text); v != "" {
		p.unread(name, text.F("the environment variable %s is not known", v))
	}
}

// unread notes that a directive of the block is not known whole, "" that the block is not.
func (p *parser) unread(name string, why text.Text) {
	if _, told := p.block.opaque[name]; !told {
		p.block.opaque[name] = unread{p.tok().Line, why}
	}
}

// variable returns the name of an environment variable that a token holds: "{$NAME}", "{%NAME%}".
func variable(s string) string {
	for _, m := range [2][2]string{{"{$", "}"}, {"{%", "%}"}} {
		if _, after, found := strings.Cut(s, m[0]); found {
			if name, _, closed := strings.Cut(after, m[1]); closed && name != "" {
				return name
			}
		}
	}
	return ""
}

// include puts what an import names in its place; the token before it is then the one that is read.
// What is imported into a directive, and not known, makes that one unknown, else the block is.
func (p *parser) include(directive string) error {
	if p.at+1 >= len(p.tokens) || p.newLine(p.at+1) {
		return p.errorf("Wrong argument count or unexpected line ending after 'import'")
	}
	name := p.tokens[p.at+1].Text
	if name == "" {
		return p.errorf("Import requires a non-empty filepath")
	}
	if p.at+2 < len(p.tokens) && !p.newLine(p.at+2) {
		return p.errorf("Import takes only one argument (glob pattern or file)")
	}
	body, isSnippet := p.snippets[name]
	known, unknown := true, text.F("it imports %s, which is not known", name)
	if !isSnippet {
		var err error
		if body, known, err = p.file(name); err != nil {
			return err
		}
	}
	if p.imports++; p.imports > maxImports || len(p.tokens)+len(body) > maxTokens {
		body, known, unknown = nil, false, text.F("it imports more than is read")
	}
	switch {
	case known:
	case len(p.block.keys) == 0:
		if p.top == nil {
			p.top = &unread{p.tok().Line, unknown}
		}
	default:
		p.unread(directive, unknown)
	}
	p.tokens = slices.Concat(p.tokens[:p.at], body, p.tokens[p.at+2:])
	p.at--
	return nil
}

// file returns the tokens of the files that a pattern names.
func (p *parser) file(pattern string) (out []caddyfile.Token, known bool, err error) {
	if variable(pattern) != "" {
		return nil, false, nil
	}
	if strings.Count(pattern, "*") > 1 || strings.Count(pattern, "?") > 1 || strings.Contains(pattern, "[") && strings.Contains(pattern, "]") {
		return nil, true, p.errorf("Glob pattern may only contain one wildcard (*), but has others: %s", pattern)
	}
	if !path.IsAbs(pattern) {
		from := p.tok().File
		if from == "" {
			from = p.files.Corefile
		}
		pattern = path.Join(path.Dir(from), pattern)
	}
	names, known := p.files.glob(pattern)
	if known && len(names) == 0 && !strings.ContainsAny(pattern, "*?[]") {
		return nil, true, p.errorf("File to import not found: %s", pattern)
	}
	for _, n := range names {
		out = append(out, lex(n, p.files.Text[n])...)
	}
	return out, known, nil
}
