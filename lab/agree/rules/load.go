//go:build linux

package rules

import (
	"fmt"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
)

// A Kit is one set of iptables programs.
type Kit struct {
	V6     bool
	Legacy bool
}

// String returns the name of the kit's programs, without "-restore" and "-save".
func (k Kit) String() string {
	s := "iptables"
	if k.V6 {
		s = "ip6tables"
	}
	if k.Legacy {
		return s + "-legacy"
	}
	return s + "-nft"
}

// Load puts rules and sets into the router and returns both as the kernel
// then shows them. Rules of the same kit are replaced.
func (w *World) Load(k Kit, rules, sets string) (savedRules, savedSets string, err error) {
	if sets != "" {
		if err := w.Router.Run(sets, "ipset", "-exist", "restore"); err != nil {
			return "", "", err
		}
	}
	if err := w.Router.Run(rules, k.String()+"-restore"); err != nil {
		return "", "", err
	}
	if savedRules, err = w.Router.Output("", k.String()+"-save"); err != nil {
		return "", "", err
	}
	if sets != "" {
		savedSets, err = w.Router.Output("", "ipset", "save")
	}
	return savedRules, savedSets, err
}

// Forget destroys sets that no rule uses any more.
func (w *World) Forget(sets []string) error {
	if len(sets) == 0 {
		return nil
	}
	var b strings.Builder
	for _, s := range sets {
		fmt.Fprintf(&b, "destroy %s\n", s)
	}
	return w.Router.Run(b.String(), "ipset", "restore")
}

// ReadSaved reads what [World.Load] returned.
func ReadSaved(k Kit, rules, sets string) (*netfilter.Ruleset, error) {
	backend := netfilter.NFT
	if k.Legacy {
		backend = netfilter.Legacy
	}
	tables, problems := netfilter.ParseSave(strings.NewReader(rules), k.V6, backend, k.String())
	for _, p := range problems {
		return nil, p
	}
	all, problems := netfilter.ParseIPSet(strings.NewReader(sets), "ipset")
	for _, p := range problems {
		return nil, p
	}
	return &netfilter.Ruleset{Tables: tables, Sets: all}, nil
}

// Halves deals the tables of a text for iptables-restore out to two: each gets
// every table, but one of the two empty. even says which gets the first.
func Halves(rules string, even bool) (a, b string) {
	for _, table := range strings.SplitAfter(rules, "COMMIT\n") {
		if table == "" {
			continue
		}
		if even {
			a, b = a+table, b+hollow(table)
		} else {
			a, b = a+hollow(table), b+table
		}
		even = !even
	}
	return a, b
}

// hollow returns a table with its built-in chains alone, that accept all.
func hollow(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		name, _, _ := strings.Cut(line, " ")
		switch {
		case line[0] == ':' && !strings.Contains(line, " - "):
			fmt.Fprintf(&b, "%s ACCEPT [0:0]\n", name)
		case line[0] == '*' || line == "COMMIT\n":
			b.WriteString(line)
		}
	}
	return b.String()
}
