package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func told(p *Plan) string {
	var b strings.Builder
	for _, r := range p.Ranges {
		fmt.Fprintf(&b, "%s %s", r.Use, r.Prefix)
		if r.Mask > 0 {
			fmt.Fprintf(&b, " by /%d", r.Mask)
		}
		fmt.Fprintf(&b, " room %d", r.Room)
		if r.Given {
			b.WriteString(" given")
		}
		b.WriteString("\n")
	}
	return fmt.Sprintf("%stimes %d", b.String(), p.Growth)
}

func TestMake(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  Ask
		want string
	}{
		{"as the README has it", Ask{Nodes: 500, PodsPerNode: 110, External: prefixes("10.0.0.0/9")},
			"pods 10.128.0.0/14 by /24 room 1024\nservices 10.132.0.0/17 room 32766\nnodes 10.132.128.0/22 room 1022\ntimes 2"},
		{"a small one", Ask{Nodes: 3, PodsPerNode: 30}, "pods 10.0.0.0/23 by /26 room 8\nservices 10.0.16.0/20 room 4094\nnodes 10.0.2.0/29 room 6\ntimes 2"},
		{"nodes there are already", Ask{Nodes: 3, PodsPerNode: 110, NodeCIDR: prefixes("10.0.0.0/24")},
			"pods 10.0.8.0/21 by /24 room 8\nservices 10.0.16.0/20 room 4094\nnodes 10.0.0.0/24 room 254 given\ntimes 2"},
		{"ten is taken", Ask{Nodes: 10, PodsPerNode: 110, External: prefixes("10.0.0.0/8")},
			"pods 172.16.0.0/19 by /24 room 32\nservices 172.16.32.0/20 room 4094\nnodes 172.16.48.0/27 room 30\ntimes 2"},
		{"twice as many do not fit", Ask{Nodes: 2000, PodsPerNode: 250, External: prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.96.0.0/11")},
			"pods 100.64.0.0/12 by /23 room 2048\nservices 100.80.0.0/15 room 131070\nnodes 100.82.0.0/21 room 2046\ntimes 1"},
		{"dual stack", Ask{Nodes: 3, PodsPerNode: 110, DualStack: true, Site: 0x0102030405},
			"pods 10.0.0.0/21 by /24 room 8\nservices 10.0.16.0/20 room 4094\nnodes 10.0.8.0/29 room 6\n" +
				"pods fd01:203:405::/61 by /64 room 8\nservices fd01:203:405:ffff::/112 room 65535\nnodes fd01:203:405:fffe::/64 room 1073741824\ntimes 2"},
		{"dual stack, nodes there are already", Ask{Nodes: 3, PodsPerNode: 30, DualStack: true, Site: 1, NodeCIDR: prefixes("10.0.0.0/24", "fd77::/64")},
			"pods 10.0.2.0/23 by /26 room 8\nservices 10.0.16.0/20 room 4094\nnodes 10.0.0.0/24 room 254 given\n" +
				"pods fd00:0:1::/61 by /64 room 8\nservices fd00:0:1:ffff::/112 room 65535\nnodes fd77::/64 room 0 given\ntimes 2"},
		{"nodes of IPv6 alone are given", Ask{Nodes: 3, PodsPerNode: 30, NodeCIDR: prefixes("fd77::/64")},
			"pods 10.0.0.0/23 by /26 room 8\nservices 10.0.16.0/20 room 4094\nnodes 10.0.2.0/29 room 6\ntimes 2"},
		{"as many nodes as there can be: no room to grow", Ask{Nodes: 1 << 16, PodsPerNode: 1}, "pods 10.0.0.0/14 by /30 room 65536\nservices 10.4.0.0/18 room 16382\nnodes 10.6.0.0/15 room 131070\ntimes 1"},
		{"half as many grow to that", Ask{Nodes: 1 << 15, PodsPerNode: 1}, "pods 10.0.0.0/14 by /30 room 65536\nservices 10.4.0.0/18 room 16382\nnodes 10.6.0.0/15 room 131070\ntimes 2"},
		{"dual stack, as many nodes as a site has room for", Ask{Nodes: 1 << 15, PodsPerNode: 1, DualStack: true},
			"pods 10.0.0.0/15 by /30 room 32768\nservices 10.2.0.0/19 room 8190\nnodes 10.3.0.0/16 room 65534\n" +
				"pods fd00::/49 by /64 room 32768\nservices fd00:0:0:ffff::/112 room 65535\nnodes fd00:0:0:fffe::/64 room 1073741824\ntimes 1"},
		{"Docker's bridge is left alone", Ask{Nodes: 100, PodsPerNode: 110, External: prefixes("10.0.0.0/8", "172.16.0.0/16", "172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "100.64.0.0/10")},
			"pods 192.168.0.0/17 by /24 room 128\nservices 192.168.128.0/20 room 4094\nnodes 192.168.144.0/25 room 126\ntimes 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Make(tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, told(p)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestMakeErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  Ask
		want string
	}{
		{"no nodes", Ask{PodsPerNode: 1}, "--nodes 0: want 1 to 65536, into which the controller manager cuts a Pod range at most"},
		{"no Pods", Ask{Nodes: 1}, "--pods-per-node 0: want 1 to 16384"},
		{"too many nodes", Ask{Nodes: 1<<16 + 1, PodsPerNode: 1}, "--nodes 65537: want 1 to 65536, into which the controller manager cuts a Pod range at most"},
		{"too many Pods", Ask{Nodes: 1, PodsPerNode: 1<<14 + 1}, "--pods-per-node 16385: want 1 to 16384"},
		{"more nodes than half a site has subnets", Ask{Nodes: 1<<15 + 1, PodsPerNode: 1, DualStack: true}, "--nodes 32769: with --dual-stack want 1 to 32768, for which half of a site of IPv6 has room"},
		{"the nodes' range is taken by IPv6", Ask{Nodes: 1, PodsPerNode: 1, NodeCIDR: prefixes("fd00::/64"), External: prefixes("fd00::/8")},
			"--node-cidr fd00::/64 overlaps --external fd00::/8: replies to the outside would stay among the nodes"},
		{"the nodes' range is taken", Ask{Nodes: 1, PodsPerNode: 1, NodeCIDR: prefixes("10.1.0.0/16"), External: prefixes("10.0.0.0/8")},
			"--node-cidr 10.1.0.0/16 overlaps --external 10.0.0.0/8: replies to the outside would stay among the nodes"},
		{"the nodes' range is too small", Ask{Nodes: 500, PodsPerNode: 1, NodeCIDR: prefixes("10.1.0.0/24")}, "--node-cidr 10.1.0.0/24: it has room for 254 nodes, --nodes asks for 500"},
		{"nothing is left", Ask{Nodes: 5000, PodsPerNode: 250, External: prefixes("10.0.0.0/8", "100.64.0.0/10")},
			"no private range of /10 is free for the pods of --nodes 5000 --pods-per-node 250: --external leaves 172.24.0.0/13 at most; ask for less, or name narrower ranges outside"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Make(tt.ask)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int
		taken  []netip.Prefix
		want   string
	}{
		{"the first", 16, nil, "10.0.0.0/16"},
		{"behind one of its size", 16, prefixes("10.0.0.0/16"), "10.1.0.0/16"},
		{"behind a larger one", 16, prefixes("10.0.0.0/12"), "10.16.0.0/16"},
		{"behind a smaller one", 16, prefixes("10.0.7.0/24"), "10.1.0.0/16"},
		{"between two", 24, prefixes("10.0.0.0/24", "10.0.2.0/24"), "10.0.1.0/24"},
		{"in the second range", 24, prefixes("10.0.0.0/8"), "172.16.0.0/24"},
		{"larger than what is left of the first", 9, prefixes("10.0.0.0/10", "10.128.0.0/10"), "none"},
		{"too large for any", 7, nil, "none"},
		{"the last of all", 10, prefixes("10.0.0.0/8"), "100.64.0.0/10"},
		{"a taken range of IPv6 overlaps none", 8, prefixes("fd00::/8"), "10.0.0.0/8"},
		{"one address", 32, prefixes("10.0.0.0/32"), "10.0.0.1/32"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := "none"
			if p, ok := find(tt.length, tt.taken); ok {
				got = p.String()
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if got := largest(prefixes("0.0.0.0/0")); got != "none" {
		t.Error(got)
	}
	if a, ok := behind(netip.MustParsePrefix("255.255.255.0/24")); ok {
		t.Errorf("%s is behind the last", a)
	}
}

// TestMakeRandom wants of random questions ranges that overlap nothing, are private, and large enough.
func TestMakeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	made := 0
	for range 3000 {
		a := Ask{Nodes: 1 + r.IntN(2000), PodsPerNode: 1 + r.IntN(300), DualStack: r.IntN(2) == 0, Site: r.Uint64()}
		for range r.IntN(8) {
			b := private[r.IntN(len(private))]
			length := b.Bits() + r.IntN(33-b.Bits())
			ip := b.Addr().As4()
			ip[1], ip[2], ip[3] = ip[1]|byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))
			a.External = append(a.External, netip.PrefixFrom(netip.AddrFrom4(ip), length).Masked())
		}
		p, err := Make(a)
		if err != nil {
			continue
		}
		made++
		for i, x := range p.Ranges {
			if x.Prefix.Masked() != x.Prefix || !x.Prefix.Addr().IsPrivate() && !private[3].Contains(x.Prefix.Addr()) {
				t.Fatalf("%+v: %s", a, x.Prefix)
			}
			for _, e := range append(a.External, avoided...) {
				if x.Prefix.Overlaps(e) {
					t.Fatalf("%+v: %s overlaps %s", a, x.Prefix, e)
				}
			}
			for _, y := range p.Ranges[:i] {
				if x.Prefix.Overlaps(y.Prefix) {
					t.Fatalf("%+v: %s overlaps %s", a, x.Prefix, y.Prefix)
				}
			}
			if x.Use != "services" && x.Room < a.Nodes || x.Mask > 0 && x.Mask <= 32 && 1<<(32-x.Mask) < a.PodsPerNode+3 {
				t.Fatalf("%+v: too small: %+v", a, x)
			}
		}
	}
	if made < 1000 {
		t.Errorf("only %d", made)
	}
}
