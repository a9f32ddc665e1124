package report

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWidths prints all samples at several widths: no line but a command is wider than the
// terminal, a wider one has no more lines, and not a word is lost.
func TestWidths(t *testing.T) {
	for _, s := range samples {
		for _, lang := range []string{"en", "zh"} {
			lines, words := 1<<30, ""
			for _, n := range []int{60, 80, 120, 140} {
				got := string(render(t, func(w io.Writer) error { return Text(w, s.make(), Options{Lang: lang, Width: n}) }))
				for line := range strings.Lines(got) {
					line = strings.TrimSuffix(line, "\n")
					if width(line) > n && !strings.Contains(line, "$ ") {
						t.Errorf("%s.%s at %d: %d columns: %s", s.name, lang, n, width(line), line)
					}
				}
				if c := strings.Count(got, "\n"); c > lines {
					t.Errorf("%s.%s at %d: %d lines, more than the %d of a narrower terminal", s.name, lang, n, c, lines)
				} else {
					lines = c
				}
				verdict := got[strings.LastIndex(got, "\n\n"+verdictMarks[s.make().Verdict]+" ")+1:]
				if bare := strings.NewReplacer("\n", "", " ", "", "│", "").Replace(verdict); words == "" {
					words = bare
				} else if s.name != "hostile" && bare != words {
					t.Errorf("%s.%s at %d: other words:\n%s", s.name, lang, n, cmp.Diff(words, bare))
				}
			}
		}
	}
}

// TestColumnsAlign wants what each step says to begin in one column, in Chinese too, where a
// character takes two.
func TestColumnsAlign(t *testing.T) {
	stage := regexp.MustCompile(`^  │ ((?:║ )*)(\p{Lu}+|\pL+) +`)
	for _, s := range samples {
		for _, lang := range []string{"en", "zh"} {
			got := string(render(t, func(w io.Writer) error { return Text(w, s.make(), Options{Lang: lang, Verbose: true}) }))
			steps := 0
			for line := range strings.Lines(got) {
				m := stage.FindStringSubmatch(line)
				if m == nil || !isStage(lang, m[2]) {
					continue
				}
				steps++
				if at := width(m[0]) - width(m[1]); at != 4+labelWidth+1 {
					t.Errorf("%s.%s: begins in column %d: %s", s.name, lang, at, line)
				}
			}
			if steps == 0 {
				t.Errorf("%s.%s: no steps", s.name, lang)
			}
		}
	}
}

// isStage reports whether a word names a stage.
func isStage(lang, word string) bool {
	for s := range stageWords {
		if tongue(lang).stage(s) == word {
			return true
		}
	}
	return false
}

func TestWrapFirst(t *testing.T) {
	for _, row := range []struct {
		name        string
		in          string
		first, rest int
		want        []string
	}{
		{"fits", "one two", 10, 20, []string{"one two"}},
		{"the first line is shorter", "one two three four five six", 10, 20, []string{"one two", "three four five six"}},
		{"the first line is longer", "one two three four five six", 20, 10, []string{"one two three four", "five six"}},
		{"Chinese", "报文经过的节点缺少规则", 12, 20, []string{"报文经过的节", "点缺少规则"}},
		{"no full stop begins a line", "报文经过的节点。缺少", 14, 20, []string{"报文经过的节", "点。缺少"}},
	} {
		if diff := cmp.Diff(row.want, wrapFirst(row.in, row.first, row.rest)); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
}

// tag matches the tags of a page, whose text has no bare "<".
var tag = regexp.MustCompile(`<(/?)([a-z][a-z0-9]*)((?: [^<>]*)?)>`)

// TestPageNests requires elements to be closed in the order in which they were opened, every
// "<" to be a tag's, every attribute to be quoted, and every details to begin with its summary.
func TestPageNests(t *testing.T) {
	attributes := regexp.MustCompile(`^(?: [a-z-]+(?:="[^"<>]*")?)*$`)
	for name, page := range pages(t) {
		body := strings.TrimPrefix(page, "<!DOCTYPE html>\n")
		style := strings.Index(body, "</style>")
		if strings.Contains(body[style:], "<") && strings.Count(body[style:], "<") != len(tag.FindAllString(body[style:], -1)) {
			t.Errorf("%s: a \"<\" is no tag's", name)
		}
		var open []string
		last := ""
		for _, m := range tag.FindAllStringSubmatch(body, -1) {
			what := m[2]
			if last == "details" && what != "summary" {
				t.Errorf("%s: a details begins with <%s>", name, m[1]+what)
			}
			if !attributes.MatchString(m[3]) {
				t.Errorf("%s: <%s%s>", name, what, m[3])
			}
			last = ""
			switch {
			case what == "meta":
			case m[1] == "":
				open, last = append(open, what), what
			case len(open) == 0 || open[len(open)-1] != what:
				t.Fatalf("%s: </%s> closes %v", name, what, open)
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: %v is never closed", name, open)
		}
	}
}

// TestPageByKeyboard wants every control to be a summary, which takes focus by itself, and focus to be seen.
func TestPageByKeyboard(t *testing.T) {
	for name, page := range pages(t) {
		for _, bad := range []string{"tabindex", "onclick", "<button", "<a ", "outline:none", "outline:0"} {
			if strings.Contains(page, bad) && !strings.HasPrefix(name, "hostile") {
				t.Errorf("%s: has %q", name, bad)
			}
		}
		if !strings.Contains(page, "summary:focus-visible,a:focus-visible{outline:3px solid") {
			t.Errorf("%s: focus is not seen", name)
		}
	}
}

// TestSchemaIsStable requires every field that v1 ever had, of the type that it had. New
// fields are added to the file by -update; a line that goes away breaks programs.
func TestSchemaIsStable(t *testing.T) {
	var now []string
	for _, typ := range []reflect.Type{reflect.TypeFor[jsonDiagnosis](), reflect.TypeFor[jsonCheck]()} {
		now = append(now, fieldsOf(typ, strings.TrimPrefix(typ.Name(), "json"), map[reflect.Type]bool{})...)
	}
	slices.Sort(now)
	now = slices.Compact(now)
	if *update {
		golden(t, "schema.txt", []byte(strings.Join(now, "\n")+"\n"))
	}
	was, err := os.ReadFile("testdata/schema.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(was)) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(now, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for _, line := range now {
		if !strings.Contains(string(was), line+"\n") {
			t.Errorf("new: %s: \"go test ./report -run Schema -update\" adds it", line)
		}
	}
	if len(now) < 50 {
		t.Errorf("%d fields: some are not seen", len(now))
	}
}

// fieldsOf lists the fields below a type: "Finding.check string".
func fieldsOf(typ reflect.Type, name string, seen map[reflect.Type]bool) (out []string) {
	if seen[typ] {
		return nil
	}
	seen[typ] = true
	for i := range typ.NumField() {
		f := typ.Field(i)
		elem := f.Type
		kind := ""
		for elem.Kind() == reflect.Slice || elem.Kind() == reflect.Pointer {
			if elem.Kind() == reflect.Slice {
				kind += "[]"
			}
			elem = elem.Elem()
		}
		tag := f.Tag.Get("json")
		if elem.Kind() != reflect.Struct || strings.HasPrefix(elem.PkgPath(), "net/") {
			out = append(out, fmt.Sprintf("%s.%s %s%s", name, tag, kind, elem))
			continue
		}
		below := strings.TrimPrefix(elem.Name(), "json")
		out = append(out, fmt.Sprintf("%s.%s %s%s", name, tag, kind, below))
		out = append(out, fieldsOf(elem, below, seen)...)
	}
	return out
}
