package trace_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/trace"
)

// ending says how a path ends, with how many bytes and where.
func ending(p trace.Path) string {
	return fmt.Sprintf("%s %d %s/%s", p.End, p.Final.Size, p.At.Node, p.At.NetNS)
}

// plain is a node with an uplink on 10.8.0.0/24.
func plain(own, mac string) made {
	return made{
		links:  []string{link(2, "eth0", mac, "10.8.0."+own+"/24", "")},
		routes: []string{local("10.8.0."+own, "eth0"), subnet("10.8.0.0/24", "eth0", "10.8.0."+own)},
	}
}

// TestDevices sends to 10.8.0.2, or where a row says, from a node whose devices differ.
func TestDevices(t *testing.T) {
	carrier := func(m made, i int, was, is string) made {
		m.links = append([]string{}, m.links...)
		m.links[i] = strings.Replace(m.links[i], was, is, 1)
		return m
	}
	dummy := made{
		links:  []string{link(2, "dummy0", macA, "10.8.0.1/24", kind("dummy", ""))},
		routes: []string{local("10.8.0.1", "dummy0"), subnet("10.8.0.0/24", "dummy0", "10.8.0.1")},
	}
	ipvlan := made{
		links: []string{
			link(2, "eth0", macB, "", ""),
			link(3, "ipvl0", macB, "10.8.0.2/24", `"link":"eth0",`+kind("ipvlan", `"mode":"l2"`)),
		},
		routes: []string{local("10.8.0.2", "ipvl0"), subnet("10.8.0.0/24", "ipvl0", "10.8.0.2")},
	}
	odd := made{
		links:  []string{link(2, "wg0", macA, "10.8.0.1/24", kind("wireguard", ""))},
		routes: []string{local("10.8.0.1", "wg0"), subnet("10.8.0.0/24", "wg0", "10.8.0.1")},
	}
	backup := bonded("1", macA, "")
	down := carrier(backup, 0, `"UP","LOWER_UP"`, `"NO-CARRIER","UP"`)
	for _, tt := range []struct {
		name string
		a, b made
		want trace.Fate
		out  string // the device by which it leaves a
		why  string
	}{
		{"two uplinks", plain("1", macA), plain("2", macB), trace.Delivered, "eth0", ""},
		{"no carrier", carrier(plain("1", macA), 0, `"UP","LOWER_UP"`, `"NO-CARRIER","UP"`), plain("2", macB), trace.LinkDown, "", "has no carrier"},
		{"down", carrier(plain("1", macA), 0, `"UP","LOWER_UP"`, ``), plain("2", macB), trace.Unknown, "", ""},
		{"the far uplink is down", plain("1", macA), carrier(plain("2", macB), 0, `"BROADCAST","UP","LOWER_UP"`, `"BROADCAST"`), trace.LeftCluster, "eth0", ""},
		{"the far uplink is smaller", plain("1", macA), carrier(plain("2", macB), 0, `"mtu":1500`, `"mtu":50`), trace.TooBig, "eth0", "has MTU 50"},
		{"a dummy device", dummy, plain("2", macB), trace.NoNeighbour, "", ""},
		{"a device that is not modelled", odd, plain("2", macB), trace.Unknown, "", ""},
		{"the first port of a bond", backup, plain("2", macB), trace.Delivered, "eth0", ""},
		{"the port of a bond that has a carrier", down, plain("2", macB), trace.Delivered, "eth1", ""},
		{"no port of a bond has a carrier", carrier(down, 1, `"UP","LOWER_UP"`, `"NO-CARRIER","UP"`), plain("2", macB), trace.NoNeighbour, "", ""},
		{"to a bond", plain("1", macA), bonded("2", macB, "eth1"), trace.Delivered, "eth0", ""},
		{"to an ipvlan device", plain("1", macA), ipvlan, trace.Delivered, "eth0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := make2(t, tt.a, tt.b)
			r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80"))
			p := r.Paths[0]
			if p.End != tt.want || !strings.Contains(p.Why.String(), tt.why) {
				t.Errorf("want %s: …%s…\n%s", tt.want, tt.why, explain(r))
			}
			if p.End == trace.Delivered && (len(p.Reply) != 1 || p.Reply[0].End != trace.Delivered) {
				t.Errorf("answer:\n%s", explain(r))
			}
			if tt.out != "" && p.Hops[0].Out != tt.out {
				t.Errorf("it leaves by %q, want %q", p.Hops[0].Out, tt.out)
			}
		})
	}
}

