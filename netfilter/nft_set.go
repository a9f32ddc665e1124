package netfilter

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
)

// An nftSet is a set or a map, named or written into a rule.
type nftSet struct {
	name     string // "" of one that is written into a rule
	key      []nftType
	data     []nftType // of a map
	verdicts bool      // it maps to verdicts
	objects  bool      // it maps to named objects
	size     int       // how many elements it can hold, 0 for any number
	elems    []nftElem
	exact    map[string]int32
	ranges   []nftRange            // of a set with one field, in order
	groups   []nftGroup            // of a concatenation with ranges
	catchall int32                 // the element "*", or none
	unread   string                // why elements may be missing, "" if none is
	changes  bool                  // rules add elements to it
	shrinks  bool                  // rules delete elements of it
	changed  [len(chainNames)]bool // at which hooks
}

// An nftElem is one element.
type nftElem struct {
	lo, hi   string // the key; equal unless it is a range
	data, to string // of a map: the value; of a range of addresses, its ends
	verdict  nftVerdict
	object   string
	rate     bool // a limit or a quota of its own may keep it from matching
}

// An nftRange is a range of keys.
type nftRange struct {
	lo, hi string
	elem   int32
}

// An nftGroup holds the elements of a concatenation whose fields have as many leading
// bits in common. A packet's key, cut to these bits, leads to the few that it may be in.
type nftGroup struct {
	mask  []byte
	elems map[string][]int32
}

// index makes the indexes, once all elements are there.
func (t *nftSet) index() {
	t.exact = make(map[string]int32, len(t.elems))
	groups := map[string]int{}
	for i := range t.elems {
		switch x := &t.elems[i]; {
		case x.lo == x.hi:
			if _, twice := t.exact[x.lo]; !twice {
				t.exact[x.lo] = int32(i)
			}
		case len(t.key) == 1:
			t.ranges = append(t.ranges, nftRange{x.lo, x.hi, int32(i)})
		default:
			t.group(groups, int32(i))
		}
	}
	slices.SortStableFunc(t.ranges, func(a, b nftRange) int { return strings.Compare(a.lo, b.lo) })
}

// group files an element with ranges.
func (t *nftSet) group(groups map[string]int, i int32) {
	x := &t.elems[i]
	mask := t.mask(x)
	at, ok := groups[string(mask)]
	if !ok {
		at = len(t.groups)
		groups[string(mask)] = at
		t.groups = append(t.groups, nftGroup{mask, map[string][]int32{}})
	}
	g := &t.groups[at]
	var room [maxValue]byte
	k := masked64(room[:0], []byte(x.lo), mask)
	g.elems[string(k)] = append(g.elems[string(k)], i)
}

// mask returns the leading bits that the two ends of each field have in common.
func (t *nftSet) mask(x *nftElem) []byte {
	mask := make([]byte, 0, len(x.lo))
	for _, f := range t.key {
		same := true
		for range f.size {
			d := x.lo[len(mask)] ^ x.hi[len(mask)]
			m := byte(0)
			if same {
				m = ^(0xff >> bits.LeadingZeros8(d))
			}
			same = same && d == 0
			mask = append(mask, m)
		}
	}
	return mask
}

func masked64(b, key, mask []byte) []byte {
	for i, c := range key {
		b = append(b, c&mask[i])
	}
	return b
}

// find returns the element of a key that is known, or none.
func (t *nftSet) find(key []byte) int32 {
	i := t.catchall
	if at, ok := t.exact[string(key)]; ok {
		return at
	}
	if at, ok := t.inRange(key); ok {
		return at
	}
	best := int32(none)
	for g := range t.groups {
		var room [maxValue]byte
		if len(t.groups[g].mask) != len(key) {
			continue
		}
		for _, at := range t.groups[g].elems[string(masked64(room[:0], key, t.groups[g].mask))] {
			if (best == none || at < best) && t.elems[at].covers(t.key, key) {
				best = at
			}
		}
	}
	if best != none {
		return best
	}
	return i
}

