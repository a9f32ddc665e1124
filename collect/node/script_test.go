//go:build linux

package node

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// shells are those that the script has to work with, where they are installed.
var shells = [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}}

// ran is what the script said and wrote.
type ran struct {
	said   string
	bundle []byte
	*snapshot.Cluster
}

// runScript runs the script with each shell there is.
func runScript(t *testing.T, args []string, f func(t *testing.T, got ran)) {
	script := filepath.Join(t.TempDir(), "collect.sh")
	must(t, os.WriteFile(script, []byte(Script), 0o644))
	for _, shell := range shells {
		t.Run(shell[0], func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Skip(shell[0] + " is not installed")
			}
			out := filepath.Join(t.TempDir(), "out.tar.gz")
			cmd := exec.Command(shell[0], append(append(shell[1:], script), append(args, out)...)...)
			said, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			data, err := os.ReadFile(out)
			must(t, err)
			c, err := snapshot.ReadBundle(out, bytes.NewReader(data))
			must(t, err)
			f(t, ran{string(said), data, c})
		})
	}
}

// TestScript wants the same snapshot from the script as from Collect.
func TestScript(t *testing.T) {
	sandbox.Need(t)
	host, pod := makeNode(t)
	files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: []NetNS{{Name: "p", Path: pod.Path}}})
	must(t, err)
	want, err := snapshot.Read(files)
	must(t, err)
	runScript(t, []string{"--node", "n", "--host", host.Path, "--netns", "p=" + pod.Path}, func(t *testing.T, got ran) {
		if d := clusterDiff(want, got.Cluster); d != "" {
			t.Errorf("(-plumb +script):\n%s", d)
		}
		for _, g := range got.Gaps {
			t.Errorf("gap: %v", g)
		}
		if lines := strings.Split(strings.TrimSpace(got.said), "\n"); len(lines) != 1 {
			t.Errorf("the script says too much:\n%s", got.said)
		}
		if got.Nodes[0].Host() == nil {
			t.Fatalf("no namespace of the node's own; the script says:\n%s", got.said)
		}
		for _, name := range []string{"conntrack_count", "conntrack_max", "conntrack_drop"} {
			if _, ok := got.Nodes[0].Host().Stat[name]; !ok {
				t.Errorf("no %s in %v", name, got.Nodes[0].Host().Stat)
			}
		}
	})
}

// TestScriptFinds wants the script to find namespaces by itself.
func TestScriptFinds(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "h3")
	newNS(t, "found")
	runScript(t, []string{"--host", host.Path}, func(t *testing.T, got ran) {
		n := got.Nodes[0]
		for _, ns := range n.NetNS {
			if ns.Name == "found" && len(ns.Links) == 1 && ns.Inode != 0 && n.Host() != nil && n.Kernel != "" && !n.Taken.IsZero() {
				return
			}
		}
		t.Errorf("no namespace \"found\" in %+v", n)
	})
}

// TestScriptWithoutTools wants a gap for each tool that is not there.
func TestScriptWithoutTools(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "h4")
	bin := t.TempDir()
	for _, tool := range []string{"sh", "dash", "bash", "busybox", "tar", "gzip", "stat", "sed", "tr", "cat", "uname", "mktemp", "rm", "id", "date", "mkdir", "nsenter", "grep", "head", "ls", "sort"} {
		if path, err := exec.LookPath(tool); err == nil {
			must(t, os.Symlink(path, filepath.Join(bin, tool)))
		}
	}
	script := filepath.Join(bin, "collect.sh")
	// The folders that the script adds to PATH have the tools.
	must(t, os.WriteFile(script, []byte(strings.Replace(Script, "PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin", "", 1)), 0o644))
	t.Setenv("PATH", bin)
	out := filepath.Join(bin, "out.tar.gz")
	said, err := exec.Command("sh", script, "--node", "n", "--host", host.Path, "--netns", "x=/nowhere", out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	data, err := os.ReadFile(out)
	must(t, err)
	c, err := snapshot.ReadBundle("out", bytes.NewReader(data))
	must(t, err)
	for path, why := range map[string]string{
		"nodes/n/host/addr.json": "ip: not found",
		"nodes/n/host/fdb.json":  "bridge: not found",
		"nodes/n/host/sockets":   "ss: not found",
		"nodes/n/host/iptables":  "iptables-nft-save: not found",
		"nodes/n/host/nft.json":  "nft: not found",
		"nodes/n/x":              "/nowhere: cannot be opened",
	} {
		if g, _ := c.GapAt(path); g.Why != why {
			t.Errorf("gap at %s: %q, want %q", path, g.Why, why)
		}
	}
	if len(c.Nodes[0].Host().Sysctl) < 50 {
		t.Errorf("sysctl: %v", c.Nodes[0].Host().Sysctl)
	}
}

// TestScriptObjects wants the objects of a kubectl that stands in for a cluster's.
func TestScriptObjects(t *testing.T) {
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "kubectl"), []byte(`#!/bin/sh
[ "$3" = ingresses.networking.k8s.io ] && { echo 'Error from server (Forbidden)' >&2; exit 1; }
[ "$2" = api-resources ] && { printf 'pods\nciliumnetworkpolicies.cilium.io\n'; exit; }
[ "$3" = ciliumnetworkpolicies.cilium.io ] && { echo '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"c","namespace":"shop"}}]}'; exit; }
[ "$3" = adminnetworkpolicies.policy.networking.k8s.io ] && { echo 'no such kind' >&2; exit 1; }
[ "$3" = services ] && { echo '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"api","namespace":"shop"}}]}'; exit; }
echo '{"apiVersion":"v1","kind":"List","items":[]}'
`), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	runScript(t, []string{"--only-objects"}, func(t *testing.T, c ran) {
		if len(c.Objects.Services) != 1 || !c.Objects.Have["Pod"] || !c.Objects.Have["ConfigMap"] || c.Objects.Have["Ingress"] {
			t.Errorf("objects: %+v", c.Objects)
		}
		if len(c.Objects.CiliumNetworkPolicies) != 1 || !c.Objects.Have["AdminNetworkPolicy"] || !c.Objects.Have["CalicoNetworkPolicy"] {
			t.Errorf("kinds that a cluster need not have: %v", c.Objects.Have)
		}
		if g, _ := c.MissingKind("Ingress"); !strings.HasPrefix(g.Why, "Error from server (Forbidden)") {
			t.Errorf("gap: %v", g)
		}
	})
}

func TestScriptArguments(t *testing.T) {
	script := filepath.Join(t.TempDir(), "collect.sh")
	must(t, os.WriteFile(script, []byte(Script), 0o644))
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", nil, "say which file to write"},
		{"two files", []string{"a", "b"}, "one file to write, not two: a and b"},
		{"unknown option", []string{"--x"}, "unknown option --x"},
		{"no value", []string{"--node"}, "--node needs a value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command("sh", append([]string{script}, tt.args...)...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s; want %q", err, out, tt.want)
			}
		})
	}
	out, err := exec.Command("sh", script, "--help").Output()
	if err != nil || !strings.Contains(string(out), "sh collect.sh OUT.tar.gz") || strings.Contains(string(out), "set -u") {
		t.Errorf("help: %v\n%s", err, out)
	}
}
