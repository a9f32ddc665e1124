//go:build linux

package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

func jsonUnmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func jsonMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// cluster is a node with two Pods on one wire: shop/web-0 has 10.0.0.1, shop/web-1 10.0.0.2.
func cluster(t *testing.T, name string) (host *sandbox.NS, root string) {
	t.Helper()
	root = t.TempDir()
	host = newNS(t, name)
	pods := []*sandbox.NS{newNS(t, name+"-0"), newNS(t, name+"-1")}
	must(t, host.Run("", "ip", "link", "add", "eth0", "netns", pods[0].Name, "type", "veth", "peer", "name", "eth0", "netns", pods[1].Name))
	must(t, os.MkdirAll(filepath.Join(root, "run/netns"), 0o755))
	for i, p := range pods {
		// Without IPv6, whose addresses are tentative at first.
		must(t, p.Run("", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"))
		must(t, p.Run("", "ip", "addr", "add", fmt.Sprintf("10.0.0.%d/24", i+1), "dev", "eth0"))
		must(t, p.Run("", "ip", "link", "set", "eth0", "up"))
		path := filepath.Join(root, "run/netns", p.Name)
		must(t, os.WriteFile(path, nil, 0o444))
		must(t, unix.Mount(p.Path, path, "", unix.MS_BIND, ""))
		t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
		record := filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", p.Name, "config.json")
		must(t, os.MkdirAll(filepath.Dir(record), 0o755))
		must(t, os.WriteFile(record, fmt.Appendf(nil, `{"annotations":{"io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-name":"web-%d"},
			"linux":{"namespaces":[{"type":"network","path":"/run/netns/%s"}]}}`, i, p.Name), 0o644))
	}
	must(t, host.Run("", "iptables-nft", "-A", "FORWARD", "-j", "DROP"))
	for _, p := range pods {
		settle(t, p)
	}
	return host, root
}

// settle waits until the kernel has told that eth0's wire is there, which it does in its own time.
func settle(t *testing.T, p *sandbox.NS) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out, err := p.Output("", "ip", "link", "show", "eth0")
		must(t, err)
		if strings.Contains(out, "state UP") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("eth0 does not come up: %s", out)
		}
	}
}

func newNS(t *testing.T, name string) *sandbox.NS {
	t.Helper()
	ns, err := sandbox.NewNS(name)
	must(t, err)
	t.Cleanup(func() { _ = ns.Delete() })
	return ns
}

// TestSnapshot wants what an agent sends to be what collect gives.
func TestSnapshot(t *testing.T) {
	sandbox.Need(t)
	host, root := cluster(t, "snap")
	_, client := newAPI(t)
	_, h := start(t, Options{Collect: here(host, root), Kube: client})
	for _, tt := range []struct {
		query string
		pods  []string
		has   []string // the namespaces, but for the whole node at least
	}{
		{"?netns=host", []string{}, []string{"host"}},
		{"?netns=host&pod=shop/web-1", []string{"shop/web-1"}, []string{"host", "pod-shop-web-1"}},
		{"?pod=shop/web-1&pod=shop/web-0&pod=shop/web-1", []string{"shop/web-0", "shop/web-1"}, []string{"host", "pod-shop-web-0", "pod-shop-web-1"}},
		{"", nil, []string{"host", "pod-shop-web-0", "pod-shop-web-1"}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			code, body, header := ask(t, h, "GET", "/snapshot"+tt.query, withGood, "")
			if code != 200 || header.Get("Content-Type") != "application/gzip" {
				t.Fatalf("%d %s %.200s", code, header, body)
			}
			got, gaps, err := snapshot.Unpack("", strings.NewReader(body))
			must(t, err)
			o := here(host, root)
			o.Pods = tt.pods
			want, err := node.Collect(context.Background(), o)
			must(t, err)
			if len(gaps) > 0 {
				t.Errorf("gaps %v", gaps)
			}
			for _, name := range tt.has {
				if _, ok := got["nodes/n/"+name+"/addr.json"]; !ok {
					t.Errorf("no namespace %s", name)
				}
			}
			for _, name := range want.Names() {
				ours := strings.HasPrefix(name, "nodes/n/host/") || strings.HasPrefix(name, "nodes/n/pod-")
				if ours && !bytes.Equal(uncommented(got[name]), uncommented(want[name])) {
					t.Errorf("%s differs:\n%s\n%s", name, got[name], want[name])
				}
			}
			if tt.pods != nil && !slices.Equal(got.Names(), want.Names()) {
				t.Errorf("files %v, want %v", got.Names(), want.Names())
			}
		})
	}
	code, body, _ := ask(t, h, "GET", "/snapshot?pod=shop/nobody", withGood, "")
	if c, err := snapshot.ReadBundle("x", strings.NewReader(body)); code != 200 || err != nil || len(c.Gaps) == 0 {
		t.Errorf("an unknown Pod: %d, %v", code, err)
	}
}

