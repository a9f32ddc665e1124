package netfilter

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

// indexed are what random rules ask; each %d is a number below 5.
var indexed = []string{
	"-d 10.0.0.%d/32", "-s 10.0.1.%d/32", "-p tcp -m tcp --dport %d", "-p udp -m udp --dport %d", "-i eth%d", "-o eth%d",
	"! -d 10.0.0.%d/32", "! -s 10.0.1.%d/32", "-p tcp -m tcp ! --dport %d", "! -i eth%d", "! -o eth%d", "-p tcp -m tcp --dport 0:%d", "! -p tcp",
	"-i eth+", "-d 10.0.0.%d/31", "-s 10.0.1.0/30", "-m mark --mark 0x%d/0x7", "", "-p tcp -m multiport --dports 1,%d", "-p 17",
	"-d 10.0.0.%[1]d/32 -p tcp -m tcp --dport %[1]d", "-s 10.0.1.%[1]d/32 -i eth%[1]d", "! -p tcp -m tcp --dport %d", "-m cpu --cpu %d",
	"-m statistic --mode random --probability 0.25", "-m conntrack --ctstate NEW,UNTRACKED",
}

// randomRules writes chains that jump to later ones, as kube-proxy's and others' do.
func randomRules(r *rand.Rand) string {
	var rules strings.Builder
	rules.WriteString("*mangle\n:C1 - [0:0]\n:C2 - [0:0]\n:C3 - [0:0]\n")
	targets := []string{"-j MARK --xor-mark 0x%x", "-j MARK --set-xmark 0x%x/0xff", "-j RETURN", "-j ACCEPT", "-j DROP", "-j C%d", "-g C%d", "-j LOG", ""}
	weights := []int{6, 4, 1, 1, 1, 3, 1, 1, 1}
	unknowns := 0
	for n, chain := range []string{"FORWARD", "C1", "C2", "C3"} {
		for i := range r.IntN(50) {
			c := indexed[r.IntN(len(indexed))]
			if strings.Contains(c, "cpu") || strings.Contains(c, "statistic") {
				if unknowns++; unknowns > 4 { // each doubles the ways
					continue
				}
			}
			if strings.Contains(c, "%") {
				c = fmt.Sprintf(c, r.IntN(5))
			}
			k := r.IntN(19)
			at := 0
			for k >= weights[at] {
				k -= weights[at]
				at++
			}
			target := targets[at]
			switch {
			case strings.Contains(target, "C%d") && n == 3:
				target = "-j RETURN"
			case strings.Contains(target, "C%d"):
				target = fmt.Sprintf(target, n+1+r.IntN(3-n))
			case strings.Contains(target, "%"):
				target = fmt.Sprintf(target, 1+n*50+i)
			}
			fmt.Fprintf(&rules, "-A %s %s %s\n", chain, c, target)
		}
	}
	return rules.String()
}

// randomPacket makes one that many of the conditions can be met by.
func randomPacket(r *rand.Rand) Input {
	p := tcp(fmt.Sprintf("10.0.1.%d:1", r.IntN(5)), fmt.Sprintf("10.0.0.%d:%d", r.IntN(5), r.IntN(5)))
	switch r.IntN(4) {
	case 0:
		p = with(p, packet.UDP)
	case 1:
		p = ping(p.Src.Addr().String(), p.Dst.Addr().String(), 1, false)
	}
	p.Mark = uint32(r.IntN(5))
	return Input{Hook: Forward, Packet: p, In: fmt.Sprintf("eth%d", r.IntN(5)), Out: fmt.Sprintf("eth%d", r.IntN(6))}
}

