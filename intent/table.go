package intent

import (
	"cmp"
	"fmt"
	"slices"
)

// A Table says who may talk to whom, by groups of peers that it treats alike.
type Table struct {
	Ports  []PortRange
	Groups []Group
	Cells  [][]Cell // from a group, to a group
	Is6    bool
}

// A Cell is what connections from one group to another meet.
type Cell struct {
	// Answer is that of all ports; where they differ, Mixed is set and Allowed holds those that are allowed.
	Answer  Answer
	Mixed   bool
	Allowed []PortRange
	Unknown []PortRange // where Mixed is set: those of which it is not known
	// None says that there is nothing to tell: of a group of one Pod to itself, between those that
	// no policy selects, and between groups of which neither is in focus.
	None bool
}

// A Group is peers of which all connections with the others of a Table have the same answers.
type Group struct {
	Kind    string   // "pods", "nodes" or "outside"
	Members []Member // sorted
	Pods    int
	Focus   bool // it is of the namespaces that were asked for, or none were named
	class   int32
}

// A Member is a workload of a group, a node, or a range of addresses.
type Member struct {
	Namespace string
	Kind      string // "Deployment", "Pod", "Node" …; "" of addresses
	Name      string // of addresses: "10.0.0.0/8", or "" for all that no policy names
	Pods, Of  int    // how many of the workload's Pods are in the group
}

// maxGroups bounds the groups of a Table, of which each pair has a cell.
const maxGroups = 1000

// Table groups all peers for the ports. With namespaces it tells apart only what matters to
// the Pods of these. It returns an error where there are too many groups to be of use.
func (e *Engine) Table(ports []PortRange, is6 bool, namespaces ...string) (*Table, error) {
	t := &tabler{Engine: e, focus: e.focus(namespaces)}
	t.out.Ports, t.out.Is6 = ports, is6
	t.signatures = make([]signature, len(e.classes))
	for _, p := range ports {
		m := e.AllPairs(p.Port(), is6)
		t.matrices = append(t.matrices, m)
		t.sign(m)
		if err := t.tooMany(); err != nil {
			return nil, err
		}
	}
	t.group()
	t.fill()
	return &t.out, nil
}

// focus returns the classes of the Pods of namespaces, all classes where none is named.
func (e *Engine) focus(namespaces []string) set {
	s := newSet(len(e.classes))
	if len(namespaces) == 0 {
		s.addRange(0, int32(len(e.classes)))
		return s
	}
	for i := range e.classes[:e.podCount] {
		if slices.Contains(namespaces, e.namespaces[e.classes[i].ns].name) {
			s.add(int32(i))
		}
	}
	return s
}

// tabler makes a Table.
type tabler struct {
	*Engine
	out        Table
	matrices   []*Matrix
	focus      set
	signatures []signature
}

// A signature is the same for classes whose connections have the same answers. It is a hash:
// that two others have one too is as likely as that memory fails.
type signature struct{ out, in [2]uint64 }

// mix adds a word to a hash (FNV-1a over words, and a rotated second one).
func mix(h *[2]uint64, w uint64) {
	h[0] = (h[0] ^ w) * 0x100000001b3
	h[0] ^= h[0] >> 29
	h[1] = (h[1] + w ^ w>>31) * 0x9e3779b97f4a7c15
	h[1] ^= h[1] >> 32
}

// sign adds the answers for one port to the signatures of all classes. What is not in focus is
// told apart only by its connections with what is.
func (t *tabler) sign(m *Matrix) {
	n := len(t.classes)
	m.blocks(n, t.focus, func(i0, j0 int, allow, deny *[64]uint64) {
		for i := range min(64, n-i0) {
			t.mix(&t.signatures[i0+i].out, t.sees(i0+i, j0), allow[i], deny[i])
		}
		transpose(allow)
		transpose(deny)
		for j := range min(64, n-j0) {
			t.mix(&t.signatures[j0+j].in, t.sees(j0+j, i0), allow[j], deny[j])
		}
	})
}

// mix adds what a class sees of 64 others to its hash; nothing, where it sees none of them.
func (t *tabler) mix(h *[2]uint64, see, allow, deny uint64) {
	if see != 0 {
		mix(h, allow&see)
		mix(h, deny&see)
	}
}

// sees returns those of the 64 classes from at on whose connections with a class matter.
func (t *tabler) sees(class, at int) uint64 {
	if t.focus.has(int32(class)) {
		return ^uint64(0)
	}
	return t.focus[at/64]
}

// A groupKey is the same for the classes of a group.
type groupKey struct {
	signature
	kind  peerKind
	focus bool
}

func (t *tabler) key(class int) groupKey {
	return groupKey{t.signatures[class], t.classes[class].kind, t.focus.has(int32(class))}
}