// uncommented leaves out the lines in which iptables-save tells the time.
func uncommented(b []byte) []byte {
	return regexp.MustCompile(`(?m)^#.*\n`).ReplaceAll(b, nil)
}

// TestCounters wants counts of devices and rules, fresh ones each time, and nothing else.
func TestCounters(t *testing.T) {
	sandbox.Need(t)
	host, root := cluster(t, "counters")
	sum := sha256.Sum256([]byte("run"))
	_, h := start(t, Options{Collect: here(host, root), RunToken: sum[:]})
	must(t, host.Run("", "iptables", "-A", "OUTPUT", "-d", "127.0.0.1", "-j", "ACCEPT"))
	must(t, host.Run("", "ip", "link", "set", "lo", "up"))
	last := uint64(0)
	for range 2 {
		must(t, host.Run("", "ping", "-q", "-c", "1", "127.0.0.1"))
		code, body, _ := ask(t, h, "GET", "/snapshot?netns=host&counters=1", "Authorization: Bearer run", "")
		files, _, err := snapshot.Unpack("x.tar.gz", strings.NewReader(body))
		if code != 200 || err != nil {
			t.Fatal(code, err)
		}
		for name := range files {
			if base := filepath.Base(name); base != "node.json" && base != "addr.json" && base != "nft.json" && !strings.Contains(base, "tables") {
				t.Errorf("%s is no count", name)
			}
		}
		c := snapshot.ReadCounters(files)
		lo, ok := c.Link("nodes/n/host", "lo")
		if !ok || lo.RX.Packets <= last || lo.TX.Packets != lo.RX.Packets || lo.RX.Bytes < 84 {
			t.Errorf("lo counts %+v after %d", lo, last)
		}
		last = lo.RX.Packets
		line := 0
		for i, l := range strings.Split(string(files["nodes/n/host/iptables"]), "\n") {
			if strings.Contains(l, "-A OUTPUT") {
				line = i + 1
			}
		}
		if n, ok := c.Rule(snapshot.Evidence{File: "nodes/n/host/iptables", Line: line, Text: "-A OUTPUT -d 127.0.0.1/32 -j ACCEPT"}); !ok || n == 0 {
			t.Errorf("the rule counts %d %v:\n%s", n, ok, files["nodes/n/host/iptables"])
		}
	}
}

// TestHundredSnapshots has a hundred ask at once, and watches how many collections run, and the memory.
func TestHundredSnapshots(t *testing.T) {
	sandbox.Need(t)
	host, root := cluster(t, "hundred")
	sum := sha256.Sum256([]byte("run"))
	s, h := start(t, Options{Collect: here(host, root), RunToken: sum[:]})
	for _, same := range []bool{true, false} {
		codes := make([]int, 100)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				query := ""
				if !same {
					query = fmt.Sprintf("?pod=shop/web-%d&pod=shop/web-0", i)
				}
				codes[i], _, _ = ask(t, h, "GET", "/snapshot"+query, "Plumb-Authorization: Bearer run", "")
			})
		}
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		most, heap := 0, uint64(0)
		for running := true; running; {
			select {
			case <-ended:
				running = false
			case <-time.After(2 * time.Millisecond):
			}
			n, _ := s.work.load()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most, heap = max(most, n), max(heap, m.HeapInuse+m.StackInuse)
		}
		count := map[int]int{}
		for _, c := range codes {
			count[c]++
		}
		t.Logf("the same %v: %v, at most %d collections at once, %d MiB", same, count, most, heap>>20)
		if count[200]+count[429] != 100 || same && count[200] != 100 || count[200] < maxWaiting || most > maxCollections || heap > 256<<20 {
			t.Errorf("%v, %d at once, %d MiB", count, most, heap>>20)
		}
	}
}

