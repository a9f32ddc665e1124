package fib

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A lookupCase is one lookup, in the words of the ip command, so that a kernel can be asked
// the same (kernel_test.go): beside what tables has, rules and routes are added.
type lookupCase struct {
	name   string
	rules  []string // as "ip rule" prints them
	routes []string // as "ip route add" takes them; those with "::" are of IPv6
	get    string   // as "ip route get" takes it
	want   string   // see brief
	only   string   // why a kernel is not asked; "" where it is
}

var lookupCases = slices.Concat(cases4, casesRule, cases6)

func TestLookup(t *testing.T) {
	for _, c := range lookupCases {
		t.Run(c.name, func(t *testing.T) {
			tb := c.tables()
			q := parseQuery(c.get)
			if d := cmp.Diff(c.want, brief(tb.Lookup(q))); d != "" {
				t.Error(d)
			}
			tb.Index()
			if d := cmp.Diff(c.want, brief(tb.Lookup(q))); d != "" {
				t.Error("with an index:", d)
			}
		})
	}
}

func (c lookupCase) tables() *Tables {
	var rules4, rules6 []Rule
	for _, s := range c.rules {
		r := parseRule(s, parseQuery(c.get).Dst.Is6())
		if r.Is6 {
			rules6 = append(rules6, r)
			continue
		}
		rules4 = append(rules4, r)
	}
	rules4, rules6 = append(rules4, ownRules4...), append(rules6, ownRules6...)
	SortRules(rules4)
	SortRules(rules6)
	tb := tables(append(rules4, rules6...), append(slices.Clone(c.routes), own...)...)
	tb.Groups = map[string]int{"lo": 0, "a": 0, "b": 7}
	tb.VRF = map[string]uint32{}
	return tb
}

// parseQuery reads what follows "ip route get".
func parseQuery(s string) Query {
	w := strings.Fields(s)
	q := Query{Dst: addr(w[0])}
	for w = w[1:]; len(w) > 1; w = w[2:] {
		var n uint32
		fmt.Sscan(w[1], &n)
		switch w[0] {
		case "from":
			q.Src = addr(w[1])
		case "iif":
			q.IIF = w[1]
		case "oif":
			q.OIF = w[1]
		case "mark":
			q.Mark = n
		case "tos":
			q.TOS = uint8(n)
		case "ipproto":
			q.Proto = protoNames[w[1]]
		case "sport":
			q.SrcPort = uint16(n)
		case "dport":
			q.DstPort = uint16(n)
		case "uid":
			q.UID = &n
		default:
			panic("test: " + s)
		}
	}
	return q
}

// parseRule reads a rule in the form that Rule.String prints.
func parseRule(s string, is6 bool) Rule {
	w := strings.Fields(s)
	r := Rule{SuppressPrefixLen: -1, SuppressGroup: -1, Is6: is6}
	fmt.Sscan(strings.TrimSuffix(w[0], ":"), &r.Priority)
	w = w[1:]
	if r.Not = w[0] == "not"; r.Not {
		w = w[1:]
	}
	for i := 0; i < len(w); i += 2 {
		if actions[w[i]] {
			r.Action = w[i]
			i--
			continue
		}
		r.word(w[i], w[i+1])
	}
	return r
}

var actions = map[string]bool{"nop": true, "blackhole": true, "unreachable": true, "prohibit": true, "masquerade": true}

func (r *Rule) word(key, arg string) {
	lo, hi, isRange := strings.Cut(arg, "-")
	if !isRange {
		hi = lo
	}
	switch key {
	case "from":
		r.Src = ruleDst(arg)
	case "to":
		r.Dst = ruleDst(arg)
	case "fwmark":
		r.Mask = 1<<32 - 1
		fmt.Sscanf(arg, "%v/%v", &r.Mark, &r.Mask)
	case "iif":
		r.IIF = arg
	case "oif":
		r.OIF = arg
	case "tos":
		fmt.Sscan(arg, &r.TOS)
	case "ipproto":
		r.Proto = protoNames[arg]
	case "sport":
		fmt.Sscan(lo+" "+hi, &r.SrcPorts[0], &r.SrcPorts[1])
	case "dport":
		fmt.Sscan(lo+" "+hi, &r.DstPorts[0], &r.DstPorts[1])
	case "uidrange":
		r.UIDs = new([2]uint32)
		fmt.Sscan(lo+" "+hi, &r.UIDs[0], &r.UIDs[1])
	case "lookup":
		r.L3MDev = arg == "[l3mdev-table]"
		if !r.L3MDev {
			r.Table, r.TableName = parseTable(arg)
		}
	case "goto":
		r.Action = "goto"
		fmt.Sscan(arg, &r.Goto)
	case "suppress_prefixlength":
		fmt.Sscan(arg, &r.SuppressPrefixLen)
	case "suppress_ifgroup":
		r.suppressGroup(arg)
	default:
		r.Unknown = joinText(r.Unknown, key+" "+arg)
	}
}

func ruleDst(s string) netip.Prefix {
	if s == "all" {
		return netip.Prefix{}
	}
	return dstOf(s, s)
}

// The rules of the cases are what Rule.String prints of them.
func TestRuleStringOfCases(t *testing.T) {
	for _, c := range lookupCases {
		for _, s := range c.rules {
			if got := strings.ReplaceAll(parseRule(s, false).String(), "\t", " "); got != s {
				t.Errorf("%s: %q is printed as %q", c.name, s, got)
			}
		}
	}
}
