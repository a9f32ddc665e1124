package diagnose

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/trace"
)

// weighing is a path that some connections take.
func weighing(w float64, end trace.Fate) trace.Path { return trace.Path{Weight: w, End: end} }

// aimed is the trace of a first packet to an address.
func aimed(dst string, paths ...trace.Path) Trace {
	t := Trace{Result: trace.Result{Paths: paths}}
	if dst != "" {
		t.Result.Query.Dst = netip.AddrPortFrom(netip.MustParseAddr(dst), 80)
	}
	return t
}

// TestPartly wants the sentence to say which connections fail, and not to say of others that they work.
func TestPartly(t *testing.T) {
	ok, dead := trace.Delivered, trace.Dropped
	for _, row := range []struct {
		name   string
		traces []Trace
		want   string
	}{
		{"one of three endpoints", []Trace{aimed("10.96.0.1", weighing(1.0/3, ok), weighing(1.0/3, dead), weighing(1.0/3, ok))},
			"a reaches b port 80 with some connections only: 33 % of them fail"},
		{"two of three", []Trace{aimed("10.96.0.1", weighing(1.0/3, ok), weighing(2.0/3, dead))},
			"a reaches b port 80 with some connections only: 67 % of them fail"},
		{"one of very many", []Trace{aimed("10.96.0.1", weighing(0.999, ok), weighing(0.001, dead))},
			"a reaches b port 80 with some connections only"},
		{"all but very few", []Trace{aimed("10.96.0.1", weighing(0.001, ok), weighing(0.999, dead))},
			"a reaches b port 80 with some connections only"},
		{"the others are not known", []Trace{aimed("10.96.0.1", weighing(0.25, dead), weighing(0.75, trace.LeftCluster))},
			"of the connections from a to b port 80, 25 % fail for certain; of 75 % it is not known"},
		{"one family", []Trace{aimed("10.96.0.1", weighing(1, ok)), aimed("fd00::1", weighing(1, dead))},
			"a reaches b port 80 by 10.96.0.1, but not by fd00::1"},
		{"one of three addresses", []Trace{aimed("10.0.0.1", weighing(1, ok)), aimed("10.0.0.2", weighing(1, dead)), aimed("10.0.0.3", weighing(1, ok))},
			"a reaches b port 80 by 10.0.0.1, 10.0.0.3, but not by 10.0.0.2"},
		{"one address is not known", []Trace{aimed("10.0.0.1", weighing(1, trace.Unknown)), aimed("10.0.0.2", weighing(1, dead))},
			"a reaches b port 80 with some connections only"},
	} {
		r := &Report{Source: Endpoint{Name: "a"}, Dest: Endpoint{Name: "b", Port: 80}, Traces: row.traces}
		r.judge(question{})
		if r.Verdict != Partly || r.Summary.String() != row.want {
			t.Errorf("%s: %v: %s\nwant %s", row.name, r.Verdict, r.Summary, row.want)
		}
	}
}

// TestSmallUnknown wants no small packets to be called well because full-sized ones are lost.
func TestSmallUnknown(t *testing.T) {
	big := aimed("203.0.113.1", weighing(1, trace.TooBig))
	big.Big = true
	r := &Report{Source: Endpoint{Name: "a"}, Dest: Endpoint{Name: "b"}, Traces: []Trace{aimed("203.0.113.1", weighing(1, trace.LeftCluster)), big}}
	r.judge(question{})
	if want := "full-sized packets between a and b are lost; what becomes of small ones is not known"; r.Verdict != Partly || r.Summary.String() != want {
		t.Errorf("%v: %s", r.Verdict, r.Summary)
	}
}

