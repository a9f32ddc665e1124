//go:build linux

package wild

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
)

// TestKernelAgreesOnNFT sends packets through what firewalld and kube-proxy write with nft itself.
func TestKernelAgreesOnNFT(t *testing.T) {
	sandbox.Need(t)
	var total rules.Tally
	t.Run("firewalld", func(t *testing.T) {
		json, err := os.ReadFile("testdata/firewalld-nft/nft.json")
		if err != nil {
			t.Fatal(err)
		}
		like := fixtures(t, "firewalld") // the same, by way of iptables: it names the same addresses and ports
		total.Add(agreeNFT(t, machine, string(json), []string{"-j", "-f", "-"}, like[rules.Kit{}], flows["firewalld"], false))
		total.Add(agreeNFT(t, machine, string(json), []string{"-j", "-f", "-"}, like[rules.Kit{V6: true}], flows["firewalld"], true))
	})
	files, _ := filepath.Glob("../../../../shared/oracles/nftables_rules/*.rules")
	if len(files) == 0 {
		t.Log("no nftables rules of kube-proxy: ../shared/oracles is not here")
	}
	for _, f := range files {
		t.Run("kube-proxy/"+filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			v6 := strings.Contains(string(text), "table ip6 ")
			total.Add(agreeNFT(t, node, string(text), []string{"-f", "-"}, iptablesWords(string(text)), nil, v6))
		})
	}
	fmt.Printf("agree: wild nftables: %d comparisons, %d disagreements, %d of them certain\n", total.Comparisons, len(total.Disagreements), total.Certain)
	t.Logf("what the kernel did: %v", total.By)
}

var serviceKey = regexp.MustCompile(`([0-9a-f.:]+) \. (?:tcp|udp|sctp) \. (\d+) :`)

// iptablesWords says what destinations a ruleset names in the words that Around reads.
func iptablesWords(text string) string {
	var b strings.Builder
	for _, m := range serviceKey.FindAllStringSubmatch(text, -1) {
		bits := 32
		if strings.Contains(m[1], ":") {
			bits = 128
		}
		fmt.Fprintf(&b, "-d %s/%d --dport %s\n", m[1], bits, m[2])
	}
	for _, m := range regexp.MustCompile(`\{ (?:tcp|udp|sctp) \. (\d+) :`).FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&b, "--dport %s\n", m[1])
	}
	return b.String()
}

// agreeNFT loads text with nft and compares; words names the addresses and ports to ask for.
func agreeNFT(t *testing.T, top rules.Topology, text string, args []string, words string, flows []flow, v6 bool) rules.Tally {
	t.Helper()
	w, err := rules.NewWorld("w", top)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Router.Run(text, append([]string{"nft"}, args...)...); err != nil {
		t.Fatal(err)
	}
	json, err := w.Router.Output("", "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	model := &netfilter.Ruleset{}
	for _, p := range model.ReadNFT(strings.NewReader(json), "nft.json") {
		t.Fatal(p)
	}
	probes := Around(words, top, v6)
	if os.Getenv("PLUMB_AGREE") != "full" {
		probes = thin(probes, most/4)
	}
	tally, err := w.Agree(model, probes, false)
	if err != nil {
		t.Fatal(err)
	}
	tally.Add(typical(t, w, model, v6, flows))
	for i, d := range tally.Disagreements {
		if i < 3 {
			t.Error(d)
		}
	}
	if n := tally.Comparisons; n < 20 || tally.Certain*100 < n*95 {
		t.Errorf("%d comparisons, %d certain", n, tally.Certain)
	}
	return tally
}