// inRange looks through the ranges of a set with one field, which do not overlap.
func (t *nftSet) inRange(key []byte) (int32, bool) {
	n, _ := slices.BinarySearchFunc(t.ranges, key, func(r nftRange, key []byte) int {
		if r.lo <= string(key) {
			return -1
		}
		return 1
	})
	if n > 0 && t.ranges[n-1].hi >= string(key) {
		return t.ranges[n-1].elem, true
	}
	return none, false
}

// covers reports whether every field of a key lies in the element's range.
func (x *nftElem) covers(fields []nftType, key []byte) bool {
	at := 0
	for _, f := range fields {
		k := string(key[at : at+f.size])
		if k < x.lo[at:at+f.size] || k > x.hi[at:at+f.size] {
			return false
		}
		at += f.size
	}
	return true
}

// may reports whether the element may be that of a key of which some bits are not known.
func (x *nftElem) may(fields []nftType, key, dark []byte) bool {
	at := 0
	for _, f := range fields {
		lo, hi := bytes.Clone(key[at:at+f.size]), bytes.Clone(key[at:at+f.size])
		for i := range lo {
			lo[i] &^= dark[at+i]
			hi[i] |= dark[at+i]
		}
		if string(hi) < x.lo[at:at+f.size] || string(lo) > x.hi[at:at+f.size] {
			return false
		}
		if x.lo[at:at+f.size] == x.hi[at:at+f.size] && !agree(x.lo[at:at+f.size], key[at:], dark[at:]) {
			return false
		}
		at += f.size
	}
	return true
}

// agree reports whether the bits of key that are known are those of want.
func agree(want string, key, dark []byte) bool {
	for i := range len(want) {
		if (want[i]^key[i])&^dark[i] != 0 {
			return false
		}
	}
	return true
}

// lookup answers whether a key is in the set, and as which element. Where it
// answers Maybe it leaves the reason in e.why; the element, if any, is then one of those that it may be.
func (t *nftSet) lookup(x *nftRun, s *state, key []byte) (int32, Tri) {
	if len(key) != fieldsSize(t.key) {
		return none, x.e.maybe("a set is asked for a key that it cannot hold")
	}
	if x.isDark {
		return t.guess(x, key)
	}
	i := t.find(key)
	switch {
	case i != none && t.elems[i].rate:
		x.e.maybe("whether the rate is above the limit of an element of set " + t.name + " is not known")
		x.e.share = likely
		return i, Maybe
	case i != none && t.shrinks:
		return i, x.e.maybe("whether rules have deleted an element of set " + t.name + " is not known")
	case i != none:
		return i, Yes
	case t.unread != "":
		return none, x.e.maybe("set " + t.name + " was not read to its end: " + t.unread)
	case !t.changes:
		return none, No
	case s.added.has(t, key):
		return none, Yes
	}
	x.e.maybe("the elements that rules add to set " + t.name + " are not known")
	x.e.share = unlikely
	for h, on := range t.changed {
		if on && Hook(h) != x.e.in.Hook {
			x.e.share = even // the packet may have been there
		}
	}
	return none, Maybe
}

// guess looks for a key of which some bits are not known.
func (t *nftSet) guess(x *nftRun, key []byte) (int32, Tri) {
	for i := range t.elems {
		if t.elems[i].lo != "" && t.elems[i].may(t.key, key, x.dark[:len(key)]) {
			return int32(i), Maybe
		}
	}
	if t.unread != "" || t.changes {
		return none, Maybe
	}
	if t.catchall != none {
		return t.catchall, Yes
	}
	return none, No
}

func fieldsSize(fields []nftType) (n int) {
	for _, f := range fields {
		n += f.size
	}
	return n
}

// An nftAdded is an element that a rule has added on the packet's way; the list's last is first.
type nftAdded struct {
	set    *nftSet
	key    string
	before *nftAdded
}

func (a *nftAdded) has(t *nftSet, key []byte) bool {
	for ; a != nil; a = a.before {
		if a.set == t && a.key == string(key) {
			return true
		}
	}
	return false
}
