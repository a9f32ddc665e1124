package checktest

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
)

// The recorded healthy clusters that Rows starts from.
const (
	Flannel   = "flannel"   // three nodes, VXLAN, bridges, kube-proxy's rules
	Kubenet   = "kubenet"   // bridges, and a router outside that knows the nodes' Pod ranges
	DualStack = "dualstack" // flannel with both families
	Mixed     = "mixed"     // a real cluster, whose kube-proxy is in nftables mode on node-b
)

// A Row changes some facts of a healthy cluster, and says what checks must say then.
type Row struct {
	Name string
	// Swap replaces texts in the snapshot's files before they are read; each old text must be there.
	Swap []Swap
	// Without are files that were not collected.
	Without []string
	// Edit changes the snapshot in memory.
	Edit func(*Facts)
	// Ask is what is asked about, as the file "query" of a case has it: "from shop/web-0\nto 10.244.1.2:8080".
	Ask string
	// Want is what Brief writes of the result, without the space around it.
	Want string
	// Fix are the commands of the first finding, where they are compared: nil for not.
	Fix []string
}

// A Swap replaces a text in a file: once, or where Old is "" puts New at its end.
type Swap struct{ File, Old, New string }

// Rows runs checks over a healthy cluster for each row with its changes.
func Rows(t *testing.T, base string, checks []*check.Check, rows []Row) {
	t.Helper()
	a := healthy(t, base)
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			r := row.run(t, a, checks)
			if diff := cmp.Diff(strings.TrimSpace(row.Want), strings.TrimSpace(Brief(r))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if row.Fix == nil {
				return
			}
			var got []string
			if len(r.Findings) > 0 {
				got = append([]string{}, r.Findings[0].Fix.Commands...)
			}
			if diff := cmp.Diff(row.Fix, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func (row Row) run(t *testing.T, base *txtar.Archive, checks []*check.Check) check.Result {
	t.Helper()
	fsys, err := txtar.FS(row.change(t, base))
	if err != nil {
		t.Fatal(err)
	}
	c, err := snapshot.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if row.Edit != nil {
		row.Edit(&Facts{c, t})
	}
	for _, n := range c.Nodes {
		for _, ns := range n.NetNS {
			ns.FIB.Index() // of the routes as they are now
		}
	}
	n := network.New(c)
	results, external, err := ask(n, []byte(row.Ask))
	if err != nil {
		t.Fatal(err)
	}
	return check.Run(c, n, results, external, checks...)
}

// change returns the files with the row's swaps, and without what was not collected.
func (row Row) change(t *testing.T, base *txtar.Archive) *txtar.Archive {
	t.Helper()
	a := &txtar.Archive{}
	for _, f := range base.Files {
		if f.Name == "want" || slices.ContainsFunc(row.Without, func(s string) bool { return f.Name == s || strings.HasPrefix(f.Name, s+"/") }) {
			continue
		}
		a.Files = append(a.Files, f)
	}
	for _, s := range row.Swap {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == s.File })
		if i < 0 || !bytes.Contains(a.Files[i].Data, []byte(s.Old)) {
			t.Fatalf("%s does not hold %q", s.File, s.Old)
		}
		f := &a.Files[i]
		if s.Old == "" {
			f.Data = append(slices.Clone(f.Data), s.New...)
			continue
		}
		f.Data = bytes.Replace(f.Data, []byte(s.Old), []byte(s.New), 1)
	}
	return a
}

// Brief writes a result a finding a line, as severity, place, check and what, and "?" for what was not judged.
func Brief(r check.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		brief(&b, "", f)
	}
	for _, u := range r.Unjudged {
		fmt.Fprintf(&b, "? %s: %s: %s\n", u.Where, u.Check, u.Why)
	}
	return b.String()
}

func brief(b *strings.Builder, indent string, f check.Finding) {
	onPath := ""
	if f.OnPath {
		onPath = " on path"
	}
	fmt.Fprintf(b, "%s%s%s: %s: %s: %s\n", indent, severities[f.Severity], onPath, strings.Join(append([]string{f.Where}, f.Also...), " "), f.Check, f.What)
	for _, c := range f.Consequences {
		brief(b, indent+"> ", c)
	}
}

// Facts are a snapshot's facts, which a Row may change. What is not there ends the test.
type Facts struct {
	*snapshot.Cluster
	t *testing.T
}

// NS returns the namespace "node-a/host".
func (f *Facts) NS(name string) *snapshot.NetNS {
	f.t.Helper()
	node, netns, _ := strings.Cut(name, "/")
	for _, n := range f.Nodes {
		for _, ns := range n.NetNS {
			if n.Name == node && ns.Name == netns {
				return ns
			}
		}
	}
	f.t.Fatalf("no namespace %s", name)
	return nil
}

