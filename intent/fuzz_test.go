package intent

import (
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// FuzzPolicies reads any objects as policies of the world: nothing panics, both ways to answer
// agree, and a verdict says why.
func FuzzPolicies(f *testing.F) {
	for _, s := range []string{
		isolateA, fromPeers(`{"namespaceSelector":{"matchExpressions":[{"key":"team","operator":"NotIn","values":["x"]}]}}`),
		isolateDB + `{"ports":[{"port":"http"},{"port":80,"endPort":90},{"protocol":"UDP"}],"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.2.0/24"]}}]}]}`,
		cnp("x", "Admin", "5", denyB+","+passB) + cnp("y", "Baseline", "5", onePod),
		cnpOut("Admin", `{"action":"Deny","to":[{"nodes":{}},{"networks":["0.0.0.0/0","::/0"]},{"domainNames":["a.b"]}],"protocols":[{"destinationNamedPort":"http"},{"tcp":{"destinationPort":{"range":{"start":1,"end":9}}}}]}`),
		`anp x {"priority":5,"subject":{"namespaces":{}},"egress":[{"action":"Allow","to":[{"networks":["fd00::/8"]}],"ports":[{"portRange":{"start":1,"end":99}},{"namedPort":"http"}]}]}`,
		`banp default {"subject":{"pods":{"namespaceSelector":{},"podSelector":{}}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}],"ports":[]}]}`,
	} {
		f.Add(policies(f, s), uint16(80))
	}
	f.Add(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n3"},"spec":{"podCIDR":"::/0"},"status":{"addresses":[{"type":"InternalIP","address":"::ffff:1.2.3.4"}]}}`, uint16(0))
	f.Fuzz(func(t *testing.T, text string, number uint16) {
		c, err := snapshot.Read(snapshot.Files{"objects/world.json": []byte(world), "objects/more.json": []byte(text)})
		if err != nil {
			return
		}
		e := New(&c.Objects)
		port := Port{packet.TCP, number}
		var peers []Peer
		for i := range e.pods {
			if e.pods[i].peer.kind != nobody {
				peers = append(peers, e.pods[i].peer)
			}
		}
		for i := range e.nodes {
			peers = append(peers, e.nodes[i].peer)
		}
		peers = append(peers, peerOf(t, e, "8.8.8.8"), peerOf(t, e, "fd07::1"), peerOf(t, e, "10.1.1.1"))
		all := [2]*Matrix{e.AllPairs(port, false), e.AllPairs(port, true)}
		for i, a := range peers[:min(len(peers), 20)] {
			for _, b := range peers[:min(len(peers), 20)] {
				want := e.Answer(a, b, port)
				if f, ok := commonFamily(a, b); ok && all[f].Answer(a, b) != want {
					t.Fatalf("%+v > %+v: all pairs %v, want %v", a, b, all[f].Answer(a, b), want)
				}
				v := e.Verdict(a, b, port)
				if v.Answer != want || v.Answer != Allowed && v.Egress.Why.IsZero() && v.Ingress.Why.IsZero() && (a.kind == isPod || b.kind == isPod) {
					t.Fatalf("%d: %+v > %+v: %+v, want %v", i, a, b, v, want)
				}
			}
		}
		all[v4].Count()
	})
}