// TestSIT carries IPv6 in IPv4: by the device's far end, and by the IPv4 address within the next hop's.
func TestSIT(t *testing.T) {
	node := func(own, other, mac, data, via string) made {
		m := tunnelled(own, other, mac, "sit", data)
		in, out := "fd00::"+own, "fd00::"+other
		m.links[1] = strings.Replace(strings.Replace(link(3, "tunl0", "00:00:00:00:00:00", in+"/128", kind("sit", data)), `"mtu":1500`, `"mtu":1480`, 1), `"BROADCAST",`, `"NOARP",`, 1)
		m.routes = m.routes[:1]
		m.routes = append(m.routes, subnet("192.168.9.0/24", "eth0", "192.168.9."+own))
		gw := ""
		if via != "" {
			gw = fmt.Sprintf(`,"gateway":%q`, via)
		}
		m.routes6 = []string{
			fmt.Sprintf(`{"type":"local","dst":%q,"dev":"tunl0","table":"local","metric":0}`, in),
			fmt.Sprintf(`{"dst":%q%s,"dev":"tunl0","metric":1024,"flags":["onlink"]}`, out, gw),
		}
		return m
	}
	for _, tt := range []struct {
		name         string
		dataA, dataB string
		via          string
		want         trace.Fate
		size         int
	}{
		{"to a far end", `"remote":"192.168.9.2","local":"192.168.9.1"`, `"remote":"192.168.9.1","local":"192.168.9.2"`, "", trace.Delivered, 100},
		{"to the address in the next hop's", `"remote":"any","local":"192.168.9.1"`, `"remote":"192.168.9.1"`, "::192.168.9.2", trace.Delivered, 100},
		{"the next hop holds no IPv4 address", `"remote":"any","local":"192.168.9.1"`, `"remote":"any"`, "fd00::77", trace.NoRoute, 0},
		{"the far end takes another's", `"remote":"192.168.9.2"`, `"remote":"192.168.9.9"`, "", trace.NoListener, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := make2(t, node("1", "2", macA, tt.dataA, tt.via), node("2", "1", macB, tt.dataB, ""))
			q := parseProbe(n, "a/host tcp [fd00::2]:80")
			q.OneWay = true
			r := trace.Run(n, q)
			p := r.Paths[0]
			if p.End != tt.want {
				t.Errorf("want %s\n%s", tt.want, explain(r))
			}
			if got := outermost(p); got != tt.size {
				t.Errorf("the outer packet has %d bytes, want %d", got, tt.size)
			}
		})
	}
}

// outermost returns the size of the last packet in a tunnel on the way.
func outermost(p trace.Path) (size int) {
	for _, h := range p.Hops {
		for _, s := range h.Steps {
			if s.Out.Inner != nil {
				size = s.Out.Size
			}
		}
	}
	return size
}

// TestWeights gives the hops of a route weights, and takes one of them out of use.
func TestWeights(t *testing.T) {
	hop := func(via string, weight int, flags string) string {
		return fmt.Sprintf(`{"gateway":%q,"dev":"eth0","weight":%d,"flags":[%s]}`, via, weight, flags)
	}
	for _, tt := range []struct {
		name string
		hops []string
		want map[string]float64
	}{
		{"one", []string{hop("10.8.0.2", 1, "")}, map[string]float64{"10.8.0.2": 1}},
		{"equal", []string{hop("10.8.0.2", 1, ""), hop("10.8.0.9", 1, "")}, map[string]float64{"10.8.0.2": 0.5, "10.8.0.9": 0.5}},
		{"unequal", []string{hop("10.8.0.2", 1, ""), hop("10.8.0.9", 4, "")}, map[string]float64{"10.8.0.2": 0.2, "10.8.0.9": 0.8}},
		{"one is dead", []string{hop("10.8.0.2", 1, ""), hop("10.8.0.9", 4, `"dead"`)}, map[string]float64{"10.8.0.2": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := plain("1", macA)
			a.routes = append(a.routes, `{"dst":"10.7.0.0/16","nexthops":[`+strings.Join(tt.hops, ",")+`]}`)
			n := make2(t, a, plain("2", macB))
			got := map[string]float64{}
			for _, p := range trace.Run(n, parseProbe(n, "a/host tcp 10.7.0.1:80")).Paths {
				got[via(p)] += p.Weight
			}
			for k, w := range tt.want {
				if d := got[k] - w; d < -1e-9 || d > 1e-9 {
					t.Errorf("by %s goes %g, want %g", k, got[k], w)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%v", got)
			}
		})
	}
}

// via returns the next hop that a path's first neighbour step asks for.
func via(p trace.Path) string {
	for _, s := range p.Hops[0].Steps {
		if s.Stage != trace.StageNeighbour {
			continue
		}
		for _, e := range s.Evidence() {
			for _, f := range strings.Fields(e.Command) {
				if _, err := netip.ParseAddr(f); err == nil {
					return f
				}
			}
		}
	}
	return ""
}