// tooMany returns an error where there are more groups than a person can read. More ports make no fewer.
func (t *tabler) tooMany() error {
	seen := map[groupKey]bool{}
	for i := range t.classes {
		if !t.absent(&t.classes[i]) {
			seen[t.key(i)] = true
		}
	}
	if len(seen) <= maxGroups {
		return nil
	}
	return fmt.Errorf("%d groups of Pods that policies treat differently are more than %d: ask for a namespace, or one port", len(seen), maxGroups)
}

// group makes the groups: peers of one kind whose signatures are the same.
func (t *tabler) group() {
	at := map[groupKey]int{}
	groupOf := make([]int, len(t.classes))
	for i := range t.classes {
		groupOf[i] = -1
		if t.absent(&t.classes[i]) {
			continue
		}
		k := t.key(i)
		g, ok := at[k]
		if !ok {
			g = len(t.out.Groups)
			at[k] = g
			t.out.Groups = append(t.out.Groups, Group{Kind: kindNames[k.kind], Focus: k.focus, class: int32(i)})
		}
		groupOf[i] = g
	}
	t.members(groupOf)
	t.out.Groups = slices.DeleteFunc(t.out.Groups, func(g Group) bool { return len(g.Members) == 0 })
	for i := range t.out.Groups {
		slices.SortFunc(t.out.Groups[i].Members, compareMembers)
	}
	slices.SortStableFunc(t.out.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind]), compareMembers(a.Members[0], b.Members[0]))
	})
}

var (
	kindNames = [...]string{nobody: "", isPod: "pods", isNode: "nodes", isOutside: "outside"}
	kindOrder = map[string]int{"pods": 0, "nodes": 1, "outside": 2}
)

func compareMembers(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// absent reports whether a class has no address of the table's family.
func (t *tabler) absent(c *class) bool {
	f := v4
	if t.out.Is6 {
		f = v6
	}
	return c.parts[f] == -1
}

// members puts the workloads, nodes and ranges into their groups.
func (t *tabler) members(groupOf []int) {
	type part struct {
		group int
		workload
	}
	pods, of := map[part]int{}, map[workload]int{}
	owners := t.owners()
	for i := range t.pods {
		p := &t.pods[i]
		if p.peer.kind != isPod {
			continue
		}
		class := max(p.peer.class[v4], p.peer.class[v6])
		if class < 0 || groupOf[class] < 0 {
			continue
		}
		w := owners.of(p.object)
		pods[part{groupOf[class], w}]++
		of[w]++
		t.out.Groups[groupOf[class]].Pods++
	}
	for p, n := range pods { // the members are sorted afterwards
		t.out.Groups[p.group].Members = append(t.out.Groups[p.group].Members, Member{p.namespace, p.kind, p.name, n, of[p.workload]})
	}
	family := v4
	if t.out.Is6 {
		family = v6
	}
	for i := range t.nodes {
		if class := t.nodes[i].peer.class[family]; class >= 0 && groupOf[class] >= 0 {
			g := &t.out.Groups[groupOf[class]]
			g.Members = append(g.Members, Member{Kind: "Node", Name: t.nodes[i].name})
		}
	}
	for part, class := range t.outside[family] {
		g := &t.out.Groups[groupOf[class]]
		g.Members = append(g.Members, Member{Name: t.rangeName(t.space[family].parts[part])})
	}
}

// rangeName names a part of a space by the smallest block that it is in.
func (t *tabler) rangeName(blocks []int32) string {
	name, bits := "", -1
	for _, b := range blocks {
		if c := t.blocks[b].cidr; c.Bits() > bits {
			name, bits = c.String(), c.Bits()
		}
	}
	return name
}

// fill fills the cells.
func (t *tabler) fill() {
	t.out.Cells = make([][]Cell, len(t.out.Groups))
	for i := range t.out.Groups {
		t.out.Cells[i] = make([]Cell, len(t.out.Groups))
		for j := range t.out.Groups {
			t.out.Cells[i][j] = t.cell(&t.out.Groups[i], &t.out.Groups[j], i == j)
		}
	}
}

func (t *tabler) cell(from, to *Group, same bool) Cell {
	if from.Kind != "pods" && to.Kind != "pods" || same && from.Pods == 1 || !from.Focus && !to.Focus {
		return Cell{None: true, Answer: Allowed}
	}
	var by [3][]PortRange
	for k, m := range t.matrices {
		a := m.of(from.class, to.class)
		by[a] = append(by[a], t.out.Ports[k])
	}
	for a, list := range by {
		if len(list) == len(t.out.Ports) {
			return Cell{Answer: Answer(a)}
		}
	}
	return Cell{Mixed: true, Allowed: joinPorts(by[Allowed]), Unknown: joinPorts(by[Unknown])}
}