// TestProbe sends from a Pod to another, and to one that is not there.
func TestProbe(t *testing.T) {
	sandbox.Need(t)
	host, root := cluster(t, "probe")
	_, client := newAPI(t)
	s, h := start(t, Options{Collect: here(host, root), Kube: client})
	for _, tt := range []struct {
		name, body string
		code       int
		fate       snapshot.ProbeFate
		says       string
	}{
		{"ping", `{"pod":"shop/web-0","proto":1,"dst":"10.0.0.2:0","timeout":5000000000}`, 200, snapshot.ProbeAnswered, ""},
		{"as a client writes it", string(jsonMarshal(t, snapshot.ProbeAsk{Pod: "shop/web-0", Proto: packet.TCP, Dst: netip.MustParseAddrPort("10.0.0.2:80"), Timeout: 5 * time.Second})), 200, snapshot.ProbeRefused, ""},
		{"from the node, which has no way there", `{"proto":6,"dst":"10.0.0.2:80"}`, 200, snapshot.ProbeNotSent, ""},
		{"an unknown Pod", `{"pod":"shop/nobody","proto":6,"dst":"10.0.0.2:80"}`, 404, 0, "pod shop/nobody: no container runtime"},
		{"no destination", `{"pod":"shop/web-0","proto":6}`, 422, 0, "dst: no address"},
		{"too much", `{"pod":"shop/web-0","proto":6,"dst":"10.0.0.2:80","count":1000000}`, 422, 0, "count 1000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body, _ := ask(t, h, "POST", "/probe", withGood, tt.body)
			if code != tt.code || !strings.Contains(body, tt.says) {
				t.Fatalf("%d %s", code, body)
			}
			if code != 200 {
				return
			}
			var p snapshot.Probe
			must(t, json.Unmarshal([]byte(body), &p))
			if p.Fate != tt.fate || p.Node != "n" || p.Sent != 1 {
				t.Errorf("%s", body)
			}
		})
	}
	for range maxProbes {
		s.probes <- struct{}{}
	}
	if code, body, _ := ask(t, h, "POST", "/probe", withGood, `{"proto":6,"dst":"10.0.0.2:80"}`); code != 429 {
		t.Errorf("one more than can be sent: %d %s", code, body)
	}
}

// The environment of a test program that is to confine itself and say what it still can do.
const (
	sceneVar = "PLUMBD_TEST_KEEP"
	hostVar  = "PLUMBD_TEST_HOST"
	// listenScene has it listen instead.
	listenScene = "listen"
)

// playScene runs in a process of its own: it gives up all capabilities but those named by number, and
// prints what then fails.
func playScene(keep string) int {
	if keep == listenScene {
		l, err := net.Listen("tcp4", ":8080")
		if err != nil {
			return 2
		}
		_, err = l.Accept()
		fmt.Println(err)
		return 0
	}
	var mask uint64
	if _, err := fmt.Sscan(keep, &mask); err != nil {
		return 2
	}
	if err := confine(mask); err != nil {
		fmt.Println("confine:", err)
		return 2
	}
	permitted, effective, _ := capabilities()
	bounding := 0
	for c := range 64 {
		if n, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil && n == 1 {
			bounding++
		}
	}
	fmt.Printf("have %#x %#x %d\n", permitted, effective, bounding)
	child, _ := exec.Command("grep", "CapEff", "/proc/self/status").Output()
	fmt.Printf("child %s", child)
	root := os.Getenv(hostVar)
	o := node.Options{Node: "n", Root: root, Pods: []string{"shop/web-0"}}
	files, err := node.Collect(context.Background(), o)
	if err != nil {
		fmt.Println("collect:", err)
		return 0
	}
	c, err := snapshot.Read(files)
	if err != nil {
		fmt.Println("read:", err)
		return 0
	}
	for _, g := range c.Gaps {
		fmt.Println("gap:", g.Path, g.Why)
	}
	fmt.Printf("sockets: %s\n", files["nodes/n/pod-shop-web-0/sockets"])
	ns, err := node.OpenPod(o, "shop/web-0")
	if err != nil {
		fmt.Println("open:", err)
		return 0
	}
	fmt.Println("other namespaces:", hear(ns))
	p, err := active.Run(context.Background(), ns, active.Ask{Proto: packet.ICMP, Dst: netip.MustParseAddrPort("10.0.0.2:0"), Timeout: 5 * time.Second})
	fmt.Println("ping:", p.Fate, err)
	return 0
}

