package netfilter

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fixture reads what nft printed of a ruleset, as JSON and as text.
func fixture(t testing.TB, name string) (*Ruleset, string) {
	t.Helper()
	json, err := os.ReadFile(filepath.Join("testdata", "nft", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "nft", name+".nft"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Ruleset{}
	for _, p := range r.ReadNFT(strings.NewReader(string(json)), name+".json") {
		t.Error(p)
	}
	return r, string(text)
}

var counts = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// TestTextIsWhatNFTLists compares the text of each rule with what nft itself printed of it.
func TestTextIsWhatNFTLists(t *testing.T) {
	for _, name := range []string{"matches", "statements", "more"} {
		t.Run(name, func(t *testing.T) {
			r, text := fixture(t, name)
			for _, table := range r.NFTables {
				for _, c := range table.Chains {
					sameLines(t, c, listed(text, table, c))
				}
			}
		})
	}
}

func sameLines(t *testing.T, c *Chain, want []string) {
	t.Helper()
	if len(want) != len(c.Rules) {
		t.Errorf("chain %s has %d rules, %d are listed", c.Name, len(c.Rules), len(want))
		return
	}
	for i, r := range c.Rules {
		if r.Text != want[i] {
			t.Errorf("got  %s\n\twant %s", r.Text, want[i])
		}
	}
}

// listed returns the rules of a chain in what nft printed.
func listed(text string, table *Table, c *Chain) (rules []string) {
	_, rest, _ := strings.Cut(text, "table "+table.Family+" "+table.Name+" {\n")
	_, rest, _ = strings.Cut(rest, "\tchain "+c.Name+" {\n")
	rest, _, _ = strings.Cut(rest, "\t}\n")
	rest = regexp.MustCompile(`,\n\t+ *`).ReplaceAllString(rest, ", ") // elements on lines of their own
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "type ") {
			rules = append(rules, counts.ReplaceAllString(line, "counter"))
		}
	}
	return rules
}
