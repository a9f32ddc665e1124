package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; \"go test ./report -update\" accepts it):\n%s", name, diff)
	}
}

// render runs one of the writers and returns what it wrote.
func render(t *testing.T, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTextGolden(t *testing.T) {
	for _, s := range samples {
		for _, lang := range []string{"en", "zh"} {
			t.Run(s.name+"/"+lang, func(t *testing.T) {
				got := render(t, func(w io.Writer) error { return Text(w, s.make(), Options{Lang: lang}) })
				golden(t, s.name+"."+lang+".txt", got)
				checkLines(t, string(got))
			})
		}
	}
}

func TestCheckTextGolden(t *testing.T) {
	r := sampleMTU()
	r.Checks.Unjudged = sampleUnknown().Checks.Unjudged
	for _, lang := range []string{"en", "zh"} {
		got := render(t, func(w io.Writer) error { return CheckText(w, r.Checks, sampleUnknown().Gaps, Options{Lang: lang}) })
		golden(t, "check."+lang+".txt", got)
		checkLines(t, string(got))
	}
}

// checkLines requires that no line but a command is wider than a terminal, that
// none holds a control character, and that none ends in a space.
func checkLines(t *testing.T, s string) {
	t.Helper()
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if width(line) > 80 && !strings.Contains(line, "$ ") {
			t.Errorf("%d columns: %s", width(line), line)
		}
		if strings.ContainsFunc(line, unsafe) {
			t.Errorf("a control character in %q", line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("a space at the end of %q", line)
		}
	}
}

func TestVerboseDrawsEveryWay(t *testing.T) {
	got := string(render(t, func(w io.Writer) error { return Text(w, sampleWorks(), Options{Verbose: true}) }))
	if n := strings.Count(got, "┌ "); n != 8 {
		t.Errorf("%d drawings, want 8: 4 ways there and back\n%s", n, got)
	}
	checkLines(t, got)
}

// TestColorOnlyAdds requires that the words are the same without colours.
func TestColorOnlyAdds(t *testing.T) {
	for _, s := range samples {
		plain := string(render(t, func(w io.Writer) error { return Text(w, s.make(), Options{}) }))
		color := string(render(t, func(w io.Writer) error { return Text(w, s.make(), Options{Color: true}) }))
		if stripSGR(color) != plain {
			t.Errorf("%s: the text differs with colours", s.name)
		}
		if color == plain {
			t.Errorf("%s: no colours", s.name)
		}
	}
}

// stripSGR removes the colours.
func stripSGR(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+strings.IndexByte(s[i:], 'm')+1:]
	}
}
