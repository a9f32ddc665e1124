package intent

import "math/bits"

// Pairs counts the ordered pairs of different Pods by answer.
type Pairs struct{ Allowed, Denied, Unknown int }

func (p *Pairs) add(a Answer, n int) {
	switch a {
	case Allowed:
		p.Allowed += n
	case Denied:
		p.Denied += n
	default:
		p.Unknown += n
	}
}

// Count counts the pairs of Pods that have an address of the Matrix's family.
func (m *Matrix) Count() Pairs {
	c := counter{weights: m.weights(), plain: map[int]bool{}}
	for at := range len(c.weights) / 64 {
		c.plain[at] = true
		for _, w := range c.weights[at*64 : at*64+64] {
			c.plain[at] = c.plain[at] && w == 1
		}
	}
	var all, self Pairs
	m.blocks(m.e.podCount, nil, func(i0, j0 int, allow, deny *[64]uint64) {
		for i := range min(64, len(c.weights)-i0) {
			w := c.weights[i0+i]
			all.Allowed += w * c.sum(j0, allow[i])
			all.Denied += w * c.sum(j0, deny[i])
		}
	})
	total := 0
	for i, w := range c.weights {
		total += w
		if w == 0 {
			continue
		}
		self.add(m.of(int32(i), int32(i)), w)
	}
	out := Pairs{Allowed: all.Allowed - self.Allowed, Denied: all.Denied - self.Denied}
	out.Unknown = total*(total-1) - out.Allowed - out.Denied
	return out
}

// weights are how many Pods of each class have an address of the family.
func (m *Matrix) weights() []int {
	out := make([]int, m.e.podCount)
	for i := range m.e.pods {
		p := &m.e.pods[i].peer
		if p.kind == isPod && p.class[m.family] >= 0 {
			out[p.class[m.family]]++
		}
	}
	return out
}

// A counter adds up the weights of classes.
type counter struct {
	weights []int
	plain   map[int]bool // the words of which all weights are 1
}

// sum returns the weights of the classes from j0 on, of which word has a bit each.
func (c *counter) sum(j0 int, word uint64) (n int) {
	if c.plain[j0/64] {
		return bits.OnesCount64(word)
	}
	for ; word != 0; word &= word - 1 {
		if j := j0 + bits.TrailingZeros64(word); j < len(c.weights) {
			n += c.weights[j]
		}
	}
	return n
}

// blocks calls f for each 64 sources and 64 destinations of the first n classes: bit j of
// allow[i] says that the source i0+i reaches the destination j0+j, of deny[i] that it does not.
// With wanted it leaves out those where neither the sources nor the destinations are among them.
func (m *Matrix) blocks(n int, wanted set, f func(i0, j0 int, allow, deny *[64]uint64)) {
	var allow, deny, inAllow, inDeny [64]uint64
	free := m.free()
	for j0 := 0; j0 < n; j0 += 64 {
		for i0 := 0; i0 < n; i0 += 64 {
			if wanted != nil && wanted[i0/64]|wanted[j0/64] == 0 {
				continue
			}
			inAllow, inDeny = [64]uint64{}, [64]uint64{}
			for j := range min(64, n-j0) {
				r := m.row(ingress, j0+j, free)
				inAllow[j], inDeny[j] = r.allow[i0/64], r.deny[i0/64]
			}
			transpose(&inAllow)
			transpose(&inDeny)
			for i := range min(64, n-i0) {
				r := m.row(egress, i0+i, free)
				allow[i], deny[i] = r.allow[j0/64]&inAllow[i], r.deny[j0/64]|inDeny[i]
			}
			f(i0, j0, &allow, &deny)
		}
	}
}

// free is the row of those that no policy selects.
func (m *Matrix) free() *row {
	n := len(m.e.classes)
	r := &row{newSet(n), newSet(n)}
	r.allow.addRange(0, int32(n))
	return r
}

// row returns the row of a class, which of all but Pods is free.
func (m *Matrix) row(direction, class int, free *row) *row {
	switch {
	case class >= m.e.podCount:
		return free
	case direction == egress:
		return &m.rows[egress][m.e.classes[class].program[egress]]
	}
	return &m.rows[ingress][m.inRow[class]]
}

// transpose makes bit j of word i bit i of word j, by halves, quarters and so on.
func transpose(a *[64]uint64) {
	mask := uint64(0x00000000ffffffff)
	for width := 32; width != 0; width >>= 1 {
		for i := 0; i < 64; i = (i + width + 1) &^ width {
			t := (a[i]>>width ^ a[i+width]) & mask
			a[i] ^= t << width
			a[i+width] ^= t
		}
		mask ^= mask << (width >> 1)
	}
}
