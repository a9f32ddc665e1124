package netfilter

import (
	"fmt"
	"strings"
)

// A verdictKind is what a verdict of nf_tables does.
type verdictKind uint8

const (
	verdictNone verdictKind = iota
	verdictAccept
	verdictDrop
	verdictReturn
	verdictContinue
	verdictJump
	verdictGoto
)

// An nftVerdict is a verdict, and the chain that it leads to.
type nftVerdict struct {
	kind   verdictKind
	target string
}

var verdictKinds = map[string]verdictKind{"accept": verdictAccept, "drop": verdictDrop, "return": verdictReturn, "continue": verdictContinue, "jump": verdictJump, "goto": verdictGoto}

// nftVerdictOf reads {"jump": {"target": "x"}}.
func nftVerdictOf(n *jsonNode) (nftVerdict, bool) {
	op, arg := n.only()
	v := nftVerdict{kind: verdictKinds[op], target: arg.get("target").str()}
	return v, v.kind != verdictNone && (v.target != "" || v.kind < verdictJump)
}

// objectTypes are the kinds of named objects that maps may lead to.
var objectTypes = map[string]bool{"counter": true, "quota": true, "limit": true, "ct helper": true, "ct timeout": true, "ct expectation": true, "secmark": true, "synproxy": true}

// set reads a set or a map with a name.
func (p *nftParser) set(n *jsonNode) {
	t := &nftSet{name: n.get("name").str(), catchall: none}
	if size, ok := n.get("size").num(); ok {
		t.size = int(min(size, 1<<31))
	}
	var known bool
	if t.key, known = nftFields(n.get("type")); !known {
		t.key = nil
	}
	if m := n.get("map"); m != nil {
		switch name := m.str(); {
		case name == "verdict":
			t.verdicts = true
		case objectTypes[name]:
			t.objects = true
		default:
			var ok bool
			if t.data, ok = nftFields(m); !ok {
				t.unread = "the type of its values is not understood"
			}
		}
	}
	p.sets[t.name] = t
	if p.raw[t.name] = n.get("elem"); t.key != nil {
		p.fill(t)
	}
}

// nftFields reads the types of a set's key: a name, a list of names, or names with dots between.
func nftFields(n *jsonNode) ([]nftType, bool) {
	names := n.strs()
	if len(names) == 1 {
		names = strings.Split(names[0], " . ")
	}
	if typeof := n.get("typeof"); typeof != nil {
		return nil, false
	}
	var out []nftType
	for _, s := range names {
		t, ok := nftTypes[s]
		if !ok {
			return nil, false
		}
		out = append(out, t)
	}
	return out, len(out) > 0 && fieldsSize(out) <= maxValue
}

// fill reads the elements of a named set, whose types are known by now.
func (p *nftParser) fill(t *nftSet) {
	list := p.raw[t.name].list()
	delete(p.raw, t.name)
	p.elements(t, list)
}

// elements reads elements and indexes them. What cannot be read leaves the set unread.
func (p *nftParser) elements(t *nftSet, list []jsonNode) {
	if p.count += len(list); p.count > maxMembers {
		t.unread = fmt.Sprintf("there are more than %d elements", maxMembers)
		list = nil
	}
	t.elems = make([]nftElem, 0, len(list))
	for i := range list {
		x := nftElem{}
		all, ok := t.read(&x, &list[i])
		if !ok && t.unread == "" {
			t.unread = "an element is not understood"
		}
		if !ok {
			continue
		}
		if all {
			t.catchall = int32(len(t.elems))
		}
		t.elems = append(t.elems, x)
	}
	t.index()
}

// read reads one element: a key, or a key with its value. all says that the key is "*".
func (t *nftSet) read(x *nftElem, n *jsonNode) (all, ok bool) {
	key := n
	if t.verdicts || t.objects || t.data != nil {
		if len(n.list()) != 2 {
			return false, false
		}
		key = &n.kids[0]
		if !t.value(x, &n.kids[1]) {
			return false, false
		}
	}
	if e := key.get("elem"); e != nil {
		x.rate = e.get("limit") != nil || e.get("quota") != nil || e.get("ct count") != nil || e.get("stmt") != nil
		key = e.get("val")
	}
	if key == nil {
		return false, false
	}
	if key.kind == '"' && key.text == "*" {
		return true, true
	}
	x.lo, x.hi, ok = spanOf(t.key, key)
	return false, ok
}

