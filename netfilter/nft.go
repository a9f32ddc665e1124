package netfilter

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// nftTable is what a Table holds that is native to nf_tables.
type nftTable struct {
	sets    map[string]*nftSet
	pos     int    // in the list of tables, which is in the order in which they were made
	saved   bool   // iptables-save printed it, whole
	foreign bool   // it is one of iptables by its name, and has chains at hooks that are not
	dormant bool   // its chains are at no hook
	begin   string // how its rules begin, as nft prints them
	order   []*Chain
}

// nftChain is what a Chain holds that is native to nf_tables.
type nftChain struct {
	typ     string // "filter", "nat" or "route" of a base chain
	hook    string // "" of a chain that others jump to
	prio    int
	devs    []string // of ingress and egress
	pos     int      // in the list of the table's chains
	rules   [][]nftStmt
	handles []string  // of the rules
	jumps   []string  // the chains that its rules may lead to
	adds    []*nftSet // the sets that its rules change
	maps    []*nftSet // the maps of verdicts that its rules ask
}

// tableNames are the tables of iptables.
var tableNames = []string{"filter", "nat", "mangle", "raw", "security"}

// An nftParser reads what "nft -j list ruleset" prints.
type nftParser struct {
	r      *Ruleset
	file   string
	tables []*Table
	table  *Table // that the last element was of
	sets   map[string]*nftSet
	raw    map[string]*jsonNode // the elements of sets whose types are not known yet
	over   map[string]bool      // "limit NAME": it holds above the limit
	quotas map[string]*nftQuota

	updates  []*nftSet // of the rule at hand
	line     int
	count    int // of elements
	rules    int
	problems []Problem
}

// ReadNFT adds to r what "nft -j list ruleset" prints: the tables that iptables did
// not make, and of those that it made what iptables-save could not print. What
// iptables-save prints must be in r before. A rule that is not understood is no
// problem: it is kept, and a packet that meets it has a fate that is not known.
func (r *Ruleset) ReadNFT(in io.Reader, file string) []Problem {
	p := &nftParser{r: r, file: file}
	if err := nftElements(bufio.NewReaderSize(in, 1<<16), p.element); err != nil {
		p.damage(err.Error())
	}
	p.finish()
	return p.problems
}

// damage notes that the rest of the text cannot be read. It may hold chains at any hook.
func (p *nftParser) damage(why string) {
	p.problems = append(p.problems, Problem{File: p.file, Why: why})
	if p.table != nil {
		for _, c := range p.table.nft.order {
			c.unread = why
		}
		p.table.unread = why
	}
	for h := range Hook(len(chainNames)) {
		for _, is6 := range [...]bool{false, true} {
			p.r.Opaque = append(p.r.Opaque, Opaque{Hook: h, Is6: is6, What: "nftables was not read to its end: " + why})
		}
	}
}

// skip reports whether b is a rule of a table that iptables-save has printed.
func (p *nftParser) skip(b []byte) bool {
	if p.table == nil || !p.table.nft.saved || p.table.nft.foreign {
		return false
	}
	begin := p.table.nft.begin
	return len(b) > len(begin) && string(b[:len(begin)]) == begin
}

func (p *nftParser) element(b []byte, line int) error {
	if p.skip(b) {
		return nil
	}
	n, err := parseJSON(string(b))
	if err != nil {
		return err
	}
	p.line = line
	what, e := n.only()
	family := e.get("family").str()
	switch {
	case what == "metainfo":
		return nil
	case what == "table":
		p.begin(family, e)
		return nil
	case !p.at(family, e.get("table").str()):
		return fmt.Errorf("a %s of a table that was not listed", short(what))
	}
	switch what {
	case "chain":
		return p.chain(e)
	case "rule":
		return p.addRule(e)
	case "set", "map":
		p.set(e)
	case "limit":
		p.over["limit "+e.get("name").str()] = isTrue(e.get("inv"))
	case "quota":
		bytes, _ := e.get("bytes").num()
		used, _ := e.get("used").num()
		p.quotas[e.get("name").str()] = &nftQuota{bytes, used, isTrue(e.get("inv"))}
	}
	return nil
}

// begin reads a table.
func (p *nftParser) begin(family string, n *jsonNode) {
	t := &Table{Name: n.get("name").str(), Family: family, Is6: family == "ip6", File: p.file, Chains: map[string]*Chain{}}
	t.nft = &nftTable{sets: map[string]*nftSet{}, pos: len(p.tables), saved: p.wasSaved(t), dormant: slices.Contains(n.get("flags").strs(), "dormant")}
	t.nft.begin = `{"rule": {"family": "` + family + `", "table": "` + t.Name + `", `
	p.tables = append(p.tables, t)
	p.enter(t)
}

// enter makes t the table that elements are of.
func (p *nftParser) enter(t *Table) {
	p.finishSets()
	p.table, p.sets = t, t.nft.sets
	p.raw, p.over, p.quotas = map[string]*jsonNode{}, map[string]bool{}, map[string]*nftQuota{}
}

// at goes to the table of an element, which is mostly that of the one before.
func (p *nftParser) at(family, name string) bool {
	if p.table != nil && p.table.Family == family && p.table.Name == name {
		return true
	}
	for _, t := range p.tables {
		if t.Family == family && t.Name == name {
			p.enter(t)
			return true
		}
	}
	return false
}

