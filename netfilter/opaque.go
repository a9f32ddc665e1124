package netfilter

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxElement bounds one element of what "nft -j" prints; a set of a million addresses fits.
const maxElement = 64 << 20

// nftElement is one element of what "nft -j list ruleset" prints.
type nftElement struct {
	Chain *nftChain `json:"chain"`
	Rule  *nftChain `json:"rule"`
}

// nftChain is a chain, or the chain that a rule is in.
type nftChain struct {
	Family string          `json:"family"`
	Table  string          `json:"table"`
	Name   string          `json:"name"`
	Chain  string          `json:"chain"` // of a rule
	Type   string          `json:"type"`
	Hook   string          `json:"hook"`
	Prio   json.RawMessage `json:"prio"`
	Policy string          `json:"policy"`
	Dev    json.RawMessage `json:"dev"`
	rules  int
}

type nftKey struct{ family, table, chain string }

// ParseNFT reads what "nft -j list ruleset" prints, and returns the chains at
// hooks that iptables did not make. It does not read their rules yet. A chain
// that has no rule and accepts decides nothing, and is left out.
func ParseNFT(r io.Reader, file string) ([]Opaque, []Problem) {
	p := &nftParser{chains: map[nftKey]*nftChain{}}
	err := p.read(bufio.NewReaderSize(r, 1<<16))
	var list []Opaque
	for _, c := range p.order {
		if !c.isIPTables() && (c.rules > 0 || c.Policy == "drop") {
			list = append(list, c.opaque()...)
		}
	}
	if err == nil {
		return list, nil
	}
	// What was not read may hold chains at any hook.
	for h := range Hook(len(chainNames)) {
		for _, is6 := range [...]bool{false, true} {
			list = append(list, Opaque{Hook: h, Is6: is6, What: "nftables was not read to its end: " + err.Error()})
		}
	}
	return list, []Problem{{File: file, Why: err.Error()}}
}

type nftParser struct {
	chains map[nftKey]*nftChain
	order  []*nftChain
}

// read cuts the text into elements. That is ten times as fast as to decode
// the rules of iptables, which say nothing here.
func (p *nftParser) read(r *bufio.Reader) error {
	head, err := r.ReadString('[')
	if err == io.EOF && strings.TrimSpace(head) == "" {
		return nil
	}
	if err != nil || !strings.Contains(head, `"nftables"`) {
		return errors.New(`nft: not the JSON of "nft -j list ruleset"`)
	}
	for buf := []byte(nil); ; {
		buf, err = nextElement(r, buf[:0])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("nft: %w", err)
		}
		if err := p.element(buf); err != nil {
			return fmt.Errorf("nft: %q: %w", short(string(buf)), err)
		}
	}
}

// nextElement reads one {…} into buf; io.EOF stands for the end of the list.
func nextElement(r *bufio.Reader, buf []byte) ([]byte, error) {
	if err := toElement(r); err != nil {
		return buf, err
	}
	for at := (nesting{}); ; {
		if _, err := r.Peek(1); err == io.EOF {
			return buf, io.ErrUnexpectedEOF
		} else if err != nil {
			return buf, err
		}
		chunk, _ := r.Peek(r.Buffered())
		n, end := at.scan(chunk)
		if len(buf)+n > maxElement {
			return buf, fmt.Errorf("an element is longer than %d MB", maxElement>>20)
		}
		buf = append(buf, chunk[:n]...)
		r.Discard(n)
		if end {
			return buf, nil
		}
	}
}

// toElement goes to the next "{"; io.EOF stands for the end of the list.
func toElement(r *bufio.Reader) error {
	for {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case c == ']':
			return io.EOF
		case c == '{':
			return r.UnreadByte()
		case c != ',' && c != ' ' && c != '\n' && c != '\r' && c != '\t':
			return fmt.Errorf("unexpected %q between elements", c)
		}
	}
}

// nesting is where in an element a scan is.
type nesting struct {
	depth           int
	quoted, escaped bool
}