// Link returns the device "node-a/host/eth0".
func (f *Facts) Link(name string) *snapshot.Link {
	f.t.Helper()
	at := strings.LastIndex(name, "/")
	ns := f.NS(name[:at])
	for i := range ns.Links {
		if ns.Links[i].Name == name[at+1:] {
			return &ns.Links[i]
		}
	}
	f.t.Fatalf("no device %s", name)
	return nil
}

// Address gives a device an address, and the namespace the route that the kernel makes for it.
func (f *Facts) Address(link, cidr string) {
	f.t.Helper()
	c := netip.MustParsePrefix(cidr)
	family := "inet"
	if c.Addr().Is6() {
		family = "inet6"
	}
	l, ns := f.Link(link), f.NS(link[:strings.LastIndex(link, "/")])
	l.Addrs = append(l.Addrs, snapshot.LinkAddr{Family: family, Local: c.Addr(), Len: c.Bits(), Scope: "global"})
	ns.FIB.Addrs = append(ns.FIB.Addrs, fib.Addr{Dev: l.Name, Prefix: c})
	ns.FIB.Routes = append(ns.FIB.Routes, fib.Route{Dst: netip.PrefixFrom(c.Addr(), c.Addr().BitLen()), Type: fib.Local, Table: fib.TableLocal,
		Hops: []fib.NextHop{{Dev: l.Name}}})
}

// Veth returns the node's end of a Pod's eth0: the Pod's as "node-a/pod-shop-web-0".
func (f *Facts) Veth(pod string) *snapshot.Link {
	f.t.Helper()
	inside := f.Link(pod + "/eth0")
	node, _, _ := strings.Cut(pod, "/")
	ns := f.NS(node + "/host")
	for i := range ns.Links {
		if ns.Links[i].Index == inside.PeerIndex {
			return &ns.Links[i]
		}
	}
	f.t.Fatalf("no other end of %s", pod)
	return nil
}

// Down sets a device down, as the kernel shows it.
func Down(l *snapshot.Link) {
	l.Flags = slices.DeleteFunc(slices.Clone(l.Flags), func(s string) bool { return s == "UP" || s == "LOWER_UP" })
	l.OperState = "DOWN"
}

// Route returns the route of a namespace to dst.
func (f *Facts) Route(ns, dst string) *fib.Route {
	f.t.Helper()
	rs := f.NS(ns).FIB.Routes
	for i := range rs {
		if rs[i].Dst == netip.MustParsePrefix(dst) {
			return &rs[i]
		}
	}
	f.t.Fatalf("%s has no route to %s", ns, dst)
	return nil
}

// Unroute takes the routes of a namespace to dst away.
func (f *Facts) Unroute(ns, dst string) {
	f.t.Helper()
	f.Route(ns, dst)
	fibs := &f.NS(ns).FIB
	fibs.Routes = slices.DeleteFunc(fibs.Routes, func(r fib.Route) bool { return r.Dst == netip.MustParsePrefix(dst) })
}

// Node returns a node's API object.
func (f *Facts) Node(name string) *corev1.Node {
	return object(f, f.Objects.Nodes, func(o *corev1.Node) bool { return o.Name == name }, name)
}

// Pod returns the Pod "shop/web-0".
func (f *Facts) Pod(name string) *corev1.Pod {
	return object(f, f.Objects.Pods, func(o *corev1.Pod) bool { return o.Namespace+"/"+o.Name == name }, name)
}

// Service returns the Service "shop/api".
func (f *Facts) Service(name string) *corev1.Service {
	return object(f, f.Objects.Services, func(o *corev1.Service) bool { return o.Namespace+"/"+o.Name == name }, name)
}

func object[T any](f *Facts, os []T, is func(*T) bool, name string) *T {
	f.t.Helper()
	for i := range os {
		if is(&os[i]) {
			return &os[i]
		}
	}
	f.t.Fatalf("no object %s", name)
	return nil
}

// RunRow runs checks over a healthy cluster with the changes of one row, and returns the result whole.
func RunRow(t *testing.T, base string, row Row, checks ...*check.Check) check.Result {
	t.Helper()
	return row.run(t, healthy(t, base), checks)
}

func healthy(t *testing.T, base string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "checktest", "testdata", base+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Host returns the empty namespace of a node "a".
func Host() *network.NS {
	c := &snapshot.Cluster{Nodes: []*snapshot.Node{{Name: "a", NetNS: []*snapshot.NetNS{{Name: "host", Dir: "nodes/a/host"}}}}}
	return network.New(c).Host("a")
}
