//go:build linux

package netfilter

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/sandbox"
)

// TestNFTRowsAsListed has nft load the rows of native rules, and wants what it then lists to be
// what was recorded, and our words of each rule to be nft's.
func TestNFTRowsAsListed(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("nft-rows")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	script, rules := nftScript()
	for range 40 {
		err := ns.Run(script, "nft", "-f", "-")
		if err == nil {
			break
		}
		if script = without(t, script, err); script == "" {
			t.FailNow()
		}
	}
	listed, err := ns.Output("", "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	text, err := ns.Output("", "nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	now := exprsOf(t, listed, rules)
	if os.Getenv("UPDATE") != "" {
		record(t, now)
	}
	was := recordedRows(t).expr
	if string(was["version"]) != string(now["version"]) {
		t.Skipf("this is nft %s, and the rows are recorded of %s", now["version"], was["version"])
	}
	for rule, expr := range now {
		if diff := cmp.Diff(string(was[rule]), string(expr)); diff != "" {
			t.Errorf("%s is listed otherwise than it is recorded: %s", rule, diff)
		}
	}
	r := readNFT(t, &Ruleset{}, listed)
	for name, c := range r.NFTables[0].Chains {
		sameLines(t, c, listedIn(text, name))
	}
}

var refusedLine = regexp.MustCompile(`(?m)^/dev/stdin:(\d+):(.*)`)

// without returns the script without the lines that nft refuses.
func without(t *testing.T, script string, refused error) string {
	t.Helper()
	lines := strings.SplitAfter(script, "\n")
	found := refusedLine.FindAllStringSubmatch(refused.Error(), -1)
	for _, m := range found {
		n, _ := strconv.Atoi(m[1])
		if lines[n-1] != "\n" {
			t.Errorf("nft refuses %s: %s", strings.TrimSpace(lines[n-1]), m[2])
		}
		lines[n-1] = "\n"
	}
	if len(found) == 0 {
		t.Error(refused)
		return ""
	}
	return strings.Join(lines, "")
}

// exprsOf returns the statements of each rule, by how it was written; "" has all sets and chains with a name,
// and "version" nft's.
func exprsOf(t *testing.T, listed string, rules []string) map[string]json.RawMessage {
	t.Helper()
	var all struct{ NFTables []map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(listed), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]json.RawMessage{}
	var named []string
	for _, e := range all.NFTables {
		for kind, raw := range e {
			var v struct {
				Chain, Name   string
				Expr, Version json.RawMessage
			}
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Fatal(err)
			}
			n := -1
			if kind == "rule" {
				fmt.Sscanf(v.Chain, "r%d", &n)
			}
			switch {
			case kind == "metainfo":
				out["version"] = v.Version
			case n >= 0:
				out[rules[n]] = compact(t, v.Expr)
			case !regexp.MustCompile(`^r\d`).MatchString(v.Name):
				named = append(named, fmt.Sprintf(`{%q: %s}`, kind, raw))
			}
		}
	}
	out[""] = compact(t, []byte("["+strings.Join(named, ",")+"]"))
	return out
}

// handles are the numbers that the kernel gives to what it holds, in the order in which it is made.
var handles = regexp.MustCompile(`"handle":\s*\d+,\s*`)

func compact(t *testing.T, raw []byte) json.RawMessage {
	t.Helper()
	var v any
	if err := json.Unmarshal(handles.ReplaceAll(raw, nil), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func record(t *testing.T, exprs map[string]json.RawMessage) {
	t.Helper()
	var lines []string
	for _, rule := range slices.Sorted(maps.Keys(exprs)) {
		key, err := json.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(key)+": "+string(exprs[rule]))
	}
	out := "{\n" + strings.Join(lines, ",\n") + "\n}\n"
	if err := os.WriteFile(filepath.Join("testdata", "nft", "rows.json"), []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// listedIn returns the rules of a chain of the only table in what nft printed.
func listedIn(text, chain string) []string {
	return listed(text, &Table{Family: "inet", Name: "t"}, &Chain{Name: chain})
}
