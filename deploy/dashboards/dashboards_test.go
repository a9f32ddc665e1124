//go:build linux

package dashboards

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenerated compares the files with what they are generated from. UPDATE=1 writes them.
func TestGenerated(t *testing.T) {
	rules, err := Rules(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"../alerts.yaml": rules}
	for _, d := range Dashboards() {
		if files[d.Name+".json"], err = d.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range files {
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(got), string(want)); d != "" {
			t.Errorf("%s (-is +should be; \"make generate\" writes it):\n%s", name, d)
		}
	}
	have, _ := filepath.Glob("*.json")
	if len(have) != len(Dashboards()) {
		t.Errorf("%q: there are %d dashboards", have, len(Dashboards()))
	}
}

func TestExpand(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"of the node", `rate(softnet_dropped_total[5m])`, `rate(plumb_softnet_dropped_total{N}[5m])`, ""},
		{"of Pods", `conntrack_entries`, `plumb_conntrack_entries{N,P}`, ""},
		{"with a matcher", `sum by (pod) (tcp_total{counter="OutSegs"})`, `sum by (pod) (plumb_tcp_total{N,P,counter="OutSegs"})`, ""},
		{"a part of a histogram", `sum by (le) (tcpconnect_seconds_bucket)`, `sum by (le) (plumb_tcpconnect_seconds_bucket{N,P})`, ""},
		{"a name in a string", `udp_total{counter="tcp_total"}`, `plumb_udp_total{N,P,counter="tcp_total"}`, ""},
		{"an offset", `rate(softnet_dropped_total[6h] offset 10m)`, `rate(plumb_softnet_dropped_total{N}[6h] offset 10m)`, ""},
		{"of Prometheus", `up{job="x"} == 0`, `up{job="x"} == 0`, ""},
		{"no such metric", `sum(softnet_drops_total) / softnet_dropped_total`, "", `"softnet_drops_total" is neither`},
		{"no metric at all", `1 + 1`, "", "no metric"},
		{"a histogram as a whole", `tcpconnect_seconds`, "", "no metric"},
		{"no such label", `sum by (nod) (conntrack_entries)`, "", `"nod" is neither`},
		{"a label of a Pod, on a metric of the node", `sum by (pod) (softnet_dropped_total)`, "", `"pod" is neither`},
		{"no such matcher", `tcp_total{counters="x"}`, "", `"counters" is neither`},
		{"no such function", `rates(softnet_dropped_total[5m])`, "", `"rates" is neither`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := expand(tt.in, "N", "P")
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && (err != nil || got != tt.want) {
				t.Errorf("%s, %v; want %s%s", got, err, tt.want, tt.err)
			}
		})
	}
	if _, err := (Dashboard{}).Expand(Query{"softnet_dropped_total", "{{pod}}"}); err == nil || !strings.Contains(err.Error(), `no label "pod"`) {
		t.Errorf("a legend of no label: %v", err)
	}
}

// counters are the kernel's names that a query asks for.
var counters = regexp.MustCompile(`counter=~?"([^"]+)"`)

// TestCounters wants the kernel's counters that queries ask for to be ones that the probe's text tells of.
func TestCounters(t *testing.T) {
	exprs := []string{}
	for _, d := range Dashboards() {
		for _, p := range d.Panels {
			for _, query := range p.Queries {
				exprs = append(exprs, query.Expr)
			}
		}
	}
	for _, a := range Alerts {
		exprs = append(exprs, a.Expr)
	}
	seen := 0
	for _, expr := range exprs {
		stats, _, err := used(expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range counters.FindAllStringSubmatch(expr, -1) {
			for _, name := range strings.Split(m[1], "|") {
				seen++
				told := false
				for _, s := range stats {
					told = told || strings.Contains(kindOf(s).Doc, name)
				}
				if !told {
					t.Errorf("%s: no probe tells of %s", expr, name)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d counters", seen)
	}
}

// TestPanels wants each to have a title of its own, and a sentence.
func TestPanels(t *testing.T) {
	for _, d := range Dashboards() {
		var titles []string
		for _, p := range d.Panels {
			if slices.Contains(titles, p.Title) || !strings.HasSuffix(p.Help, ".") || len(p.Queries) == 0 || p.Unit == "" {
				t.Errorf("%s: %+v", d.Name, p)
			}
			titles = append(titles, p.Title)
		}
	}
}

// TestRunbooks wants commands to be of verbs and flags that plumb has.
func TestRunbooks(t *testing.T) {
	for _, a := range Alerts {
		program, rest, _ := strings.Cut(a.Run, " ")
		verb, rest, _ := strings.Cut(rest, " ")
		verb, _, _ = strings.Cut(verb, "{{")
		file := "../../cmd/plumb/" + verb + ".go"
		if program == "plumbd" {
			file, rest = "../../cmd/plumbd/main.go", verb+" "+rest
		}
		src, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(program, "plumb") {
			t.Errorf("%s: %q: %v", a.Name, a.Run, err)
		}
		for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(rest, -1) {
			if !strings.Contains(string(src), `"`+m[1]+`"`) {
				t.Errorf("%s: %s has no flag %s", a.Name, file, m[1])
			}
		}
	}
}

// promtool runs Prometheus' own tool.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus)")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// TestQueries has promtool read every query: as recording rules, with the dashboards' variables set.
func TestQueries(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n- name: q\n  rules:\n")
	n := 0
	for _, d := range Dashboards() {
		for _, p := range d.Panels {
			for _, query := range p.Queries {
				expr, err := d.Expand(query)
				if err != nil {
					t.Fatal(err)
				}
				n++
				fmt.Fprintf(&b, "  - record: q%d\n    expr: %s\n", n, quote(Plain(expr, "5m")))
			}
		}
	}
	file := filepath.Join(t.TempDir(), "q.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "check", "rules", file); err != nil || !strings.Contains(out, fmt.Sprintf("%d rules found", n)) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRules(t *testing.T) {
	if out, err := promtool(t, "check", "rules", "../alerts.yaml"); err != nil || !strings.Contains(out, fmt.Sprintf("%d rules found", len(Alerts))) {
		t.Errorf("%v: %s", err, out)
	}
	short, err := Rules(func(string) string { return "9s" })
	if err != nil || strings.Contains(string(short), "[5m]") || !strings.Contains(string(short), "[9s]") || !strings.Contains(string(short), "for: 9s") {
		t.Errorf("%v: %s", err, short)
	}
}
