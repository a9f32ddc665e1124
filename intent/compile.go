package intent

import "slices"

// This file turns selectors, peers and policies into sets of classes.

// evaluate finds the classes that each selector selects.
func (b *builder) evaluate() {
	b.words.fill(b.classes, b.podCount)
	for _, s := range b.podSel.list {
		b.podSel.sets = append(b.podSel.sets, b.words.selected(s))
	}
	for _, s := range b.nsSel.list {
		out := tri{newSet(len(b.classes)), nil}
		for i, ns := range b.namespaces {
			switch matchLabels(s, ns) {
			case yes:
				out.yes.addRange(b.nsRange[i][0], b.nsRange[i][1])
			case maybe:
				if out.maybe == nil {
					out.maybe = newSet(len(b.classes))
				}
				out.maybe.addRange(b.nsRange[i][0], b.nsRange[i][1])
			}
		}
		b.nsSel.sets = append(b.nsSel.sets, out)
	}
	for _, s := range b.nodeSel.list {
		b.nodeSel.sets = append(b.nodeSel.sets, b.where(func(c *class) match {
			if c.kind != isNode {
				return no
			}
			return matchLabels(s, c.labels)
		}))
	}
}

// where returns the classes for which f holds.
func (b *builder) where(f func(*class) match) tri {
	out := tri{newSet(len(b.classes)), newSet(len(b.classes))}
	for i := range b.classes {
		switch f(&b.classes[i]) {
		case yes:
			out.yes.add(int32(i))
		case maybe:
			out.maybe.add(int32(i))
		}
	}
	if out.maybe.empty() {
		out.maybe = nil
	}
	return out
}

// any returns that everything may match.
func (b *builder) any() tri { return b.where(func(*class) match { return maybe }) }

// spec returns the classes that a peer, which is no block, matches as the other end of a connection.
func (b *builder) spec(s peerSpec) tri {
	switch s.kind {
	case specPods:
		return b.selectedPods(s)
	case specNodes:
		return b.nodeSel.sets[s.sel]
	}
	return b.any()
}

// selectedPods returns the classes of Pods that a peer or a subject selects.
func (b *builder) selectedPods(s peerSpec) tri {
	var out tri
	if s.nsSel >= 0 {
		out = b.nsSel.sets[s.nsSel]
	} else {
		out.yes = newSet(len(b.classes))
		if i, ok := b.nsAt[s.namespace]; ok {
			out.yes.addRange(b.nsRange[i][0], b.nsRange[i][1])
		}
	}
	if s.sel >= 0 {
		out = out.and(b.podSel.sets[s.sel])
	}
	return out
}

// inBlocks returns the classes whose addresses of a family are in one of some blocks. A node sends from
// the address of the device that the packet leaves by: one of the node's own, or one of its Pod range.
func (b *builder) inBlocks(list []int32, direction int, family uint8) tri {
	in := make([]bool, len(b.space[family].parts))
	for i, blocks := range b.space[family].parts {
		in[i] = slices.ContainsFunc(list, func(at int32) bool { _, ok := slices.BinarySearch(blocks, at); return ok })
	}
	return b.where(func(c *class) match {
		switch part := c.parts[family]; {
		case part == partUnknown:
			return maybe
		case part < 0:
			return no
		case c.kind == isNode && direction == ingress:
			return allOrSome(in, c.from[family])
		case in[part]:
			return yes
		}
		return no
	})
}

// allOrSome says whether a packet from one of the parts is in the block. No parts are too many.
func allOrSome(in []bool, parts []int32) match {
	n := 0
	for _, p := range parts {
		if in[p] {
			n++
		}
	}
	switch {
	case len(parts) == 0 || n > 0 && n < len(parts):
		return maybe
	case n > 0:
		return yes
	}
	return no
}

// peers returns the classes that any of the peers matches, by family; nil for no peers: all.
func (b *builder) peers(list []peerSpec, direction int) *[2]tri {
	if len(list) == 0 {
		return nil
	}
	key := []byte{byte(direction)}
	var blocks []int32
	for _, s := range list {
		key = appendInts(append(append(key, byte(s.kind)), s.namespace...), []int32{s.nsSel, s.sel, s.block})
		if s.kind == specBlock && s.block >= 0 {
			blocks = append(blocks, s.block)
		}
	}
	if out := b.peerSets[string(key)]; out != nil {
		return out
	}
	out := &[2]tri{}
	for f := range out {
		if f > 0 && blocks == nil {
			out[f] = out[0]
			break
		}
		if blocks != nil { // together: a node's addresses may be in several
			out[f] = b.inBlocks(blocks, direction, uint8(f))
		}
		for _, s := range list {
			if s.kind != specBlock {
				out[f] = out[f].or(b.spec(s))
			}
		}
	}
	b.peerSets[string(key)] = out
	return out
}

// compile finds for each rule the classes of its peers, and for each class of Pods its policies.
func (b *builder) compile() {
	applied := [2][][]int32{make([][]int32, b.podCount), make([][]int32, b.podCount)}
	for i := range b.policies {
		p := &b.policies[i]
		for d := range p.rules {
			for j := range p.rules[d] {
				r := &p.rules[d][j]
				r.sets = b.peers(r.peers, d)
			}
		}
		b.apply(int32(i), &applied)
	}
	for d := range applied {
		known := map[string]int32{}
		var key []byte
		for i, list := range applied[d] {
			key = appendInts(key[:0], list)
			at, ok := known[string(key)]
			if !ok {
				at = int32(len(b.programs[d]))
				known[string(key)] = at
				b.programs[d] = append(b.programs[d], b.program(list, d))
			}
			b.classes[i].program[d] = at
		}
	}
}

// apply adds a policy to the lists of the classes that it selects: twice its number, and one
// more where it only may select them.
func (b *builder) apply(at int32, applied *[2][][]int32) {
	p := &b.policies[at]
	selected := tri{maybe: b.words.all}
	if p.subject.kind == specPods {
		selected = b.selectedPods(p.subject)
	}
	for d := range applied {
		if !p.touches[d] {
			continue
		}
		selected.yes.each(func(i int32) { applied[d][i] = append(applied[d][i], 2*at) })
		selected.maybe.each(func(i int32) { applied[d][i] = append(applied[d][i], 2*at+1) })
	}
}
