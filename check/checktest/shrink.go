package checktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// shrink takes out of cases what neither their "want" nor the ways of their
// packets rest on. A fault, its healthy twin and its gap lose the same, so that
// they go on differing by the fault.
func shrink(t *testing.T, files []string, checks []*check.Check) {
	groups := map[string][]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "-healthy"), "-gap")
		groups[name] = append(groups[name], file)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		var g group
		for _, file := range groups[name] {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g.cases = append(g.cases, a)
		}
		g.checks = checks
		if err := g.shrink(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, file := range groups[name] {
			if err := os.WriteFile(file, txtar.Format(g.cases[i]), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A group is a fault's cases.
type group struct {
	cases  []*txtar.Archive
	checks []*check.Check
}

func (g *group) shrink() error {
	var want []string
	for _, a := range g.cases {
		s, err := g.signature(a, nil)
		if err != nil {
			return err
		}
		want = append(want, s)
	}
	drop := map[string]bool{}
	for _, names := range [][]string{g.names(part.id), g.names(part.fields)} {
		for size := len(names); size > 0; size /= 2 {
			var stay []string
			for some := range slices.Chunk(names, size) {
				try := maps.Clone(drop)
				for _, name := range some {
					try[name] = true
				}
				if g.same(try, want) {
					drop = try
				} else {
					stay = append(stay, some...)
				}
			}
			names = stay
		}
	}
	for i, a := range g.cases {
		g.cases[i] = without(a, drop)
		if err := rewrite(g.cases[i], g.checks); err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes "want" anew: the lines of files have other numbers now.
func rewrite(a *txtar.Archive, checks []*check.Check) error {
	q, asked := cut(a, "query")
	cut(a, "want")
	got, err := Judge(a, q, checks...)
	if asked {
		a.Files = append(a.Files, txtar.File{Name: "query", Data: q})
	}
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	return err
}

var lineNumber = regexp.MustCompile(`(?m)^((?:  > )*    nodes/[^:]*):\d+:`)

// same reports whether the cases are as they were without what drop names.
func (g *group) same(drop map[string]bool, want []string) bool {
	for i, a := range g.cases {
		if got, err := g.signature(a, drop); err != nil || got != want[i] {
			return false
		}
	}
	return true
}

// signature returns all that must stay as it is of a case: what the checks say,
// but for the numbers of lines, and the ways of its packets.
func (g *group) signature(a *txtar.Archive, drop map[string]bool) (string, error) {
	var b strings.Builder
	a = without(a, drop)
	q, _ := cut(a, "query")
	cut(a, "want")
	ways := &check.Check{Name: "ways", Run: func(p *check.Pass) {
		for _, r := range check.Traced(p) {
			writePaths(&b, r.Paths)
		}
	}}
	got, err := Judge(a, q, append(g.checks[:len(g.checks):len(g.checks)], ways)...)
	return b.String() + lineNumber.ReplaceAllString(got, "$1:"), err
}

func writePaths(b *strings.Builder, ps []trace.Path) {
	for _, p := range ps {
		fmt.Fprintln(b, p.End, p.At, p.Final, p.Why)
		for _, h := range p.Hops {
			fmt.Fprintln(b, h.Node, h.NetNS, h.In, h.Out)
			for _, s := range h.Steps {
				fmt.Fprintln(b, s.Stage, s.Link, s.What, *s.Out)
			}
		}
		writePaths(b, p.Reply)
		writePaths(b, p.ICMP)
	}
}

// A part of a file is an element of its JSON array or a line, with the table that it is in.
type part struct {
	file, table, text string
	fixed             bool // it holds the file together
}

var (
	socket = regexp.MustCompile(` (ino|sk):\S+`)
	keys   = []string{"ifname", "dev", "dst", "mac", "gateway", "table", "type", "priority", "vlan"}
)

// id names a part, in the same way in each case of a group; "" for what must stay.
func (p part) id() []string {
	if p.fixed {
		return nil
	}
	name := p.file + " " + p.table + " "
	var e map[string]any
	if json.Unmarshal([]byte(p.text), &e) != nil {
		switch {
		case p.table != "" && !strings.HasPrefix(p.text, "-A "):
			return []string{name + chain(p.text)}
		case path.Base(p.file) == "sockets":
			return []string{name + strings.Join(strings.Fields(socket.ReplaceAllString(p.text, "")), " ")}
		}
		key, _, _ := strings.Cut(p.text, " = ") // a sysctl goes in all namespaces at once
		if path.Base(p.file) == "sysctl" {
			return []string{key}
		}
		return []string{name + key}
	}
	if m, ok := e["metadata"].(map[string]any); ok {
		return []string{fmt.Sprint(name, m["namespace"], m["name"])}
	}
	for _, k := range keys {
		name += fmt.Sprint(e[k], " ")
	}
	return []string{name}
}

// chain returns the name in ":NAME - [0:0]", and "" for what a table always has.
func chain(line string) string {
	name, rest, _ := strings.Cut(line, " ")
	if strings.HasPrefix(rest, "- ") {
		return name
	}
	return ""
}

// fields names the fields of an API object, as all objects of its kind have them. The
// fields of the files of nodes stay: without some of them no kernel is as the case says.
func (p part) fields() []string {
	var e map[string]any
	if !strings.HasPrefix(p.file, "objects/") || p.fixed || json.Unmarshal([]byte(p.text), &e) != nil {
		return nil
	}
	var out []string
	eachField(e, path.Base(p.file), func(_ map[string]any, _, name string) { out = append(out, name) })
	return out
}

// eachField calls f for the fields of an element and of what is in it, innermost first.
func eachField(v any, name string, f func(in map[string]any, key, name string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			eachField(e, name, f)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			eachField(v[k], name+"."+k, f)
			f(v, k, name+"."+k)
		}
	}
}

// names returns what of all parts of all cases, once each.
func (g *group) names(of func(part) []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range g.cases {
		for _, f := range a.Files {
			for _, p := range parts(f) {
				for _, name := range of(p) {
					if !seen[name] {
						seen[name] = true
						out = append(out, name)
					}
				}
			}
		}
	}
	return out
}

const (
	listHead = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":\n"
	listTail = "}\n"
)

// parts cuts a file into its parts.
func parts(f txtar.File) []part {
	if base := path.Base(f.Name); base == f.Name || base == "rules.json" || base == "netns.json" {
		return []part{{file: f.Name, text: string(f.Data), fixed: true}}
	}
	data := bytes.TrimSuffix(bytes.TrimPrefix(f.Data, []byte(listHead)), []byte(listTail))
	var es []json.RawMessage
	if json.Unmarshal(data, &es) == nil {
		var out []part
		for _, e := range es {
			out = append(out, part{file: f.Name, text: string(e)})
		}
		return out
	}
	if strings.HasSuffix(f.Name, ".json") {
		return []part{{file: f.Name, text: string(f.Data), fixed: true}}
	}
	var out []part
	table := ""
	for line := range strings.Lines(string(f.Data)) {
		if strings.HasPrefix(line, "*") {
			table = strings.TrimSpace(line)
		}
		out = append(out, part{file: f.Name, table: table, text: strings.TrimSuffix(line, "\n")})
	}
	return out
}

// without returns a case without the parts and fields that drop names.
func without(a *txtar.Archive, drop map[string]bool) *txtar.Archive {
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		var stay []string
		fixed := false
		for _, p := range parts(f) {
			fixed = fixed || p.fixed
			if id := p.id(); len(id) == 0 || !drop[id[0]] {
				stay = append(stay, p.less(drop))
			}
		}
		out.Files = append(out.Files, txtar.File{Name: f.Name, Data: join(f, stay, fixed)})
	}
	return out
}

// less returns the text of a part without the fields that drop names.
func (p part) less(drop map[string]bool) string {
	var e map[string]any
	if p.fixed || !slices.ContainsFunc(p.fields(), func(s string) bool { return drop[s] }) || json.Unmarshal([]byte(p.text), &e) != nil {
		return p.text
	}
	eachField(e, path.Base(p.file), func(in map[string]any, key, name string) {
		if drop[name] {
			delete(in, key)
		}
	})
	prune(e)
	b, err := json.Marshal(e)
	if err != nil {
		return p.text
	}
	return string(b)
}

// join puts the parts of a file together again.
func join(f txtar.File, stay []string, fixed bool) []byte {
	switch {
	case fixed:
		return []byte(strings.Join(stay, ""))
	case !strings.HasSuffix(f.Name, ".json"):
		return []byte(strings.Join(append(stay, ""), "\n"))
	}
	array := "[" + strings.Join(stay, ",\n ") + "]\n"
	if bytes.HasPrefix(f.Data, []byte(listHead)) {
		return []byte(listHead + array + listTail)
	}
	return []byte(array)
}

// prune removes what says nothing.
func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			if prune(v); len(v) == 0 {
				delete(m, k)
			}
		case []any:
			pruneAll(v)
			if len(v) == 0 {
				delete(m, k)
			}
		}
	}
}

func pruneAll[T any](es []T) {
	for _, e := range es {
		if m, ok := any(e).(map[string]any); ok {
			prune(m)
		}
	}
}
