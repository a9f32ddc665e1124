package netfilter

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzEvalNFT reads what may be rules of nf_tables, and evaluates packets under them.
func FuzzEvalNFT(f *testing.F) {
	for i, name := range []string{"matches", "statements", "more"} {
		json, err := os.ReadFile(filepath.Join("testdata", "nft", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(json), uint8(i), uint8(i), uint8(i))
	}
	f.Add(kubeProxyNFT(2), uint8(0), uint8(0), uint8(1))
	f.Add(nftJSON, uint8(1), uint8(3), uint8(2))
	head := `{"nftables": [{"table": {"family": "inet", "name": "t"}}, {"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "forward", "prio": 0}}, {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [`
	for i, e := range []string{
		`{"goto": {"target": "c"}}`, `{"vmap": {"key": {"numgen": {"mod": 4294967296}}, "data": {"set": [[1, {"jump": {"target": "c"}}]]}}}`,
		`{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"<<": [{"meta": {"key": "mark"}}, 63]}}}`,
		`{"match": {"op": "in", "left": {"concat": [{"payload": {"protocol": "th", "field": "dport"}}, {"ct": {"key": "label"}}]}, "right": {"set": [{"concat": [1, 2]}]}}}`,
		`{"dnat": {"addr": {"map": {"key": {"meta": {"key": "mark"}}, "data": {"set": [[1, {"concat": ["10.0.0.1", 80]}]]}}}}}`,
	} {
		f.Add(head+e+`]}}]}`, uint8(Forward), uint8(i), uint8(1))
	}
	f.Fuzz(func(t *testing.T, s string, hook, which, conn uint8) {
		r := &Ruleset{}
		problems := r.ReadNFT(strings.NewReader(s), "f")
		if len(problems) > 0 && len(r.Opaque) < 2*len(chainNames) {
			t.Error("what was not read is not opaque")
		}
		for _, table := range r.NFTables {
			for _, c := range table.Chains {
				for l := range table.Leads(c) {
					if l.Rule == nil {
						t.Errorf("a way of no rule: %+v", l)
					}
				}
			}
		}
		p := fuzzPackets[int(which)%len(fuzzPackets)]
		in := Input{Hook: Hook(hook % 5), Packet: p, In: "eth0", Out: "eth0"}
		if conn&1 != 0 {
			in.Env = fakeEnv{}
		}
		if conn&2 != 0 {
			in.Conn = &Conn{State: CTState(conn >> 2 & 7), Reply: conn&32 != 0, SNAT: true, DNAT: true, Orig: TupleOf(p), Back: TupleOf(p).Invert()}
		}
		sum := 0.0
		for _, o := range r.Eval(in) {
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
