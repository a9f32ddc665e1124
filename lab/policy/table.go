package policy

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// set declares a set, once.
func (b *builder) set(set, typ string, elements []string) {
	set = name(set)
	if b.have[set] {
		return
	}
	b.have[set] = true
	slices.Sort(elements)
	b.sets = append(b.sets, declare("set", set, typ, slices.Compact(elements)))
}

func declare(kind, name, typ string, elements []string) string {
	s := fmt.Sprintf("\t%s %s {\n\t\ttype %s\n", kind, name, typ)
	if len(elements) > 0 {
		s += "\t\telements = { " + strings.Join(elements, ",\n\t\t\t") + " }\n"
	}
	return s + "\t}\n"
}

// forward is the base chain. Neighbours are discovered by packets that a bridge may show to
// it, and of which conntrack knows no state.
const forward = `	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related counter accept
		icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept
		ip saddr vmap @egress/ip
		ip6 saddr vmap @egress/ip6
		ip daddr vmap @ingress/ip
		ip6 daddr vmap @ingress/ip6
	}
`

func (b *builder) script() string {
	var s strings.Builder
	s.WriteString(Removal() + "table " + Table + " {\n")
	for _, text := range b.sets {
		s.WriteString(text)
	}
	for _, text := range b.chains {
		s.WriteString(text)
	}
	for _, d := range directions {
		for _, f := range families {
			at := d.name + "/" + f.name
			s.WriteString(declare("map", at, f.typ+" : verdict", b.jumps[at]))
		}
	}
	s.WriteString(forward + "}\n")
	return s.String()
}

// addresses returns the addresses of a family that Pods have.
func addresses(pods []identity, f family) (out []string) {
	for i := range pods {
		if a, ok := pods[i].addr(f); ok {
			out = append(out, a.String())
		}
	}
	return out
}

// longest are the names that the kernel takes, with some room, and the comments that nft does.
const longestName, longestComment = 200, 128

// name returns the name of a set or chain. What is too long for the kernel is cut, and told apart by a hash.
func name(s string) string {
	if len(s) <= longestName {
		return s
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	return fmt.Sprintf("%s-%016x", s[:longestName-17], h.Sum64())
}

// comment returns the comment of a rule that is of policies.
func comment(policies ...string) string {
	text := Label + strings.Join(policies, " ")
	for n := len(policies) - 1; len(text) > longestComment && n > 0; n-- {
		text = fmt.Sprintf("%s%s and %d more", Label, strings.Join(policies[:n], " "), len(policies)-n)
	}
	if len(text) > longestComment {
		text = text[:longestComment]
	}
	return fmt.Sprintf(" comment %q", text)
}
