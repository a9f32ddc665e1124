//go:build linux

package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
)

// TestContainers runs a container on a node, of the images that the lab makes,
// with everything that a cluster has but Kubernetes, which takes long to build.
func TestContainers(t *testing.T) {
	if err := Needs(); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "containers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err := plan(Options{Dir: filepath.Join(dir, "rack"), Cache: filepath.Join(dir, "cache"), Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.bin = filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", c.bin+"/", "./app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.MkdirAll(c.Cache, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range append([]string{"x/hyper"}, plugins...) { // they need only be there
		if err := copyFile(filepath.Join(c.bin, "app"), filepath.Join(c.bin, filepath.Base(p)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	seed, err := c.seed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.seed(t.Context()); again != seed || err != nil {
		t.Errorf("the same images, another seed: %s, %v", again, err)
	}
	node(t, c, seed)
	run := func(image string, argv ...string) (string, error) {
		return c.Run("node-a", append([]string{"ctr", "-n", "k8s.io", "run", "--rm", "--cgroup", "/kubepods/test", image, "test"}, argv...)...)
	}
	for _, s := range []struct{ name, image, argv, want string }{
		{"the app", appImage, "/app lookup 127.0.0.1", "127.0.0.1"},
		{"programs with libraries", kubeImage, "/usr/sbin/iptables --version", "nf_tables"},
		{"programs by their links", kubeImage, "/usr/sbin/iptables-legacy-save --version", "legacy"},
		{"a link to the program", kubeImage, "/usr/bin/coredns lookup 127.0.0.1", "127.0.0.1"},
	} {
		t.Run(s.name, func(t *testing.T) {
			out, err := run(s.image, strings.Fields(s.argv)...)
			if err != nil || !strings.Contains(out, s.want) {
				t.Errorf("%q, %v, want %q", out, err, s.want)
			}
		})
	}
	if err := machine.Remove(c.Dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods"); len(left) > 0 {
		t.Errorf("cgroups of the real machine: %v", left)
	}
}

// node starts a rack whose node-a runs containerd from a seed.
func node(t *testing.T, c *Cluster, seed string) {
	t.Helper()
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := c.rack()
	t.Cleanup(func() {
		if _, err := os.Stat(c.path("rack.json")); err == nil {
			machine.Remove(c.Dir)
		}
	})
	if err := r.Declare(); err != nil {
		t.Fatal(err)
	}
	if err := c.prepare(seed); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.startAll("node-a", []machine.Program{containerd(c)}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, err := c.Run("node-a", "ctr", "version")
		if err == nil {
			return
		}
		if ended := c.ended(); ended != "" || time.Now().After(deadline) {
			t.Fatal(err, ended)
		}
	}
}
