package diagnose

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

func way(end trace.Fate, reply ...trace.Path) trace.Path {
	return trace.Path{Weight: 1, End: end, Reply: reply}
}

func assumed(p trace.Path) trace.Path {
	p.Assumed = []trace.Assumption{{What: text.F("something")}}
	return p
}

func TestJudge(t *testing.T) {
	ok, dropped, unknown, left := way(trace.Delivered), way(trace.Dropped), way(trace.Unknown), way(trace.LeftCluster)
	for _, row := range []struct {
		name  string
		paths []trace.Path
		want  Verdict
	}{
		{"nothing followed", nil, CannotTell},
		{"delivered, no answer asked for", []trace.Path{ok}, Works},
		{"delivered, answered", []trace.Path{way(trace.Delivered, ok)}, Works},
		{"delivered, answer lost", []trace.Path{way(trace.Delivered, dropped)}, Broken},
		{"delivered, some answers lost", []trace.Path{way(trace.Delivered, ok, dropped)}, Partly},
		{"delivered, answer unknown", []trace.Path{way(trace.Delivered, unknown)}, CannotTell},
		{"every way dropped", []trace.Path{dropped, dropped}, Broken},
		{"one endpoint of two dead", []trace.Path{ok, dropped}, Partly},
		{"left the cluster", []trace.Path{left}, CannotTell},
		{"a rule that is not understood decides", []trace.Path{assumed(ok), assumed(dropped)}, CannotTell},
		{"a rule that is not understood changes nothing", []trace.Path{assumed(ok), assumed(ok)}, Works},
		{"one unknown among good ones", []trace.Path{ok, unknown}, CannotTell},
		{"one dead for certain, one unknown", []trace.Path{dropped, unknown}, Partly},
		{"behind a router, answer dropped", []trace.Path{way(trace.LeftCluster, dropped)}, Broken},
		{"too big, and the sender is told", []trace.Path{{End: trace.TooBig, ICMP: []trace.Path{ok}}}, Works},
		{"too big, and the message leaves the cluster", []trace.Path{{End: trace.TooBig, ICMP: []trace.Path{left}}}, CannotTell},
		{"too big, and the message is dropped", []trace.Path{{End: trace.TooBig, ICMP: []trace.Path{dropped}}}, Broken},
		{"too big, and nobody says so", []trace.Path{{End: trace.TooBig}}, Broken},
		{"nobody listens", []trace.Path{way(trace.NoListener)}, Broken},
	} {
		got := judge{}.result(trace.Result{Paths: row.paths})
		if got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestReportVerdict(t *testing.T) {
	small := func(ends ...trace.Fate) Trace {
		var tr Trace
		for _, e := range ends {
			tr.Result.Paths = append(tr.Result.Paths, way(e))
		}
		return tr
	}
	big := func(end trace.Fate) Trace {
		return Trace{Big: true, Result: trace.Result{Paths: []trace.Path{way(end)}}}
	}
	for _, row := range []struct {
		name   string
		traces []Trace
		want   Verdict
		say    string
	}{
		{"all well", []Trace{small(trace.Delivered), big(trace.Delivered), big(trace.Delivered)}, Works, "a reaches b port 80"},
		{"big packets die", []Trace{small(trace.Delivered), big(trace.Delivered), big(trace.TooBig)}, Partly, "a reaches b port 80 with small packets, but full-sized ones are lost"},
		{"big packets unknown", []Trace{small(trace.Delivered), big(trace.Unknown)}, Works, "a reaches b port 80; what becomes of full-sized packets is not known"},
		{"dead", []Trace{small(trace.Dropped)}, Broken, "a does not reach b port 80"},
		{"one family dead", []Trace{small(trace.Delivered), small(trace.NoRoute)}, Partly, "a reaches b port 80 with some connections only"},
		{"behind a router", []Trace{{Result: trace.Result{Paths: []trace.Path{way(trace.LeftCluster, way(trace.LeftCluster))}}}}, CannotTell, "nothing here stops a from reaching b port 80, but the way leads through a router that is not in the snapshot"},
		{"outside", []Trace{small(trace.LeftCluster)}, CannotTell, "packets from a to b port 80 leave the cluster; what becomes of them there is not in the snapshot"},
		{"unknown", []Trace{small(trace.Unknown)}, CannotTell, "cannot tell whether a reaches b port 80"},
		{"nothing collected", nil, CannotTell, "cannot tell whether a reaches b port 80: too little was collected to follow a packet"},
	} {
		r := &Report{Source: Endpoint{Name: "a"}, Dest: Endpoint{Name: "b", Port: 80}, Traces: row.traces}
		r.judge(question{})
		if r.Verdict != row.want || r.Summary.String() != row.say {
			t.Errorf("%s: got %v %q, want %v %q", row.name, r.Verdict, r.Summary, row.want, row.say)
		}
	}
}

// TestNeeds shows that what decides about packets on the way, and was not collected, is said even where all seems well.
func TestNeeds(t *testing.T) {
	p := way(trace.Delivered)
	p.Hops = []trace.Hop{{Node: "a", NetNS: "host"}}
	r := &Report{
		Traces: []Trace{{Verdict: Works, Result: trace.Result{Paths: []trace.Path{p}}}},
		Gaps: []snapshot.Gap{
			{Path: "nodes/a/host/iptables-legacy", Why: "not collected"},
			{Path: "nodes/a/host/ipvs", Why: "not collected"},
			{Path: "nodes/a/host/stat", Why: "not collected"},
			{Path: "nodes/b/host/iptables", Why: "not collected"},
		},
	}
	r.judge(question{})
	if len(r.Needs) != 1 || r.Needs[0].What.String() != "iptables-legacy, ipvs of nodes/a/host, by which packets pass: not collected" {
		t.Errorf("needs: %v", r.Needs)
	}
}

// TestMustStay shows that a packet for a Service that leaves the cluster is lost, once the checks have said so.
func TestMustStay(t *testing.T) {
	p := way(trace.LeftCluster)
	p.At = trace.Place{Node: "a", NetNS: "host", Link: "eth0"}
	r := &Report{Traces: []Trace{{Result: trace.Result{Paths: []trace.Path{p}}}}}
	r.Checks.Lost = []check.Loss{{At: p.At, Packet: p.Final.String()}}
	r.judge(question{})
	if r.Verdict != Broken || r.Traces[0].Verdict != Broken {
		t.Errorf("got %v, and %v of the trace", r.Verdict, r.Traces[0].Verdict)
	}
}
