package intent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// world is the cluster of the tables: two nodes, and a namespace that there is no object of.
const world = `
{"apiVersion":"v1","kind":"NamespaceList","items":[
	{"metadata":{"name":"a","labels":{"team":"red"}}},
	{"metadata":{"name":"b","labels":{"team":"blue"}}}]}
{"apiVersion":"v1","kind":"NodeList","items":[
	{"metadata":{"name":"n1","labels":{"zone":"one"}},"spec":{"podCIDRs":["10.1.1.0/24","fd01:1::/64"]},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"InternalIP","address":"fd00::1"},{"type":"Hostname","address":"n1"}]}},
	{"metadata":{"name":"n2","labels":{"zone":"two"}},"spec":{"podCIDRs":["10.1.2.0/24","fd01:2::/64"]},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.2"},{"type":"InternalIP","address":"fd00::2"}]}}]}
{"apiVersion":"v1","kind":"PodList","items":[
	{"metadata":{"namespace":"a","name":"web","labels":{"app":"web","pod-template-hash":"77"}},"spec":{"nodeName":"n1","containers":[{"name":"c","ports":[{"name":"http","containerPort":8080},{"name":"dns","containerPort":53,"protocol":"UDP"}]}]},
		"status":{"phase":"Running","podIP":"10.1.1.2","podIPs":[{"ip":"10.1.1.2"},{"ip":"fd01:1::2"}]}},
	{"metadata":{"namespace":"a","name":"db","labels":{"app":"db","tier":"back"}},"spec":{"nodeName":"n2","initContainers":[{"name":"side","restartPolicy":"Always","ports":[{"name":"http","containerPort":15001}]}],"containers":[{"name":"c","ports":[{"name":"http","containerPort":80}]}]},
		"status":{"phase":"Running","podIPs":[{"ip":"10.1.2.2"},{"ip":"fd01:2::2"}]}},
	{"metadata":{"namespace":"a","name":"ending","deletionTimestamp":"2026-01-02T03:04:05Z","labels":{"app":"db"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Running","podIPs":[{"ip":"10.1.2.8"}]}},
	{"metadata":{"namespace":"a","name":"new","labels":{"app":"db"}},"spec":{"containers":[]},"status":{"phase":"Pending"}},
	{"metadata":{"namespace":"b","name":"web","labels":{"app":"web"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Running","podIPs":[{"ip":"10.1.2.3"}]}},
	{"metadata":{"namespace":"b","name":"six","labels":{"app":"six"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Running","podIPs":[{"ip":"fd01:2::3"}]}},
	{"metadata":{"namespace":"b","name":"host","labels":{"app":"web"}},"spec":{"hostNetwork":true,"nodeName":"n1","containers":[{"name":"c","ports":[{"name":"http","containerPort":80}]}]},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}]}},
	{"metadata":{"namespace":"b","name":"done","labels":{"app":"web"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Succeeded","podIPs":[{"ip":"10.1.2.3"}]}},
	{"metadata":{"namespace":"lost","name":"x","labels":{"app":"web"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Running","podIPs":[{"ip":"10.1.2.4"}]}}]}
{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicyList","items":[]}
`

// objectsOf reads objects as kubectl prints them.
func objectsOf(t testing.TB, text string) *snapshot.Objects {
	t.Helper()
	c, err := snapshot.Read(snapshot.Files{"objects/all.json": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.Gaps {
		if strings.HasPrefix(g.Path, "objects/") {
			t.Fatal(g)
		}
	}
	return &c.Objects
}

// policies are objects in short: "np a/name {spec}", "cnp name {spec}", "anp name {spec}", "banp name {spec}", a line each.
func policies(t testing.TB, short string) string {
	t.Helper()
	kinds := map[string]string{"np": "networking.k8s.io/v1 NetworkPolicy", "cnp": "policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy",
		"anp": "policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy", "banp": "policy.networking.k8s.io/v1alpha1 BaselineAdminNetworkPolicy"}
	var out strings.Builder
	for line := range strings.Lines(short) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "" {
			continue
		}
		name, spec, _ := strings.Cut(rest, " ")
		ns, own, ok := strings.Cut(name, "/")
		if !ok {
			ns, own = "", name
		}
		version, kind, _ := strings.Cut(kinds[kind], " ")
		if !json.Valid([]byte(spec)) {
			t.Fatalf("no JSON: %s", spec)
		}
		fmt.Fprintf(&out, `{"apiVersion":%q,"kind":%q,"metadata":{"namespace":%q,"name":%q},"spec":%s}`+"\n", version, kind, ns, own, spec)
	}
	return out.String()
}

// engineOf makes the engine of the world with policies, in short.
func engineOf(t testing.TB, short string) *Engine {
	t.Helper()
	return New(objectsOf(t, world+policies(t, short)))
}

// peerOf returns "a/web", "node/n1" or an address; "6:a/web" by IPv6.
func peerOf(t testing.TB, e *Engine, name string) Peer {
	t.Helper()
	if rest, ok := strings.CutPrefix(name, "6:"); ok {
		return peerOf(t, e, rest).In(true)
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return e.Addr(a)
	}
	ns, own, _ := strings.Cut(name, "/")
	p, ok := e.Pod(ns, own)
	if ns == "node" {
		p, ok = e.Node(own)
	}
	if !ok {
		t.Fatalf("no peer %s", name)
	}
	return p
}

// portOf reads "tcp/80" and "icmp".
func portOf(t testing.TB, s string) Port {
	t.Helper()
	name, number, _ := strings.Cut(s, "/")
	n, _ := strconv.Atoi(number)
	p, ok := map[string]packet.Proto{"tcp": packet.TCP, "udp": packet.UDP, "sctp": packet.SCTP, "icmp": packet.ICMP}[name]
	if !ok {
		t.Fatalf("port %q", s)
	}
	return Port{p, uint16(n)}
}

// A flowRow is one connection through policies.
type flowRow struct {
	name, policies, flow string // "a/web > a/db tcp/80"
	want                 Answer
}

func runFlows(t *testing.T, rows []flowRow) {
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			w := strings.Fields(tt.flow)
			from, to, port := peerOf(t, e, w[0]), peerOf(t, e, w[2]), portOf(t, w[3])
			if got := e.Answer(from, to, port); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.flow, got, tt.want)
			}
			f, ok := commonFamily(from, to)
			if !ok {
				return
			}
			if got := e.AllPairs(port, f == v6).Answer(from, to); got != tt.want {
				t.Errorf("%s: all pairs: %v, want %v", tt.flow, got, tt.want)
			}
		})
	}
}

// specOf returns the spec of the one object of a fix.
func specOf(t *testing.T, f Fix) string {
	t.Helper()
	var spec any
	switch {
	case len(f.NetworkPolicies) == 1 && len(f.ClusterNetworkPolicies) == 0:
		spec = f.NetworkPolicies[0].Spec
	case len(f.NetworkPolicies) == 0 && len(f.ClusterNetworkPolicies) == 1:
		spec = f.ClusterNetworkPolicies[0].Spec
	default:
		t.Fatalf("%+v", f)
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
