//go:build linux

package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// version is that of the Kubernetes in lab/hyper.
const version = "v1.36.3"

// plugins are the CNI plugins that flannel's configuration names.
var plugins = []string{"main/bridge", "main/loopback", "ipam/host-local", "meta/portmap"}

// sources are the folders of the module that a cluster's programs are built from.
var sources = []string{"lab/hyper", "lab/cluster/app"}

// build returns the directory of the cluster's programs. They are built where
// the cache has none of the same sources.
func (c *Cluster) build(ctx context.Context) (dir string, err error) {
	root, err := moduleRoot(c.Source)
	if err != nil {
		return "", err
	}
	key, err := hashSources(root)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(c.Cache, "bin-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(c.Cache, 0o755); err != nil {
		return "", err
	}
	next, err := os.MkdirTemp(c.Cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(next)
	flags := "-s -w"
	for name, v := range map[string]string{"gitVersion": version, "gitMajor": "1", "gitMinor": "36"} {
		flags += " -X k8s.io/component-base/version." + name + "=" + v
	}
	c.say("building Kubernetes %s, etcd, CoreDNS and flannel (the first time: about 20 minutes of CPU time)", version)
	hyper := filepath.Join(root, "lab/hyper")
	if err := c.goBuild(ctx, hyper, "-ldflags", flags, "-o", filepath.Join(next, "hyper"), "."); err != nil {
		return "", err
	}
	args := []string{"-ldflags", "-s -w", "-o", next + "/"}
	for _, p := range plugins {
		args = append(args, "github.com/containernetworking/plugins/plugins/"+p)
	}
	if err := c.goBuild(ctx, hyper, args...); err != nil {
		return "", err
	}
	if err := c.goBuild(ctx, root, "-ldflags", "-s -w", "-o", next+"/", "./lab/cluster/app"); err != nil {
		return "", err
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(next, dir); err != nil {
		return "", err
	}
	return dir, c.prune("bin-", dir)
}

// goBuild runs "go build", and says from time to time that it still does.
func (c *Cluster) goBuild(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	start := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Minute):
				c.say("still building, for %s", time.Since(start).Round(time.Second))
			}
		}
	}()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, lastLines(string(out), 20))
	}
	return nil
}

// moduleRoot returns the folder of plumb's sources, which dir is in.
func moduleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module github.com/plumbnet/plumb\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not in plumb's sources: the cluster's programs are built from them", dir)
		}
	}
}

// hashSources returns a key that changes with whatever the programs are built from.
func hashSources(root string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, version, plugins)
	for _, s := range sources {
		err := filepath.WalkDir(filepath.Join(root, s), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(p, "_test.go") {
				return err
			}
			b, err := os.ReadFile(p)
			fmt.Fprintln(h, strings.TrimPrefix(p, root), len(b))
			h.Write(b)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16], nil
}

// prune removes what the cache holds of older sources.
func (c *Cluster) prune(prefix, keep string) error {
	old, err := filepath.Glob(filepath.Join(c.Cache, prefix+"*"))
	for _, o := range old {
		if o != keep {
			err = errors.Join(err, os.RemoveAll(o))
		}
	}
	return err
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