// value reads what a key maps to.
func (t *nftSet) value(x *nftElem, n *jsonNode) (ok bool) {
	if e := n.get("elem"); e != nil {
		n = e.get("val")
	}
	switch {
	case n == nil:
		return false
	case t.verdicts:
		x.verdict, ok = nftVerdictOf(n)
	case t.objects:
		x.object, ok = n.str(), n.kind == '"'
	default:
		x.data, x.to, ok = spanOf(t.data, n)
	}
	return ok
}

// spanOf reads a value of some fields; where it is one value, both ends are.
func spanOf(fields []nftType, n *jsonNode) (lo, hi string, ok bool) {
	if parts := n.get("concat"); parts != nil {
		if len(parts.list()) != len(fields) {
			return "", "", false
		}
		for i := range fields {
			a, b, ok := fields[i].span(&parts.kids[i])
			if !ok {
				return "", "", false
			}
			lo, hi = lo+a, hi+b
		}
		return lo, hi, true
	}
	if len(fields) != 1 {
		return "", "", false
	}
	return fields[0].span(n)
}

// span reads a value, a range or a prefix.
func (t *nftType) span(n *jsonNode) (lo, hi string, ok bool) {
	op, arg := n.only()
	switch {
	case op == "range":
		return t.rangeOf(arg)
	case op == "prefix":
		return t.prefixOf(arg)
	case op == "|":
		b, ok := t.union(arg.list())
		return string(b), string(b), ok
	case op != "":
		return "", "", false
	case n.kind == '[':
		b, ok := t.union(n.kids)
		return string(b), string(b), ok
	case t.text && n.kind == '"' && strings.HasSuffix(n.text, "*") && !strings.HasSuffix(n.text, `\*`):
		return wildcard(strings.TrimSuffix(n.text, "*"))
	}
	b, ok := t.constant(nil, n)
	return string(b), string(b), ok
}

// wildcard returns the names that begin with s.
func wildcard(s string) (lo, hi string, ok bool) {
	if len(s) >= ifNameSize {
		return "", "", false
	}
	return string(appendText(nil, s)), s + strings.Repeat("\xff", ifNameSize-len(s)), true
}

// rangeOf reads a range. Of a range of device names nft 1.0 prints nothing that tells it.
func (t *nftType) rangeOf(n *jsonNode) (lo, hi string, ok bool) {
	if len(n.list()) != 2 || t.text {
		return "", "", false
	}
	a, ok := t.constant(nil, &n.kids[0])
	b, ok2 := t.constant(nil, &n.kids[1])
	return string(a), string(b), ok && ok2 && len(a) == len(b) && string(a) <= string(b)
}

// prefixOf reads {"addr": "10.0.0.0", "len": 8}, of an address or of a number.
func (t *nftType) prefixOf(n *jsonNode) (lo, hi string, ok bool) {
	addr := n.get("addr")
	length, ok := n.get("len").num()
	if addr == nil || !ok || length > uint64(8*t.size) || t.text {
		return "", "", false
	}
	a, ok := t.constant(nil, addr)
	if !ok || len(a) != t.size {
		return "", "", false
	}
	b := append([]byte(nil), a...)
	for i := range b {
		keep := byte(0xff) << (8 - min(max(int(length)-8*i, 0), 8))
		a[i] &= keep
		b[i] = a[i] | ^keep
	}
	return string(a), string(b), true
}

// setFor returns the set that a rule looks the value of key up in: named, or written into the rule.
// data is the type of a map's values, verdicts that they are verdicts.
func (p *nftParser) setFor(n *jsonNode, key *nftTyped, data []nftType, verdicts bool) (*nftSet, error) {
	if n == nil {
		return nil, notUnderstood("a set is missing")
	}
	if n.kind == '"' && strings.HasPrefix(n.text, "@") {
		return p.named(n.text[1:], key)
	}
	list := n.get("set")
	if list == nil {
		return nil, notUnderstood("a set that is written in a way of its own")
	}
	t := &nftSet{key: key.types, data: data, verdicts: verdicts, catchall: none}
	if list.kind != '[' { // a set with one element may be printed bare
		p.elements(t, []jsonNode{*list})
	} else {
		p.elements(t, list.kids)
	}
	if t.unread != "" {
		return t, notUnderstood("a set in the rule: %s", t.unread)
	}
	return t, nil
}

// named returns a set by its name; the first rule that asks it may tell its types.
func (p *nftParser) named(name string, key *nftTyped) (*nftSet, error) {
	t := p.sets[name]
	if t == nil {
		return nil, notUnderstood("set %s was not listed", short(name))
	}
	if t.key == nil {
		t.key = key.types
		p.fill(t)
	}
	if fieldsSize(t.key) != key.size() {
		return nil, notUnderstood("set %s has keys of %d bytes, not of %d", short(name), fieldsSize(t.key), key.size())
	}
	return t, nil
}
