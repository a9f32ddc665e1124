//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// A wildRules is what some program wrote into a machine's tables, as iptables-save prints it.
type wildRules struct {
	name, text string
	proxy      bool // kube-proxy's, of another cluster: they take the place of the lab's own
}

// wilds returns the recorded rules of ufw, firewalld, Docker and flannel, and those of kube-proxy where they are at hand.
func wilds(t *testing.T) []wildRules {
	t.Helper()
	var out []wildRules
	files, _ := filepath.Glob("../wild/testdata/*/iptables")
	oracles, _ := filepath.Glob("../../../../shared/oracles/iptables_rules_kernel_saved/*.save")
	if len(files) == 0 {
		t.Fatal("nothing is recorded")
	}
	if len(oracles) == 0 {
		t.Log("no rules of kube-proxy: ../shared/oracles is not here")
	}
	for _, f := range append(files, oracles...) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b); !strings.Contains(text, "ip6tables-save") {
			out = append(out, wildRules{filepath.Base(filepath.Dir(f)) + "/" + filepath.Base(f), text, strings.HasSuffix(f, ".save")})
		}
	}
	return out
}

// wildPaths are what is asked about the node that has the rules.
var wildPaths = []lab.Path{
	{From: "shop/web-0", To: "shop/web-1:8080"},
	{From: "shop/web-1", To: "shop/web-0:8080"},
	{From: "shop/web-1", To: "outside:80"},
	{From: "node/node-b", To: "shop/web-1:8080"},
}

// without returns rules without those that belong to kube-proxy.
func without(rules string) string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(rules, "\n"), func(line string) bool { return strings.Contains(line, "KUBE-") }), "")
}

// TestWildRules loads rules that others wrote into node-b, before the lab's own,
// as they are where a machine was set up before it joined. What they do not
// break, no finding above info may be about; what they break, plumb must lay to
// them. A real packet decides which it is.
func TestWildRules(t *testing.T) {
	l := up(t, lab.Topologies[slices.IndexFunc(lab.Topologies, func(t lab.Topology) bool { return t.Name == "flannel" })])
	b := l.Node("node-b").NS
	own, err := b.Output("", "iptables-save")
	if err != nil {
		t.Fatal(err)
	}
	var asked, broken int
	for _, w := range wilds(t) {
		t.Run(w.name, func(t *testing.T) {
			beside := own
			if w.proxy {
				beside = without(own)
			}
			load(t, b, w.text, beside)
			c := take(t, l)
			if w.proxy { // whose Services the lab does not have
				c.Objects.Services, c.Objects.EndpointSlices = nil, nil
				c.Objects.Have["Service"], c.Objects.Have["EndpointSlice"] = false, false
			}
			for _, p := range wildPaths {
				asked++
				if !judgeWild(t, l, c, p) {
					broken++
				}
			}
		})
	}
	fmt.Printf("faults: wild: %d questions about rules that others wrote, %d of them broken by the rules\n", asked, broken)
}

// load replaces the rules of a namespace by first, and by second after it.
func load(t *testing.T, ns *sandbox.NS, first, second string) {
	t.Helper()
	for _, table := range []string{"raw", "mangle", "nat", "filter"} {
		for _, do := range []string{"-F", "-X"} {
			if err := ns.Run("", "iptables", "-t", table, do); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := ns.Run(first, "iptables-restore"); err != nil {
		t.Fatal(err)
	}
	if err := ns.Run(agent(second), "iptables-restore", "--noflush"); err != nil {
		t.Fatal(err)
	}
}

// agent drops the policies of rules: agents of a cluster set none, and those that are there stay.
func agent(rules string) string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(rules, "\n"), func(line string) bool {
		return strings.HasPrefix(line, ":") && !strings.Contains(line, " - [")
	}), "")
}

// judgeWild compares what plumb says of a path with what becomes of a packet. It reports whether the packet arrives.
func judgeWild(t *testing.T, l *lab.Lab, c *snapshot.Cluster, p lab.Path) bool {
	t.Helper()
	q, err := l.PathProbe(p)
	if err != nil {
		t.Fatal(err)
	}
	o := l.Probe(q)
	a, err := fault.Fault{Path: p}.Ask(l)
	if err != nil {
		t.Fatal(err)
	}
	r, err := diagnose.Run(c, a, all.Checks...)
	if err != nil {
		t.Fatal(err)
	}
	fs := r.Checks.Findings
	loud := slices.DeleteFunc(slices.Clone(fs), func(f check.Finding) bool {
		return f.Severity == check.Info || f.Check == "upstream-unreachable" && !f.OnPath && cutOff(t, l)
	})
	if o.Outcome == lab.Delivered {
		for _, f := range loud {
			t.Errorf("%s arrives, and plumb says: %s: %s: %s", p, f.Where, f.Check, f.What)
		}
		if r.Verdict == diagnose.Broken || r.Verdict == diagnose.Partly {
			t.Errorf("%s arrives, and the verdict is %s: %s", p, r.Verdict, r.Summary)
		}
		return true
	}
	if len(loud) == 0 && r.Verdict == diagnose.CannotTell && sentAway(r) {
		return false
	}
	if len(fs) == 0 || fs[0].Check != "forward-drop" && fs[0].Check != "firewall-drop" || fs[0].Where != "node-b/host" || r.Verdict != diagnose.Broken {
		t.Errorf("%s ends as %s; the verdict is %s, the findings %v", p, o.Outcome, r.Verdict, fs)
	}
	return false
}

// cutOff reports whether the rules keep node-b's CoreDNS from what is outside, where its upstream is. Nobody serves
// names there: it is asked for what is served.
func cutOff(t *testing.T, l *lab.Lab) bool {
	t.Helper()
	for _, p := range l.Node("node-b").Pods {
		if p.App != "coredns" {
			continue
		}
		q, err := l.PathProbe(lab.Path{From: p.Key(), To: "outside:80"})
		if err != nil {
			t.Fatal(err)
		}
		return l.Probe(q).Outcome != lab.Delivered
	}
	return false
}

// sentAway reports whether rules give every packet another destination, by which
// it leaves the cluster: firewalld's port forwarding takes what Pods send too.
// What becomes of it there a snapshot cannot tell.
func sentAway(r *diagnose.Report) bool {
	for _, tr := range r.Traces {
		for _, p := range tr.Result.Paths {
			if p.End != trace.LeftCluster || p.Final.Dst == tr.Result.Query.Dst {
				return false
			}
		}
	}
	return true
}
