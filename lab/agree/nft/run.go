//go:build linux

package nft

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/netfilter"
)

// errLine is how nft names a line that it, or the kernel, refuses.
var errLine = regexp.MustCompile(`(?m)^/dev/stdin:(\d+):`)

// Load puts a ruleset into the router in the place of old tables, and returns what
// nft then lists, as JSON and as text. A rule that is refused, for one that asks for IPv4
// and IPv6 at once, is left out.
func Load(w *rules.World, old []string, text string) (json, listed string, err error) {
	var b strings.Builder
	for _, t := range old {
		fmt.Fprintf(&b, "delete table %s\n", t)
	}
	lines := strings.SplitAfter(b.String()+text, "\n")
	for range 100 {
		if err = w.Router.Run(strings.Join(lines, ""), "nft", "-f", "-"); err == nil {
			break
		}
		refused := errLine.FindAllStringSubmatch(err.Error(), -1)
		if refused == nil || !leaveOut(lines, refused) {
			return "", "", err
		}
	}
	if err != nil {
		return "", "", err
	}
	if json, err = w.Router.Output("", "nft", "-j", "list", "ruleset"); err != nil {
		return "", "", err
	}
	listed, err = w.Router.Output("", "nft", "list", "ruleset")
	return json, listed, err
}

// leaveOut empties the lines that were refused; it returns false if one of them is no rule.
func leaveOut(lines []string, refused [][]string) bool {
	for _, m := range refused {
		n, _ := strconv.Atoi(m[1])
		if n < 1 || n > len(lines) || !strings.HasPrefix(lines[n-1], "\t\t") && lines[n-1] != "\n" {
			return false
		}
		lines[n-1] = "\n"
	}
	return true
}

// Read reads what nft lists into a ruleset that may hold the tables of iptables.
func Read(r *netfilter.Ruleset, json string) error {
	for _, p := range r.ReadNFT(strings.NewReader(json), "nft.json") {
		return p
	}
	return nil
}
