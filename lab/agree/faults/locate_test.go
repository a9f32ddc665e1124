//go:build linux

package faults

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// counters reads what devices and rules of the whole lab have counted, as agents do.
func counters(t *testing.T, l *lab.Lab) snapshot.Counters {
	t.Helper()
	files := snapshot.Files{}
	for _, n := range l.Nodes {
		o := node.Options{Node: n.Name, Host: n.NS.Path, NetNS: []node.NetNS{}, Counters: true}
		for _, p := range n.Pods {
			o.NetNS = append(o.NetNS, node.NetNS{Name: "pod-" + strings.ReplaceAll(p.Key(), "/", "-"), Pod: p.Key(), Path: p.NS.Path})
		}
		part, err := node.Collect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(files, part)
	}
	return snapshot.ReadCounters(files)
}

// TestLocate loses packets by what no snapshot told of, and wants the counters to tell where they
// were seen last. VETH stands for the node's end of a Pod's veth.
func TestLocate(t *testing.T) {
	sandbox.Need(t)
	const (
		ingress = "nft add table netdev lost; nft add chain netdev lost in { type filter hook ingress device DEV priority 0 ; }; nft add rule netdev lost in "
		bridge  = "nft add table bridge lost; nft add chain bridge lost hop { type filter hook input priority 0 ; }; nft add rule bridge lost hop "
		raw     = "nft add table ip lost; nft add chain ip lost pre { type filter hook prerouting priority -350 ; }; nft add rule ip lost pre "
		forward = "nft add table ip lost; nft add chain ip lost hop { type filter hook forward priority 300 ; }; nft add rule ip lost hop "
		request = "ip daddr 10.244.1.2 tcp dport 8080 drop"
		answer  = "ip saddr 10.244.1.2 tcp sport 8080 drop"
		inside  = "udp dport 8472 drop"
	)
	for _, tt := range []struct {
		name, topology, at, lose string
		want                     string // part of the sentence, each with * for anything
	}{
		{"at the Pod's veth", "flannel", "node-a", strings.ReplaceAll(ingress, "DEV", "VETH") + request,
			"all were seen at node-a/host/VETH as received, 0 at node-a/host*: they are lost between the two"},
		{"at the bridge", "flannel", "node-a", bridge + request, "all were seen at node-a/host/cni0 as received, 0 at node-a/host by -A FORWARD *: they are lost between the two"},
		{"at PREROUTING", "flannel", "node-a", raw + request, "all were seen at node-a/host/VETH as received, 0 at node-a/host/cni0 as received: they are lost between the two"},
		{"behind the rules", "flannel", "node-a", forward + request, "all were seen at node-a/host by -A FLANNEL-FWD *, 0 at node-a/host*: they are lost between the two"},
		{"at the uplink, within the tunnel", "flannel", "node-b", strings.ReplaceAll(ingress, "DEV", "eth0") + inside, "all were seen at *, 0 at node-b/host/flannel.1 as received: they are lost between the two"},
		{"in the far node", "flannel", "node-b", raw + request, "all were seen at node-b/host/flannel.1 as received, 0 at node-b/host*: they are lost between the two"},
		{"the answer", "flannel", "node-b", raw + answer, "of the answers to 5 more probes 0 were seen at node-b/host/cni0 as received: they are lost before; node-b/host/* as received counts * packets, others among them"},
		{"without a tunnel", "hostgw", "node-b", raw + request, "all were seen at node-b/host/eth0 as received, 0 at node-b/host*: they are lost between the two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var topo lab.Topology
			for _, o := range lab.Topologies {
				if o.Name == tt.topology {
					topo = o
				}
			}
			l := up(t, topo)
			r, err := diagnose.Run(take(t, l), diagnose.Ask{Src: "shop/web-0", Dst: "shop/web-1:8080"}, all.Checks...)
			if err != nil {
				t.Fatal(err)
			}
			veth := ""
			for _, h := range r.Traces[0].Result.Paths[0].Hops {
				if h.Node == "node-a" && h.NetNS == "host" {
					veth = h.In
				}
			}
			for _, c := range strings.Split(strings.ReplaceAll(tt.lose, "VETH", veth), "; nft") {
				if err := l.Node(tt.at).NS.Run("", append([]string{"nft"}, strings.Fields(strings.TrimPrefix(c, "nft "))...)...); err != nil {
					t.Fatal(err)
				}
			}
			plan := r.Plans()[0]
			send := func(ask snapshot.ProbeAsk) snapshot.Probe {
				file, err := os.Open(l.Namespace("shop/web-0").Path)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				ask.Pod = ""
				p, err := active.Run(t.Context(), file, ask)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			r.Observe(plan, send(plan.LocateAsk()), nil)
			if r.Differing() != 0 || plan.Predicted != diagnose.Works {
				t.Fatalf("predicted %s, seen %s", plan.Predicted, r.Observed[0].What)
			}
			before := counters(t, l)
			probe := send(plan.LocateAsk())
			r.Locate(0, plan, before, counters(t, l), probe)
			got := r.Observed[0].Location
			if s := got.What.String(); !like(s, strings.ReplaceAll(tt.want, "VETH", veth)) {
				t.Errorf("%s\nwant %s", s, tt.want)
				for _, p := range got.Points {
					t.Logf("%d %s [%s]", p.Counted, p.Name(), p.Evidence.Command)
				}
			}
		})
	}
}

// like reports whether s holds the parts of a pattern in their order.
func like(s, pattern string) bool {
	for part := range strings.SplitSeq(pattern, "*") {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
