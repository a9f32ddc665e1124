package netfilter

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

// TestAssumed has what outcomes suppose, and where ways that end alike are one.
func TestAssumed(t *testing.T) {
	for _, row := range []struct{ name, rules, want string }{
		{"both ways accept", "*filter\n-A FORWARD -m cpu --cpu 0 -j ACCEPT", "1.000 Accept"},
		{"both ways drop", "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m cpu --cpu 0 -j DROP", "1.000 Drop"},
		{"both ways reject alike", "*filter\n-A FORWARD -m cpu --cpu 0 -j REJECT\n-A FORWARD -j REJECT", "1.000 Reject"},
		{"they reject differently", "*filter\n-A FORWARD -m cpu --cpu 0 -p tcp -j REJECT --reject-with tcp-reset\n-A FORWARD -j REJECT", "0.500 Reject (cpu yes); 0.500 Reject (cpu no)"},
		{"a mark that is set again", "*mangle\n-A FORWARD -m cpu --cpu 0 -j MARK --set-mark 0x1\n-A FORWARD -j MARK --set-mark 0x2", "1.000 Accept"},
		{"a mark that stays", "*mangle\n-A FORWARD -m cpu --cpu 0 -j MARK --set-mark 0x1", "0.500 Accept (cpu yes); 0.500 Accept (cpu no)"},
		{"a mark that no other rule asks for, then dropped", "*mangle\n-A FORWARD -m cpu --cpu 0 -j DROP\n*filter\n-A FORWARD -j DROP", "1.000 Drop"},
		{"twice the same question", "*filter\n-A FORWARD -m cpu --cpu 0 -j DROP\n-A FORWARD -m cpu --cpu 0 -j DROP", "0.750 Drop; 0.250 Accept (cpu no, cpu no)"},
		{"a negation", "*filter\n-A FORWARD -m cpu ! --cpu 0 -j DROP", "0.500 Accept (cpu no); 0.500 Drop (cpu yes)"},
		{"a chain that returns", "*filter\n:A - [0:0]\n-A FORWARD -m cpu --cpu 0 -j A\n-A FORWARD -j DROP\n-A A -j RETURN", "1.000 Drop"},
		{"a chain that decides", "*filter\n:A - [0:0]\n-A FORWARD -m cpu --cpu 0 -j A\n-A A -j DROP", "0.500 Accept (cpu no); 0.500 Drop (cpu yes)"},
		{"a return that is not known", "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A A -m cpu --cpu 0 -j RETURN\n-A A -j DROP", "0.500 Accept (cpu yes); 0.500 Drop (cpu no)"},
		{"a return that is not known, of no consequence", "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -m cpu --cpu 0 -j RETURN\n-A A -j DROP", "1.000 Drop"},
		{"a goto that is not known", "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -m cpu --cpu 0 -g B\n-A A -j ACCEPT\n-A B -s 10.9.9.9/32", "0.500 Accept (cpu no); 0.500 Drop (cpu yes)"},
		{"within a rate, then dropped", "*filter\n-A FORWARD -m hashlimit --hashlimit-upto 5/sec --hashlimit-name x -j ACCEPT\n-A FORWARD -j DROP", "0.001 Drop (hashlimit no); 0.999 Accept"},
		{"above a rate is dropped", "*filter\n-A FORWARD -m hashlimit --hashlimit-above 5/sec --hashlimit-name x -j DROP", "0.001 Drop (hashlimit yes); 0.999 Accept"},
		{"not in a list of -m recent", "*filter\n-A FORWARD -m recent --rcheck --name x -j DROP", "0.001 Drop (recent yes); 0.999 Accept"},
		{"not in it, negated", "*filter\n-A FORWARD -m recent ! --rcheck --name x -j DROP", "0.001 Accept (recent no); 0.999 Drop"},
		{"two tables", "*mangle\n-A FORWARD -m cpu --cpu 0 -j DROP\n*filter\n-A FORWARD -m time --timestart 10:00:00 -j DROP",
			"0.250 Accept (cpu no, time no); 0.750 Drop"},
		{"in the order of the rules", "*filter\n-A FORWARD -m cpu --cpu 0 -j RETURN\n-A FORWARD -m time --timestart 10:00:00 -j RETURN\n-A FORWARD -j DROP",
			"0.250 Drop (cpu no, time no); 0.750 Accept"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := load(t, false, row.rules).Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80"), In: "eth0", Out: "eth1"})
			if diff := cmp.Diff(sorted(row.want), sorted(supposed(out))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWaysApart has two outcomes wherever something that can still matter differs.
func TestWaysApart(t *testing.T) {
	in := scene("natted")
	in.Hook = PreRouting
	for _, row := range []struct {
		name, table, target string
		want                int
	}{
		{"mark", "mangle", "MARK --set-mark 0x7", 2},
		{"the same mark", "mangle", "MARK --set-mark 0x4001", 1},
		{"connmark", "mangle", "CONNMARK --set-mark 0x7", 2},
		{"the same connmark", "mangle", "CONNMARK --set-mark 0x5", 1},
		{"TOS", "mangle", "TOS --set-tos 0x10/0xff", 2},
		{"TTL", "mangle", "TTL --ttl-set 5", 2},
		{"MSS", "mangle", "TCPMSS --set-mss 1000", 2},
		{"an MSS that is not lowered", "mangle", "TCPMSS --set-mss 2000", 1},
		{"a proxy", "mangle", "TPROXY --on-port 1 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0", 2},
		{"a log", "mangle", "LOG", 1},
		{"a drop", "mangle", "DROP", 2},
		{"a process", "mangle", "NFQUEUE --queue-num 1", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := load(t, false, "*"+row.table+"\n-A PREROUTING -p tcp -m cpu --cpu 0 -j "+row.target).Eval(in)
			if len(out) != row.want {
				t.Errorf("%d outcomes, want %d: %s", len(out), row.want, describe(out))
			}
		})
	}
}

// TestCaps has rulesets that would be followed for ever, or in more ways than memory holds.
func TestCaps(t *testing.T) {
	many := func(n int, rule string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, rule+"\n", 1<<i)
		}
		return b.String()
	}
	deep := "*mangle\n-A FORWARD -j C0\n"
	for i := range 300 {
		deep += fmt.Sprintf(":C%d - [0:0]\n-A C%d -j C%d\n", i, i, i+1)
	}
	deep += ":C300 - [0:0]\n-A C300 -j DROP"
	for _, row := range []struct{ name, rules, want string }{
		{"nine unknown marks are 512 ways", "*mangle\n" + many(9, "-A FORWARD -m cpu --cpu 0 -j MARK --or-mark %#x"), "512 Accept"},
		{"ten are too many", "*mangle\n" + many(10, "-A FORWARD -m cpu --cpu 0 -j MARK --or-mark %#x"), "1 Unknown the packet can go more than 512 ways in chain FORWARD, for want of knowledge"},
		{"nine in two tables", "*mangle\n" + many(4, "-A FORWARD -m cpu --cpu 0 -j MARK --or-mark %#x") + "*filter\n-A FORWARD -m cpu --cpu 1 -j DROP", "32"},
		{"ten of which one is known", "*mangle\n-A FORWARD -m cpu --cpu 0 -j ACCEPT\n" + many(9, "-A FORWARD -p udp -m cpu --cpu 0 -j MARK --or-mark %#x"), "1 Accept"},
		{"ten that are forgotten", "*mangle\n" + many(10, "-A FORWARD -m cpu --cpu 0 -j MARK --or-mark %#x\n-A FORWARD -j MARK --set-mark 0x0"), "1 Accept"},
		{"two chains in a circle", "*mangle\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A B -j A", "1 Unknown chain A: chains jump too deep, or in a circle"},
		{"a circle that the packet does not enter", "*mangle\n:A - [0:0]\n-A FORWARD -p udp -j A\n-A A -j A", "1 Accept"},
		{"300 chains deep", deep, "1 Unknown chain C256: chains jump too deep, or in a circle"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := load(t, false, row.rules).Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")})
			got, sum := fmt.Sprintf("%d", len(out)), 0.0
			for _, o := range out {
				sum += o.Weight
			}
			if strings.Contains(row.want, " ") {
				got = strings.TrimSpace(fmt.Sprintf("%d %s %s", len(out), out[0].Verdict, out[0].Why))
			}
			if got != row.want || math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s, want %s; weights add up to %v", got, row.want, sum)
			}
		})
	}
}

