package checktest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

func TestChange(t *testing.T) {
	base := &txtar.Archive{Files: []txtar.File{
		{Name: "nodes/a/host/sysctl", Data: []byte("x = 1\nx = 1\n")}, {Name: "nodes/a/pod/sysctl", Data: []byte("y = 1\n")},
		{Name: "nodes/b/host/sysctl", Data: []byte("z = 1\n")}, {Name: "want"}}}
	for _, tt := range []struct {
		name string
		row  Row
		want string
	}{
		{"nothing", Row{}, "nodes/a/host/sysctl nodes/a/pod/sysctl nodes/b/host/sysctl"},
		{"without a file", Row{Without: []string{"nodes/a/pod/sysctl"}}, "nodes/a/host/sysctl nodes/b/host/sysctl"},
		{"without a node", Row{Without: []string{"nodes/a"}}, "nodes/b/host/sysctl"},
		{"without what only begins so", Row{Without: []string{"nodes/a/po"}}, "nodes/a/host/sysctl nodes/a/pod/sysctl nodes/b/host/sysctl"},
	} {
		var got []string
		for _, f := range tt.row.change(t, base).Files {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	swaps := Row{Swap: []Swap{{"nodes/a/host/sysctl", "x = 1", "x = 2"}, {"nodes/b/host/sysctl", "", "w = 3\n"}}}
	a := swaps.change(t, base)
	if got := string(a.Files[0].Data) + string(a.Files[2].Data); got != "x = 2\nx = 1\nz = 1\nw = 3\n" {
		t.Errorf("swapped: %q", got)
	}
	if got := string(base.Files[0].Data) + string(base.Files[2].Data); got != "x = 1\nx = 1\nz = 1\n" {
		t.Errorf("the healthy cluster has changed: %q", got)
	}
}

func TestBrief(t *testing.T) {
	r := check.Result{
		Findings: []check.Finding{{Check: "a", Severity: check.Error, Where: "x", OnPath: true, What: text.F("it is %d", 1),
			Consequences: []check.Finding{{Check: "b", Severity: check.Warning, Where: "y", What: text.F("so"),
				Consequences: []check.Finding{{Check: "c", Where: "z", What: text.F("and so")}}}}}},
		Unjudged: []check.Unjudged{{Check: "a", Where: "w", Why: "not collected"}},
	}
	if diff := cmp.Diff("error on path: x: a: it is 1\n> warning: y: b: so\n> > info: z: c: and so\n? w: a: not collected\n", Brief(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// pods is a cluster of one node with one Pod.
func pods() *network.Network {
	ns := func(name, pod string) *snapshot.NetNS {
		return &snapshot.NetNS{Name: name, Pod: pod, Dir: "nodes/a/" + name, Sysctl: map[string]string{}}
	}
	return network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{{Name: "a", NetNS: []*snapshot.NetNS{ns("host", ""), ns("pod-web", "shop/web-0")}}}})
}

func TestAsk(t *testing.T) {
	n := pods()
	results, external, err := ask(n, []byte("from shop/web-0\nto 10.0.0.1:53\nproto udp\nsize 1400\nexternal 10.20.0.0/16\n"))
	if err != nil || len(results) != 2 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	small, big := results[0].Query, results[1].Query
	if small.From != n.Pod("shop/web-0") || small.Proto != packet.UDP || small.DF || small.Dst != netip.MustParseAddrPort("10.0.0.1:53") {
		t.Errorf("asked %+v", small)
	}
	if !big.DF || big.Size != 1400 || big.ReplySize != 1400 {
		t.Errorf("the big one is %+v", big)
	}
	if len(external) != 1 || external[0] != netip.MustParsePrefix("10.20.0.0/16") {
		t.Errorf("external: %v", external)
	}
	for _, tt := range []struct{ name, query, want string }{
		{"a node", "from node/a\nto 10.0.0.1:53", ""},
		{"an address", "from 192.0.2.1\nto 10.0.0.1:53", ""},
		{"ranges alone", "external 10.20.0.0/16", ""},
		{"nothing", "", ""},
		{"a Pod that is not there", "from shop/web-9\nto 10.0.0.1:53", `no namespace of "shop/web-9"`},
		{"a node that is not there", "from node/b\nto 10.0.0.1:53", `no namespace of "node/b"`},
		{"no port", "from shop/web-0\nto 10.0.0.1", "not an ip:port"},
		{"a strange protocol", "proto carrier-pigeon", `unknown protocol "carrier-pigeon"`},
		{"a strange word", "form shop/web-0", `unknown word "form"`},
		{"no range", "external x", "no '/'"},
		{"no number", "size big", "invalid syntax"},
	} {
		_, _, err := ask(n, []byte(tt.query))
		if got := err != nil; got != (tt.want != "") || got && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// group of a fault and its twin, for a check that looks at one sysctl.
func twins() *group {
	file := func(name, data string) txtar.File { return txtar.File{Name: name, Data: []byte(data)} }
	mk := func(forward, want string) *txtar.Archive {
		return &txtar.Archive{Comment: []byte("A story.\n\n"), Files: []txtar.File{
			file("nodes/a/host/iptables", "*filter\n:INPUT ACCEPT [0:0]\n:UNUSED - [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"),
			file("nodes/a/host/routes.json", "[{\"dev\":\"eth0\",\"dst\":\"default\",\"gateway\":\"192.0.2.1\"}]\n"),
			file("nodes/a/host/sockets", "tcp LISTEN 0 4096 *:80 *:* ino:1 sk:2\n"),
			file("nodes/a/host/sysctl", "net.core.somaxconn = 4096\nnet.ipv4.ip_forward = "+forward+"\n"),
			file("objects/nodes.json", listHead+"[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"labels\":{\"os\":\"linux\"},\"name\":\"a\"},\"spec\":{\"podCIDR\":\"10.0.0.0/24\"}}]\n"+listTail),
			file("want", want)}}
	}
	off := &check.Check{Name: "off", Run: func(p *check.Pass) {
		for _, ns := range p.Hosts() {
			if ns.Sysctl["net.ipv4.ip_forward"] == "0" && len(p.Snapshot.Objects.Nodes) == 1 && p.Snapshot.Objects.Nodes[0].Spec.PodCIDR != "" {
				p.Report(check.Finding{Where: ns.String(), What: text.F("off"), Evidence: []snapshot.Evidence{{File: "nodes/a/host/sysctl", Line: len(ns.Sysctl), Text: "0"}}})
			}
		}
	}}
	return &group{[]*txtar.Archive{mk("0", "info: a/host: off: off\n    nodes/a/host/sysctl:2: 0 []\n"), mk("1", "")}, []*check.Check{off}}
}

// TestShrink: what nothing rests on goes, in both twins; what says the fault, or holds a file together, stays.
func TestShrink(t *testing.T) {
	g := twins()
	if err := g.shrink(); err != nil {
		t.Fatal(err)
	}
	want := func(forward, want string) string {
		return "A story.\n\n-- nodes/a/host/iptables --\n-- nodes/a/host/routes.json --\n[]\n-- nodes/a/host/sockets --\n-- nodes/a/host/sysctl --\nnet.ipv4.ip_forward = " + forward +
			"\n-- objects/nodes.json --\n" + listHead + "[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"podCIDR\":\"10.0.0.0/24\"}}]\n" + listTail + "-- want --\n" + want
	}
	for i, w := range []string{want("0", "info: a/host: off: off\n    nodes/a/host/sysctl:1: 0 []\n"), want("1", "")} {
		if diff := cmp.Diff(w, string(txtar.Format(g.cases[i]))); diff != "" {
			t.Errorf("case %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestPartID(t *testing.T) {
	const rules = "nodes/a/host/iptables"
	table := func(text string) part { return part{file: rules, table: "*nat", text: text} }
	for _, tt := range []struct {
		name string
		a, b part
		same bool
	}{
		{"a chain and its counters", table(":X - [0:0]"), table(":X - [7:7]"), true},
		{"two chains", table(":X - [0:0]"), table(":Y - [0:0]"), false},
		{"what a table always has", table(":INPUT ACCEPT [0:0]"), table("COMMIT"), true},
		{"of two tables", table("COMMIT"), part{file: rules, table: "*raw", text: "COMMIT"}, false},
		{"two rules", table("-A X -j Y"), table("-A X -j Z"), false},
		{"a socket of two recordings", part{file: "n/a/h/sockets", text: "tcp LISTEN *:80 ino:1 sk:2"}, part{file: "n/a/h/sockets", text: "tcp LISTEN  *:80 ino:3 sk:4"}, true},
		{"a sysctl of two namespaces", part{file: "nodes/a/host/sysctl", text: "x = 1"}, part{file: "nodes/b/host/sysctl", text: "x = 0"}, true},
		{"a counter of two nodes", part{file: "nodes/a/host/stat", text: "n = 1"}, part{file: "nodes/b/host/stat", text: "n = 1"}, false},
		{"a route by its device", part{file: "f", text: `{"dst":"d","dev":"x"}`}, part{file: "f", text: `{"dst":"d","dev":"y"}`}, false},
		{"a route and its flags", part{file: "f", text: `{"dst":"d","dev":"x"}`}, part{file: "f", text: `{"dst":"d","dev":"x","flags":["linkdown"]}`}, true},
		{"an object by its name", part{file: "f", text: `{"metadata":{"name":"a"},"x":1}`}, part{file: "f", text: `{"metadata":{"name":"a"}}`}, true},
	} {
		a, b := tt.a.id(), tt.b.id()
		if len(a) != 1 || len(b) != 1 || (a[0] == b[0]) != tt.same {
			t.Errorf("%s: %q and %q", tt.name, a, b)
		}
	}
	if id := (part{file: "want", fixed: true}).id(); id != nil {
		t.Errorf("what is fixed is named %q", id)
	}
}

// TestSignature: a way that ends otherwise is another signature, whatever the checks say.
func TestSignature(t *testing.T) {
	var a, b strings.Builder
	at := trace.Place{Node: "a", NetNS: "host"}
	writePaths(&a, []trace.Path{{End: trace.Delivered, At: at, Reply: []trace.Path{{End: trace.Delivered, At: at}}}})
	writePaths(&b, []trace.Path{{End: trace.Delivered, At: at, Reply: []trace.Path{{End: trace.Dropped, At: at}}}})
	if a.String() == b.String() {
		t.Error("the answer's end does not show")
	}
}
