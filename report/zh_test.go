package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// literals are the strings in the repository's code that matter to the catalogue.
type literals struct {
	formats map[string]string // of text.F, and what the page's template says, by their file
	strings map[string]bool   // every string
}

// collect reads all Go files of the repository that are not tests, and the page.
func collect(t *testing.T) literals {
	t.Helper()
	l := literals{map[string]string{}, map[string]bool{}}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.') {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") || strings.HasPrefix(filepath.Base(p), "zh") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Logf("%s: %v", p, err)
			return nil
		}
		ast.Inspect(f, func(n ast.Node) bool { l.node(t, p, n); return true })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(pageSource+matrixSource, -1) {
		l.formats[m[1]] = "a template"
	}
	return l
}

// node takes what it needs from one node of a syntax tree.
func (l literals) node(t *testing.T, file string, n ast.Node) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			l.strings[s] = true
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "F" || len(n.Args) == 0 {
			return
		} else if x, ok := f.X.(*ast.Ident); !ok || x.Name != "text" {
			return
		}
		s, ok := constant(n.Args[0])
		if !ok {
			t.Errorf("%s: text.F without a literal format", file)
			return
		}
		l.formats[s] = file
	}
}

// constant returns the value of a literal, or of literals that are added up.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		a, ok1 := constant(e.X)
		b, ok2 := constant(e.Y)
		return a + b, ok1 && ok2
	case *ast.ParenExpr:
		return constant(e.X)
	}
	return "", false
}

// wordless reports whether a format has nothing to translate.
func wordless(s string) bool {
	return !regexp.MustCompile(`\pL`).MatchString(verb.ReplaceAllString(s, ""))
}

// verb matches a verb of package fmt, its argument's number apart.
var verb = regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[0-9]*(?:\.[0-9]+)?([a-zA-Z%])`)

// verbs returns, by the number of the argument, the verbs of a format.
func verbs(format string) map[int]string {
	out, n := map[int]string{}, 0
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[2] == "%" {
			continue
		}
		n++
		if m[1] != "" {
			n, _ = strconv.Atoi(strings.Trim(m[1], "[]"))
		}
		out[n] = m[2]
	}
	return out
}

// TestEverySentenceIsTranslated lists the formats that the catalogue lacks, as lines to fill in.
func TestEverySentenceIsTranslated(t *testing.T) {
	l := collect(t)
	missing := 0
	for _, f := range slices.Sorted(maps.Keys(l.formats)) {
		translated, ok := zh[f]
		if !ok && !wordless(f) {
			missing++
			t.Errorf("%s:\n\t%q: \"\",", strings.TrimPrefix(l.formats[f], "../"), f)
		}
		if ok && !maps.Equal(verbs(f), verbs(translated)) {
			t.Errorf("%q has other arguments than %q", translated, f)
		}
	}
	t.Logf("%d formats, %d without Chinese", len(l.formats), missing)
}

// TestNothingIsTranslatedInVain finds entries whose sentence nobody says any more, or that stand twice.
func TestNothingIsTranslatedInVain(t *testing.T) {
	l := collect(t)
	seen := map[string]bool{}
	for _, part := range []map[string]string{zhReport, zhDiagnose, zhTrace, zhCheck, zhIntent, zhRoute, zhDNS, zhRecord} {
		for _, f := range slices.Sorted(maps.Keys(part)) {
			if _, ok := l.formats[f]; !ok {
				t.Errorf("nobody says %q", f)
			}
			if seen[f] {
				t.Errorf("%q is translated twice", f)
			}
			seen[f] = true
		}
	}
	for _, f := range slices.Sorted(maps.Keys(zhPlain)) {
		if !l.strings[f] {
			t.Errorf("no string is %q", f)
		}
	}
}

func TestSay(t *testing.T) {
	for _, row := range []struct {
		name, lang string
		in         text.Text
		want       string
	}{
		{"nothing", "zh", text.Text{}, ""},
		{"English", "en", text.F("%s at %s", "dropped", "a/host"), "dropped at a/host"},
		{"the order differs", "zh", text.F("%s on %s", "x", "node-a"), "node-a 上的 x"},
		{"a sentence within", "zh", text.F("%s at %s", fateWords[trace.Dropped], "a/host"), "被丢弃（位于 a/host）"},
		{"a fate within", "zh", text.F("%s at %s", trace.Dropped, "a/host"), "被丢弃（位于 a/host）"},
		{"no translation", "zh", text.Text{Format: "nobody says %d", Args: []any{3}}, "nobody says 3"},
		{"another tongue is English", "fr", text.F("%s at %s", "x", "y"), "x at y"},
	} {
		if got := Say(row.in, row.lang); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// TestEveryWordHasAText requires a word for each fate and stage.
func TestEveryWordHasAText(t *testing.T) {
	for f := trace.Unknown; f.String() != "invalid"; f++ {
		if fateWords[f].IsZero() {
			t.Errorf("no words for fate %s", f)
		}
	}
}
