package trace_test

import (
	"net/netip"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// A change edits the files of a fixture before they are read.
type change func(snapshot.Files)

func fixture(t testing.TB, name string, changes ...change) *network.Network {
	t.Helper()
	a, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := snapshot.Files{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	for _, c := range changes {
		c(files)
	}
	cl, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return network.New(cl)
}

func remove(path string) change { return func(f snapshot.Files) { delete(f, path) } }

// sub replaces what matches in a file; the pattern has to match.
func sub(path, pattern, with string) change {
	return func(f snapshot.Files) {
		re := regexp.MustCompile(pattern)
		if !re.Match(f[path]) {
			panic(path + ": nothing matches " + pattern)
		}
		f[path] = re.ReplaceAll(f[path], []byte(with))
	}
}

func put(path, data string) change { return func(f snapshot.Files) { f[path] = []byte(data) } }

// TestChanges edits one thing of the healthy two nodes, and says what becomes of a packet from a's Pod to b's.
func TestChanges(t *testing.T) {
	const ask = "a/p1 tcp 10.244.2.2:8080"
	listen := func(addr string) change {
		return put("nodes/b/p1/sockets", "tcp LISTEN 0 128 "+addr+" *:*\n")
	}
	for _, tt := range []struct {
		name    string
		changes []change
		ask     string
		want    trace.Fate
		why     string // part of Why
		reply   trace.Fate
	}{
		{name: "healthy", want: trace.Delivered, reply: trace.Delivered},
		{name: "sockets not collected", changes: []change{remove("nodes/b/p1/sockets")}, want: trace.Unknown, why: "whether anything listens"},
		{name: "nothing listens", changes: []change{put("nodes/b/p1/sockets", "")}, want: trace.NoListener, why: "nothing listens on tcp port 8080 in b/p1"},
		{name: "loopback only", changes: []change{listen("127.0.0.1:8080")}, want: trace.NoListener, why: "open for 127.0.0.1 only, not for 10.244.2.2"},
		{name: "the very address", changes: []change{listen("10.244.2.2:8080")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "IPv4 wildcard", changes: []change{listen("0.0.0.0:8080")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "both families", changes: []change{listen("*:8080")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "IPv6 only", changes: []change{put("nodes/b/p1/sockets", "tcp LISTEN 0 128 [::]:8080 [::]:* ino:1 sk:1 v6only:1 <->\n")}, want: trace.NoListener},
		{name: "another device", changes: []change{listen("0.0.0.0%other:8080")}, want: trace.NoListener},
		{name: "accept queue full", changes: []change{put("nodes/b/p1/sockets", "tcp LISTEN 129 128 0.0.0.0:8080 *:*\n")}, want: trace.Dropped, why: "accept queue of 0.0.0.0:8080 is full: 129 wait, 128 may"},
		{name: "rules not collected", changes: []change{remove("nodes/b/host/iptables")}, want: trace.Unknown, why: "the rules of b/host are not known"},
		{name: "rules of nf_tables not collected", changes: []change{remove("nodes/b/host/nft.json")}, want: trace.Unknown, why: "the rules of b/host are not known: nft.json: not collected"},
		{name: "legacy rules not collected", changes: []change{remove("nodes/a/p1/iptables-legacy")}, want: trace.Unknown, why: "the rules of a/p1 are not known: iptables-legacy: not collected"},
		{name: "legacy rules of IPv6 not collected", changes: []change{remove("nodes/a/p1/ip6tables-legacy")}, want: trace.Delivered},
		{name: "IPVS not collected", changes: []change{remove("nodes/b/p1/ipvs")}, want: trace.Unknown, why: "the rules of b/p1 are not known: ipvs: not collected"},
		{name: "IPv6 rules not collected", changes: []change{remove("nodes/b/host/ip6tables")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "settings not collected", changes: []change{remove("nodes/a/host/sysctl")}, want: trace.Unknown, why: "ip_forward"},
		{name: "policy DROP", changes: []change{put("nodes/a/host/iptables", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")}, want: trace.Dropped, why: "a/host's FORWARD chain drops it: policy DROP"},
		{name: "the uplink is down", changes: []change{sub("nodes/a/host/addr.json", `"flags":\["BROADCAST","MULTICAST","UP","LOWER_UP"\],"ifindex":(\d+),"ifname":"eth0"`, `"flags":["BROADCAST","MULTICAST"],"ifindex":$1,"ifname":"eth0"`)}, want: trace.LinkDown, why: "a/host/eth0 is down"},
		{name: "no carrier", changes: []change{sub("nodes/a/host/addr.json", `"flags":\["BROADCAST","MULTICAST","UP","LOWER_UP"\],"ifindex":(\d+),"ifname":"eth0"`, `"flags":["NO-CARRIER","BROADCAST","MULTICAST","UP"],"ifindex":$1,"ifname":"eth0"`)}, want: trace.LinkDown, why: "a/host/eth0 has no carrier"},
		{name: "the far Pod not collected", changes: []change{without("nodes/b/p1/")}, want: trace.Unknown, why: "is not known"},
		{name: "the far node not collected", changes: []change{without("nodes/b/")}, want: trace.LeftCluster, why: "leaves the cluster by a/host/eth0"},
		{name: "outside", ask: "a/host udp 192.168.9.99:53", want: trace.LeftCluster, why: "192.168.9.99"},
		{name: "no way", ask: "a/host tcp 8.8.8.8:53", want: trace.NoRoute, why: "network unreachable"},
		{name: "IPv6 where there is none", ask: "a/p1 tcp [fd00::1]:80", want: trace.NoRoute},
		{name: "a group", ask: "a/host udp 224.0.0.251:5353", want: trace.NoRoute},
		{name: "broadcast", ask: "a/p1 udp 10.244.1.255:5353", want: trace.Unknown, why: "not an address of one machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			q := ask
			if tt.ask != "" {
				q = tt.ask
			}
			r := trace.Run(n, parseProbe(n, q))
			if len(r.Paths) == 0 {
				t.Fatal("no path")
			}
			p := r.Paths[0]
			if p.End != tt.want || !strings.Contains(p.Why.String(), tt.why) {
				t.Errorf("%s: %s; want %s: …%s…", p.End, p.Why, tt.want, tt.why)
			}
			if tt.reply != trace.Unknown && (len(p.Reply) != 1 || p.Reply[0].End != tt.reply) {
				t.Errorf("answer: %s", summary(r))
			}
		})
	}
}

// TestNotUnderstood has a rule that nobody understands: both of its answers are followed, and each says so.
func TestNotUnderstood(t *testing.T) {
	n := fixture(t, "vxlan", put("nodes/b/host/iptables", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m bpf --bytecode x -j DROP\nCOMMIT\n"))
	ends := map[trace.Fate]bool{}
	for _, p := range trace.Run(n, parseProbe(n, "a/p1 tcp 10.244.2.2:8080")).Paths {
		ends[p.End] = true
		if len(p.Assumed) != 1 || !strings.Contains(p.Assumed[0].Evidence.Text, "bytecode") {
			t.Errorf("%s: assumed %v", p.End, p.Assumed)
		}
	}
	if diff := cmp.Diff(map[trace.Fate]bool{trace.Dropped: true, trace.Delivered: true}, ends); diff != "" {
		t.Error(diff)
	}
}

func without(prefix string) change {
	return func(f snapshot.Files) {
		for name := range f {
			if strings.HasPrefix(name, prefix) {
				delete(f, name)
			}
		}
	}
}

// TestFullSegment wants the sizes that the ends of a connection would choose.
func TestFullSegment(t *testing.T) {
	clamp := put("nodes/a/host/iptables", "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\nCOMMIT\n")
	podMTU := sub("nodes/b/p1/addr.json", `"mtu":1500`, `"mtu":1450`)
	for _, tt := range []struct {
		name    string
		changes []change
		query   func(*trace.Query)
		size    int // of the request
		reply   int
		end     trace.Fate
		told    bool
	}{
		{name: "the Pod's MTU is the uplink's", query: func(q *trace.Query) { q.Size = trace.FullSegment }, size: 1500, end: trace.TooBig, told: true},
		{name: "the far Pod announces less", changes: []change{podMTU}, query: func(q *trace.Query) { q.Size = trace.FullSegment }, size: 1450, reply: 60, end: trace.Delivered},
		{name: "TCPMSS", changes: []change{clamp}, query: func(q *trace.Query) { q.Size = trace.FullSegment }, size: 1450, reply: 60, end: trace.Delivered},
		{name: "the answer, by TCPMSS", changes: []change{clamp}, query: func(q *trace.Query) { q.ReplySize = trace.FullSegment }, size: 60, reply: 1450, end: trace.Delivered},
		{name: "a datagram", query: func(q *trace.Query) {
			q.Size, q.Proto = trace.FullSegment, packet.UDP
			q.Dst = netip.MustParseAddrPort("10.244.2.2:8081")
		}, size: 1500, end: trace.TooBig, told: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			q := parseProbe(n, "a/p1 tcp 10.244.2.2:8080")
			tt.query(&q)
			r := trace.Run(n, q)
			p := r.Paths[0]
			if p.End != tt.end || p.Final.Size != tt.size {
				t.Errorf("%s with %d bytes, want %s with %d: %s", p.End, p.Final.Size, tt.end, tt.size, p.Why)
			}
			if tt.reply != 0 && (len(p.Reply) != 1 || p.Reply[0].Final.Size != tt.reply || p.Reply[0].End != trace.Delivered) {
				t.Errorf("answer: %s", summary(r))
			}
			if told := len(p.ICMP) == 1 && p.ICMP[0].End == trace.Delivered; told != tt.told {
				t.Errorf("the sender is told: %t, want %t", told, tt.told)
			}
			if tt.told && p.ICMP[0].Final.MTU != 1450 {
				t.Errorf("the message tells an MTU of %d", p.ICMP[0].Final.MTU)
			}
		})
	}
}

// TestOutside has packets come from outside the cluster.
func TestOutside(t *testing.T) {
	n := fixture(t, "vxlan", put("nodes/b/host/sockets", "tcp LISTEN 0 128 0.0.0.0:8080 *:*\n"),
		put("nodes/a/host/routes.json", string(routes(t, "vxlan", "a"))))
	q := trace.Query{Src: netip.MustParseAddr("192.168.9.50"), Dst: netip.MustParseAddrPort("192.168.9.2:8080"), Proto: packet.TCP}
	p := trace.Run(n, q).Paths[0]
	if p.End != trace.Delivered || len(p.Reply) != 1 || p.Reply[0].End != trace.LeftCluster {
		t.Errorf("%s", summary(trace.Result{Paths: []trace.Path{p}}))
	}
	q.Dst = netip.MustParseAddrPort("10.244.2.2:8080")
	if p := trace.Run(n, q).Paths[0]; p.End != trace.Unknown {
		t.Errorf("to a Pod's address: %s", p.End)
	}
	q.Src = netip.Addr{}
	if p := trace.Run(n, q).Paths[0]; p.End != trace.Unknown || !strings.Contains(p.Why.String(), "source") {
		t.Errorf("without a source: %s: %s", p.End, p.Why)
	}
	if p := trace.Run(n, trace.Query{}).Paths[0]; p.End != trace.Unknown {
		t.Errorf("without a destination: %s", p.End)
	}
}

func routes(t *testing.T, name, node string) []byte {
	t.Helper()
	a, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		if f.Name == "nodes/"+node+"/host/routes.json" {
			return f.Data
		}
	}
	return nil
}

// TestBeyondRouter has the nodes' uplinks in two subnets, with a router between them that nobody collected.
func TestBeyondRouter(t *testing.T) {
	n := fixture(t, "vxlan",
		sub("nodes/b/host/addr.json", `192\.168\.9\.2`, `192.168.10.2`),
		sub("nodes/b/host/routes.json", `192\.168\.9\.`, `192.168.10.`),
		sub("nodes/b/host/routes.json", `^\[`, `[{"dst":"default","gateway":"192.168.10.254","dev":"eth0"},`),
		sub("nodes/a/host/routes.json", `^\[`, `[{"dst":"default","gateway":"192.168.9.254","dev":"eth0"},`),
		sub("nodes/a/host/fdb.json", `192\.168\.9\.2`, `192.168.10.2`),
	)
	r := trace.Run(n, parseProbe(n, "a/p1 tcp 10.244.2.2:8080"))
	p := r.Paths[0]
	if p.End != trace.LeftCluster || p.At.String() != "b/p1" {
		t.Fatalf("%s", summary(r))
	}
	if len(p.Assumed) == 0 || !strings.Contains(p.Assumed[len(p.Assumed)-1].What.String(), "192.168.9.254") {
		t.Errorf("assumed: %v", p.Assumed)
	}
	if len(p.Reply) != 1 || p.Reply[0].End != trace.LeftCluster {
		t.Errorf("answer: %s", summary(r))
	}
	n = fixture(t, "vxlan",
		sub("nodes/b/host/addr.json", `192\.168\.9\.2`, `192.168.10.2`),
		sub("nodes/b/host/routes.json", `192\.168\.9\.`, `192.168.10.`),
		sub("nodes/a/host/routes.json", `^\[`, `[{"dst":"default","gateway":"192.168.9.254","dev":"eth0"},`),
		sub("nodes/a/host/fdb.json", `192\.168\.9\.2`, `192.168.10.2`),
		put("nodes/b/host/iptables", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"),
	)
	if p := trace.Run(n, parseProbe(n, "a/p1 tcp 10.244.2.2:8080")).Paths[0]; p.End != trace.Dropped || len(p.Assumed) == 0 {
		t.Errorf("a death beyond the router is told as it is: %s: %s", p.End, p.Why)
	}
}

// TestBranches follows a Service with three endpoints, as "statistic" shares them out.
func TestBranches(t *testing.T) {
	n := fixture(t, "vxlan", put("nodes/a/host/iptables", `*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.2.2:8080
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.3:8080
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.9:8080
COMMIT
`))
	r := trace.Run(n, parseProbe(n, "a/p1 tcp 10.96.0.10:80"))
	got, sum := map[string]string{}, 0.0
	for _, p := range r.Paths {
		got[p.Final.Dst.String()] = p.End.String()
		sum += p.Weight
		if p.Weight < 0.33 || p.Weight > 0.34 {
			t.Errorf("%s has weight %g", p.Final.Dst, p.Weight)
		}
	}
	want := map[string]string{"10.244.2.2:8080": "delivered", "10.244.1.3:8080": "delivered", "10.244.2.9:8080": "no-neighbour"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if sum < 0.9999 || sum > 1.0001 {
		t.Errorf("the weights add up to %g", sum)
	}
}

// TestManyWays bounds what it follows, and says so.
func TestManyWays(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n")
	for range 12 {
		rules.WriteString("-A PREROUTING -p tcp -m statistic --mode random --probability 0.1 -j DNAT --to-destination 10.244.2.1-10.244.2.60\n")
	}
	rules.WriteString("COMMIT\n")
	n := fixture(t, "vxlan", put("nodes/a/host/iptables", rules.String()))
	r := trace.Run(n, parseProbe(n, "a/p1 tcp 10.96.0.10:80"))
	sum := 0.0
	for _, p := range r.Paths {
		sum += p.Weight
	}
	if len(r.Paths) > 4100 || sum < 0.999 || sum > 1.001 {
		t.Errorf("%d paths, of weight %g", len(r.Paths), sum)
	}
}

// TestDuplicateAddress has two Pods with one address on one bridge.
func TestDuplicateAddress(t *testing.T) {
	n := fixture(t, "vxlan",
		put("nodes/a/host/neigh.json", "[]"), put("nodes/a/host/fdb.json", "[]"),
		sub("nodes/a/p1/addr.json", `10\.244\.1\.2`, `10.244.1.3`), sub("nodes/a/p1/routes.json", `10\.244\.1\.2"`, `10.244.1.3"`))
	r := trace.Run(n, parseProbe(n, "a/host tcp 10.244.1.3:8080"))
	ends := map[string]bool{}
	for _, p := range r.Paths {
		ends[p.At.String()] = true
		if len(p.Assumed) == 0 {
			t.Errorf("the path to %s assumes nothing", p.At)
		}
	}
	if diff := cmp.Diff(map[string]bool{"a/p1": true, "a/p2": true}, ends); diff != "" {
		t.Error(diff)
	}
}

// TestSteps wants the stages that a packet between two nodes passes, and evidence for each decision.
func TestSteps(t *testing.T) {
	n := fixture(t, "vxlan")
	q := parseProbe(n, "a/p1 tcp 10.244.2.2:8080")
	q.OneWay = true
	p := trace.Run(n, q).Paths[0]
	if p.Reply != nil {
		t.Error("OneWay, and an answer was followed")
	}
	var stages []string
	for _, h := range p.Hops {
		for _, s := range h.Steps {
			stages = append(stages, h.Node+"/"+h.NetNS+" "+string(s.Stage))
			if len(s.Evidence()) == 0 {
				t.Errorf("%s %s: %s: no evidence", h.NetNS, s.Stage, s.What)
			}
			for _, e := range s.Evidence() {
				if !strings.HasPrefix(e.File, "nodes/") || e.Command == "" {
					t.Errorf("%s: evidence without its place: %+v", s.What, e)
				}
			}
		}
	}
	want := strings.Fields("send neighbour transmit bridge route neighbour encap route neighbour wire route decap route neighbour bridge transmit route deliver")
	for i := range want {
		ns := "a/p1"
		if i > 2 {
			ns = "a/host"
		}
		if i > 9 {
			ns = "b/host"
		}
		if i > 15 {
			ns = "b/p1"
		}
		want[i] = ns + " " + want[i]
	}
	if diff := cmp.Diff(want, stages); diff != "" {
		t.Error(diff)
	}
	if p.Hops[1].In != "v1" || p.Hops[1].Out != "eth0" || p.Hops[0].Out != "eth0" || p.Hops[3].In != "eth0" {
		t.Errorf("devices: %+v", p.Hops[1].In)
	}
}

// TestFates names every fate.
func TestFates(t *testing.T) {
	for f := trace.Unknown; f <= trace.LinkDown; f++ {
		if b, err := f.MarshalText(); err != nil || string(b) == "invalid" || string(b) == "" {
			t.Errorf("fate %d: %s, %v", f, b, err)
		}
	}
	if trace.Fate(99).String() != "invalid" {
		t.Error("a fate that does not exist has a name")
	}
	for want, p := range map[string]trace.Place{"outside": {}, "a/host": {Node: "a", NetNS: "host"}, "a/host/eth0": {Node: "a", NetNS: "host", Link: "eth0"}} {
		if p.String() != want {
			t.Errorf("%+v is %q", p, p)
		}
	}
}

// routing are the files without which no route lookup can be answered.
var routing = map[string]bool{"addr.json": true, "routes.json": true, "routes6.json": true, "rules.json": true, "rules6.json": true}

// TestHalfMissing takes every file away in turn, and cuts every file short: no panic, and no packet that arrives
// though the rules or settings on its way are not known.
func TestHalfMissing(t *testing.T) {
	for _, base := range []string{"service", "bridge", "ipv6"} {
		a, err := txtar.ParseFile("testdata/" + base + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		want := string(a.Files[len(a.Files)-1].Data)
		ask, _, _ := strings.Cut(want, ": ")
		for _, f := range a.Files {
			for how, c := range map[string]change{"gone": remove(f.Name), "cut": put(f.Name, string(f.Data[:len(f.Data)/2])), "void": put(f.Name, "[{}]")} {
				n := fixture(t, base, c)
				q := parseProbe(n, ask)
				if q.From == nil {
					continue
				}
				r := trace.Run(n, q)
				if len(r.Paths) == 0 {
					t.Errorf("%s, %s %s: no path", base, f.Name, how)
				}
				for _, p := range r.Paths {
					if how != "void" && routing[path.Base(f.Name)] && (p.End == trace.NoRoute || p.End == trace.Dropped) {
						t.Errorf("%s, %s %s: dead for want of knowledge: %s: %s", base, f.Name, how, p.At, p.Why)
					}
				}
			}
		}
	}
}
