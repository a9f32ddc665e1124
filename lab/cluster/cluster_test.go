//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// up brings a cluster up for a test, and takes it down after it.
func up(t *testing.T, o Options) *Cluster {
	t.Helper()
	wanted := os.Getenv("PLUMB_CLUSTER")
	if wanted == "" {
		t.Skip("PLUMB_CLUSTER is not set: a cluster takes a minute, and the first one twenty")
	}
	if err := Needs(); err != nil && wanted == "auto" {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Progress = dir, os.Stderr
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, "rack.json")); err == nil {
			if err := Down(dir); err != nil {
				t.Error(err)
			}
		}
		os.RemoveAll(dir)
	})
	start := time.Now()
	c, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Ready after %s", time.Since(start).Round(100*time.Millisecond))
	return c
}

// state is what of the real machine a cluster must leave as it was.
func state(t *testing.T) string {
	t.Helper()
	var out []string
	for _, f := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"} {
		b, err := os.ReadFile("/proc/sys/" + f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f+"="+strings.TrimSpace(string(b)))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/var/tmp/cluster") || strings.Contains(line, "containerd") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	for _, pattern := range []string{"/var/lib/kubelet", "/etc/cni", "/opt/cni", "/var/lib/cni", "/sys/fs/cgroup/*/kubepods", "/sys/class/net/*"} {
		found, _ := filepath.Glob(pattern)
		out = append(out, found...)
	}
	return strings.Join(out, "\n")
}

// TestCluster brings up a cluster of which one node has kube-proxy in the other
// mode, uses everything in it once, and wants nothing left of it.
func TestCluster(t *testing.T) {
	before := state(t)
	c := up(t, Options{Proxy: map[string]string{"node-b": "nftables"}})
	ctx := t.Context()
	pods := podsOf(t, c, "shop")
	for _, n := range c.Nodes {
		if pods[n+"/web"].Name == "" || pods[n+"/api"].Name == "" {
			t.Fatalf("%s lacks a Pod: %v", n, pods)
		}
	}
	for i, n := range c.Nodes {
		web := pods[n+"/web"]
		next := pods[c.Nodes[(i+1)%len(c.Nodes)]+"/api"]
		for _, s := range []struct{ name, what, want string }{
			{"a Pod on another node", "get http://" + next.Status.PodIP + ":8080", next.Name + " at .* saw " + web.Status.PodIP + ":"},
			{"the Service's address", "get http://" + clusterIP(t, c) + ":80", "^200 api-"},
			{"the Service's name", "get http://api.shop.svc.cluster.local", "^200 api-"},
			{"a short name", "get http://api", "^200 api-"},
			{"a name outside", "lookup outside.example", OutsideIP},
			{"the Internet", "get http://" + OutsideIP, "saw " + nodeIP(i).String() + ":"},
			{"a big answer", "get http://" + next.Status.PodIP + ":8080/bytes?n=200000", "200000 bytes"},
		} {
			t.Run(n+" to "+s.name, func(t *testing.T) {
				eventually(t, s.want, func() (string, error) {
					return c.Exec(ctx, "shop", web.Name, append([]string{"/app"}, strings.Fields(s.what)...)...)
				})
			})
		}
		t.Run("the node port of "+n, func(t *testing.T) {
			url := fmt.Sprintf("http://%s:30080", nodeIP(i))
			eventually(t, "^200 api-", func() (string, error) { return c.Run(Outside, filepath.Join(c.bin, "app"), "get", url) })
		})
	}
	t.Run("the API server within the cluster", func(t *testing.T) {
		// Without a token it refuses, which shows that it was reached.
		_, err := c.Exec(ctx, "shop", "web-0", "/app", "get", "https://kubernetes.default")
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Error(err)
		}
	})
	t.Run("kube-proxy's modes", func(t *testing.T) { proxyModes(t, c) })
	t.Run("kube-proxy in another mode", func(t *testing.T) {
		if err := c.SetProxy(ctx, map[string]string{"node-a": "nftables", "node-b": "iptables"}); err != nil {
			t.Fatal(err)
		}
		proxyModes(t, c)
	})
	t.Run("logs", func(t *testing.T) {
		eventually(t, "flannel is ready", func() (string, error) {
			return c.Kubectl(ctx, "logs", "-n", "kube-flannel", "daemonset/kube-flannel-ds", "--tail=-1")
		})
	})
	t.Run("a kubelet that stops", func(t *testing.T) { kubeletStops(t, c) })
	t.Run("another process", func(t *testing.T) {
		again, err := Open(c.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Kubectl(ctx, "get", "nodes"); err != nil {
			t.Error(err)
		}
		if _, err := Up(ctx, Options{Dir: c.Dir}); err == nil || !strings.Contains(err.Error(), "is up") {
			t.Errorf("a second cluster in the same place: %v", err)
		}
	})
	if err := Down(c.Dir); err != nil {
		t.Fatal(err)
	}
	if after := state(t); after != before {
		t.Errorf("the machine is not as it was:\n%s\nbefore:\n%s", after, before)
	}
	if _, err := os.Stat(c.Dir); err == nil {
		t.Errorf("%s is still there", c.Dir)
	}
	if err := Down(c.Dir); err == nil {
		t.Error("taken down twice")
	}
}

// podsOf returns the Pods of a namespace, by "node/app".
func podsOf(t *testing.T, c *Cluster, namespace string) map[string]corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods", &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]corev1.Pod{}
	for _, p := range list.Items {
		out[p.Spec.NodeName+"/"+p.Labels["app"]] = p
	}
	return out
}

func clusterIP(t *testing.T, c *Cluster) string {
	t.Helper()
	var s corev1.Service
	if err := c.Get(t.Context(), "/api/v1/namespaces/shop/services/api", &s); err != nil {
		t.Fatal(err)
	}
	return s.Spec.ClusterIP
}

// eventually asks until the answer matches, or it is time to give up.
func eventually(t *testing.T, want string, ask func() (string, error)) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out, err := ask()
		if regexp.MustCompile(want).MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, %v, want %s", out, err, want)
		}
	}
}

// proxyModes wants each node to have rules of its own mode only.
func proxyModes(t *testing.T, c *Cluster) {
	for _, n := range c.Nodes {
		ipt, err := c.Run(n, "iptables-save", "-t", "nat")
		if err != nil {
			t.Fatal(err)
		}
		nft, err := c.Run(n, "nft", "list", "tables")
		if err != nil {
			t.Fatal(err)
		}
		wantNft := c.Proxy[n] == "nftables"
		if got := strings.Contains(nft, "table ip kube-proxy"); got != wantNft {
			t.Errorf("%s: table kube-proxy: %v, want %v", n, got, wantNft)
		}
		if got := strings.Contains(ipt, "KUBE-SERVICES"); got == wantNft {
			t.Errorf("%s: chain KUBE-SERVICES: %v, want %v", n, got, !wantNft)
		}
	}
}

// kubeletStops stops a kubelet, and wants the node to be NotReady until it is started again.
func kubeletStops(t *testing.T, c *Cluster) {
	if err := c.Stop("node-c", "kubelet"); err != nil {
		t.Fatal(err)
	}
	ready := func() (string, error) {
		err := c.nodesReady(context.Background())
		return fmt.Sprint(err), nil
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if out, _ := ready(); strings.Contains(out, "node-c: ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("node-c is still Ready")
		}
	}
	if err := c.Start("node-c", "kubelet"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "^<nil>$", ready)
}
