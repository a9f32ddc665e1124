package snapshot

import (
	"fmt"
	"path"
	"strings"
)

// Merge joins snapshots into one: several bundles of a node each, and one of objects. Of a
// node that comes twice the newer state is taken (the later, where the times are not known);
// so is it with objects. A Gap says what was left out. The parts are not used afterwards.
func Merge(parts ...*Cluster) *Cluster {
	out := &Cluster{}
	var objects []*Objects
	at := map[string]int{}
	for _, p := range parts {
		for _, n := range p.Nodes {
			i, dup := at[n.Name]
			if !dup {
				at[n.Name] = len(out.Nodes)
				out.Nodes = append(out.Nodes, n)
				continue
			}
			out.Nodes[i] = out.newer(out.Nodes[i], n)
		}
		out.Partial = out.Partial || p.Partial
		if len(p.Objects.Have)+len(p.Objects.Source) > 0 {
			objects = append(objects, &p.Objects)
		}
		for _, g := range p.Gaps {
			if g.Why != absentNode {
				out.Gaps = append(out.Gaps, g)
			}
		}
	}
	if len(objects) == 1 { // a cluster's objects, which are many, and its nodes
		out.Objects = *objects[0]
		out.finish()
		return out
	}
	out.Objects = mergeObjects(objects, func(part int, key, why string) {
		out.Gaps = append(out.Gaps, Gap{Path: objects[part].Source[key], Why: key + ": " + why})
	})
	out.finish()
	return out
}

// newer returns the newer of two states of one node, and notes that there were two.
func (c *Cluster) newer(a, b *Node) *Node {
	which := "the later one was taken"
	if a.Taken.After(b.Taken) && !b.Taken.IsZero() {
		a, b = b, a
	}
	if !a.Taken.IsZero() && !b.Taken.IsZero() {
		which = fmt.Sprintf("the state of %s was taken, that of %s left out", b.Taken.Format("2006-01-02 15:04:05"), a.Taken.Format("2006-01-02 15:04:05"))
	}
	c.Gaps = append(c.Gaps, Gap{Path: path.Join("nodes", b.Name), Why: "collected twice: " + which})
	return b
}

// absentNode is why there is no state of a node that the objects name.
const absentNode = "the cluster has this node, but its state was not collected"

// absentNodes adds a Gap for every Node object without state.
func (c *Cluster) absentNodes() {
	for i := range c.Objects.Nodes {
		if name := c.Objects.Nodes[i].Name; c.Node(name) == nil {
			c.Gaps = append(c.Gaps, Gap{Path: path.Join("nodes", name), Why: absentNode})
		}
	}
}

// Node returns the state of the node of that name, or nil.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Host returns the node's own namespace, or nil.
func (n *Node) Host() *NetNS {
	if len(n.NetNS) == 0 || n.NetNS[0].Name != hostName {
		return nil
	}
	return n.NetNS[0]
}

// Missing returns the gaps that concern a source: "addr.json" in every namespace, or
// "objects/Service". The nodes without any state count for every file. None means that
// the source was collected and understood everywhere.
func (c *Cluster) Missing(source string) []Gap {
	if kind, ok := strings.CutPrefix(source, "objects/"); ok {
		return c.missingKind(kind)
	}
	var out []Gap
	for _, g := range c.Gaps {
		if !strings.HasPrefix(g.Path, "nodes/") {
			continue
		}
		// nodes/NODE, nodes/NODE/NETNS and nodes/NODE/NETNS/FILE
		switch depth := strings.Count(g.Path, "/"); {
		case depth < 3, path.Base(g.Path) == source:
			out = append(out, g)
		}
	}
	if len(c.Nodes) == 0 {
		out = append(out, Gap{Path: "nodes", Why: notCollected})
	}
	return out
}

// missingKind returns the gaps of a kind of object.
func (c *Cluster) missingKind(name string) []Gap {
	var out []Gap
	for _, g := range c.Gaps {
		if strings.HasPrefix(g.Path, "objects/") && concerns(g, name) {
			out = append(out, g)
		}
	}
	if len(out) == 0 && !c.Objects.Have[name] {
		out = append(out, Gap{Path: "objects/" + name, Why: notCollected})
	}
	return out
}

// concerns reports whether a gap of a file of objects is of a kind: the one that the file is
// named for or, of a mixed file, the one that the reason names; where it names none, of any.
func concerns(g Gap, name string) bool {
	if k, ok := kindOfFile(g.Path); ok {
		return k.name == name
	}
	names := func(kind string) bool {
		return strings.Contains(g.Why, ": "+kind+": ") || strings.Contains(g.Why, ": "+kind+" of ")
	}
	for i := range kinds {
		if names(kinds[i].name) {
			return names(name)
		}
	}
	return true
}

// MissingKind says why the objects of a kind ("Service") are not all known; false where they are.
func (c *Cluster) MissingKind(kind string) (Gap, bool) {
	if out := c.missingKind(kind); len(out) > 0 {
		return out[0], true
	}
	return Gap{}, false
}

// GapAt returns the first Gap of a path ("nodes/a/host/iptables"), if there is one.
func (c *Cluster) GapAt(p string) (Gap, bool) {
	for _, g := range c.Gaps {
		if g.Path == p {
			return g, true
		}
	}
	return Gap{}, false
}
