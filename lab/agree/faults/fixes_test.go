//go:build linux

package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
)

// runnable are the programs that a fix may call and the lab can run: it has no API server.
var runnable = []string{"ip", "bridge", "sysctl", "iptables", "ip6tables", "iptables-legacy", "conntrack"}

// TestFixes does what the first finding says, where a node's own commands can do
// it, and sends the packet again. A fix that does not heal is no fix.
func TestFixes(t *testing.T) {
	sandbox.Need(t)
	var tried, healed int
	for _, f := range fault.All() {
		if f.Preventive || f.Path.From == "" || !full && f.Name == "conntrack-full" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			l := up(t, f.Topology())
			if err := f.Inject(l); err != nil {
				t.Fatal(err)
			}
			fs := findings(t, l, take(t, l), f)
			if len(fs) == 0 || !canRun(fs[0].Fix.Commands) {
				if len(fs) > 0 {
					t.Logf("%s: %s: %s: %q", fs[0].Where, fs[0].Check, fs[0].Fix.What, fs[0].Fix.Commands)
				}
				t.Skip("its fix is not a node's own command")
			}
			tried++
			for _, c := range fs[0].Fix.Commands {
				if err := runFix(l, fs[0], c); err != nil {
					t.Errorf("%s: %v", fs[0].Where, err)
				}
			}
			got := outcomes(t, l, f)
			well := !slices.ContainsFunc(got, func(o lab.Outcome) bool { return o != lab.Delivered })
			if well {
				healed++
			} else {
				t.Errorf("%s: %q does not heal it: %v", fs[0].Where, fs[0].Fix.Commands, got)
			}
		})
	}
	fmt.Printf("faults: %d fixes carried out, %d heal\n", tried, healed)
}

func canRun(commands []string) bool {
	return len(commands) > 0 && !slices.ContainsFunc(commands, func(c string) bool {
		words := strings.Fields(c)
		return len(words) == 0 || !slices.Contains(runnable, words[0]) || strings.ContainsAny(c, "<>|;$") || words[0] == strings.ToUpper(words[0])
	})
}

// runFix runs a command in the namespace that a finding is about.
func runFix(l *lab.Lab, f check.Finding, command string) error {
	node, rest, _ := strings.Cut(f.Where, "/")
	name, _, _ := strings.Cut(rest, "/")
	n := l.Node(node)
	if n == nil {
		return fmt.Errorf("%q: where is that to be run?", command)
	}
	ns := n.NS
	for _, p := range n.Pods {
		if p.NS.Name == name {
			ns = p.NS
		}
	}
	words := strings.Fields(command)
	for i := range words {
		words[i] = strings.Trim(words[i], `'"`)
	}
	return ns.Run("", words...)
}

// outcomes sends the fault's packet a few times.
func outcomes(t *testing.T, l *lab.Lab, f fault.Fault) []lab.Outcome {
	p, err := l.PathProbe(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	var out []lab.Outcome
	for _, o := range l.ProbeAll(slices.Repeat([]lab.Probe{p}, 6)) {
		out = append(out, o.Outcome)
	}
	return out
}
