package all

import (
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
)

// asks are paths through a healthy cluster, all of which arrive.
var asks = []string{
	"", "from shop/web-0\nto 10.244.1.2:8080\nsize -1", "from shop/web-0\nto 10.96.0.20:80", "from shop/web-1\nto 10.96.0.10:53\nproto udp",
	"from node/node-a\nto 10.96.0.24:80", "from 203.0.113.10\nto 192.168.10.12:30080", "from shop/web-2\nto 203.0.113.10:80", "from shop/web-0\nto 192.168.10.12:10250",
}

// TestHealthy: no check finds anything in whole healthy clusters, whatever is asked.
func TestHealthy(t *testing.T) {
	for _, base := range []string{checktest.Flannel, checktest.Kubenet, checktest.DualStack} {
		for _, a := range asks {
			r := checktest.RunRow(t, base, checktest.Row{Ask: a}, Checks...)
			for _, f := range r.Findings {
				if f.Severity > check.Info || f.OnPath {
					t.Errorf("%s: asked %q: %s: %s: %s", base, a, f.Where, f.Check, f.What)
				}
			}
			if len(r.Lost) > 0 {
				t.Errorf("%s: asked %q: lost %v", base, a, r.Lost)
			}
		}
	}
}

// TestRootCause: with all checks, one changed fact is the first finding, on the path, and what follows from it is below it.
func TestRootCause(t *testing.T) {
	const toB, big = "from shop/web-0\nto 10.244.1.2:8080", "from shop/web-0\nto 10.244.1.2:8080\nsize 1500"
	rows := []struct {
		name  string
		edit  func(*checktest.Facts)
		swap  []checktest.Swap
		ask   string
		want  string // the first finding's check and place
		below []string
	}{
		{"forwarding off", func(f *checktest.Facts) { f.NS("node-b/host").Sysctl["net.ipv4.ip_forward"] = "0" }, nil, toB, "ip-forward node-b/host", []string{"path-broken"}},
		{"the far tunnel down", func(f *checktest.Facts) { checktest.Down(f.Link("node-b/host/flannel.1")) }, nil, toB, "link-down node-b/host/flannel.1", []string{"path-broken"}},
		{"the near uplink down", func(f *checktest.Facts) { checktest.Down(f.Link("node-a/host/eth0")) }, nil, toB, "link-down node-a/host/eth0", []string{"path-broken"}},
		{"the far veth detached", func(f *checktest.Facts) { f.Veth("node-b/pod-shop-web-1").Master = "" }, nil, toB, "veth-detached node-b/host/veth0bc001f3", []string{"path-broken"}},
		{"no route", func(f *checktest.Facts) { f.Unroute("node-a/host", "10.244.1.0/24") }, nil, toB, "route-missing node-a/host", []string{"path-broken"}},
		{"another VNI", func(f *checktest.Facts) { f.Link("node-b/host/flannel.1").Info.Data.ID = 2 }, nil, toB, "vni-mismatch node-b/host/flannel.1", []string{"path-broken"}},
		{"nobody listens", func(f *checktest.Facts) {
			ns := f.NS("node-b/pod-shop-web-1")
			ns.Sockets = slices.DeleteFunc(ns.Sockets, func(s snapshot.Socket) bool { return s.State == "LISTEN" })
		}, nil, toB, "not-listening node-b/pod-shop-web-1", []string{"path-broken"}},
		{"a firewall", nil, []checktest.Swap{{File: "nodes/node-b/host/iptables", Old: "-A INPUT ", New: "-A INPUT -p udp --dport 8472 -j DROP\n-A INPUT "}}, toB, "firewall-drop node-b/host", []string{"path-broken"}},
		{"a full table", func(f *checktest.Facts) {
			ns := f.NS("node-b/host")
			ns.Sysctl["net.netfilter.nf_conntrack_max"], ns.Stat["conntrack_count"] = "100", 100
		}, nil, toB, "conntrack-full node-b/host", nil},
		{"a narrow Pod", func(f *checktest.Facts) { f.Link("node-a/pod-shop-web-0/eth0").MTU = 1500 }, nil, big, "mtu-mismatch node-a/pod-shop-web-0/eth0", []string{"path-broken"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: row.edit, Swap: row.swap, Ask: row.ask}, Checks...)
			if len(r.Findings) == 0 {
				t.Fatal("nothing found")
			}
			f := r.Findings[0]
			if got := f.Check + " " + f.Where; got != row.want || !f.OnPath {
				t.Errorf("first is %s, on path %v; want %s\n%s", got, f.OnPath, row.want, checktest.Brief(r))
			}
			var below []string
			for _, c := range f.Consequences {
				below = append(below, c.Check)
			}
			for _, c := range row.below {
				if !slices.Contains(below, c) {
					t.Errorf("below it are %s, not %s", strings.Join(below, " "), c)
				}
			}
			for _, other := range r.Findings[1:] {
				if other.Check == check.PathBroken {
					t.Errorf("unexplained: %s: %s", other.Where, other.What)
				}
			}
		})
	}
}

// TestGaps: where a file of a node was not collected, something says that it could not judge; nothing is found for want of it.
func TestGaps(t *testing.T) {
	for _, file := range []string{"addr.json", "routes.json", "neigh.json", "fdb.json", "iptables", "sysctl", "sockets"} {
		t.Run(file, func(t *testing.T) {
			name := "nodes/node-b/host/" + file
			if file == "sockets" {
				name = "nodes/node-b/pod-shop-web-1/" + file
			}
			r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Without: []string{name}}, Checks...)
			if !slices.ContainsFunc(r.Unjudged, func(u check.Unjudged) bool { return u.Where == name }) {
				t.Errorf("nothing says that %s is missing:\n%s", name, checktest.Brief(r))
			}
			for _, f := range r.Findings {
				if f.Severity > check.Info {
					t.Errorf("found for want of it: %s: %s: %s", f.Where, f.Check, f.What)
				}
			}
		})
	}
}

// TestAbsentNode: nothing is said of the nodes that are there because another is not.
func TestAbsentNode(t *testing.T) {
	for _, base := range []string{checktest.Flannel, checktest.Kubenet, checktest.DualStack} {
		r := checktest.RunRow(t, base, checktest.Row{Without: []string{"nodes/node-c"}}, Checks...)
		for _, f := range r.Findings {
			if f.Severity > check.Info {
				t.Errorf("%s: %s: %s: %s", base, f.Where, f.Check, f.What)
			}
		}
		if len(r.Unjudged) == 0 {
			t.Errorf("%s: nothing says that a node is missing", base)
		}
	}
}
