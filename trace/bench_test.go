//go:build linux

package trace_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// proxyRules are the rules that kube-proxy writes for n Services of one
// endpoint each; the last leads to b's Pod.
func proxyRules(n int) string {
	var top, nat, chains strings.Builder
	for i := range n {
		dst := netip.AddrFrom4([4]byte{10, 96 + byte(i>>16), byte(i >> 8), byte(i)})
		to := "10.244.9.9:8080"
		if i == n-1 {
			to = "10.244.2.2:8080"
		}
		fmt.Fprintf(&chains, ":KUBE-SVC-%08d - [0:0]\n:KUBE-SEP-%08d - [0:0]\n", i, i)
		fmt.Fprintf(&top, "-A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"shop/s%d cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%08d\n", dst, i, i)
		fmt.Fprintf(&nat, "-A KUBE-SVC-%08d ! -s 10.244.0.0/16 -d %s/32 -p tcp -m comment --comment \"shop/s%d cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ\n", i, dst, i)
		fmt.Fprintf(&nat, "-A KUBE-SVC-%08d -m comment --comment \"shop/s%d -> %s\" -j KUBE-SEP-%08d\n", i, i, to, i)
		fmt.Fprintf(&nat, "-A KUBE-SEP-%08d -s %s/32 -m comment --comment \"shop/s%d\" -j KUBE-MARK-MASQ\n", i, strings.Split(to, ":")[0], i)
		fmt.Fprintf(&nat, "-A KUBE-SEP-%08d -p tcp -m comment --comment \"shop/s%d\" -m tcp -j DNAT --to-destination %s\n", i, i, to)
	}
	return "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n" +
		chains.String() +
		"-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n" +
		"-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n" +
		"-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n" +
		top.String() + nat.String() + "COMMIT\n" +
		"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUBE-FORWARD - [0:0]\n-A FORWARD -j KUBE-FORWARD\n-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n" +
		"-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -s 10.244.0.0/16 -j ACCEPT\n-A FORWARD -d 10.244.0.0/16 -j ACCEPT\nCOMMIT\n"
}

// services returns the two nodes of the vxlan fixture with n Services on each.
func services(tb testing.TB, n int) (*network.Network, trace.Query) {
	tb.Helper()
	a, err := txtar.ParseFile("testdata/vxlan.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	files := snapshot.Files{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	for _, node := range []string{"a", "b"} {
		files["nodes/"+node+"/host/iptables"] = []byte(proxyRules(n))
	}
	c, err := snapshot.Read(files)
	if err != nil {
		tb.Fatal(err)
	}
	net := network.New(c)
	last := netip.AddrFrom4([4]byte{10, 96 + byte((n-1)>>16), byte((n - 1) >> 8), byte(n - 1)})
	return net, trace.Query{From: find(net, "a/p1"), Dst: netip.AddrPortFrom(last, 80), Proto: packet.TCP, DF: true}
}

func find(n *network.Network, name string) *network.NS {
	for _, ns := range n.NS {
		if ns.String() == name {
			return ns
		}
	}
	return nil
}

func TestServices(t *testing.T) {
	n, q := services(t, 100)
	files := trace.Run(n, q)
	if len(files.Paths) != 1 || files.Paths[0].End != trace.Delivered && files.Paths[0].End != trace.NoListener {
		t.Fatalf("%s\n%s", summary(files), "want the packet to reach b/p1")
	}
	if got := files.Paths[0].Final.Dst.String(); got != "10.244.2.2:8080" {
		t.Errorf("the packet ends as one to %s", got)
	}
}

// cpuTime returns what the process has used of its processors, in nanoseconds:
// on a machine that does other things too, the clock tells nothing.
func cpuTime() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// measure runs f and reports its processor time beside the clock's.
func measure(b *testing.B, f func()) {
	b.Helper()
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
}

// BenchmarkRun follows a SYN through a Service to another node and its answer back;
// BenchmarkOneWay the SYN alone.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		net, q := services(b, n)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) { measure(b, func() { trace.Run(net, q) }) })
	}
}

func BenchmarkOneWay(b *testing.B) {
	net, q := services(b, 10000)
	q.OneWay = true
	measure(b, func() { trace.Run(net, q) })
}

// BenchmarkText follows the same packet and puts all that is said of it into words.
func BenchmarkText(b *testing.B) {
	net, q := services(b, 10000)
	measure(b, func() { words(trace.Run(net, q).Paths) })
}

func words(ps []trace.Path) (n int) {
	for _, p := range ps {
		for _, h := range p.Hops {
			for _, s := range h.Steps {
				n += len(s.What.String())
			}
		}
		n += words(p.Reply) + words(p.ICMP)
	}
	return n
}
