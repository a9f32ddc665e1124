//go:build linux

package rules

import (
	"math/rand/v2"
	"net/netip"
)

// Lab returns the topology of the random rulesets: two networks of clients, and the way out.
func Lab() Topology { return lab }

// Packets returns random packets for rules about the addresses of [Lab] and [Addrs]. With forwarded,
// none of them is sent by the router itself.
func Packets(seed uint64, v6 bool, n int, forwarded bool) []Probe {
	g := &gen{r: rand.New(rand.NewPCG(seed, 7)), v6: v6, seed: seed, postIn: forwarded}
	var out []Probe
	for i := range n {
		out = append(out, g.probe(i))
	}
	return out
}

// Addrs returns the addresses that random packets have, by what they are.
func Addrs(v6 bool) (clientAddrs, serverAddrs, localAddrs []netip.Addr) {
	g := &gen{v6: v6}
	return g.family(clients), g.family(servers), g.family(locals)
}

// ProxyPort is where the router has transparent sockets for datagrams.
const ProxyPort = proxyPort