// structural are the bytes that JSON's structure is made of.
var structural = [256]bool{'"': true, '\\': true, '{': true, '[': true, '}': true, ']': true}

// scan goes on through b. It returns how many bytes belong to the element, and whether it ends there.
func (at *nesting) scan(b []byte) (n int, end bool) {
	for i, c := range b {
		if at.escaped {
			at.escaped = false
			continue
		}
		if !structural[c] {
			continue
		}
		switch {
		case c == '"':
			at.quoted = !at.quoted
		case at.quoted:
			at.escaped = c == '\\'
		case c == '{' || c == '[':
			at.depth++
		case c != '\\':
			at.depth--
		}
		if at.depth == 0 && !at.quoted {
			return i + 1, true
		}
	}
	return len(b), false
}

// iptablesRules is how the rules of iptables begin, as nft prints them.
var iptablesRules = func() (list []string) {
	for _, family := range [...]string{"ip", "ip6"} {
		for _, table := range tableNames {
			list = append(list, fmt.Sprintf(`{"rule": {"family": %q, "table": %q, `, family, table))
		}
	}
	return list
}()

// tableNames are the tables of iptables.
var tableNames = []string{"filter", "nat", "mangle", "raw", "security"}

func (p *nftParser) element(b []byte) error {
	for _, begin := range iptablesRules {
		if len(b) > len(begin) && string(b[:len(begin)]) == begin && p.quick(b[len(begin):], begin) {
			return nil
		}
	}
	var e nftElement
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	if c := e.Chain; c != nil {
		p.chains[nftKey{c.Family, c.Table, c.Name}] = c
		p.order = append(p.order, c)
	}
	if e.Rule != nil {
		if c := p.chains[nftKey{e.Rule.Family, e.Rule.Table, e.Rule.Chain}]; c != nil {
			c.rules++
		}
	}
	return nil
}

// quick reports whether a rule is of one of iptables' own chains, which need not be decoded.
func (p *nftParser) quick(b []byte, begin string) bool {
	const field = `"chain": "`
	if len(b) < len(field) || string(b[:len(field)]) != field {
		return false
	}
	name, _, _ := strings.Cut(string(b[len(field):min(len(b), len(field)+64)]), `"`)
	family, table := "ip", ""
	if strings.Contains(begin, `"ip6"`) {
		family = "ip6"
	}
	for _, t := range tableNames {
		if strings.Contains(begin, `"table": "`+t+`"`) {
			table = t
		}
	}
	c := p.chains[nftKey{family, table, name}]
	return c != nil && (c.Hook == "" || c.isIPTables())
}

// isIPTables reports whether c is a chain that iptables-save prints.
func (c *nftChain) isIPTables() bool {
	return (c.Family == "ip" || c.Family == "ip6") && slices.Contains(tableNames, c.Table) && slices.Contains(chainNames[:], c.Name)
}

// nftHooks are the hooks as nft names them.
var nftHooks = map[string]Hook{
	"prerouting": PreRouting, "input": LocalIn, "forward": Forward, "output": LocalOut, "postrouting": PostRouting,
	"ingress": PreRouting, "egress": PostRouting,
}

// opaque returns what packets of each family meet.
func (c *nftChain) opaque() []Opaque {
	h, ok := nftHooks[c.Hook]
	if !ok || c.Family == "arp" {
		return nil
	}
	o := Opaque{Hook: h, Bridge: c.Family == "bridge",
		What: fmt.Sprintf("nftables table %s %s, chain %s: not understood yet", c.Family, c.Table, c.Name)}
	if c.Family == "netdev" {
		json.Unmarshal(c.Dev, &o.Dev) // a list of devices leaves "", which stands for any
	}
	o6 := o
	o6.Is6 = true
	switch c.Family {
	case "ip":
		return []Opaque{o}
	case "ip6":
		return []Opaque{o6}
	}
	return []Opaque{o, o6}
}
