//go:build linux

package nft

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"

	"github.com/plumbnet/plumb/lab/agree/rules"
)

// A Random is a random ruleset for "nft -f".
type Random struct {
	V6       bool
	Tables   []string // "inet t0"
	Text     string
	OneByOne bool // connections could compete for a port
}

// Generate makes the ruleset of a seed.
func Generate(seed uint64, v6 bool) Random {
	g := &gen{r: rand.New(rand.NewPCG(seed, 11)), v6: v6}
	g.clients, g.servers, g.locals = rules.Addrs(v6)
	out := Random{V6: v6}
	var b strings.Builder
	for i := range 1 + g.r.IntN(3) {
		family := g.pick(g.ip(), g.ip(), "inet", "inet")
		name := fmt.Sprintf("%s t%d", family, i)
		out.Tables = append(out.Tables, name)
		g.table(&b, family, name)
	}
	out.Text, out.OneByOne = b.String(), g.oneByOne
	return out
}

type gen struct {
	r                        *rand.Rand
	v6                       bool
	clients, servers, locals []netip.Addr
	oneByOne                 bool

	sets []set
	maps []vmap
}

func (g *gen) p(percent int) bool { return g.r.IntN(100) < percent }

func (g *gen) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g *gen) both(v4, v6 string) string {
	if g.v6 {
		return v6
	}
	return v4
}

// ip returns the family, and the name of the header, of the packets.
func (g *gen) ip() string { return g.both("ip", "ip6") }

// A place is where a rule stands.
type place struct {
	family, typ, hook string
	calls             []string // chains that it may lead to
	user              bool
	prio              int
}

// hooks are the base chains that a table may have: type, hook, and the priorities to choose from.
var hooks = []struct {
	typ, hook string
	prios     []int
	often     int // percent
}{
	{"filter", "prerouting", []int{-300, -300, -250, -190, -150, -150, -120, -50, 0, 10}, 45},
	{"filter", "input", []int{-150, -10, 0, 0, 0, 50, 60}, 45},
	{"filter", "forward", []int{-150, -5, 0, 0, 0, 5, 50}, 65},
	{"filter", "output", []int{-300, -150, 0, 0, 0, 50}, 35},
	{"filter", "postrouting", []int{-150, 0, 90, 120}, 35},
	{"nat", "prerouting", []int{-100, -100, -90, -110}, 50},
	{"nat", "output", []int{-100, -100, -90}, 25},
	{"nat", "postrouting", []int{100, 100, 110}, 45},
	{"nat", "input", []int{100, 90}, 15},
	{"route", "output", []int{-150, -140}, 20},
}

func (g *gen) table(b *strings.Builder, family, name string) {
	fmt.Fprintf(b, "table %s {\n", name)
	var chains []place
	var names []string
	for i, h := range hooks {
		if !g.p(h.often) {
			continue
		}
		base := place{family: family, typ: h.typ, hook: h.hook, prio: h.prios[g.r.IntN(len(h.prios))]}
		for k := range g.r.IntN(4) {
			base.calls = append(base.calls, fmt.Sprintf("u%d-%d", i, k))
		}
		chains, names = append(chains, base), append(names, fmt.Sprintf("%s-%s", h.typ, h.hook))
		for k := range base.calls {
			user := base
			user.user, user.calls = true, base.calls[k+1:]
			chains, names = append(chains, user), append(names, base.calls[k])
		}
	}
	g.makeSets(b, chains)
	for i := len(chains) - 1; i >= 0; i-- { // those that are jumped to first
		g.chain(b, names[i], chains[i])
	}
	b.WriteString("}\n")
}

func (g *gen) chain(b *strings.Builder, name string, p place) {
	fmt.Fprintf(b, "\tchain %s {\n", name)
	n := 1 + g.r.IntN(4)
	if !p.user {
		policy := "accept"
		if p.typ != "nat" && g.p(6) {
			policy = "drop"
		}
		fmt.Fprintf(b, "\t\ttype %s hook %s priority %d; policy %s;\n", p.typ, p.hook, p.prio, policy)
		n = g.r.IntN(5)
	}
	for range n {
		fmt.Fprintf(b, "\t\t%s\n", g.rule(p))
	}
	b.WriteString("\t}\n")
}

// A draft is a rule under construction.
type draft struct {
	place
	proto string   // that the packet has, where a match says so
	parts []string // matches and statements
	few   bool     // it should be met by few
}

func (g *gen) rule(p place) string {
	d := &draft{place: p}
	if g.p(50) {
		g.protocol(d)
	}
	used := map[string]bool{}
	for n := []int{0, 0, 1, 1, 1, 2, 2, 3}[g.r.IntN(8)]; n > 0; {
		k := kinds[g.r.IntN(len(kinds))]
		if g.r.IntN(12) >= k.weight || used[k.name] || k.hooks != "" && !strings.Contains(k.hooks, p.hook) {
			continue
		}
		n--
		if s := k.make(g, d); s != "" {
			used[k.name] = true
			d.parts = append(d.parts, s)
		}
	}
	end := g.verdict(d)
	if d.few && len(d.parts) < 2 {
		d.parts = append(d.parts, g.address(d))
	}
	if s := g.statement(d); g.p(25) && s != "" {
		d.parts = append(d.parts, s)
	}
	if end == "" && len(d.parts) == 0 {
		end = "counter"
	}
	return oneNegation(strings.TrimSpace(strings.Join(append(d.parts, end), " ")))
}

var negation = regexp.MustCompile(`\b(ip|ip6|tcp|udp|sctp|th|icmp|icmpv6) [a-z-]+ (!= |[<>]=? )`)

// oneNegation leaves one comparison of a header's field in a rule that is not for
// equality: nft 1.0 makes one of those of neighbours ("ttl != 9 protocol != tcp"), and
// lists two that the kernel does not do.
func oneNegation(rule string) string {
	first := true
	return negation.ReplaceAllStringFunc(rule, func(s string) string {
		if first {
			first = false
			return s
		}
		return strings.TrimRight(s, "<>!= ") + " "
	})
}

func (g *gen) addr() netip.Addr {
	list := [][]netip.Addr{g.clients, g.clients, g.servers, g.servers, g.servers, g.locals}[g.r.IntN(6)]
	return list[g.r.IntN(len(list))]
}

func (g *gen) prefix() string {
	return g.pick(g.both("10.1.0.0/16", "fd00:1::/32"), g.both("10.2.0.0/24", "fd00:2::/64"), g.both("10.0.0.0/8", "fd00::/16"),
		g.both("10.96.0.0/12", "fd00:96::/28"), g.both("10.1.0.2/31", "fd00:1::2/127"), g.both("10.2.0.0/16", "fd00:2::/32"), g.both("10.4.0.0/16", "fd00:4::/32"))
}

func (g *gen) span() string {
	lo, hi := g.addr(), g.addr()
	for lo == hi {
		hi = g.addr()
	}
	if hi.Less(lo) {
		lo, hi = hi, lo
	}
	return lo.String() + "-" + hi.String()
}

func (g *gen) port() string {
	return g.pick("80", "80", "53", "443", "8080", "30080", "20003", "20005")
}

// some returns n different values in braces.
func (g *gen) some(n int, make func() string) string {
	seen := map[string]bool{}
	var list []string
	for range n * 3 {
		if s := make(); !seen[s] && len(list) < n {
			seen[s] = true
			list = append(list, s)
		}
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

func (g *gen) not() string {
	if g.p(20) {
		return "!= "
	}
	return ""
}
