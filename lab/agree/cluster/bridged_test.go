package cluster

import (
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
)

// physdevs are rules at the head of node-a's FORWARD: WEB is the port of web-0 on the bridge, API that of the API's Pod.
var physdevs = []struct{ name, rule string }{
	{"is bridged", "-m physdev --physdev-is-bridged -p tcp --dport 8080 -j DROP"},
	{"is not bridged", "-m physdev ! --physdev-is-bridged -p udp --dport 8080 -j DROP"},
	{"in", "-m physdev --physdev-in WEB -j DROP"},
	{"out", "-m physdev --physdev-out API -j DROP"},
	{"in and out", "-m physdev --physdev-in WEB --physdev-out API -j REJECT"},
	{"not in", "-m physdev ! --physdev-in WEB --physdev-is-bridged -p icmp -j DROP"},
	{"is in", "-m physdev --physdev-is-in -p tcp --dport 8080 -j REJECT --reject-with tcp-reset"},
	{"is out", "-m physdev --physdev-is-out -j DROP"},
	{"any veth", "-m physdev --physdev-in veth+ -p udp -j DROP"},
}

// onBridge are questions about Pods on node-a's bridge: to each other, to themselves, by Services, and to and from other nodes.
func onBridge(l *lab.Lab) []question {
	sources := []string{"shop/web-0", "shop/api-6c9f7d5b8-4xk2p", "node/node-a", "shop/web-1"}
	targets := []string{"shop/web-0", "shop/api-6c9f7d5b8-4xk2p", "shop/web-1", "svc/shop/api:http", "svc/shop/web:http"}
	return slices.DeleteFunc(questions(l, 1), func(q question) bool {
		to, _, _ := strings.Cut(q.target.Name, " ")
		return !slices.Contains(sources, q.src.Name) || !slices.Contains(targets, to)
	})
}

// TestBridged compares what rules see of frames that cross a bridge, where br_netfilter shows them to iptables and where it does not.
func TestBridged(t *testing.T) {
	var sum tally
	defer sum.print(t)
	for _, topo := range []lab.Topology{lab.Flannel, lab.Kubenet} {
		for _, nf := range []string{"1", "0"} {
			if !full && topo != lab.Flannel {
				continue
			}
			t.Run(topo.Name+"/bridge-nf-call-iptables="+nf, func(t *testing.T) {
				l := mustUp(t, topo)
				defer l.Close()
				a := l.Node("node-a").NS
				if err := l.Sysctl(a, map[string]string{"net.bridge.bridge-nf-call-iptables": nf}); err != nil {
					t.Fatal(err)
				}
				for i, c := range physdevs {
					if !full && nf == "0" && i%3 != 0 {
						continue
					}
					t.Run(c.name, func(t *testing.T) {
						ports := strings.NewReplacer("WEB", l.Pod("shop/web-0").Veth, "API", l.Pod("shop/api-6c9f7d5b8-4xk2p").Veth)
						forward := func(do string) {
							if err := a.Run("", l.IPTables("iptables", strings.Fields(do+" FORWARD "+ports.Replace(c.rule))...)...); err != nil {
								t.Fatal(err)
							}
						}
						forward("-I")
						compare(t, l, onBridge(l), &sum)
						forward("-D")
					})
				}
			})
		}
	}
}

// cuts are the sizes of the datagrams without DF that TestFragments sends: larger than some Pods' devices, than all, and in many pieces.
var cuts = []int{1480, 3000, 9000}

// fragments are questions about datagrams that are cut: on one node, across nodes, by a Service, to nodes and to the outside.
func fragments(l *lab.Lab) []question {
	sources := []string{"shop/web-0", "node/node-a", "shop/api-6c9f7d5b8-9qjtl"}
	targets := []string{"shop/web-0", "shop/api-6c9f7d5b8-4xk2p", "shop/web-1", "node-b", "svc/kube-system/kube-dns:dns", "outside"}
	var out []question
	for _, q := range questions(l, 1) {
		to, kind, _ := strings.Cut(q.target.Name, " ")
		udp := kind == "udp" || kind == "" && strings.HasPrefix(to, "svc/") && q.target.Proto.String() == "udp"
		if !slices.Contains(sources, q.src.Name) || !slices.Contains(targets, to) || !udp && kind != "ping" {
			continue
		}
		for _, q.target.Size = range cuts {
			q.cut = true
			out = append(out, q)
		}
	}
	return out
}

// TestFragments compares datagrams that may be cut, in every topology, with frames on bridges shown to iptables and
// not, where rules match ports that only the first fragment has, and where a link is smaller than its neighbours know.
func TestFragments(t *testing.T) {
	var sum tally
	defer sum.print(t)
	mtu, _ := fault.Named("mtu-mismatch")
	for _, topo := range lab.Topologies {
		for _, c := range []struct {
			name string
			make func(*lab.Lab) error
		}{
			{"healthy", func(*lab.Lab) error { return nil }},
			{"bridge-nf-call-iptables=0", func(l *lab.Lab) error {
				return l.Sysctl(l.Node("node-a").NS, map[string]string{"net.bridge.bridge-nf-call-iptables": "0", "net.bridge.bridge-nf-call-ip6tables": "0"})
			}},
			{"a rule for a port", func(l *lab.Lab) error {
				return l.Node("node-b").NS.Run("", l.IPTables("iptables", "-I", "FORWARD", "-p", "udp", "--dport", "8080", "-m", "length", "--length", "2000:4000", "-j", "DROP")...)
			}},
			{"mtu-mismatch", mtu.Inject},
		} {
			if !full && c.name != "healthy" && topo != lab.Flannel {
				continue
			}
			t.Run(topo.Name+"/"+c.name, func(t *testing.T) {
				l := mustUp(t, topo)
				defer l.Close()
				if err := c.make(l); err != nil {
					t.Fatal(err)
				}
				compare(t, l, fragments(l), &sum)
			})
		}
	}
}
