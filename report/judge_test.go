package report

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// endedSo is a report of one packet that ended so; of which a check says that it is lost, where lost is set.
func endedSo(t *testing.T, end trace.Fate, lost, share bool, icmp ...trace.Path) *diagnose.Report {
	t.Helper()
	r := sampleWorks()
	p := r.Traces[0].Result.Paths[0]
	p.End, p.Why, p.Weight, p.Reply, p.ICMP = end, text.F("the sender is told"), 1, nil, icmp
	r.Traces = r.Traces[:1]
	r.Traces[0].Result.Paths = []trace.Path{p}
	fresh, err := diagnose.Run(&snapshot.Cluster{}, diagnose.Ask{Src: "10.0.0.1", Dst: "10.0.0.2:80"}, lossy(p, lost, share))
	if err != nil {
		t.Fatal(err)
	}
	fresh.Traces = r.Traces
	fresh.Ask, fresh.Source, fresh.Dest = r.Ask, r.Source, r.Dest
	fresh.Traces[0].Verdict = fresh.Judge(p)
	return fresh
}

// lossy is a check that knows of the loss of p.
func lossy(p trace.Path, lost, share bool) *check.Check {
	return &check.Check{Name: "lossy", Run: func(pass *check.Pass) {
		if lost {
			pass.Lose(&check.Finding{}, &p, share)
		}
	}}
}

// TestDrawingAgrees wants the last line of a drawing, the page's last box and the verdict to say the same.
func TestDrawingAgrees(t *testing.T) {
	told := trace.Path{End: trace.Delivered}
	for _, row := range []struct {
		name        string
		end         trace.Fate
		lost, share bool
		icmp        []trace.Path
		line        string // of the drawing
		class       string // of the page's box
	}{
		{"delivered", trace.Delivered, false, false, nil, "  ✓ DELIVERED at ", "good"},
		{"dropped", trace.Dropped, false, false, nil, "  ✗ DIES HERE: DROPPED at ", "bad"},
		{"not known", trace.Unknown, false, false, nil, "  ? NOT KNOWN at ", "unknown"},
		{"left, and nobody knows", trace.LeftCluster, false, false, nil, "  ? LEFT THE CLUSTER at ", "unknown"},
		{"left, and is lost", trace.LeftCluster, true, false, nil, "  ✗ DIES HERE: LEFT THE CLUSTER at ", "bad"},
		{"delivered, at times", trace.Delivered, true, true, nil, "  ! DELIVERED at ", "part"},
		{"too big, and nobody says so", trace.TooBig, false, false, nil, "  ✗ DIES HERE: TOO BIG at ", "bad"},
		{"too big, and its sender is told", trace.TooBig, false, false, []trace.Path{told}, "  ✓ TOO BIG at ", "good"},
		{"too big, and whether its sender is told is not known", trace.TooBig, false, false, []trace.Path{{End: trace.Unknown}}, "  ? TOO BIG at ", "unknown"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := endedSo(t, row.end, row.lost, row.share, row.icmp...)
			got := string(render(t, func(w io.Writer) error { return Text(w, r, Options{Verbose: true}) }))
			if !strings.Contains(got, "\n"+row.line) {
				t.Errorf("no line begins with %q:\n%s", row.line, got)
			}
			if dies := strings.Contains(got, "DIES HERE"); dies != (row.class == "bad") {
				t.Errorf("it dies: %v", dies)
			}
			page := string(render(t, func(w io.Writer) error { return HTML(w, r, Options{}) }))
			if !strings.Contains(page, `<li class="end `+row.class+`">`) {
				t.Errorf("the page's box is not %q", row.class)
			}
			if missed := strings.Contains(page, "station missed"); missed != (row.class == "bad") {
				t.Errorf("the page shows the destination as not reached: %v", missed)
			}
		})
	}
}

