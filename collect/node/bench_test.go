//go:build linux

package node

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// cpu returns the processor time of this process and of the programs that it ran.
func cpu(t testing.TB) time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		must(t, unix.Getrusage(who, &u))
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkCollect100Pods collects a node with a bridge, 100 Pods with 20 connections
// each, and kube-proxy's rules for a few Services, and packs it.
func BenchmarkCollect100Pods(b *testing.B) {
	sandbox.Need(b)
	host := newNS(b, "benchnode")
	sh(b, host, "ip link add cni0 type bridge\nip addr add 10.244.0.1/16 dev cni0\nip link set cni0 up")
	must(b, host.Run(kubeProxyRules(50), "iptables-nft-restore"))
	var list []NetNS
	for i := range 100 {
		pod := newNS(b, fmt.Sprintf("bench%d", i))
		must(b, host.Run("", "ip", "link", "add", fmt.Sprintf("veth%d", i), "type", "veth", "peer", "name", "eth0", "netns", pod.Name))
		sh(b, host, fmt.Sprintf("ip link set veth%d master cni0 up", i))
		must(b, pod.Run(fmt.Sprintf("link set eth0 up\naddr add 10.244.%d.2/16 dev eth0\nroute add default via 10.244.0.1\n", i), "ip", "-batch", "-"))
		connect(b, pod, 20)
		list = append(list, NetNS{Name: pod.Name, Path: pod.Path})
	}
	var packed bytes.Buffer
	var files snapshot.Files
	b.ResetTimer()
	start := cpu(b)
	for b.Loop() {
		var err error
		files, err = Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: list})
		must(b, err)
		packed.Reset()
		must(b, snapshot.Write(&packed, files))
	}
	b.ReportMetric(float64((cpu(b)-start).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(packed.Len()), "compressed-bytes")
	b.StopTimer()
	c, err := snapshot.Read(files)
	must(b, err)
	if len(c.Nodes[0].NetNS) != 101 || len(c.Gaps) > 0 {
		b.Errorf("%d namespaces, gaps %v", len(c.Nodes[0].NetNS), c.Gaps)
	}
}

// connect makes TCP connections to a listener in the namespace itself.
func connect(b *testing.B, ns *sandbox.NS, n int) {
	must(b, ns.Do(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			return err
		}
		b.Cleanup(func() { l.Close() })
		for range n {
			c, err := (&net.Dialer{FallbackDelay: -1}).Dial("tcp4", "127.0.0.1:80")
			if err != nil {
				return err
			}
			b.Cleanup(func() { c.Close() })
		}
		return nil
	}))
}

// kubeProxyRules are the rules of n Services of one endpoint, as kube-proxy writes them.
func kubeProxyRules(n int) string {
	var b bytes.Buffer
	b.WriteString("*nat\n:KUBE-SERVICES - [0:0]\n")
	for i := range n {
		fmt.Fprintf(&b, ":KUBE-SVC-%d - [0:0]\n:KUBE-SEP-%d - [0:0]\n", i, i)
	}
	b.WriteString("-A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n")
	for i := range n {
		fmt.Fprintf(&b, "-A KUBE-SERVICES -d 10.96.0.%d/32 -p tcp -m comment --comment \"shop/s%d:http cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%d\n", i+1, i, i)
		fmt.Fprintf(&b, "-A KUBE-SVC-%d -m comment --comment \"shop/s%d:http -> 10.244.0.%d:80\" -j KUBE-SEP-%d\n", i, i, i+2, i)
		fmt.Fprintf(&b, "-A KUBE-SEP-%d -p tcp -m comment --comment shop/s%d:http -m tcp -j DNAT --to-destination 10.244.0.%d:80\n", i, i, i+2)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
