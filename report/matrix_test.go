package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/intent"
)

// tableOf makes a table of n groups of one workload each, that cell says all of.
func tableOf(n int, cell func(i, j int) intent.Cell) *intent.Table {
	t := &intent.Table{Ports: []intent.PortRange{{Proto: 6, Lo: 1, Hi: 79}, {Proto: 6, Lo: 80, Hi: 80}, {Proto: 6, Lo: 81, Hi: 65535}}}
	for i := range n {
		t.Groups = append(t.Groups, intent.Group{Kind: "pods", Pods: 2, Members: []intent.Member{{Namespace: "shop", Kind: "Deployment", Name: fmt.Sprintf("w%d", i), Pods: 2, Of: 3}}})
		t.Cells = append(t.Cells, nil)
		for j := range n {
			t.Cells[i] = append(t.Cells[i], cell(i, j))
		}
	}
	return t
}

var someCells = []intent.Cell{
	{Answer: intent.Allowed}, {Answer: intent.Denied}, {Answer: intent.Unknown}, {None: true},
	{Mixed: true, Allowed: []intent.PortRange{{Proto: 6, Lo: 80, Hi: 80}}},
	{Mixed: true, Allowed: []intent.PortRange{{Proto: 6, Lo: 80, Hi: 80}}, Unknown: []intent.PortRange{{Proto: 6, Lo: 81, Hi: 65535}}},
}

func TestMatrix(t *testing.T) {
	var b bytes.Buffer
	table := tableOf(3, func(i, j int) intent.Cell { return someCells[(i*3+j)%len(someCells)] })
	if err := Matrix(&b, table, []string{"NetworkPolicy", "AdminNetworkPolicy"}, Options{Width: 60}); err != nil {
		t.Fatal(err)
	}
	want := `who may talk to whom, by all ports ─────────────────────────
1  shop/w0 (2 of 3) (Pods: 2)
2  shop/w1 (2 of 3) (Pods: 2)
3  shop/w2 (2 of 3) (Pods: 2)

     1  2  3
1    +  -  ?
2    ·  a  b
3    +  -  ?

from a row to a column: + allowed, - denied, ? not known;
  what a Pod and its own node send each other
  NetworkPolicies never stop
a  allowed: tcp 80
b  allowed: tcp 80; not known: tcp 81-65535
not collected: NetworkPolicy
not collected, and supposed to be none: AdminNetworkPolicy
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestMatrixLines: where a grid does not fit there is a line for each group.
func TestMatrixLines(t *testing.T) {
	var b bytes.Buffer
	table := tableOf(40, func(i, j int) intent.Cell {
		if i == 0 && j%10 < 8 {
			return intent.Cell{Answer: intent.Allowed}
		}
		return someCells[min(j, 4)]
	})
	if err := Matrix(&b, table, nil, Options{Width: 80}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" 1  + 1-8,11-18,21-28,31-38  a 9-10,19-20,29-30,39-40\n", " 2  + 1  a 5-40  ? 3  - 2\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
	for line := range strings.Lines(b.String()) {
		if width(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("too long: %q", line)
		}
	}
}

// TestMatrixJSON also wants what is hostile to be kept in its strings.
func TestMatrixJSON(t *testing.T) {
	var b bytes.Buffer
	table := tableOf(1, func(int, int) intent.Cell { return someCells[5] })
	table.Groups[0].Members[0].Name = "\x1b[31m\"</script>"
	if err := MatrixJSON(&b, table, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"answer": "some ports"`, `"allowedPorts": [`, `"unknownPorts": [`, `\u001b[31m\"\u003c/script\u003e`, `"of": 3`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
	b.Reset()
	if err := Matrix(&b, table, nil, Options{}); err != nil || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%v: %q", err, b.String())
	}
}

// TestMatrixHTML wants one page without script or network, whose hostile names are escaped, in both languages.
func TestMatrixHTML(t *testing.T) {
	for _, tt := range []struct {
		name, lang string
		groups     int
		want, not  []string
	}{
		{"a table", "en", 3, []string{`<html lang="en">`, `<table class="grid">`, "<b>a</b> allowed: tcp 80", "&lt;script&gt;", `<details open>`, "&#43; allowed"}, []string{"<script", "src=", "http:", "https:"}},
		{"in Chinese", "zh", 3, []string{`<html lang="zh-CN">`, "从行到列", "允许：tcp 80"}, []string{"from a row"}},
		{"too many for a table", "en", 60, []string{"shop/w59", "1-60"}, []string{`<table`, `<details open>`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := tableOf(tt.groups, func(i, j int) intent.Cell {
				if tt.groups > maxGrid {
					return someCells[0]
				}
				return someCells[(i*3+j)%len(someCells)]
			})
			table.Groups[0].Members[0].Name = "\x1b[31m<script>"
			var b bytes.Buffer
			if err := MatrixHTML(&b, table, []string{"NetworkPolicy"}, Options{Lang: tt.lang}); err != nil {
				t.Fatal(err)
			}
			for _, s := range tt.want {
				if !strings.Contains(b.String(), s) {
					t.Errorf("no %q", s)
				}
			}
			for _, s := range append(tt.not, "\x1b") {
				if strings.Contains(b.String(), s) {
					t.Errorf("%q is in it", s)
				}
			}
			if t.Failed() {
				t.Log(b.String()[strings.Index(b.String(), "<body>"):])
			}
		})
	}
}
