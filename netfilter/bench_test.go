package netfilter

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// kubeProxyRules writes rules as kube-proxy does for so many Services, each with
// two endpoints and a node port for each tenth: about ten rules a Service.
func kubeProxyRules(services int) string {
	var nat, svc, end, ports strings.Builder
	nat.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n" +
		":KUBE-MARK-MASQ - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-SERVICES - [0:0]\n")
	for i := range services {
		fmt.Fprintf(&nat, ":KUBE-SVC-%016d - [0:0]\n", i)
		vip := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})
		name := fmt.Sprintf("shop/service-%d:http", i)
		fmt.Fprintf(&svc, "-A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"%s cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%016d\n", vip, name, i)
		if i%10 == 0 {
			fmt.Fprintf(&ports, "-A KUBE-NODEPORTS -p tcp -m comment --comment %q -m tcp --dport %d -j KUBE-SVC-%016d\n", name, 30000+i/10, i)
		}
		fmt.Fprintf(&end, "-A KUBE-SVC-%016d ! -s 10.244.0.0/16 -d %s/32 -p tcp -m comment --comment \"%s cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ\n", i, vip, name)
		for k, p := range []string{" -m statistic --mode random --probability 0.33332999982", " -m statistic --mode random --probability 0.50000000000", ""} {
			pod := netip.AddrFrom4([4]byte{10, 244, byte(i >> 6), byte(i<<2 + k)})
			fmt.Fprintf(&nat, ":KUBE-SEP-%d%015d - [0:0]\n", k, i)
			fmt.Fprintf(&end, "-A KUBE-SVC-%016d -m comment --comment \"%s -> %s:8080\"%s -j KUBE-SEP-%d%015d\n", i, name, pod, p, k, i)
			fmt.Fprintf(&end, "-A KUBE-SEP-%d%015d -s %s/32 -m comment --comment %q -j KUBE-MARK-MASQ\n", k, i, pod, name)
			fmt.Fprintf(&end, "-A KUBE-SEP-%d%015d -p tcp -m comment --comment %q -m tcp -j DNAT --to-destination %s:8080\n", k, i, name, pod)
		}
	}
	nat.WriteString("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n" +
		"-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n" +
		"-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n" +
		"-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n" + ports.String() +
		"-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n" +
		"-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n" +
		"-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully\n")
	nat.WriteString(svc.String())
	nat.WriteString("-A KUBE-SERVICES ! -d 127.0.0.0/8 -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n")
	nat.WriteString(end.String() + "COMMIT\n")
	return nat.String()
}

var sizes = []int{1_000, 10_000, 100_000}

func BenchmarkParseSave(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			text := kubeProxyRules(n / 11)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ParseSave(strings.NewReader(text), false, NFT, "rules")
			}
			b.ReportMetric(retained(text)/1e6, "MB-kept")
		})
	}
}

// retained returns the bytes of memory that the parsed rules keep.
func retained(text string) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tables, _ := ParseSave(strings.NewReader(text), false, NFT, "rules")
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(tables)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// BenchmarkEval is one packet at PREROUTING of a node with that many of kube-proxy's rules: to a Service
// of three endpoints, to a port of the node, and to a Pod. What it takes must not grow with the rules.
func BenchmarkEval(b *testing.B) {
	to := []struct{ name, dst string }{{"service", "10.96.0.40:80"}, {"node-port", "192.0.2.1:30004"}, {"pod", "10.244.3.4:8080"}}
	var env Env = fakeEnv{types: map[string]AddrType{"192.0.2.1": "LOCAL"}}
	for _, n := range sizes {
		tables, _ := ParseSave(strings.NewReader(kubeProxyRules(n/11)), false, NFT, "rules")
		r := &Ruleset{Tables: tables}
		for _, to := range to {
			p := tcp("10.244.9.9:40000", to.dst)
			b.Run(fmt.Sprintf("rules=%d/to=%s", n, to.name), func(b *testing.B) {
				b.ReportAllocs()
				var e Evaluator
				in := Input{Hook: PreRouting, Packet: p, In: "cni0", Env: env}
				for b.Loop() {
					e.Eval(r, &in)
				}
			})
		}
	}
}

// BenchmarkReadNFT reads what nft prints of iptables' own rules, of which nothing is kept.
func BenchmarkReadNFT(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "nat", "handle": 1}}, {"chain": {"family": "ip", "table": "nat", "name": "KUBE-SERVICES", "handle": 1}}`)
	for i := range 100_000 {
		fmt.Fprintf(&text, `, {"rule": {"family": "ip", "table": "nat", "chain": "KUBE-SERVICES", "handle": %d, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "10.96.%d.%d"}}, {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"xt": {"type": "match", "name": "comment"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, {"counter": {"packets": 0, "bytes": 0}}, {"jump": {"target": "KUBE-SVC-%d"}}]}}`, i, i>>8&255, i&255, i)
	}
	text.WriteString("]}")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := &Ruleset{Tables: []*Table{{Name: "nat", Backend: NFT}}}
		if problems := r.ReadNFT(strings.NewReader(text.String()), "nft.json"); problems != nil {
			b.Fatal(problems)
		}
	}
}

// TestManyRules holds what a rule costs: memory, and nothing when a packet is evaluated.
func TestManyRules(t *testing.T) {
	text := kubeProxyRules(1000)
	tables, problems := ParseSave(strings.NewReader(text), false, NFT, "rules")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := &Ruleset{Tables: tables}
	p := tcp("10.244.9.9:40000", "10.96.3.231:80")
	out := r.Eval(Input{Hook: PreRouting, Packet: p, Env: fakeEnv{}})
	if len(out) != 3 || out[0].Packet.Dst.Port() != 8080 || out[0].Packet.Proto != packet.TCP {
		t.Errorf("%s", describe(out))
	}
	var e Evaluator
	var env Env = fakeEnv{}
	in := Input{Hook: PreRouting, Packet: p, Env: env}
	if allocs := testing.AllocsPerRun(10, func() { e.Eval(r, &in) }); allocs > 2 {
		t.Errorf("%v allocations, beyond the lists of outcomes and of their rules", allocs)
	}
	in.Hook = PostRouting
	if allocs := testing.AllocsPerRun(10, func() { e.Eval(r, &in) }); allocs > 0 {
		t.Errorf("%v allocations for a single outcome", allocs)
	}
	if kept := retained(text) / 10_100; kept > 1500 {
		t.Errorf("%.0f bytes are kept for a rule", kept)
	}
}
