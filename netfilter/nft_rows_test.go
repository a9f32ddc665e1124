package netfilter

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbnet/plumb/packet"
)

// rowPackets are asked of every rule of the fixtures, in this order.
var rowPackets = func() []packet.Packet {
	syn := tcp("10.0.0.1:1000", "10.1.0.5:80")
	ack := syn
	ack.Flags, ack.MSS, ack.Mark, ack.Size = packet.ACK, 0, 1, 150
	udp := syn
	udp.Proto, udp.Flags, udp.MSS, udp.TOS, udp.TTL, udp.DF = packet.UDP, 0, 0, 0xb8, 3, false
	echo := packet.Packet{Src: zeroed("10.0.0.1"), Dst: zeroed("10.1.0.5"), Proto: packet.ICMP, ICMPType: 8, ICMPID: 5, Size: 100, TTL: 64}
	sctp := tcp("1.2.3.4:1000", "10.1.0.5:80")
	sctp.Proto, sctp.Flags, sctp.MSS = packet.SCTP, 0, 0
	syn6 := tcp("[fd00::5]:1000", "[fd00::9]:80")
	return []packet.Packet{syn, ack, udp, echo, sctp, syn6}
}()

// TestRulesOfFixtures says of each rule that nft has printed what it does to each
// packet: y it meets the rule, n it does not, ? it may, d it ends, u what happens is not known.
func TestRulesOfFixtures(t *testing.T) {
	var b strings.Builder
	b.WriteString("# syn ack udp echo sctp syn6\n")
	for _, name := range []string{"matches", "statements", "more"} {
		r, _ := fixture(t, name)
		for _, table := range r.NFTables {
			for _, c := range table.nft.order {
				for i, rule := range c.Rules {
					for _, p := range rowPackets {
						b.WriteByte(does(r, table, c, i, p))
					}
					fmt.Fprintf(&b, " %s %s\n", c.Name, rule.Text)
				}
			}
		}
	}
	file := filepath.Join("testdata", "nft", "rules.golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); d != "" {
		t.Error(d)
	}
}

// does asks one rule alone.
func does(r *Ruleset, table *Table, c *Chain, i int, p packet.Packet) byte {
	hook, known := nftHooks[c.nft.hook]
	if !known {
		hook = PreRouting
	}
	in := Input{Hook: hook, Packet: p, In: "eth0", Out: "eth1", Env: fakeEnv{}}
	e := &eval{}
	s := e.begin(r, &in)
	e.conntrack(s)
	one := &Chain{Name: c.Name, Rules: c.Rules[i : i+1], nft: &nftChain{typ: c.nft.typ, rules: [][]nftStmt{append(append([]nftStmt{}, c.nft.rules[i]...), nftEnd{})}}}
	rest := e.native(table, one, []*state{s}, 0)
	met, ended, unknown := len(e.passed), 0, 0
	for _, f := range e.final {
		switch f.verdict {
		case VerdictUnknown:
			unknown++
		default:
			ended++
		}
	}
	switch {
	case unknown > 0:
		return 'u'
	case len(rest) > 0 && met+ended > 0:
		return '?'
	case ended > 0:
		return 'd'
	case met > 0:
		return 'y'
	}
	return 'n'
}

// nftEnd accepts what a rule lets come to its end.
type nftEnd struct{}

func (nftEnd) run(w *nftWalk, s *state) nftFlow {
	w.verdict(nftVerdict{kind: verdictAccept}, s)
	return flowEnd
}

func zeroed(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 0) }
