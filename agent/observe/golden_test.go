//go:build linux

package observe

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
	"github.com/plumbnet/plumb/probe/bpf"
	"github.com/plumbnet/plumb/sink"
)

const golden = "testdata/metrics.txt"

// programs is a probe with programs in the kernel.
type programs struct{ fake }

func (programs) Account() (probe.Account, error) {
	return probe.Account{Runs: 5, Time: 7000, Lost: []probe.Loss{{Stage: "rate", Events: 1}, {Stage: "ring", Events: 2}, {Stage: "table", Events: 3}, {Stage: "nested", Events: 4}}}, nil
}

// toldOf returns a kind with the name and the metrics of k, of which each has a series of the node and, where it is not the
// node's alone, one of shop/web-0. Labels have their own names as values.
func toldOf(k *probe.Kind) *probe.Kind {
	out := *k
	out.Needs = nil
	out.Open = func(*probe.Env) (probe.Probe, error) {
		f := fake{read: func(emit func(probe.Sample)) error {
			for _, s := range k.Stats {
				h := bpf.Hist{Sum: 3e9}
				h.Slot[0], h.Slot[len(h.Slot)-1] = 1, 2
				emit(probe.Sample{Stat: s, Labels: s.Labels, Value: 1, Hist: h.Seconds()})
				if !s.Node {
					emit(probe.Sample{Stat: s, Pod: "shop/web-0", Labels: s.Labels, Value: 2, Hist: h.Seconds()})
				}
			}
			return nil
		}}
		if strings.Contains(k.Source, "tp_btf") {
			return programs{f}, nil
		}
		return f, nil
	}
	return &out
}

// changing are the metrics of the agent itself whose values are not the same twice.
var changing = regexp.MustCompile(`(?m)^(plumb_agent_(?:cpu_seconds_total|resident_memory_bytes|open_files|goroutines|start_time_seconds|probe_read_seconds_total|recorder_seconds_total)\{.*\}) .*$`)

func scraped(t *testing.T, o *Observer) string {
	t.Helper()
	w := httptest.NewRecorder()
	o.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestGeneratedMetrics compares the answer of an agent that has every probe with the golden one: each name, help, type and label
// that a dashboard or a rule may rest on. UPDATE=1 writes it.
func TestGeneratedMetrics(t *testing.T) {
	var kinds []*probe.Kind
	for _, k := range all.Kinds {
		kinds = append(kinds, toldOf(k))
	}
	o := observer(t, kinds...)
	o.Apply(Config{
		Labels: map[string]string{"cluster": "eu-1"}, Probes: ProbesConfig{On: []string{"all"}},
		Sinks: []sink.Config{{File: &sink.File{Path: filepath.Join(t.TempDir(), "events.json")}}},
	})
	got := scraped(t, o)
	promtool(t, got)
	got = changing.ReplaceAllString(got, "$1 0")
	got = strings.Replace(got, `kernel="`+kernelRelease()+`"`, `kernel="kernel"`, 1)
	for _, s := range Own {
		if s != series && !strings.Contains(got, "# TYPE "+Prefix+s.Name+" ") { // that one is there only where a metric overflows
			t.Errorf("%s is not told", s.Name)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-is +should be; \"make generate\" writes it):\n%s", golden, diff)
	}
}

// TestRealMetrics has the probes themselves, as far as they run here, tell nothing that the golden answer has not.
func TestRealMetrics(t *testing.T) {
	o := observer(t, all.Kinds...)
	o.Apply(Config{Labels: map[string]string{"cluster": "eu-1"}, Probes: ProbesConfig{On: []string{"all"}}})
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(want)) {
		known[shape(line)] = true
	}
	got, n := scraped(t, o), 0
	for line := range strings.Lines(got) {
		if n++; !known[shape(line)] {
			t.Errorf("%s has no %s", golden, shape(line))
		}
	}
	if n < 200 { // of two namespaces in which nothing goes on
		t.Errorf("%d lines:\n%s", n, got)
	}
	for _, s := range o.States() {
		if s.Errors > 0 {
			t.Errorf("%+v", s)
		}
	}
	promtool(t, got)
}

var (
	labelValue = regexp.MustCompile(`="(?:[^"\\]|\\.)*"`)
	comma      = regexp.MustCompile(`le=,?`)
)

// shape is a line without the values of its labels and its own.
func shape(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return line
	}
	line = labelValue.ReplaceAllString(line, "=")
	name, _, _ := strings.Cut(comma.ReplaceAllString(line, "le="), " ")
	return name
}

// promtool has Prometheus' own tool judge an answer, where it is installed.
func promtool(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Log("no promtool here: its rules are those of promlint, which TestNames asks")
		return
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
