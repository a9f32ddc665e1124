package netfilter

import (
	"fmt"
	"strings"
)

// IsNative reports whether r is of a native table of nf_tables, and not of iptables.
func (r Ref) IsNative() bool { return r.Table != nil && r.Table.Family != "" }

// Quote returns the rule, or the policy of the chain, as the program prints it that
// [Ref.Command] names: "-A FORWARD -j DROP", "-P FORWARD DROP", "tcp dport 80 drop # handle 7",
// "type filter hook forward priority 0; policy drop;".
func (r Ref) Quote() string {
	switch {
	case r.Rule != nil && r.IsNative():
		return r.Rule.Text + r.handle()
	case r.Rule != nil:
		return r.Rule.Text
	case r.Chain == nil:
		return ""
	case r.IsNative() && r.Chain.nft != nil && r.Chain.nft.hook != "":
		c := r.Chain.nft
		return fmt.Sprintf("type %s hook %s priority %d; policy %s;", c.typ, c.hook, c.prio, strings.ToLower(r.Chain.Policy))
	}
	return "-P " + r.Chain.Name + " " + r.Chain.Policy
}

// handle returns what "nft -a" prints after a rule.
func (r Ref) handle() string {
	if r.Chain == nil || r.Chain.nft == nil {
		return ""
	}
	for i, rule := range r.Chain.Rules {
		if rule == r.Rule && i < len(r.Chain.nft.handles) {
			return " # handle " + r.Chain.nft.handles[i]
		}
	}
	return ""
}

// Command returns the command that prints the chain, or where none is named the table.
func (r Ref) Command() string {
	switch {
	case r.Table == nil:
		return ""
	case r.IsNative() && r.Chain == nil:
		return "nft -a list table " + r.Table.Family + " " + r.Table.Name
	case r.IsNative():
		return "nft -a list chain " + r.Table.Family + " " + r.Table.Name + " " + r.Chain.Name
	}
	cmd := "iptables"
	if r.Table.Is6 {
		cmd = "ip6tables"
	}
	if r.Table.Backend == Legacy {
		cmd += "-legacy"
	}
	if r.Chain == nil {
		return cmd + "-save -t " + r.Table.Name
	}
	return cmd + " -t " + r.Table.Name + " -S " + r.Chain.Name
}
