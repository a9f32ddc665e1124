package report

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// ended is a way that ended so on a node.
func ended(v diagnose.Verdict, end trace.Fate, node string) way {
	p := trace.Path{End: end, At: trace.Place{Node: node, NetNS: "host"}}
	return way{verdict: v, path: p, fail: p}
}

func TestDrawn(t *testing.T) {
	works := ended(diagnose.Works, trace.Delivered, "a")
	dropA, dropB := ended(diagnose.Broken, trace.Dropped, "a"), ended(diagnose.Broken, trace.Dropped, "b")
	unknown := ended(diagnose.CannotTell, trace.Unknown, "a")
	partly := ended(diagnose.Partly, trace.Delivered, "c")
	for _, row := range []struct {
		name string
		ways []way
		want []int
	}{
		{"none", nil, nil},
		{"all work: the first", []way{works, works}, []int{0}},
		{"one is broken", []way{works, dropA}, []int{1}},
		{"two die of the same", []way{dropA, works, dropA}, []int{0}},
		{"two die in two places", []way{dropA, works, dropB}, []int{0, 2}},
		{"what is not known waits for what is broken", []way{unknown, dropA}, []int{1}},
		{"what is not known before what works", []way{works, unknown}, []int{1}},
		{"broken and partly", []way{partly, works, dropA}, []int{0, 2}},
		{"at most three", []way{dropA, dropB, ended(diagnose.Broken, trace.NoRoute, "a"), ended(diagnose.Broken, trace.NoRoute, "b")}, []int{0, 1, 2}},
	} {
		var got []int
		for i := range drawn(row.ways, false) {
			got = append(got, i)
		}
		slices.Sort(got)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
	if n := len(drawn([]way{works, works, dropA, dropA}, true)); n != 4 {
		t.Errorf("all: %d", n)
	}
}

func TestOutcome(t *testing.T) {
	reply := func(v diagnose.Verdict, end, back trace.Fate) way {
		w := ended(v, end, "a")
		w.reply, w.fail = true, trace.Path{End: back, At: trace.Place{Node: "b", NetNS: "host"}}
		return w
	}
	for _, row := range []struct {
		name string
		way  way
		want string
	}{
		{"works", reply(diagnose.Works, trace.Delivered, trace.Delivered), "delivered, and the answer comes back"},
		{"one way", ended(diagnose.Works, trace.Delivered, "a"), "delivered"},
		{"dropped", ended(diagnose.Broken, trace.Dropped, "a"), "dropped at a/host"},
		{"the answer is dropped", reply(diagnose.Broken, trace.Delivered, trace.Dropped), "delivered, but the answer: dropped at b/host"},
		{"it left", ended(diagnose.CannotTell, trace.LeftCluster, "a"), "left the cluster"},
		{"it left where it should not", ended(diagnose.Broken, trace.LeftCluster, "a"), "left the cluster at a/host"},
		{"it left, and the answer is dropped", reply(diagnose.Broken, trace.LeftCluster, trace.Dropped), "left the cluster; the answer: dropped at b/host"},
		{"too big, and the sender is told", ended(diagnose.Works, trace.TooBig, "a"), "too big at a/host; its sender is told, and sends smaller ones"},
		{"too big", ended(diagnose.Broken, trace.TooBig, "a"), "too big at a/host"},
		{"not known", ended(diagnose.CannotTell, trace.Unknown, "a"), "not known at a/host"},
	} {
		if got := row.way.outcome().String(); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for w, want := range map[float64]string{1: "all", 0.9999: "all", 0.5: "50 %", 1.0 / 3: "33.3 %", 0.001: "0.1 %", 0.0001: "under 0.1 %", 0: "0 %"} {
		if got := percent(w).String(); got != want {
			t.Errorf("%v: got %q, want %q", w, got, want)
		}
	}
}

func TestChain(t *testing.T) {
	want := []string{"shop/web-0", "node-a", "(vxlan 1)", "node-b", "shop/api-0"}
	if diff := cmp.Diff(want, chain(arrives(1, 60, "api-0"))); diff != "" {
		t.Error(diff)
	}
}

// TestNoCause says where a packet dies if no check has found out why.
func TestNoCause(t *testing.T) {
	r := sampleMTU()
	r.Checks.Findings = nil
	got := string(render(t, func(w io.Writer) error { return Text(w, r, Options{}) }))
	if !strings.Contains(got, "No check explains it. It ends here:\n  too big at node-a/host/eth0\n  1500 bytes do not fit eth0: its MTU is 1400\n") {
		t.Errorf("got\n%s", got)
	}
	page := string(render(t, func(w io.Writer) error { return HTML(w, r, Options{}) }))
	if !strings.Contains(page, "No check explains it. It ends here:") {
		t.Error("the page does not say so")
	}
	if noCause(sampleWorks()) != nil {
		t.Error("what works has no cause")
	}
}

// TestListsAreFolded bounds every list, and unfolds it under -v.
func TestListsAreFolded(t *testing.T) {
	r := sampleUnknown()
	for range 50 {
		n := string(rune('a' + len(r.Gaps)%26))
		r.Gaps = append(r.Gaps, snapshot.Gap{Path: "nodes/" + n, Why: n})
		r.Needs = append(r.Needs, diagnose.Need{What: text.F("%s has no address", n)})
		r.Checks.Unjudged = append(r.Checks.Unjudged, check.Unjudged{Check: "x", Where: n, Why: n})
		r.Checks.Findings = append(r.Checks.Findings, check.Finding{Check: n, Severity: check.Warning, Where: n, What: text.F("%s is down", n)})
	}
	short := string(render(t, func(w io.Writer) error { return Text(w, r, Options{}) }))
	long := string(render(t, func(w io.Writer) error { return Text(w, r, Options{Verbose: true}) }))
	if n := strings.Count(short, "(-v lists them)"); n != 4 {
		t.Errorf("%d lists are folded, want 4\n%s", n, short)
	}
	if strings.Contains(long, "(-v lists them)") {
		t.Error("a list is folded under -v")
	}
}

func TestAskedDest(t *testing.T) {
	for _, row := range []struct{ dst, port, kind, want string }{
		{"svc/shop/api:http", "", "service", "svc/shop/api:http"},
		{"10.0.0.1", "53", "address", "10.0.0.1:53"},
		{"fd00::1", "53", "address", "[fd00::1]:53"},
		{"shop/web:80", "80", "pod", "shop/web:80"},
	} {
		r := &diagnose.Report{Ask: diagnose.Ask{Dst: row.dst, Port: row.port}, Dest: diagnose.Endpoint{Kind: row.kind}}
		if got := askedDest(r); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// TestEmptyReports requires that nothing is needed: no field, no trace.
func TestEmptyReports(t *testing.T) {
	for _, lang := range []string{"", "en", "zh"} {
		o := Options{Lang: lang, Width: 1}
		render(t, func(w io.Writer) error { return Text(w, &diagnose.Report{}, o) })
		render(t, func(w io.Writer) error { return HTML(w, &diagnose.Report{}, o) })
		render(t, func(w io.Writer) error { return JSON(w, &diagnose.Report{}, o) })
		render(t, func(w io.Writer) error { return CheckText(w, check.Result{}, nil, o) })
		render(t, func(w io.Writer) error { return CheckHTML(w, check.Result{}, nil, o) })
		render(t, func(w io.Writer) error { return CheckJSON(w, check.Result{}, nil, o) })
		render(t, func(w io.Writer) error { return Explain(w, &check.Check{}, lang) })
	}
}

// TestWriteErrors requires that an error of the writer is returned.
func TestWriteErrors(t *testing.T) {
	r, w := sampleMTU(), brokenWriter{}
	for name, err := range map[string]error{
		"Text": Text(w, r, Options{}), "HTML": HTML(w, r, Options{}), "JSON": JSON(w, r, Options{}),
		"Explain": Explain(w, explained, "en"), "ChecksDoc": ChecksDoc(w, []*check.Check{explained}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
