package netfilter

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWalk has what chains, and matches that are not known, make of a SYN at a hook.
func TestWalk(t *testing.T) {
	for _, row := range []struct {
		name, rules, want string
		hook              Hook
	}{
		{name: "no rules", rules: "*filter", want: "1.000 Accept"},
		{name: "policy", rules: "*filter\n:FORWARD DROP [0:0]", want: "1.000 Drop"},
		{name: "the first that decides", rules: "*filter\n-A FORWARD -j DROP\n-A FORWARD -j ACCEPT", want: "1.000 Drop"},
		{name: "a jump comes back", rules: "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -s 10.9.9.9 -j ACCEPT", want: "1.000 Drop"},
		{name: "return", rules: "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -j RETURN\n-A A -j ACCEPT", want: "1.000 Drop"},
		{name: "return from the first chain", rules: "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j RETURN\n-A FORWARD -j ACCEPT", want: "1.000 Drop"},
		{name: "goto does not come back", rules: "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -g B\n-A A -j ACCEPT\n-A B -s 10.9.9.9", want: "1.000 Drop"},
		{name: "goto from the first chain", rules: "*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n-A FORWARD -g A\n-A FORWARD -j ACCEPT", want: "1.000 Drop"},
		{name: "a circle", rules: "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A A -j A", want: "1.000 Unknown chain A: chains jump too deep, or in a circle"},
		{name: "marks last", rules: "*mangle\n-A FORWARD -j MARK --set-xmark 0x1/0x1\n*filter\n-A FORWARD -m mark --mark 0x1/0x1 -j DROP", want: "1.000 Drop"},
		{name: "drop in mangle", rules: "*mangle\n-A FORWARD -j DROP\n*filter\n-A FORWARD -j ACCEPT", want: "1.000 Drop"},
		{name: "security after filter", rules: "*filter\n-A FORWARD -j ACCEPT\n*security\n-A FORWARD -j DROP", want: "1.000 Drop"},
		{name: "notrack before the state", rules: "*raw\n-A PREROUTING -j CT --notrack\n*mangle\n-A PREROUTING -m conntrack --ctstate UNTRACKED -j DROP", hook: PreRouting, want: "1.000 Drop"},
		{name: "output: nat before filter", rules: "*nat\n-A OUTPUT -j DNAT --to-destination 10.9.0.1\n*filter\n-A OUTPUT -d 10.9.0.1 -j DROP", hook: LocalOut, want: "1.000 Drop"},
		{name: "input: nat after filter", rules: "*nat\n-A INPUT -j SNAT --to-source 10.9.0.1\n*filter\n-A INPUT -s 10.9.0.1 -j DROP", hook: LocalIn, want: "1.000 Accept"},

		{name: "a third", rules: "*filter\n-A FORWARD -m statistic --mode random --probability 0.3333333333 -j DROP", want: "0.333 Drop; 0.667 Accept"},
		{name: "every third", rules: "*filter\n-A FORWARD -m statistic --mode nth --every 3 --packet 0 -j DROP", want: "0.333 Drop; 0.667 Accept"},
		{name: "not a third", rules: "*filter\n-A FORWARD -m statistic --mode random ! --probability 0.25 -j DROP", want: "0.750 Drop; 0.250 Accept"},
		{name: "what is not known does not matter", rules: "*filter\n-A FORWARD -m cpu --cpu 0 -j DROP\n-A FORWARD -j DROP", want: "1.000 Drop"},
		{name: "what is not known matters", rules: "*filter\n-A FORWARD -m cpu --cpu 0 -j DROP", want: "0.500 Drop (cpu yes); 0.500 Accept (cpu no)"},
		{name: "within a rate", rules: "*filter\n-A FORWARD -m limit --limit 5/sec -j ACCEPT\n-A FORWARD -j DROP", want: "0.001 Drop (limit no); 0.999 Accept"},
		{name: "what is not known of a log", rules: "*filter\n-A FORWARD -m limit --limit 5/sec -j LOG", want: "1.000 Accept"},
		{name: "what is not known leads to a chain that does nothing", rules: "*filter\n:A - [0:0]\n-A FORWARD -m cpu --cpu 0 -j A\n-A A -s 10.9.9.9 -j DROP", want: "1.000 Accept"},
		{name: "two unknowns", rules: "*filter\n-A FORWARD -m cpu --cpu 0 -m time --timestart 10:00:00 -j DROP", want: "0.250 Drop (cpu yes); 0.750 Accept (cpu no)"},
		{name: "one of two matters", rules: "*filter\n-A FORWARD -m cpu --cpu 0 -j MARK --set-xmark 0x5/0xff\n-A FORWARD -m time --timestart 10:00:00 -j DROP\n-A FORWARD -m mark --mark 0x5/0xff -j MARK --set-xmark 0x0/0xff",
			want: "0.500 Accept (time no); 0.250 Drop (cpu no, time yes); 0.250 Drop (cpu yes, time yes)"},
		{name: "an unknown target that the packet does not meet", rules: "*filter\n-A FORWARD -s 10.9.9.9 -j FROB\n-A FORWARD -j DROP", want: "1.000 Drop"},
		{name: "an unknown target that it may meet", rules: "*filter\n-A FORWARD -m cpu --cpu 0 -j FROB", want: "0.500 Accept (cpu no); 0.500 Unknown the target FROB is not understood (cpu yes)"},
		{name: "an address that is not understood", rules: "*filter\n-A FORWARD -s 10.0.0.0/99 -j DROP", want: "0.500 Accept (s no); 0.500 Drop (s yes)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.hook == 0 && row.name != "notrack before the state" {
				row.hook = Forward
			}
			out := load(t, false, row.rules).Eval(Input{Hook: row.hook, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80"), In: "eth0", Out: "eth1"})
			if diff := cmp.Diff(sorted(row.want), sorted(supposed(out))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// supposed prints outcomes with what they suppose.
func supposed(out []Outcome) string {
	var all []string
	for _, o := range out {
		s := fmt.Sprintf("%.3f %s", o.Weight, o.Verdict)
		if o.Why != "" {
			s += " " + o.Why
		}
		var a []string
		for _, x := range o.Assumed {
			word := strings.Fields(x.Rule.Text)[2]
			if word == "-m" {
				word = strings.Fields(x.Rule.Text)[3]
			}
			a = append(a, fmt.Sprintf("%s %s", strings.TrimPrefix(word, "-"), map[bool]string{true: "yes", false: "no"}[x.Matched]))
		}
		if a != nil {
			s += " (" + strings.Join(a, ", ") + ")"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func sorted(s string) []string {
	l := strings.Split(s, "; ")
	for i := range l {
		for j := i; j > 0 && l[j] < l[j-1]; j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
	return l
}

func TestManyUnknowns(t *testing.T) {
	rules := strings.Builder{}
	rules.WriteString("*filter\n")
	for range 5000 {
		rules.WriteString("-A FORWARD -m cpu --cpu 0 -j ACCEPT\n")
	}
	in := Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")}
	if got := supposed(load(t, false, rules.String()).Eval(in)); got != "1.000 Accept" {
		t.Errorf("rules that all accept: %s", got)
	}

	rules.Reset()
	rules.WriteString("*mangle\n")
	for i := range 12 {
		fmt.Fprintf(&rules, "-A FORWARD -m cpu --cpu 0 -j MARK --set-xmark %#x/%#x\n", 1<<i, 1<<i)
	}
	out := load(t, false, rules.String()).Eval(in)
	if len(out) != 1 || out[0].Verdict != VerdictUnknown || !strings.Contains(out[0].Why, "512 ways") {
		t.Errorf("4096 ways: %d outcomes, %s", len(out), out[0].Why)
	}

	rules.Reset()
	rules.WriteString("*filter\n")
	for i := range 40 {
		fmt.Fprintf(&rules, ":C%d - [0:0]\n", i)
	}
	for i := range 39 {
		fmt.Fprintf(&rules, "-A C%d -j C%d\n-A C%d -j C%d\n", i, i+1, i, i+1)
	}
	rules.WriteString("-A C39 -s 10.9.9.9 -j DROP\n-A FORWARD -j C0\n")
	out = load(t, false, rules.String()).Eval(in)
	if len(out) != 1 || !strings.Contains(out[0].Why, "steps") {
		t.Errorf("2^39 rules: %+v", out)
	}
}

// TestManyEndpoints has a Service with more endpoints than there may be open ways.
func TestManyEndpoints(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("*nat\n")
	const n = 2000
	for i := range n {
		fmt.Fprintf(&rules, "-A PREROUTING -m statistic --mode random --probability %.11f -j DNAT --to-destination 10.9.%d.%d\n", 1/float64(n-i), i/256, i%256)
	}
	out := load(t, false, rules.String()).Eval(Input{Hook: PreRouting, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")})
	if len(out) != n {
		t.Fatalf("%d outcomes", len(out))
	}
	for _, o := range out {
		if math.Abs(o.Weight*n-1) > 1e-3 {
			t.Fatalf("weight %v", o.Weight)
		}
	}
}

func TestAffinity(t *testing.T) {
	r := load(t, false, `
*nat
:SVC - [0:0]
:SEP1 - [0:0]
:SEP2 - [0:0]
-A PREROUTING -d 10.96.0.1/32 -j SVC
-A SVC -m recent --rcheck --seconds 10800 --reap --name SEP1 --mask 255.255.255.255 --rsource -j SEP1
-A SVC -m recent --rcheck --seconds 10800 --reap --name SEP2 --mask 255.255.255.255 --rsource -j SEP2
-A SVC -m statistic --mode random --probability 0.50000000000 -j SEP1
-A SVC -j SEP2
-A SEP1 -p tcp -m recent --set --name SEP1 --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.1.2:8080
-A SEP2 -p tcp -m recent --set --name SEP2 --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.1.3:8080
`)
	out := r.Eval(Input{Hook: PreRouting, Packet: tcp("10.1.0.1:40000", "10.96.0.1:80")})
	want := "0.50 Accept tcp 10.1.0.1:40000 > 10.244.1.2:8080\n0.50 Accept tcp 10.1.0.1:40000 > 10.244.1.3:8080\n"
	if got := describe(out); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestBackends(t *testing.T) {
	legacy, _ := ParseSave(strings.NewReader("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"), false, Legacy, "l")
	nft, _ := ParseSave(strings.NewReader("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n"), false, NFT, "n")
	r := &Ruleset{Tables: append(legacy, nft...)}
	if got := supposed(r.Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:1", "10.2.0.2:80")})); got != "1.000 Drop" {
		t.Errorf("what one back end accepts, the other must too: %s", got)
	}
	if got := supposed(r.Eval(Input{Hook: Forward, Packet: tcp("[fd00::1]:1", "[fd00::2]:80")})); got != "1.000 Accept" {
		t.Errorf("IPv6 met rules of IPv4: %s", got)
	}
	if got := supposed(r.Eval(Input{Hook: 9, Packet: tcp("10.1.0.1:1", "10.2.0.2:80")})); got != "1.000 Unknown there is no such hook" {
		t.Error(got)
	}
}

func TestZone(t *testing.T) {
	var zones []uint16
	r := load(t, false, "*raw\n-A PREROUTING -i eth0 -j CT --zone 7")
	out := r.Eval(Input{Hook: PreRouting, Packet: tcp("10.1.0.1:1", "10.2.0.2:80"), In: "eth0", Env: fakeEnv{zones: &zones}})
	if len(zones) != 1 || zones[0] != 7 || out[0].Conn.Zone != 7 {
		t.Errorf("zones %v, %+v", zones, out[0].Conn)
	}
}

func TestMapped(t *testing.T) {
	r := load(t, false, "*filter\n-A FORWARD -d 10.2.0.2/32 -j DROP")
	if got := supposed(r.Eval(Input{Hook: Forward, Packet: tcp("[::ffff:10.1.0.1]:1", "[::ffff:10.2.0.2]:80")})); got != "1.000 Drop" {
		t.Error(got)
	}
}
