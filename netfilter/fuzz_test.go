package netfilter

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

var saveSeeds = []string{
	"",
	"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [1:2]\n:OUTPUT ACCEPT [0:0]\n[1:60] -A FORWARD -p tcp -m tcp ! --dport 80 -m comment --comment \"a \\\"b\\\"\" -j REJECT --reject-with tcp-reset\nCOMMIT\n",
	"*nat\n:PREROUTING ACCEPT [0:0]\n:A - [0:0]\n-A PREROUTING -m statistic --mode random --probability 0.5 -j A\n-A PREROUTING -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90\n-A A -g A\nCOMMIT\n",
	"*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m limit --limit 1/sec -j MARK --set-xmark 0x1/0xff\n-A PREROUTING -m foo --bar -j TPROXY --on-port 1 --tproxy-mark 1/1\nCOMMIT\n",
	"*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d fd00::1/128 -p sctp -m sctp --chunk-types any INIT -j DNAT --to-destination [fd00::2]:5\nCOMMIT\n",
	"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --zone 5\n-A PREROUTING -m set --match-set a src,dst -j CT --notrack\n",
	"# Table `nat' is incompatible, use 'nft' tool.\n*filter\n:X - [0:0]\n-A X -m recent --rcheck --name y -j LOG --log-prefix \"-x \"\n",
	"*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A A -j B\n-A B -m cpu --cpu 0 -j MARK --set-xmark 0x1/0x0\n-A B -j A\nCOMMIT\n",
}

func FuzzParseSave(f *testing.F) {
	for _, s := range saveSeeds {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, is6 bool) {
		tables, problems := ParseSave(strings.NewReader(s), is6, NFT, "f")
		lines := strings.Count(s, "\n") + 2
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Why == "" {
				t.Errorf("%+v", p)
			}
		}
		for _, table := range tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					if r.Line < 1 || r.Line > lines || !strings.Contains(s, r.Text) {
						t.Errorf("line %d: %q", r.Line, r.Text)
					}
				}
			}
		}
	})
}

var setSeeds = []string{
	"",
	"create a hash:ip family inet hashsize 1024 maxelem 65536\nadd a 10.0.0.1\n",
	"create b hash:net,port,net family inet counters comment timeout 0\nadd b 10.0.0.0/24,tcp:80,10.1.0.0/16 packets 1 bytes 2 comment \"x y\" nomatch\n",
	"create c hash:net,iface family inet6\nadd c fd00::/64,physdev:eth0 wildcard\nadd c ::/0,eth1\n",
	"create d bitmap:port range 1-1000\nadd d 80-90\ncreate e bitmap:ip,mac range 10.0.0.0/24\nadd e 10.0.0.1,02:00:00:00:00:01\n",
	"create f list:set size 8\nadd f a\nadd f f\ncreate g hash:ip family inet netmask 24\nadd g 0.0.0.1-255.255.255.254\n",
	"create h hash:ip,mark markmask 0xff\nadd h 1.1.1.1,0x1\ncreate i hash:ip,port\nadd i 1.1.1.1,icmp:8/0\n",
}

func FuzzParseIPSet(f *testing.F) {
	for _, s := range setSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sets, _ := ParseIPSet(strings.NewReader(s), "f")
		r := &Ruleset{Sets: sets}
		for name := range sets {
			for _, p := range fuzzPackets {
				e := &eval{r: r, in: &Input{Packet: p, In: "eth0"}, is6: p.Is6()}
				s := &state{}
				s.p = p
				m := &setMatch{name: name, src: []bool{true, false, true}}
				m.match(e, s)
			}
		}
	})
}

func FuzzReadNFT(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[", `{"nftables": []}`,
		`{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "x"}}, {"chain": {"family": "inet", "table": "x", "name": "y", "handle": 1, "type": "filter", "hook": "input", "prio": 5, "policy": "accept"}}, {"rule": {"family": "inet", "table": "x", "chain": "y", "expr": [{"drop": null}]}}]}`,
		`{"nftables": [{"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "hook": "prerouting"}}, {"rule": {"family": "ip", "table": "nat", "chain": "PREROUTING", "expr": ["}\"]"]}}]}`,
		`{"nftables": [{"chain": {"family": "netdev", "table": "n", "name": "i", "hook": "ingress", "dev": "d0", "policy": "drop"}}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &Ruleset{}
		problems := r.ReadNFT(strings.NewReader(s), "f")
		list := r.Opaque
		for _, o := range list {
			if o.What == "" || int(o.Hook) >= len(chainNames) {
				t.Errorf("%+v", o)
			}
		}
		if len(problems) > 0 && len(list) < 2*len(chainNames) {
			t.Error("what was not read is not opaque")
		}
	})
}

var fuzzPackets = func() (list []packet.Packet) {
	p := tcp("10.0.0.1:40000", "10.0.0.2:80")
	p6 := tcp("[fd00::1]:40000", "[fd00::2]:80")
	inner := p
	echo := packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:0"), Dst: netip.MustParseAddrPort("10.0.0.2:0"), Proto: packet.ICMP, ICMPType: 8, ICMPID: 7}
	unreachable := echo
	unreachable.ICMPType, unreachable.Inner = 3, &inner
	sctp := p
	sctp.Proto, sctp.Flags = packet.SCTP, 0
	return []packet.Packet{p, p6, echo, unreachable, sctp}
}()

func FuzzEval(f *testing.F) {
	for i, s := range saveSeeds {
		f.Add(s, "create a hash:ip\nadd a 10.0.0.1\n", uint8(i), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, rules, sets string, hook, which, conn uint8) {
		p := fuzzPackets[int(which)%len(fuzzPackets)]
		r := &Ruleset{}
		r.Tables, _ = ParseSave(strings.NewReader(rules), p.Is6(), Backend(conn>>7), "f")
		r.Sets, _ = ParseIPSet(strings.NewReader(sets), "f")
		in := Input{Hook: Hook(hook % 6), Packet: p, In: "eth0", Out: "eth0"}
		if conn&1 != 0 {
			in.Env = fakeEnv{}
		}
		if conn&2 != 0 {
			in.Conn = &Conn{State: CTState(conn >> 2 & 7), Reply: conn&32 != 0, SNAT: true, DNAT: true, Orig: TupleOf(p), Back: TupleOf(p).Invert()}
		}
		sum := 0.0
		out := r.Eval(in)
		for _, o := range out {
			sum += o.Weight
			if o.Weight < 0 || math.IsNaN(o.Weight) || o.Verdict == VerdictUnknown && o.Why == "" {
				t.Errorf("%+v", o)
			}
			if !o.Packet.Src.Addr().IsValid() || !o.Packet.Dst.Addr().IsValid() || o.Packet.Is6() != p.Is6() {
				t.Errorf("%+v", o.Packet)
			}
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("the weights add up to %v", sum)
		}
	})
}