// whole prints outcomes with all that they say.
func whole(out []Outcome) (lines []string) {
	for _, o := range out {
		line := fmt.Sprintf("%.9f %s %s mark %#x %s", o.Weight, o.Verdict, o.Packet, o.Packet.Mark, o.Why)
		for _, ref := range o.Rules {
			line += fmt.Sprintf(" [%d]", ref.Line())
		}
		for _, a := range o.Assumed {
			line += fmt.Sprintf(" (%d %t %s)", a.Line(), a.Matched, a.Why)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestIndexed compares, for random chains and packets, what the index finds with
// what a walk past every rule does: the same outcomes, by the same rules.
func TestIndexed(t *testing.T) {
	used, matched := 0, 0
	var reused Evaluator
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomRules(r)
		with, without := load(t, false, text), load(t, false, text)
		for _, c := range without.Tables[0].Chains {
			if c.index != nil {
				used++
			}
			c.index = nil
		}
		for range 20 {
			in := randomPacket(r)
			got, want := whole(reused.Eval(with, &in)), whole(without.Eval(in))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: %s: %s\n%s", seed, in.Packet, diff, text)
			}
			if strings.Count(got[0], "[") > 0 {
				matched++
			}
		}
	}
	if used < 400 || matched < 4000 {
		t.Errorf("only %d chains have an index, only %d packets met rules", used, matched)
	}
}

// TestIndexLooksAtFew counts the rules that a packet visits among many.
func TestIndexLooksAtFew(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("*filter\n")
	for i := range 1000 {
		fmt.Fprintf(&rules, "-A FORWARD -d 10.0.%d.%d/32 -p tcp -m tcp --dport 80 -j DROP\n", i>>8, i&255)
		fmt.Fprintf(&rules, "-A FORWARD -p udp -m udp --dport %d -j DROP\n", i)
		fmt.Fprintf(&rules, "-A FORWARD -i veth%d -s 10.1.%d.%d/32 -j DROP\n", i, i>>8, i&255)
		fmt.Fprintf(&rules, "-A FORWARD -o veth%d -j LOG\n", i)
	}
	rules.WriteString("-A FORWARD -m mark --mark 0x1 -j DROP\n")
	r := load(t, false, rules.String())
	for _, row := range []struct {
		name, src, dst, in, want string
		most                     int
	}{
		{"by destination", "10.9.9.9:1", "10.0.2.2:80", "eth0", "Drop", 1},
		{"by destination, another port", "10.9.9.9:1", "10.0.2.2:81", "eth0", "Accept", 2},
		{"by source", "10.1.2.2:1", "10.9.9.9:80", "veth514", "Drop", 1},
		{"by source, from another device", "10.1.2.2:1", "10.9.9.9:80", "veth3", "Accept", 2},
		{"of none", "10.9.9.9:1", "10.9.9.9:80", "eth0", "Accept", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			var e Evaluator
			out := e.Eval(r, &Input{Hook: Forward, Packet: tcp(row.src, row.dst), In: row.in})
			if out[0].Verdict.String() != row.want || e.e.visits > row.most {
				t.Errorf("%s after %d rules, want %s after at most %d", out[0].Verdict, e.e.visits, row.want, row.most)
			}
		})
	}
}

// TestReused evaluates one packet after another with one Evaluator: several outcomes stay as they
// were, and so does what the Ruleset itself returned.
func TestReused(t *testing.T) {
	r := load(t, false, kubeRules(3, true))
	var e Evaluator
	in := Input{Hook: PreRouting, Packet: tcp("10.1.0.1:40000", "10.96.0.1:80"), Env: fakeEnv{}}
	before := whole(e.Eval(r, &in))
	several := e.Eval(r, &in)
	if len(several) != 3 {
		t.Fatalf("%d outcomes", len(several))
	}
	own := r.Eval(in)
	for i := range 50 {
		in.Packet = tcp(fmt.Sprintf("10.1.0.%d:40000", i), "10.96.0.1:80")
		e.Eval(r, &in)
		r.Eval(in)
	}
	for name, kept := range map[string][]Outcome{"several": several, "the Ruleset's": own} {
		if diff := cmp.Diff(before, whole(kept)); diff != "" {
			t.Error(name, diff)
		}
	}
	in.Packet = tcp("10.1.0.1:40000", "10.96.0.1:80")
	if diff := cmp.Diff(before, whole(e.Eval(r, &in))); diff != "" {
		t.Error(diff)
	}
}
