package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// to is a packet for an address, within others for those that follow.
func to(addrs ...string) packet.Packet {
	var p packet.Packet
	for i, a := range addrs {
		q := packet.Packet{Dst: netip.AddrPortFrom(netip.MustParseAddr(a), 80)}
		if i > 0 {
			inner := p
			q.Inner = &inner
		}
		p = q
	}
	return p
}

// passing is a path by node/netns places, at each of which the packet leaves as p.
func passing(p packet.Packet, places ...string) trace.Path {
	out := way(trace.Delivered)
	for _, at := range places {
		node, ns, _ := strings.Cut(at, "/")
		out.Hops = append(out.Hops, trace.Hop{Node: node, NetNS: ns, Steps: []trace.Step{{Out: &p}}})
	}
	return out
}

// lacks are gaps of files that were not collected.
func lacks(paths ...string) (out []snapshot.Gap) {
	for _, p := range paths {
		out = append(out, snapshot.Gap{Path: p, Why: "not collected"})
	}
	return out
}

func TestOnPath(t *testing.T) {
	for _, row := range []struct {
		name string
		path trace.Path
		gaps []snapshot.Gap
		want []string
	}{
		{"nothing is missing", passing(to("10.0.0.1"), "a/host"), nil, nil},
		{"elsewhere", passing(to("10.0.0.1"), "a/host"), lacks("nodes/b/host/iptables", "nodes/a/pod/iptables"), nil},
		{"what decides nothing about a packet", passing(to("10.0.0.1"), "a/host"), lacks("nodes/a/host/stat", "nodes/a/host/netns.json"), nil},
		{"of IPv4", passing(to("10.0.0.1"), "a/host"), lacks("nodes/a/host/iptables", "nodes/a/host/ip6tables", "nodes/a/host/routes6.json"),
			[]string{"iptables of nodes/a/host"}},
		{"of IPv6", passing(to("fd00::1"), "a/host"), lacks("nodes/a/host/iptables", "nodes/a/host/ip6tables", "nodes/a/host/routes6.json"),
			[]string{"ip6tables, routes6.json of nodes/a/host"}},
		{"IPv6 within IPv4 meets the rules of both", passing(to("fd00::1", "10.0.0.1"), "a/host"), lacks("nodes/a/host/iptables", "nodes/a/host/ip6tables"),
			[]string{"iptables, ip6tables of nodes/a/host"}},
		{"of both families", passing(to("fd00::1"), "a/host"), lacks("nodes/a/host/ipset"), []string{"ipset of nodes/a/host"}},
		{"a hop without packets may be of either", passing(packet.Packet{}, "a/host"), lacks("nodes/a/host/iptables", "nodes/a/host/ip6tables"),
			[]string{"iptables, ip6tables of nodes/a/host"}},
		{"the same of several namespaces", passing(to("10.0.0.1"), "a/host", "b/host", "a/pod"), lacks("nodes/a/host/ipset", "nodes/b/host/ipset", "nodes/a/pod/ipset"),
			[]string{"ipset of nodes/a/host, nodes/a/pod, nodes/b/host"}},
		{"other files of another namespace", passing(to("10.0.0.1"), "a/host", "b/host"), lacks("nodes/a/host/ipset", "nodes/b/host/ipvs"),
			[]string{"ipset of nodes/a/host", "ipvs of nodes/b/host"}},
		{"by the way back only", way(trace.Delivered, passing(to("10.0.0.1"), "c/host")), lacks("nodes/c/host/ipset"), []string{"ipset of nodes/c/host"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Report{Gaps: row.gaps, Traces: []Trace{{Verdict: Works, Result: trace.Result{Paths: []trace.Path{row.path}}}}}
			r.addNeeds()
			var got []string
			for _, n := range r.Needs {
				s, ok := strings.CutSuffix(n.What.String(), ", by which packets pass: not collected")
				if !ok || len(n.Gaps) == 0 {
					t.Errorf("%q, of %d gaps", n.What, len(n.Gaps))
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReasonsApart keeps apart what is missing for different reasons.
func TestReasonsApart(t *testing.T) {
	gaps := append(lacks("nodes/a/host/ipset"), snapshot.Gap{Path: "nodes/a/host/iptables", Why: "line 7: bad rule"})
	r := &Report{Gaps: gaps, Traces: []Trace{{Result: trace.Result{Paths: []trace.Path{passing(to("10.0.0.1"), "a/host")}}}}}
	r.addNeeds()
	if len(r.Needs) != 2 || !strings.HasSuffix(r.Needs[0].What.String(), "line 7: bad rule") {
		t.Errorf("needs: %v", r.Needs)
	}
}

func TestTellsOf(t *testing.T) {
	end := func(why text.Text) trace.Path {
		return trace.Path{End: trace.Unknown, Why: why, At: trace.Place{Node: "a", NetNS: "host"}}
	}
	gaps := append(lacks("nodes/a/host/iptables", "nodes/a/host/ip6tables", "nodes/a/host/neigh.json", "nodes/a/host/fdb.json",
		"nodes/a/host/routes.json", "nodes/a/host/sockets", "nodes/a/host/sysctl", "nodes/a/pod/iptables", "nodes/b/host/iptables"),
		snapshot.Gap{Path: "nodes/c", Why: "the agent did not answer"})
	for _, row := range []struct {
		name string
		why  text.Text
		want []string
	}{
		{"rules", text.F("the rules of %s are not known: %s", "a/host", "not collected"), []string{"nodes/a/host/iptables", "nodes/a/host/ip6tables"}},
		{"rules, for another reason than the gaps'", text.F("the rules of %s are not known: %s", "a/host", "damaged"), nil},
		{"neighbour", text.F("whether %s has a neighbour entry for %s is not known: %s", "a/host/eth0", "10.0.0.2", "not collected"), []string{"nodes/a/host/neigh.json"}},
		{"forwarding entry", text.F("where %s sends frames for %s is not known: its forwarding entries: %s", "a/host/vx", "02:00:00:00:00:01", "not collected"), []string{"nodes/a/host/fdb.json"}},
		{"route", text.F("the route to %s from %s is not known: %s", "10.0.0.2", "a/host", "not collected"), []string{"nodes/a/host/routes.json"}},
		{"socket", text.F("whether anything listens on %s port %d in %s is not known: %s", "tcp", 80, "a/host", "not collected"), []string{"nodes/a/host/sockets"}},
		{"a node", text.F("%s is the address of %s, whose namespace was not collected", "192.0.2.3", "node c"), []string{"nodes/c"}},
		{"a Pod", text.F("%s is the address of %s, whose namespace was not collected", "192.0.2.3", "Pod shop/c"), nil},
		{"something else", text.F("who takes protocol %s in %s is not known", "sctp", "a/host"), nil},
	} {
		r := &Report{Gaps: gaps}
		var got []string
		for _, g := range r.tellsOf(end(row.why)) {
			got = append(got, g.Path)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestToldOnce diagnoses every recorded path: no need is said twice, none is told of by two
// sentences, and each that names gaps names real ones.
func TestToldOnce(t *testing.T) {
	withGaps := 0
	for _, rec := range recordings(t) {
		r, err := Run(rec.cluster, rec.ask, all.Checks...)
		if err != nil {
			t.Fatal(err)
		}
		real := map[snapshot.Gap]bool{}
		for _, g := range r.Gaps {
			real[g] = true
		}
		said, told := map[string]bool{}, map[snapshot.Gap]text.Text{}
		for _, n := range r.Needs {
			if said[n.What.String()] {
				t.Errorf("%s: %q is said twice", rec.name, n.What)
			}
			said[n.What.String()] = true
			for _, g := range n.Gaps {
				withGaps++
				if !real[g] {
					t.Errorf("%s: %v is no gap of the snapshot", rec.name, g)
				}
				if by, twice := told[g]; twice && by.String() != n.What.String() {
					t.Errorf("%s: %v is told of by %q and %q", rec.name, g, by, n.What)
				}
				told[g] = n.What
			}
		}
	}
	if withGaps < 100 {
		t.Errorf("%d gaps are told of: the recordings have more", withGaps)
	}
}