// TestLosses weighs paths of which a check says that they fail.
func TestLosses(t *testing.T) {
	at := trace.Place{Node: "a", NetNS: "host", Link: "eth0"}
	place := func(p trace.Path) trace.Path { p.At = at; return p }
	loss := func(share bool) check.Loss {
		p := place(way(trace.Delivered))
		l := check.LossOf(&p)
		l.Share = share
		return l
	}
	other := loss(false)
	other.At.Link = "eth1"
	for _, row := range []struct {
		name   string
		path   trace.Path
		losses []check.Loss
		want   Verdict
	}{
		{"left, and nothing is known", way(trace.LeftCluster), nil, CannotTell},
		{"left, and lost", way(trace.LeftCluster), []check.Loss{loss(false)}, Broken},
		{"left, and lost at times", way(trace.LeftCluster), []check.Loss{loss(true)}, Partly},
		{"not known, and lost", way(trace.Unknown), []check.Loss{loss(false)}, Broken},
		{"delivered, and lost at times", way(trace.Delivered), []check.Loss{loss(true)}, Partly},
		{"delivered, and lost", way(trace.Delivered), []check.Loss{loss(false)}, Broken},
		{"dropped is dropped, at times or not", way(trace.Dropped), []check.Loss{loss(true)}, Broken},
		{"lost elsewhere", way(trace.LeftCluster), []check.Loss{other}, CannotTell},
		{"a loss of all outweighs one of some", way(trace.Delivered), []check.Loss{loss(true), loss(false)}, Broken},
		{"in either order", way(trace.Delivered), []check.Loss{loss(false), loss(true)}, Broken},
	} {
		r := &Report{Checks: check.Result{Lost: row.losses}, Traces: []Trace{{Result: trace.Result{Paths: []trace.Path{place(row.path)}}}}}
		r.judge(question{})
		if got := r.Judge(place(row.path)); got != row.want || r.Verdict != row.want {
			t.Errorf("%s: the path is %v, the verdict %v; want %v", row.name, got, r.Verdict, row.want)
		}
	}
}

func TestWorst(t *testing.T) {
	for _, row := range []struct {
		in   []Verdict
		want Verdict
	}{
		{nil, Works},
		{[]Verdict{Works, Works}, Works},
		{[]Verdict{Works, CannotTell}, CannotTell},
		{[]Verdict{Works, Broken}, Partly},
		{[]Verdict{CannotTell, Broken}, Partly},
		{[]Verdict{CannotTell, Partly}, Partly},
		{[]Verdict{Broken, Broken}, Broken},
		{[]Verdict{CannotTell}, CannotTell},
	} {
		var ts []Trace
		for _, v := range row.in {
			ts = append(ts, Trace{Verdict: v})
		}
		if got := worst(ts); got != row.want {
			t.Errorf("%v: %v, want %v", row.in, got, row.want)
		}
	}
}

// TestNeeded drops full-sized packets where the first is lost, and those only.
func TestNeeded(t *testing.T) {
	small := func(end trace.Fate) Trace { return aimed("", weighing(1, end)) }
	big := func(title string) Trace {
		b := small(trace.Delivered)
		b.Big, b.Result.Query.Size = true, len(title)
		return b
	}
	for _, row := range []struct {
		name string
		in   []Trace
		want []bool // Big, of what is left
	}{
		{"all arrive", []Trace{small(trace.Delivered), big("x"), big("y")}, []bool{false, true, true}},
		{"the first is lost", []Trace{small(trace.Dropped), big("x"), big("y")}, []bool{false}},
		{"one address of two", []Trace{small(trace.Dropped), big("x"), small(trace.Delivered), big("y")}, []bool{false, false, true}},
		{"nobody knows", []Trace{small(trace.Unknown), big("x")}, []bool{false, true}},
	} {
		var got []bool
		for _, x := range (judge{}).needed(row.in) {
			got = append(got, x.Big)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
}

// TestLeaves tells the ways that end outside from those that come back in by a router.
func TestLeaves(t *testing.T) {
	out := way(trace.LeftCluster)
	in := way(trace.LeftCluster, out)
	for _, row := range []struct {
		name          string
		paths         []trace.Path
		outside, back bool
	}{
		{"outside", []trace.Path{out}, true, false},
		{"comes in, and its answer leaves", []trace.Path{in}, false, true},
		{"delivered, and its answer leaves", []trace.Path{way(trace.Delivered, out)}, false, true},
		{"one well, one outside", []trace.Path{way(trace.Delivered), out}, true, false},
		{"not known", []trace.Path{out, way(trace.Unknown)}, false, false},
		{"delivered, and the answer is not known", []trace.Path{way(trace.Delivered, way(trace.Unknown))}, false, false},
	} {
		ts := []Trace{{Result: trace.Result{Paths: row.paths}}}
		if got := (judge{}).leaves(ts, false); got != row.outside {
			t.Errorf("%s: outside is %v", row.name, got)
		}
		if got := (judge{}).leaves(ts, true); got != row.back {
			t.Errorf("%s: back in is %v", row.name, got)
		}
	}
}

func TestVerdictNames(t *testing.T) {
	for v, want := range map[Verdict]string{CannotTell: "cannot-tell", Works: "works", Broken: "broken", Partly: "partly", 99: "invalid"} {
		got, err := v.MarshalText()
		if string(got) != want || err != nil || v.String() != want {
			t.Errorf("%d: %q, %v", v, got, err)
		}
	}
}