// hear changes something in a namespace, and says whether another one hears of it.
func hear(ns *os.File) string {
	l, err := netlink.Listen(unix.NETLINK_ROUTE, true, unix.RTNLGRP_LINK)
	if err != nil {
		return err.Error()
	}
	defer l.Close()
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	id, err := conn.NSID(ns, true)
	if err != nil {
		return err.Error()
	}
	change := exec.Command("nsenter", "--net=/proc/self/fd/3", "ip", "link", "set", "lo", "mtu", "16384")
	change.ExtraFiles = []*os.File{ns}
	if out, err := change.CombinedOutput(); err != nil {
		return err.Error() + " " + string(out)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	answer := "nothing is heard"
	err = l.Receive(ctx, func(m netlink.Message) {
		if m.NSID == id {
			answer = "heard"
			stop()
		}
	})
	if err != nil {
		return err.Error()
	}
	return answer
}

// TestCapabilities takes away each capability in turn, and wants the one thing to fail that it is for.
func TestCapabilities(t *testing.T) {
	sandbox.Need(t)
	_, root := cluster(t, "caps")
	must(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte("nameserver 10.0.0.53\n"), 0o644))
	// A socket of another user's process in the Pod.
	self, err := os.Open("/proc/self/exe") // others may not read where it is
	must(t, err)
	defer self.Close()
	listen := exec.Command("/proc/self/fd/3")
	listen.ExtraFiles, listen.Env = []*os.File{self}, []string{sceneVar + "=" + listenScene}
	listen.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	caps0 := &sandbox.NS{Name: "caps-0", Path: "/run/netns/caps-0"}
	must(t, caps0.Do(listen.Start))
	t.Cleanup(func() { _ = listen.Process.Kill(); _ = listen.Wait() })
	eventually(t, "it listens", func() bool { out, _ := caps0.Output("", "ss", "-Hltn"); return strings.Contains(out, ":8080") })
	must(t, caps0.Run("", "iptables-nft", "-A", "OUTPUT", "-j", "ACCEPT"))
	var all uint64
	for _, c := range needed {
		all |= 1 << c.bit
	}
	play := func(keep uint64) string {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", sceneVar, keep), hostVar+"="+root)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	whole := play(all)
	for _, want := range []string{fmt.Sprintf("have %#x %#x %d\n", all, all, len(needed)), fmt.Sprintf("%016x", all), `:8080 0.0.0.0:* users:((`, "ping: answered <nil>", "other namespaces: heard"} {
		if !strings.Contains(whole, want) {
			t.Errorf("with what it needs: no %q in\n%s", want, whole)
		}
	}
	if strings.Contains(whole, "gap:") {
		t.Errorf("with what it needs:\n%s", whole)
	}
	fails := map[string]struct{ has, hasNot string }{
		"SYS_ADMIN":       {"pod-shop-web-0 enter the namespace: operation not permitted", ""},
		"SYS_PTRACE":      {"gap: nodes/n/host this is the namespace of the collector: ", ""},
		"NET_ADMIN":       {"operation not permitted", ""},
		"NET_RAW":         {"ping: silent probe: operation not permitted", ""},
		"NET_BROADCAST":   {"other namespaces: netlink: listen: operation not permitted", ""},
		"DAC_READ_SEARCH": {":8080 0.0.0.0:*", `users:((`},
	}
	for _, c := range needed {
		t.Run(c.name, func(t *testing.T) {
			out := play(all &^ (1 << c.bit))
			want := fails[c.name]
			if !strings.Contains(out, want.has) || want.hasNot != "" && strings.Contains(out, want.hasNot) {
				t.Errorf("want %+v in\n%s", want, out)
			}
		})
	}
	var names []string
	for _, c := range needed {
		names = append(names, c.name)
	}
	for _, c := range kube.AgentCapabilities {
		if !slices.Contains(names, string(c)) || len(names) != len(kube.AgentCapabilities) {
			t.Errorf("an agent for one run is given %v, needed are %v", kube.AgentCapabilities, names)
		}
	}
}
