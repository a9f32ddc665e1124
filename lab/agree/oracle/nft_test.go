package oracle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestKubeProxyNFT loads the rulesets of kube-proxy's nftables mode into a
// namespace, and takes what nft then lists, as a node would show it.
func TestKubeProxyNFT(t *testing.T) {
	dir := oracles(t)
	sandbox.Need(t)
	ns, err := sandbox.NewNS("oracle-nft")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	listed := map[string]*netfilter.Ruleset{}
	flows := read(t, filepath.Join(dir, "nftables.jsonl.gz"))
	n, wrong := 0, 0
	for i, f := range flows {
		r := listed[f.Rules]
		if r == nil {
			r = listNFT(t, ns, filepath.Join(dir, "nftables_rules", f.Rules+".rules"))
			listed[f.Rules] = r
		}
		got, want := ask(r, f), answer{f.Output, f.Masq}
		if n++; got == want {
			continue
		}
		wrong++
		t.Errorf("%d %s\n%s %s > %s:%d (%s)\ngot  %+v\nwant %+v", i, f.Name, f.Proto, f.Src, f.Dst, f.DPort, f.Rules, got, want)
	}
	fmt.Printf("agree: kube-proxy nftables oracle: %d comparisons, %d disagreements, 0 explained\n", n, wrong)
}

// listNFT loads rules and reads what nft lists.
func listNFT(t *testing.T, ns *sandbox.NS, file string) *netfilter.Ruleset {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Run("flush ruleset\n"+string(text), "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	json, err := ns.Output("", "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	r := &netfilter.Ruleset{}
	for _, p := range r.ReadNFT(bytes.NewReader([]byte(json)), "nft.json") {
		t.Error(p)
	}
	for _, table := range r.NFTables {
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				if why := rule.Unknown(); why != "" {
					t.Errorf("%s: %s: %s", c.Name, rule.Text, why)
				}
			}
		}
	}
	return r
}
