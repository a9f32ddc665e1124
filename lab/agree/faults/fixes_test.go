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

// wantTried is how many fixes a node's own commands carry out.
const wantTried = 30

// TestFixes does what the first finding says, where a node's own commands can do
// it, and sends the packet again. A fix that does not heal is no fix. One that
// needs the API too is tried as far as it goes, and may heal.
func TestFixes(t *testing.T) {
	sandbox.Need(t)
	var all, ran, tried, healed, parts, partsHeal int
	for _, f := range fault.All() {
		if f.Preventive || f.Path.From == "" || !full && f.Name == "conntrack-full" {
			continue
		}
		all++
		t.Run(f.Name, func(t *testing.T) {
			ran++
			l := up(t, f.Topology())
			if err := f.Inject(l); err != nil {
				t.Fatal(err)
			}
			how, first := carryOut(t, l, f)
			if how == nothing {
				t.Skipf("nothing to run: %s: %q", first.Fix.What, first.Fix.Commands)
			}
			got := outcomes(t, l, f)
			well := !slices.ContainsFunc(got, func(o lab.Outcome) bool { return o != lab.Delivered })
			switch {
			case how == part && well:
				parts, partsHeal = parts+1, partsHeal+1
			case how == part:
				parts++
				t.Logf("%q does not heal before the API is asked", first.Fix.Commands)
			case well:
				tried, healed = tried+1, healed+1
			default:
				tried++
				t.Errorf("%s: %s: %q does not heal it: %v", first.Where, first.Check, first.Fix.Commands, got)
			}
		})
	}
	fmt.Printf("faults: %d fixes carried out, %d heal; of %d that need the API too, %d heal before it is asked\n", tried, healed, parts, partsHeal)
	if ran == all && tried < wantTried {
		t.Errorf("%d fixes could be carried out, want %d or more", tried, wantTried)
	}
}

// How much of a fix the lab can carry out.
type extent uint8

const (
	nothing extent = iota
	part           // what needs the API server or another machine is left out
	whole
)

// carryOut diagnoses and does what the first finding says.
func carryOut(t *testing.T, l *lab.Lab, f fault.Fault) (extent, check.Finding) {
	fs := findings(t, l, take(t, l), f)
	if len(fs) == 0 {
		return nothing, check.Finding{}
	}
	name, _, _ := strings.Cut(fs[0].Where, "/")
	n := l.Node(name)
	var run, left int
	for _, c := range fs[0].Fix.Commands {
		switch {
		case forNextBoot(c):
		case n == nil || !canRun(c):
			left++
		default:
			run++
			if err := n.NS.Run("", "sh", "-c", c); err != nil {
				t.Errorf("%s: %v", fs[0].Where, err)
			}
		}
	}
	switch {
	case run == 0:
		return nothing, fs[0]
	case left > 0:
		return part, fs[0]
	}
	wire(t, l, n)
	return whole, fs[0]
}

// wire gives the switch's end of a node's uplink, a veth, the MTU that the node's end has now.
func wire(t *testing.T, l *lab.Lab, n *lab.Node) {
	out, err := n.NS.Output("", "ip", "-o", "link", "show", "eth0")
	if _, rest, ok := strings.Cut(out, " mtu "); ok && err == nil {
		err = lab.IPBatch(l.Fabric, "link set p-"+n.Name+" mtu "+strings.Fields(rest)[0]+"\n")
	}
	if err != nil {
		t.Error(err)
	}
}

// canRun reports whether the lab can run a command: a program of a node, with
// nothing that is for a person to fill in.
func canRun(command string) bool {
	words := strings.Fields(command)
	if words[0] == "nsenter" && strings.HasPrefix(words[1], "--net=/run/netns/") { // a Pod's namespace, by the name that a node's processes know it by
		words = words[2:]
	}
	return slices.Contains(runnable, words[0]) && !strings.ContainsAny(command, "<>|$`\n")
}

// forNextBoot reports whether a command only keeps what another one sets.
func forNextBoot(command string) bool {
	return strings.HasPrefix(command, "modprobe ") || strings.HasPrefix(command, "echo ") && strings.Contains(command, " > /etc/sysctl.d/")
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
