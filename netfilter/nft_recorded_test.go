package netfilter

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nftRecorded is what nft printed of the rows of native rules.
type nftRecorded struct {
	named string                     // the sets, maps and chains that they name, as elements of the list
	expr  map[string]json.RawMessage // the statements of each rule, by how the row writes it
}

// nftScript returns the rows as a ruleset for nft, one rule a line, and the rules in the order of their lines.
func nftScript() (script string, rules []string) {
	for _, row := range nftMatchRows {
		rules = append(rules, row.conditions+" drop")
	}
	for _, row := range nftRows {
		for r := range strings.SplitSeq(row.rules, "; ") {
			rules = append(rules, r)
		}
	}
	slices.Sort(rules)
	rules = slices.Compact(rules)
	var b strings.Builder
	b.WriteString("table inet t {" + nftSets + "\tchain dropping {\n\t\tdrop\n\t}\n\tchain passing {\n\t\tmeta mark set 0x51\n\t}\n")
	for i, r := range rules {
		fmt.Fprintf(&b, "\tchain r%d {\n\t\t%s\n\t}\n", i, r)
	}
	return b.String() + "}\n", rules
}

// recordedRows reads testdata/nft/rows.json, which TestNFTRowsAsListed writes.
func recordedRows(t testing.TB) nftRecorded {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "nft", "rows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r nftRecorded
	if err := json.Unmarshal(data, &r.expr); err != nil {
		t.Fatal(err)
	}
	r.named = string(r.expr[""])
	return r
}

// ruleset returns the named sets and chains, and rules in a base chain: "nat prerouting".
func (n nftRecorded) ruleset(t testing.TB, chain string, rules ...string) *Ruleset {
	t.Helper()
	typ, hook, _ := strings.Cut(chain, " ")
	prio := map[string]int{"raw": -300, "nat": map[string]int{"prerouting": -100, "output": -100}[hook]}[typ]
	if typ == "raw" {
		typ = "filter"
	}
	list := []string{strings.Trim(n.named, "[]"), chainOf("inet", "t", "c", typ, hook, prio)}
	for _, r := range rules {
		expr := n.expr[r]
		if expr == nil {
			t.Fatalf("%s is not recorded: UPDATE=1 go test -run TestNFTRowsAsListed", r)
		}
		list = append(list, ruleOf("inet", "t", "c", strings.Trim(string(expr), "[]")))
	}
	return readNFT(t, &Ruleset{}, nftList(list...))
}

// tell says how much of the packets is dropped: yes, no or maybe; or why that is not known.
func tell(outs []Outcome) string {
	yes, no := 0.0, 0.0
	for _, o := range outs {
		switch o.Verdict {
		case Drop:
			yes += o.Weight
		case Accept:
			no += o.Weight
		default:
			return o.Why
		}
	}
	switch {
	case no == 0:
		return "yes"
	case yes == 0:
		return "no"
	}
	return "maybe"
}

func TestNFTMatch(t *testing.T) {
	n := recordedRows(t)
	for _, row := range nftMatchRows {
		row.ask(t, func(t *testing.T, name string) string {
			in := scene(name)
			return tell(n.ruleset(t, "filter "+strings.ToLower(in.Hook.String()), row.conditions+" drop").Eval(in))
		})
	}
}

func TestNFTStatements(t *testing.T) {
	n := recordedRows(t)
	for _, row := range nftRows {
		t.Run(row.chain+"/"+row.rules+"/"+row.scene, func(t *testing.T) {
			in := leaving(scene(row.scene), row.scene)
			_, hook, _ := strings.Cut(row.chain, " ")
			in.Hook = nftHooks[hook]
			var got []string
			for _, o := range n.ruleset(t, row.chain, strings.Split(row.rules, "; ")...).Eval(in) {
				got = append(got, show(o, row.fields))
			}
			slices.Sort(got)
			if diff := cmp.Diff(row.want, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
