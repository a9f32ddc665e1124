//go:build linux

package faults

import (
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
)

// runnable are the programs that a fix may call and the lab can run: it has no API server.
var runnable = []string{"ip", "bridge", "sysctl", "iptables", "ip6tables", "iptables-legacy", "conntrack"}

// wantFixes is how many fixes a node's own commands carry out.
const wantFixes = 30

// fixed does what the first finding says, where a node's own commands can do
// it, and sends the packet again. A fix that does not heal is no fix. One that
// needs the API too is tried as far as it goes, and may heal.
func (s *tally) fixed(t *testing.T, l *lab.Lab, f fault.Fault, found []check.Finding) {
	if len(found) == 0 {
		return
	}
	first := found[0]
	how := carryOut(t, l, first)
	if how == nothing {
		t.Logf("nothing to run: %s: %q", first.Fix.What, first.Fix.Commands)
		return
	}
	if err := l.Forget(); err != nil {
		t.Fatal(err)
	}
	got := send(t, l, f, 6, false)
	well := !slices.ContainsFunc(got, func(o lab.Observation) bool { return o.Outcome != lab.Delivered })
	switch {
	case how == part && well:
		s.parts, s.partsHealed = s.parts+1, s.partsHealed+1
	case how == part:
		s.parts++
		t.Logf("%q does not heal before the API is asked", first.Fix.Commands)
	case well:
		s.fixes, s.healed = s.fixes+1, s.healed+1
	default:
		s.fixes++
		t.Errorf("%s: %s: %q does not heal it: %v", first.Where, first.Check, first.Fix.Commands, got[0].Outcome)
	}
}

// How much of a fix the lab can carry out.
type extent uint8

const (
	nothing extent = iota
	part           // what needs the API server or another machine is left out
	whole
)

// carryOut does what a finding says.
func carryOut(t *testing.T, l *lab.Lab, found check.Finding) extent {
	name, _, _ := strings.Cut(found.Where, "/")
	n := l.Node(name)
	var run, left int
	for _, c := range found.Fix.Commands {
		switch {
		case forNextBoot(c):
		case n == nil || !canRun(c):
			left++
		default:
			run++
			if err := n.NS.Run("", "sh", "-c", c); err != nil {
				t.Errorf("%s: %v", found.Where, err)
			}
		}
	}
	switch {
	case run == 0:
		return nothing
	case left > 0:
		return part
	}
	wire(t, l, n)
	return whole
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