func TestNotice(t *testing.T) {
	tcpRST, icmp := tcp("10.0.0.2:80", "10.0.0.1:40000", 40), packet.Packet{Proto: packet.ICMP}
	for _, row := range []struct {
		end  trace.Fate
		p    packet.Packet
		want string
	}{
		{trace.Delivered, tcpRST, "the refusal (TCP RST) reaches the sender"},
		{trace.Delivered, icmp, "the error message (ICMP) reaches the sender"},
		{trace.Dropped, tcpRST, "the refusal (TCP RST) never reaches the sender: dropped at a/host"},
		{trace.Dropped, icmp, "the error message (ICMP) never reaches the sender: dropped at a/host"},
		{trace.Unknown, tcpRST, "whether the refusal (TCP RST) reaches the sender is not known: not known at a/host"},
		{trace.LeftCluster, icmp, "whether the error message (ICMP) reaches the sender is not known: left the cluster at a/host"},
	} {
		got := notice(trace.Path{End: row.end, Final: row.p, At: trace.Place{Node: "a", NetNS: "host"}})
		if got.String() != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// TestFold takes out what repeats the end of a drawn way, and nothing else.
func TestFold(t *testing.T) {
	broken := func(where string, more ...check.Finding) check.Finding {
		return check.Finding{Check: check.PathBroken, Where: where, Consequences: more}
	}
	other := check.Finding{Check: "mtu-mismatch", Where: "a/host"}
	in := []check.Finding{
		{Check: "cause", Consequences: []check.Finding{broken("a/host"), broken("b/host"), other, broken("a/host", other)}},
		broken("a/host"), // a root: all that is known
	}
	before := len(in[0].Consequences)
	got := fold(in, map[string]bool{"a/host": true})
	var kept []string
	for _, c := range got[0].Consequences {
		kept = append(kept, c.Check+" "+c.Where)
	}
	if diff := cmp.Diff([]string{"path-broken b/host", "mtu-mismatch a/host", "path-broken a/host"}, kept); diff != "" {
		t.Error(diff)
	}
	if len(got) != 2 || len(in[0].Consequences) != before {
		t.Error("a root was folded, or the findings were changed")
	}
}

// TestCommands names the node that a command runs on, once, and none for kubectl.
func TestCommands(t *testing.T) {
	onNode := []snapshot.Evidence{{File: "nodes/node-b/host/addr.json"}}
	for _, row := range []struct {
		name  string
		where string
		ev    []snapshot.Evidence
		in    []string
		want  []command
	}{
		{"on a node", "node-b/host/eth0", onNode, []string{"ip a", "ip b"}, []command{{"node-b", "ip a"}, {"", "ip b"}}},
		{"of the API", "service/shop/api", []snapshot.Evidence{{File: "objects/services.json"}}, []string{"kubectl a"}, []command{{"", "kubectl a"}}},
		{"both", "node-b/host", onNode, []string{"kubectl a", "ip b"}, []command{{"", "kubectl a"}, {"node-b", "ip b"}}},
		{"on a machine that is no node", "configmap/x", onNode, []string{"ip a"}, []command{{"", "ip a"}}},
		{"a node whose name begins another's", "node-b/host", []snapshot.Evidence{{File: "nodes/node-b2/host/x"}}, []string{"ip a"}, []command{{"", "ip a"}}},
	} {
		f := check.Finding{Where: row.where, Evidence: row.ev, Fix: check.Fix{Commands: row.in}}
		if got := commands(f); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestSameCureOnce prints a second finding of one fault as a line.
func TestSameCureOnce(t *testing.T) {
	r := sampleMTU()
	again := r.Checks.Findings[0]
	again.What, again.Consequences = text.F("%s is down", "the same device"), nil
	elsewhere := again
	elsewhere.Where = "node-z/host/flannel.1"
	r.Checks.Findings = []check.Finding{r.Checks.Findings[0], again, elsewhere}
	for i := range r.Checks.Findings {
		r.Checks.Findings[i].OnPath = true
	}
	got := string(render(t, func(w io.Writer) error { return Text(w, r, Options{}) }))
	if n := strings.Count(got, "Fix: "); n != 2 {
		t.Errorf("%d cures, want those of two faults:\n%s", n, got)
	}
	if n := strings.Count(got, "the same device is down"); n != 2 {
		t.Errorf("the findings are named %d times, want each", n)
	}
	if strings.Count(got, "The fix and the evidence are those above.") != 1 {
		t.Error("nothing says where the cure is")
	}
}