// TestQuotedApart keeps ways apart that quote different packets, and joins those that quote the same in another place.
func TestQuotedApart(t *testing.T) {
	quoted := func(mark uint32, inner *packet.Packet) *state {
		p := errorAbout(tcp("10.1.0.1:1", "10.2.0.2:80"))
		p.Inner.Mark, p.Inner.Inner = mark, inner
		s := &state{weight: 0.5}
		s.p = p
		return s
	}
	nested := tcp("10.3.0.1:1", "10.4.0.2:80")
	copied := nested
	bare := quoted(0, nil)
	bare.p.Inner = nil
	for _, row := range []struct {
		name string
		a, b *state
		want int
	}{
		{"the same", quoted(1, nil), quoted(1, nil), 1},
		{"another mark", quoted(1, nil), quoted(2, nil), 2},
		{"one quotes nothing", quoted(0, nil), bare, 2},
		{"the same, nested", quoted(1, &nested), quoted(1, &copied), 1},
		{"one is nested", quoted(1, &nested), quoted(1, nil), 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := len(join([]*state{row.a}, []*state{row.b})); got != row.want {
				t.Errorf("%d ways, want %d", got, row.want)
			}
		})
	}
}

// TestFlow has gotos, returns, policies and stages: which rules a SYN at FORWARD is decided by.
func TestFlow(t *testing.T) {
	for _, row := range []struct{ name, rules, want string }{
		{"a policy", "*filter\n:FORWARD DROP [0:0]", "Drop: policy DROP"},
		{"a policy that accepts", "*filter", "Accept: policy ACCEPT"},
		{"a policy of another table", "*mangle\n:FORWARD DROP [0:0]", "Drop: policy DROP"},
		{"a policy that is not understood", "*filter\n:FORWARD QUEUE [0:0]", "Unknown: policy QUEUE"},
		{"a rule before the policy", "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ACCEPT", "Accept: -A FORWARD -j ACCEPT"},
		{"ACCEPT ends one table only", "*mangle\n-A FORWARD -j ACCEPT\n*filter\n-A FORWARD -j DROP", "Drop: -A FORWARD -j ACCEPT, -A FORWARD -j DROP"},
		{"a jump", "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A A -j DROP", "Drop: -A FORWARD -j A, -A A -j DROP"},
		{"a jump in vain", "*filter\n:A - [0:0]\n-A FORWARD -j A\n-A A -p udp -j DROP", "Accept: policy ACCEPT"},
		{"an empty chain", "*filter\n:A - [0:0]\n-A FORWARD -j A", "Accept: policy ACCEPT"},
		{"a goto to an empty chain ends the caller", "*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n-A FORWARD -g A\n-A FORWARD -j ACCEPT", "Drop: policy DROP"},
		{"a goto in a chain returns to its caller", "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -g B\n-A A -j ACCEPT\n-A B -p udp -j ACCEPT", "Drop: -A FORWARD -j DROP"},
		{"RETURN after a goto returns to the caller", "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -g B\n-A A -j ACCEPT\n-A B -j RETURN\n-A B -j ACCEPT", "Drop: -A FORWARD -j DROP"},
		{"RETURN after a goto from the first chain is the policy", "*filter\n:FORWARD DROP [0:0]\n:B - [0:0]\n-A FORWARD -g B\n-A FORWARD -j ACCEPT\n-A B -j RETURN", "Drop: policy DROP"},
		{"a goto of two", "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -g A\n-A A -g B\n-A A -j DROP\n-A B -p udp -j DROP", "Accept: policy ACCEPT"},
		{"RETURN of two chains", "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j ACCEPT\n-A A -j B\n-A A -j DROP\n-A B -j RETURN", "Drop: -A FORWARD -j A, -A A -j DROP"},
		{"marks, then a decision by mark", "*mangle\n-A FORWARD -j MARK --set-mark 0x5\n*filter\n-A FORWARD -m mark --mark 0x5 -j DROP", "Drop: -A FORWARD -j MARK --set-mark 0x5, -A FORWARD -m mark --mark 0x5 -j DROP"},
		{"a chain declared after its rule's", "*filter\n-A FORWARD -j A\n:A - [0:0]\n-A A -j DROP", "Drop: -A FORWARD -j A, -A A -j DROP"},
		{"a rule that only counts", "*filter\n-A FORWARD -p tcp\n-A FORWARD -j DROP", "Drop: -A FORWARD -j DROP"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := load(t, false, row.rules).Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")})
			var by []string
			for _, ref := range out[0].Rules {
				by = append(by, ref.Text())
			}
			if got := out[0].Verdict.String() + ": " + strings.Join(by, ", "); got != row.want || len(out) != 1 {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// TestBothBackends has tables of both back ends: each sees what the other lets pass, and the first NAT is the one that counts.
func TestBothBackends(t *testing.T) {
	for _, row := range []struct{ name, hook, nft, legacy, want string }{
		{"both accept", "FORWARD", "*filter\n-A FORWARD -j ACCEPT", "*filter\n-A FORWARD -j ACCEPT", "1.00 Accept tcp 10.1.0.1:40000 > 10.2.0.2:80"},
		{"nft drops", "FORWARD", "*filter\n-A FORWARD -j DROP", "*filter\n-A FORWARD -j ACCEPT", "1.00 Drop tcp 10.1.0.1:40000 > 10.2.0.2:80"},
		{"legacy drops", "FORWARD", "*filter\n-A FORWARD -j ACCEPT", "*filter\n-A FORWARD -j DROP", "1.00 Drop tcp 10.1.0.1:40000 > 10.2.0.2:80"},
		{"legacy drops by a mark of nft's", "FORWARD", "*mangle\n-A FORWARD -j MARK --set-mark 0x1", "*filter\n-A FORWARD -m mark --mark 0x1 -j DROP", "1.00 Drop tcp 10.1.0.1:40000 > 10.2.0.2:80"},
		{"NAT once", "PREROUTING", "*nat\n-A PREROUTING -j DNAT --to-destination 10.9.0.1", "*nat\n-A PREROUTING -j DNAT --to-destination 10.9.0.2", "1.00 Accept tcp 10.1.0.1:40000 > 10.9.0.1:80"},
		{"NAT by the other", "PREROUTING", "*nat\n-A PREROUTING -p udp -j DNAT --to-destination 10.9.0.1", "*nat\n-A PREROUTING -j DNAT --to-destination 10.9.0.2", "1.00 Accept tcp 10.1.0.1:40000 > 10.9.0.2:80"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := load(t, false, row.nft)
			legacy, _ := ParseSave(strings.NewReader(complete(row.legacy)), false, Legacy, "legacy")
			r.Tables = append(r.Tables, legacy...)
			in := Input{Hook: hookNamed(row.hook), Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")}
			if got := strings.TrimSpace(describe(r.Eval(in))); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
			in.Packet.Src, in.Packet.Dst = netip.MustParseAddrPort("[fd00::1]:1"), netip.MustParseAddrPort("[fd00::2]:80")
			if out := r.Eval(in); out[0].Verdict != Accept {
				t.Errorf("IPv6: %s", describe(out))
			}
		})
	}
}
