package proxyrules

import (
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
)

// A node is a node's own namespace and what makes its Services, by family.
type node struct {
	ns    *network.NS
	books map[bool]*book // by "is IPv6"
}

// eachNode calls judge for each node whose Services are rules of iptables or nf_tables, or virtual services of IPVS.
func eachNode(p *check.Pass, judge func(*check.Pass, node)) {
	for _, ns := range p.Hosts() {
		native := len(check.ProxyTables(ns)) > 0 || len(ns.IPVS) > 0
		if !native && p.Network.Missing(ns, "iptables") != "" {
			continue // Needs says so
		}
		if !native {
			if why := otherMode(p, ns); why != "" {
				p.Unjudged(ns.String(), why)
				continue
			}
		}
		judge(p, node{ns, books(p, ns)})
	}
}

// otherMode says why a node's Services are not a matter of iptables rules, or "".
func otherMode(p *check.Pass, ns *network.NS) string {
	ipvs := ns.Iface("kube-ipvs0") != nil
	if natWith(ns, "KUBE-SERVICES") && !(ipvs && len(books(p, ns)) == 0) {
		return "" // in IPVS mode the chain asks for sets, and names no destination
	}
	if why := p.Network.Missing(ns, "nft.json"); why != "" {
		return "kube-proxy has no rules of iptables here, and whether it has rules of nf_tables is not known: nft.json: " + why
	}
	switch {
	case ipvs && p.Network.Missing(ns, "ipvs") != "":
		return "kube-proxy runs in IPVS mode, and its virtual services are not known: ipvs: " + p.Network.Missing(ns, "ipvs")
	case ipvs:
		return "" // it has none
	case ns.Iface("cilium_host") != nil:
		return "Cilium may stand in for kube-proxy, which is not understood"
	}
	if _, known := p.Absent(check.Proxy); !known && !anywhere(p) {
		return "no node has rules of kube-proxy, and no kube-proxy Pod is known: Services may work by other means"
	}
	return ""
}

func anywhere(p *check.Pass) bool {
	return slices.ContainsFunc(p.Hosts(), func(ns *network.NS) bool {
		return natWith(ns, "KUBE-SERVICES") || len(check.ProxyTables(ns)) > 0
	})
}

func natWith(ns *network.NS, chain string) bool {
	return slices.ContainsFunc(ns.Netfilter.Tables, func(t *netfilter.Table) bool { return t.Name == "nat" && t.Chains[chain] != nil })
}

// booksKey is where the books of a node are kept for the next check of the same run.
type booksKey struct{ ns *network.NS }

func books(p *check.Pass, ns *network.NS) map[bool]*book {
	return check.Once(p, booksKey{ns}, func() map[bool]*book {
		largest := map[bool]*netfilter.Table{} // of two back ends' tables, the one that is in use has the more chains
		for _, t := range ns.Netfilter.Tables {
			if old := largest[t.Is6]; t.Name == "nat" && (old == nil || len(t.Chains) > len(old.Chains)) {
				largest[t.Is6] = t
			}
		}
		out := map[bool]*book{}
		for is6, t := range largest {
			if b := read(t); len(b.ways) > 0 || b.odd != "" {
				out[is6] = b
			}
		}
		for _, t := range check.ProxyTables(ns) { // of two modes', the one with the more destinations
			if b := read(t); out[t.Is6] == nil || len(b.ways) >= len(out[t.Is6].ways) {
				out[t.Is6] = b
			}
		}
		for _, is6 := range families {
			if b := readIPVS(ns, is6); len(b.ways) > 0 && (out[is6] == nil || len(b.ways) >= len(out[is6].ways)) {
				out[is6] = b
			}
		}
		return out
	})
}