// wasSaved reports whether iptables-save has printed the whole of a table.
func (p *nftParser) wasSaved(t *Table) bool {
	if t.Family != "ip" && t.Family != "ip6" || !slices.Contains(tableNames, t.Name) {
		return false
	}
	for _, s := range p.r.Tables {
		if s.Name == t.Name && s.Is6 == t.Is6 && s.Backend == NFT && s.unread == "" {
			return !slices.ContainsFunc(slices.Collect(maps.Values(s.Chains)), func(c *Chain) bool { return c.unread != "" })
		}
	}
	return false
}

func (p *nftParser) chain(n *jsonNode) error {
	name := n.get("name").str()
	t := p.table
	if name == "" || t.Chains[name] != nil {
		return fmt.Errorf("chain %s of table %s is listed twice, or has no name", short(name), t.Name)
	}
	c := &Chain{Name: name, Policy: strings.ToUpper(n.get("policy").str()), Line: p.line}
	c.nft = &nftChain{typ: n.get("type").str(), hook: n.get("hook").str(), devs: n.get("dev").strs(), pos: len(t.nft.order)}
	if c.nft.hook != "" {
		prio, err := strconv.Atoi(n.get("prio").str())
		if err != nil {
			return fmt.Errorf("the priority of chain %s is not a number", short(name))
		}
		c.nft.prio = prio
		t.nft.foreign = t.nft.foreign || t.nft.saved && !slices.Contains(chainNames[:], name)
	}
	t.Chains[name] = c
	t.nft.order = append(t.nft.order, c)
	return nil
}

func (p *nftParser) addRule(n *jsonNode) error {
	c := p.table.Chains[n.get("chain").str()]
	if c == nil {
		return fmt.Errorf("a rule of chain %s, which was not listed", short(n.get("chain").str()))
	}
	if p.rules++; p.rules > maxRules {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	p.updates = p.updates[:0]
	stmts := p.rule(n.get("expr"))
	r := &Rule{Line: p.line, Text: nftText(p.table.Family, n.get("expr"), n.get("comment"))}
	c.Rules = append(c.Rules, r)
	c.nft.rules = append(c.nft.rules, stmts)
	c.nft.handles = append(c.nft.handles, n.get("handle").str())
	for _, st := range stmts {
		c.nft.note(st)
		if why := strangeness(st); why != "" {
			r.matches = append(r.matches, &unknownMatch{why: why})
		}
	}
	c.nft.adds = append(c.nft.adds, p.updates...)
	return nil
}

// strangeness returns what is not known of a statement before any packet meets it; see [Rule.Unknown].
func strangeness(st nftStmt) string {
	switch st := st.(type) {
	case *nftStrange:
		return st.why
	case *nftMaybe:
		return st.why
	}
	return ""
}

// note notes where a statement may lead.
func (c *nftChain) note(st nftStmt) {
	switch st := st.(type) {
	case nftVerdict:
		if st.target != "" {
			c.jumps = append(c.jumps, st.target)
		}
	case *nftVMap:
		c.maps = append(c.maps, st.set)
	}
}

// finishSets gives up the sets that no rule has told the types of.
func (p *nftParser) finishSets() {
	for _, t := range p.sets {
		if t.key == nil && t.unread == "" {
			t.unread = "the type of its elements is not known"
		}
	}
}

// finish puts the tables into the ruleset, and finds at which hooks sets are changed.
func (p *nftParser) finish() {
	p.finishSets()
	for _, t := range p.tables {
		if t.nft.saved && !t.nft.foreign {
			continue
		}
		for _, c := range t.nft.order {
			if h, ok := nftHooks[c.nft.hook]; ok {
				t.changesAt(h, c, map[*Chain]bool{})
			}
		}
		p.r.NFTables = append(p.r.NFTables, t)
	}
	p.replace()
	p.r.nft = newNFTPlan(p.r, p.tables)
}

// replace takes out what iptables-save could not print of tables that nft has printed.
func (p *nftParser) replace() {
	p.r.Tables = slices.DeleteFunc(p.r.Tables, func(s *Table) bool {
		return s.Backend == NFT && slices.ContainsFunc(p.r.NFTables, func(t *Table) bool {
			return !t.nft.saved && t.Name == s.Name && (t.Family == "ip" && !s.Is6 || t.Family == "ip6" && s.Is6)
		})
	})
}

// changesAt notes the sets that packets change which come to c at a hook.
func (t *Table) changesAt(h Hook, c *Chain, seen map[*Chain]bool) {
	if c == nil || c.nft == nil || seen[c] {
		return
	}
	seen[c] = true
	for _, s := range c.nft.adds {
		s.changed[h] = true
	}
	for _, to := range c.nft.jumps {
		t.changesAt(h, t.Chains[to], seen)
	}
	for _, m := range c.nft.maps {
		for i := range m.elems {
			if to := m.elems[i].verdict.target; to != "" {
				t.changesAt(h, t.Chains[to], seen)
			}
		}
	}
}

// isIPTables reports whether c is a chain that iptables-save prints.
func (c *Chain) isIPTables(t *Table) bool {
	return t.nft.saved && slices.Contains(chainNames[:], c.Name)
}
