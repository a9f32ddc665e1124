package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// The devices of these tests (ipip, gre, sit, VLAN, bond, ipvlan, bridges that filter by VLAN) are missing
// in some kernels that build this, so their namespaces are made by hand, as small as they can be.

// A made namespace is lines of "device flags…", routes, and what else differs.
type made struct {
	links   []string // members of "ip -j -d addr" objects, without the braces
	routes  []string
	routes6 []string
	neighs  string
	vlans   string
	conf    string
}

func link(index int, name, mac, addrs, more string) string {
	var list []string
	for _, a := range strings.Fields(addrs) {
		ip, bits, _ := strings.Cut(a, "/")
		family := "inet"
		if strings.Contains(ip, ":") {
			family = "inet6"
		}
		list = append(list, fmt.Sprintf(`{"family":%q,"local":%q,"prefixlen":%s,"scope":"global"}`, family, ip, bits))
	}
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"ifindex":%d,"ifname":%q,"flags":["BROADCAST","UP","LOWER_UP"],"mtu":1500,"link_type":"ether","address":%q,"addr_info":[%s]%s}`, index, name, mac, strings.Join(list, ","), more)
}

func kind(k, data string) string {
	return fmt.Sprintf(`"linkinfo":{"info_kind":%q,"info_data":{%s}}`, k, data)
}

func slave(k, data string) string {
	return fmt.Sprintf(`"linkinfo":{"info_slave_kind":%q,"info_slave_data":{%s}}`, k, data)
}

func make2(t *testing.T, a, b made) *network.Network {
	t.Helper()
	files := snapshot.Files{}
	for name, m := range map[string]made{"a": a, "b": b} {
		dir := "nodes/" + name + "/host/"
		lo := `{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"link_type":"loopback","addr_info":[]}`
		files[dir+"addr.json"] = []byte("[" + strings.Join(append([]string{lo}, m.links...), ",\n") + "]")
		files[dir+"routes.json"] = []byte("[" + strings.Join(m.routes, ",\n") + "]")
		files[dir+"routes6.json"] = []byte("[" + strings.Join(m.routes6, ",\n") + "]")
		for _, empty := range []string{"rules.json", "rules6.json", "nexthops.json", "fdb.json"} {
			files[dir+empty] = []byte("[]")
		}
		files[dir+"neigh.json"] = []byte("[" + m.neighs + "]")
		files[dir+"vlan.json"] = []byte("[" + m.vlans + "]")
		for _, rules := range []string{"iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "nft.json", "ipvs"} {
			files[dir+rules] = []byte{}
		}
		files[dir+"sockets"] = []byte("tcp LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\ntcp LISTEN 0 128 [::]:80 [::]:*\n")
		conf := "net.ipv4.ip_forward = 1\n"
		for _, l := range []string{"all", "eth0", "tunl0", "eth0/100", "bond0", "br0", "lo"} {
			for _, k := range []string{"rp_filter", "accept_local", "route_localnet", "proxy_arp"} {
				conf += "net.ipv4.conf." + l + "." + k + " = 0\n"
			}
			conf += "net.ipv4.conf." + l + ".forwarding = 1\n"
		}
		files[dir+"sysctl"] = []byte(conf + m.conf)
	}
	c, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return network.New(c)
}

func local(addr, dev string) string {
	return fmt.Sprintf(`{"type":"local","dst":%q,"dev":%q,"table":"local","protocol":"kernel","scope":"host","prefsrc":%q}`, addr, dev, addr)
}

func subnet(dst, dev, src string) string {
	return fmt.Sprintf(`{"dst":%q,"dev":%q,"protocol":"kernel","scope":"link","prefsrc":%q}`, dst, dev, src)
}

const macA, macB = "02:00:00:00:00:0a", "02:00:00:00:00:0b"

// tunnelled is a node with an uplink and a tunnel device to the other's inner address.
func tunnelled(own, other, mac, kindName, data string) made {
	in, out := "10.9.0."+own, "10.9.0."+other
	return made{
		links: []string{
			link(2, "eth0", mac, "192.168.9."+own+"/24", ""),
			strings.Replace(strings.Replace(link(3, "tunl0", "00:00:00:00:00:00", in+"/32", kind(kindName, data)), `"mtu":1500`, `"mtu":1480`, 1), `"BROADCAST",`, `"NOARP",`, 1),
		},
		routes: []string{
			local("192.168.9."+own, "eth0"), local(in, "tunl0"), subnet("192.168.9.0/24", "eth0", "192.168.9."+own),
			fmt.Sprintf(`{"dst":%q,"gateway":"192.168.9.%s","dev":"tunl0","flags":["onlink"]}`, out, other),
		},
	}
}

// TestIPTunnels sends through ipip and gre devices without a far end of their own, as Calico makes them, and with one.
func TestIPTunnels(t *testing.T) {
	for _, tt := range []struct {
		name, kind   string
		dataA, dataB string
		want         trace.Fate
		size         int // of the outer packet
	}{
		{"ipip, by the route's next hop", "ipip", `"pmtudisc":true`, `"pmtudisc":true`, trace.Delivered, 80},
		{"ipip, to a far end", "ipip", `"remote":"192.168.9.2","local":"192.168.9.1"`, `"remote":"192.168.9.1","local":"192.168.9.2"`, trace.Delivered, 80},
		{"gre", "gre", `"remote":"192.168.9.2","local":"192.168.9.1"`, `"remote":"any","local":"any"`, trace.Delivered, 84},
		{"gre with a key", "gre", `"remote":"192.168.9.2","okey":"0.0.0.5","ikey":"0.0.0.5"`, `"remote":"any","okey":"0.0.0.5","ikey":"0.0.0.5"`, trace.Delivered, 88},
		{"gre, and the far end has another key", "gre", `"remote":"192.168.9.2","okey":"0.0.0.5"`, `"remote":"any"`, trace.NoListener, 88},
		{"to another machine", "ipip", `"remote":"192.168.9.77"`, `"remote":"any"`, trace.LeftCluster, 80},
		{"from another machine", "ipip", `"remote":"192.168.9.2"`, `"remote":"192.168.9.77","local":"192.168.9.2"`, trace.NoListener, 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := make2(t, tunnelled("1", "2", macA, tt.kind, tt.dataA), tunnelled("2", "1", macB, tt.kind, tt.dataB))
			r := trace.Run(n, parseProbe(n, "a/host tcp 10.9.0.2:80"))
			p := r.Paths[0]
			if p.End != tt.want {
				t.Errorf("%s", summary(r))
			}
			size := 0
			for _, h := range p.Hops {
				for _, s := range h.Steps {
					if s.Out.Inner != nil {
						size = s.Out.Size
					}
				}
			}
			if size != tt.size {
				t.Errorf("the outer packet has %d bytes, want %d", size, tt.size)
			}
			if p.End == trace.Delivered && (len(p.Reply) != 1 || p.Reply[0].End != trace.Delivered) {
				t.Errorf("answer: %s", summary(r))
			}
		})
	}
}

// TestTunnelTooBig has an uplink that is too small for what the tunnel adds: the sender is told what fits.
func TestTunnelTooBig(t *testing.T) {
	a := tunnelled("1", "2", macA, "ipip", `"pmtudisc":true`)
	a.links[0] = strings.Replace(a.links[0], `"mtu":1500`, `"mtu":1400`, 1)
	n := make2(t, a, tunnelled("2", "1", macB, "ipip", `"pmtudisc":true`))
	r := trace.Run(n, parseProbe(n, "a/host ping 10.9.0.2 size 1400 df"))
	p := r.Paths[0]
	if p.End != trace.TooBig || len(p.ICMP) != 1 || p.ICMP[0].End != trace.Delivered || p.ICMP[0].Final.MTU != 1380 {
		t.Errorf("%s", explain(r))
	}
}

// vlanned is a node with a VLAN device on its uplink.
func vlanned(own, mac string, id int) made {
	return made{
		links: []string{
			link(2, "eth0", mac, "", ""),
			link(3, "eth0.100", mac, "10.8.0."+own+"/24", `"link":"eth0",`+kind("vlan", fmt.Sprintf(`"protocol":"802.1Q","id":%d`, id))),
		},
		routes: []string{local("10.8.0."+own, "eth0.100"), subnet("10.8.0.0/24", "eth0.100", "10.8.0."+own)},
	}
}

func TestVLANDevices(t *testing.T) {
	n := make2(t, vlanned("1", macA, 100), vlanned("2", macB, 100))
	if r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80")); r.Paths[0].End != trace.Delivered || r.Paths[0].Reply[0].End != trace.Delivered {
		t.Errorf("one tag: %s", explain(r))
	}
	n = make2(t, vlanned("1", macA, 100), vlanned("2", macB, 200))
	r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80"))
	if r.Paths[0].End == trace.Delivered {
		t.Errorf("two tags: %s", explain(r))
	}
}

// bonded is a node with a bond of two uplinks.
func bonded(own, mac, active string) made {
	return made{
		links: []string{
			link(2, "eth0", mac, "", `"master":"bond0",`+slave("bond", `"state":"ACTIVE"`)),
			link(3, "eth1", mac, "", `"master":"bond0",`+slave("bond", `"state":"BACKUP"`)),
			link(4, "bond0", mac, "10.8.0."+own+"/24", kind("bond", `"mode":"active-backup","active_slave":"`+active+`"`)),
		},
		routes: []string{local("10.8.0."+own, "bond0"), subnet("10.8.0.0/24", "bond0", "10.8.0."+own)},
	}
}

func TestBond(t *testing.T) {
	plain := made{
		links:  []string{link(2, "eth0", macB, "10.8.0.2/24", "")},
		routes: []string{local("10.8.0.2", "eth0"), subnet("10.8.0.0/24", "eth0", "10.8.0.2")},
	}
	n := make2(t, bonded("1", macA, "eth1"), plain)
	r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80"))
	if p := r.Paths[0]; p.End != trace.Delivered || p.Hops[0].Out != "eth1" {
		t.Errorf("%s", explain(r))
	}
	n = make2(t, bonded("1", macA, "gone"), plain)
	if r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80")); r.Paths[0].End == trace.Delivered {
		t.Errorf("no active port: %s", explain(r))
	}
}

// filtering is a node whose uplink is a port of a bridge that filters by VLAN.
func filtering(own, mac, vlans string) made {
	return made{
		links: []string{
			link(2, "eth0", mac, "", `"master":"br0",`+slave("bridge", `"state":"forwarding","learning":true,"flood":true`)),
			link(3, "br0", mac, "10.8.0."+own+"/24", kind("bridge", `"vlan_filtering":1`)),
		},
		routes: []string{local("10.8.0."+own, "br0"), subnet("10.8.0.0/24", "br0", "10.8.0."+own)},
		vlans:  vlans,
	}
}

func vlan(dev string, id int, flags string) string {
	return fmt.Sprintf(`{"ifname":%q,"vlans":[{"vlan":%d,"flags":[%s]}]}`, dev, id, flags)
}

func TestBridgeVLANs(t *testing.T) {
	const untagged = `"PVID","Egress Untagged"`
	plain := made{
		links:  []string{link(2, "eth0", macB, "10.8.0.2/24", "")},
		routes: []string{local("10.8.0.2", "eth0"), subnet("10.8.0.0/24", "eth0", "10.8.0.2")},
	}
	for _, tt := range []struct {
		name, vlans string
		want        trace.Fate
	}{
		{"both untagged in one VLAN", vlan("eth0", 1, untagged) + "," + vlan("br0", 1, untagged), trace.Delivered},
		{"the uplink in another VLAN", vlan("eth0", 2, untagged) + "," + vlan("br0", 1, untagged), trace.NoNeighbour},
		{"tagged on the uplink", vlan("eth0", 1, "") + "," + vlan("br0", 1, untagged), trace.NoNeighbour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := make2(t, filtering("1", macA, tt.vlans), plain)
			r := trace.Run(n, parseProbe(n, "a/host tcp 10.8.0.2:80"))
			if r.Paths[0].End != tt.want {
				t.Errorf("want %s\n%s", tt.want, explain(r))
			}
		})
	}
}

// TestMultipath follows both hops of a route, by their weights.
func TestMultipath(t *testing.T) {
	a := made{
		links: []string{link(2, "eth0", macA, "192.168.9.1/24", "")},
		routes: []string{
			local("192.168.9.1", "eth0"), subnet("192.168.9.0/24", "eth0", "192.168.9.1"),
			`{"dst":"10.7.0.1","nexthops":[{"gateway":"192.168.9.2","dev":"eth0","weight":3,"flags":[]},{"gateway":"192.168.9.9","dev":"eth0","weight":1,"flags":[]}]}`,
		},
	}
	b := made{
		links:  []string{link(2, "eth0", macB, "192.168.9.2/24", ""), link(3, "dummy0", "02:00:00:00:00:0c", "10.7.0.1/32", kind("dummy", ""))},
		routes: []string{local("192.168.9.2", "eth0"), local("10.7.0.1", "dummy0"), subnet("192.168.9.0/24", "eth0", "192.168.9.2")},
	}
	n := make2(t, a, b)
	r := trace.Run(n, parseProbe(n, "a/host tcp 10.7.0.1:80"))
	if len(r.Paths) != 2 || r.Paths[0].Weight != 0.75 || r.Paths[0].End != trace.Delivered || r.Paths[1].End == trace.Delivered {
		t.Errorf("%s", summary(r))
	}
}
