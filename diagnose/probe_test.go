package diagnose

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// healthy reads a whole cluster that was recorded in the lab.
func healthy(t *testing.T) *snapshot.Cluster {
	t.Helper()
	const file = "../check/checktest/testdata/flannel.txtar"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := snapshot.ReadBundle(file, f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, c *snapshot.Cluster, src, dst string) *Report {
	t.Helper()
	r, err := Run(c, Ask{Src: src, Dst: dst})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlans(t *testing.T) {
	c := healthy(t)
	for _, tt := range []struct {
		name, src, dst string
		want           []string // "NODE POD PROTO DST SIZE"
	}{
		{"to a Pod", "shop/web-0", "shop/web-1:8080", []string{"node-a shop/web-0 tcp 10.244.1.2:8080 0", "node-a shop/web-0 icmp 10.244.1.2:0 1450"}},
		{"from a node", "node/node-b", "shop/web-0:8080", []string{"node-b  tcp 10.244.0.2:8080 0", "node-b  icmp 10.244.0.2:0 1450"}},
		{"a ping", "shop/web-0", "shop/web-1", []string{"node-a shop/web-0 icmp 10.244.1.2:0 0"}},
		{"from outside", "192.0.2.1", "shop/web-1:8080", nil},
	} {
		var got []string
		for _, p := range run(t, c, tt.src, tt.dst).Plans() {
			got = append(got, strings.Join([]string{p.Node, p.Pod, p.Proto.String(), p.Dst.String(), strconv.Itoa(p.Size)}, " "))
			if p.Count != probeCount || p.Predicted != Works || p.DF != (p.Size > 0) {
				t.Errorf("%s: %+v", tt.name, p)
			}
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestObserve lets what was seen meet what was predicted.
func TestObserve(t *testing.T) {
	works := healthy(t)
	broken := healthy(t)
	broken.Node("node-a").Host().Sysctl["net.ipv4.ip_forward"] = "0"
	unknown := healthy(t)
	unknown.Nodes = unknown.Nodes[:1]
	icmp := &snapshot.ProbeICMP{From: netip.MustParseAddr("10.244.0.1"), Type: 3, Code: 13}
	for _, tt := range []struct {
		name      string
		cluster   *snapshot.Cluster
		probe     snapshot.Probe
		agreement Agreement
		verdict   Verdict
		summary   string // part of it
	}{
		{"works, and does", works, snapshot.Probe{Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, Agrees, Works, "reaches"},
		{"works, and is silent", works, snapshot.Probe{Sent: 3}, Differs, Broken, "prediction and probe disagree: 3 probes by tcp to 10.244.1.2:8080 were not answered, but by the snapshot they arrive"},
		{"works, and some are lost", works, snapshot.Probe{Sent: 3, Answered: 2, Fate: snapshot.ProbeAnswered}, Differs, Partly, "2 of 3 probes"},
		{"works, and is rejected on the way", works, snapshot.Probe{Sent: 3, Fate: snapshot.ProbeRejected, ICMP: icmp}, Differs, Broken, "10.244.0.1 rejects them (ICMP type 3 code 13)"},
		{"broken, and is", broken, snapshot.Probe{Sent: 3}, Agrees, Broken, "does not reach"},
		{"broken, and broken otherwise", broken, snapshot.Probe{Sent: 3, Fate: snapshot.ProbeRefused}, Differs, Broken, "nothing listens there, but by the snapshot"},
		{"broken, and works", broken, snapshot.Probe{Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, Differs, CannotTell, "were answered, but by the snapshot"},
		{"not known, and works", unknown, snapshot.Probe{Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, NotComparable, Works, "as probes show; the snapshot alone could not tell"},
		{"not known, and is silent", unknown, snapshot.Probe{Sent: 3}, NotComparable, Broken, "as probes show; the snapshot does not tell where they are lost"},
		{"not known, and some are lost", unknown, snapshot.Probe{Sent: 3, Answered: 1, Fate: snapshot.ProbeAnswered}, NotComparable, Partly, "with some connections only, as probes show"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tt.cluster, "shop/web-0", "shop/web-1:8080")
			plan := r.Plans()[0]
			tt.probe.Proto, tt.probe.Dst = plan.Proto, plan.Dst
			r.Observe(plan, tt.probe, nil)
			o := r.Observed[0]
			if o.Agreement != tt.agreement || r.Verdict != tt.verdict || r.Disagree != (tt.agreement == Differs) || !strings.Contains(r.Summary.String(), tt.summary) {
				t.Errorf("%s, verdict %s: %s", o.Agreement, r.Verdict, r.Summary)
			}
			if o.Probe.Pod != "shop/web-0" || o.Probe.Node != "node-a" {
				t.Errorf("sent from %s on %s", o.Probe.Pod, o.Probe.Node)
			}
		})
	}
	t.Run("not sent", func(t *testing.T) {
		r := run(t, works, "shop/web-0", "shop/web-1:8080")
		r.Observe(r.Plans()[0], snapshot.Probe{}, errors.New("no plumbd runs on this node"))
		if o := r.Observed[0]; o.NotSent != "no plumbd runs on this node" || o.Agreement != NotComparable || r.Verdict != Works || r.Disagree {
			t.Errorf("%+v, %s", o, r.Verdict)
		}
	})
	t.Run("a disagreement is not talked away", func(t *testing.T) {
		r := run(t, works, "shop/web-0", "shop/web-1:8080")
		plans := r.Plans()
		r.Observe(plans[0], snapshot.Probe{Proto: packet.TCP, Dst: plans[0].Dst, Sent: 3}, nil)
		r.Observe(plans[1], snapshot.Probe{Proto: packet.ICMP, Dst: plans[1].Dst, Size: 1450, Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, nil)
		if !r.Disagree || r.Verdict != Broken {
			t.Errorf("%s: %s", r.Verdict, r.Summary)
		}
	})
}

// TestDatagrams: a server need not answer what it does not understand.
// TestUnknownBig: where the trace ends in a tunnel to a node of which nothing is known, a full-sized echo
// is sent too; its silence takes back what small probes have shown, and no more.
func TestUnknownBig(t *testing.T) {
	c := healthy(t)
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n *snapshot.Node) bool { return n.Name == "node-b" })
	for _, tt := range []struct {
		name    string
		answers int
		verdict Verdict
		summary string
	}{
		{"answered", 3, Works, "as probes show; the snapshot alone could not tell"},
		{"some are lost", 1, Works, "as probes show; the snapshot alone could not tell"},
		{"silent", 0, CannotTell, "whether full-sized ones do is not known: 3 probes of 1450 bytes by icmp to 10.244.1.2 were not answered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, c, "shop/web-0", "shop/web-1:8080")
			plans := r.Plans()
			if len(plans) != 2 || plans[1].Size != 1450 || plans[1].Predicted != CannotTell {
				t.Fatalf("%+v", plans)
			}
			for i, answered := range []int{3, tt.answers} {
				p := snapshot.Probe{Proto: plans[i].Proto, Dst: plans[i].Dst, Size: plans[i].Size, Sent: 3, Answered: answered}
				if answered > 0 {
					p.Fate = snapshot.ProbeAnswered
				}
				r.Observe(plans[i], p, nil)
			}
			if r.Verdict != tt.verdict || r.Disagree || !strings.Contains(r.Summary.String(), tt.summary) {
				t.Errorf("%s: %s", r.Verdict, r.Summary)
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	for _, tt := range []struct {
		probe snapshot.Probe
		want  Agreement
	}{
		{snapshot.Probe{Proto: packet.UDP, Sent: 3}, NotComparable},
		{snapshot.Probe{Proto: packet.UDP, Sent: 3, Fate: snapshot.ProbeRefused}, Differs},
		{snapshot.Probe{Proto: packet.UDP, Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, Agrees},
		{snapshot.Probe{Proto: packet.TCP}, NotComparable},
	} {
		if got := compare(ProbePlan{Predicted: Works}, tt.probe); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.probe, got, tt.want)
		}
	}
}
