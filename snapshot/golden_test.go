package snapshot

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what is read as what is wanted")

// TestRecorded reads a recorded tree, as a folder, as a bundle and in two parts: the same each
// time, and what testdata/node.want says.
func TestRecorded(t *testing.T) {
	a, err := txtar.ParseFile("testdata/node.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files, node, objects := Files{}, Files{}, Files{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
		if strings.HasPrefix(f.Name, "nodes/") {
			node[f.Name] = f.Data
		} else {
			objects[f.Name] = f.Data
		}
	}
	got := dump(mustRead(t, files))
	if *update {
		if err := os.WriteFile("testdata/node.want", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/node.want")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.Open("testdata/node.txtar")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	bundle, err := ReadBundle("node.txtar", text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	folder, err := Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, as := range []struct{ name, got string }{
		{"files", got},
		{"a folder", dump(folder)},
		{"a bundle", dump(bundle)},
		{"two parts", dump(Merge(mustRead(t, node), mustRead(t, objects)))},
		{"two parts, the other way round", dump(Merge(mustRead(t, objects), mustRead(t, node)))},
		{"twice the same", twice(t, files)},
	} {
		t.Run(as.name, func(t *testing.T) {
			if d := cmp.Diff(string(want), as.got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// twice merges a snapshot with itself, and takes the Gap out that says so.
func twice(t *testing.T, f Files) string {
	c := Merge(mustRead(t, f), mustRead(t, f))
	c.Gaps = slices.DeleteFunc(c.Gaps, func(g Gap) bool { return strings.HasPrefix(g.Why, "collected twice") })
	return dump(c)
}

// dump writes down what is in a snapshot, a line a thing.
func dump(c *Cluster) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("taken %s", c.Taken)
	for _, n := range c.Nodes {
		p("node %s kernel %s taken %s", n.Name, n.Kernel, n.Taken)
		for _, ns := range n.NetNS {
			dumpNetNS(p, ns)
		}
	}
	for _, n := range c.NodePlaces() {
		p("Node %s %v", n.Name, n.Addrs)
	}
	for _, s := range c.Objects.Services {
		p("Service %s/%s %s %v", s.Namespace, s.Name, s.Spec.Type, s.Spec.ClusterIPs)
		for _, port := range s.Spec.Ports {
			p("  %s %s %d to %s", port.Name, port.Protocol, port.Port, port.TargetPort.String())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Objects.Source)) {
		p("%s from %s", key, c.Objects.Source[key])
	}
	p("have %v", slices.Sorted(maps.Keys(c.Objects.Have)))
	for _, g := range c.Gaps {
		p("gap %s: %s", g.Path, g.Why)
	}
	return b.String()
}

func dumpNetNS(p func(string, ...any), ns *NetNS) {
	p("netns %s inode %d pod %q peers %v from %s", ns.Name, ns.Inode, ns.Pod, ns.PeerNSID, ns.Dir)
	for _, l := range ns.Links {
		id := "here"
		if l.PeerNSID != nil {
			id = fmt.Sprint("netns ", *l.PeerNSID)
		}
		p("  link %d %s mtu %d %s %s master %q kind %q peer %d%s in %s state %s flags %v", l.Index, l.Name, l.MTU, l.Type, l.MAC, l.Master, l.Info.Kind, l.PeerIndex, l.PeerName, id, l.OperState, l.Flags)
		if d := l.Info.Data; d.ID != 0 || d.VLANDefaultPVID != 0 {
			p("    vni %d local %q port %d over %q learning %v; vlan_filtering %d default pvid %d", d.ID, d.Local, d.Port, d.Link, d.Learning, d.VLANFiltering, d.VLANDefaultPVID)
		}
		for _, a := range l.Addrs {
			p("    %s %s/%d scope %s", a.Family, a.Local, a.Len, a.Scope)
		}
	}
	for _, r := range ns.FIB.Rules {
		p("  rule %+v", r)
	}
	for _, r := range ns.FIB.Routes {
		p("  route %s table %d type %s src %s", r.Dst, r.Table, r.Type, r.PrefSrc)
		for _, h := range r.Hops {
			p("    via %s dev %s %v", h.Via, h.Dev, h.Flags)
		}
	}
	p("  %d neighbours, %d FDB entries, addresses %v, VRFs %v", len(ns.FIB.Neighs), len(ns.FIB.FDB), len(ns.FIB.Addrs), ns.FIB.VRF)
	for _, t := range ns.Netfilter.Tables {
		rules := 0
		for _, c := range t.Chains {
			rules += len(c.Rules)
		}
		p("  table %s v6 %v %v: %d chains, %d rules, from %s", t.Name, t.Is6, t.Backend, len(t.Chains), rules, t.File)
	}
	for _, k := range slices.Sorted(maps.Keys(ns.Sysctl)) {
		p("  %s = %q", k, ns.Sysctl[k])
	}
	for _, s := range ns.Sockets {
		p("  socket %+v", s)
	}
	p("  stat %v, VLANs %v", ns.Stat, ns.VLANs)
}
