//go:build linux

package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Random is a random ruleset, and packets that may meet its rules.
type Random struct {
	V6       bool
	Sets     string // for "ipset restore"
	Names    []string
	Rules    string // for iptables-restore
	Probes   []Probe
	OneByOne bool // connections could compete for a port
}

// Generate makes the ruleset of a seed.
func Generate(seed uint64, v6 bool, probes int) Random {
	g := &gen{r: rand.New(rand.NewPCG(seed, 6)), v6: v6, seed: seed}
	g.postIn = g.p(15)
	g.makeSets()
	var b strings.Builder
	for _, t := range tables {
		g.table(&b, t)
	}
	out := Random{V6: v6, Sets: g.setText, Names: g.setNames(), Rules: b.String(), OneByOne: g.oneByOne}
	for i := range probes {
		out.Probes = append(out.Probes, g.probe(i))
	}
	return out
}

type gen struct {
	r        *rand.Rand
	v6       bool
	seed     uint64
	sets     []set
	setText  string
	oneByOne bool
	postIn   bool // rules after routing may ask for the way in; then nothing is sent locally
}

func (g *gen) p(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *gen, s ...T) T { return s[g.r.IntN(len(s))] }

// A tableSpec is a built-in table: its hooks, how often it has rules, and the
// groups of hooks that share user-defined chains.
type tableSpec struct {
	name   string
	often  int // percent
	groups [][]string
}

var tables = []tableSpec{
	{"raw", 45, [][]string{{"PREROUTING"}, {"OUTPUT"}}},
	{"mangle", 55, [][]string{{"PREROUTING"}, {"INPUT"}, {"FORWARD"}, {"OUTPUT"}, {"POSTROUTING"}}},
	{"nat", 85, [][]string{{"PREROUTING", "OUTPUT"}, {"POSTROUTING"}, {"INPUT"}}},
	{"filter", 100, [][]string{{"INPUT", "FORWARD", "OUTPUT"}}},
}

// A place is where a rule stands.
type place struct {
	table string
	chain string
	hooks []string // that can lead here
	calls []string // chains that it may call
	user  bool
}

// only reports whether all hooks that lead to p are among those named.
func (p place) only(hooks string) bool {
	for _, h := range p.hooks {
		if !strings.Contains(" "+hooks+" ", " "+h+" ") {
			return false
		}
	}
	return true
}

func (g *gen) table(b *strings.Builder, t tableSpec) {
	var head, body strings.Builder
	fmt.Fprintf(&head, "*%s\n", t.name)
	busy := g.p(t.often)
	for i, hooks := range t.groups {
		var users []string
		if busy {
			for j := range g.r.IntN(4) {
				users = append(users, fmt.Sprintf("U%d-%d", i, j))
			}
		}
		for _, h := range hooks {
			policy := "ACCEPT"
			if busy && t.name != "nat" && g.p(8) {
				policy = "DROP"
			}
			fmt.Fprintf(&head, ":%s %s [0:0]\n", h, policy)
			g.chain(&body, place{t.name, h, []string{h}, users, false}, busy)
		}
		for j, u := range users {
			fmt.Fprintf(&head, ":%s - [0:0]\n", u)
			g.chain(&body, place{t.name, u, hooks, users[j+1:], true}, busy)
		}
	}
	b.WriteString(head.String() + body.String() + "COMMIT\n")
}

func (g *gen) chain(b *strings.Builder, p place, busy bool) {
	if !busy {
		return
	}
	n := g.r.IntN(5)
	if p.user {
		n = 1 + g.r.IntN(4)
	}
	for range n {
		b.WriteString(g.rule(p) + "\n")
	}
}

// A rule under construction.
type draft struct {
	place
	proto   string // "" where any, or negated
	syn     bool   // only SYN segments
	matches []string
	need    int // matches that the target wants at least
}

func (g *gen) rule(p place) string {
	d := &draft{place: p}
	g.matches(d)
	target := g.target(d)
	for _, flag := range []string{"-d", "-s"} {
		if has := strings.Join(d.matches, " "); len(d.matches) < d.need && !strings.Contains(" "+has, " "+flag+" ") {
			d.matches = append(d.matches, g.address(flag))
		}
	}
	return strings.Join(append(append([]string{"-A " + p.chain}, d.matches...), target), " ")
}

// matches puts matches into d: the protocol first, since others need it.
func (g *gen) matches(d *draft) {
	if g.p(45) {
		g.protocol(d)
	}
	n := pick(g, 0, 0, 1, 1, 1, 2, 2, 3)
	used := map[string]bool{}
	for try := 0; n > 0 && try < 50; try++ {
		k := kinds[g.r.IntN(len(kinds))]
		if g.r.IntN(12) >= k.weight || used[k.name] || k.hooks != "" && !d.only(k.hooks) {
			continue
		}
		if s := k.make(g, d); s != "" {
			used[k.name] = true
			d.matches = append(d.matches, s)
			n--
		}
	}
}

// not negates one time in five.
func (g *gen) not() string {
	if g.p(20) {
		return "! "
	}
	return ""
}
