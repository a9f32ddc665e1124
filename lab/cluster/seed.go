//go:build linux

package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/lab/image"
	"golang.org/x/sys/unix"
)

// The images of the lab.
const (
	pauseImage = "plumb.lab/pause:1"
	appImage   = "plumb.lab/app:1"
	kubeImage  = "plumb.lab/kubernetes:1" // kube-proxy, flanneld and CoreDNS, with the programs that they call
)

// tools are the programs of this machine that kube-proxy and flannel call.
var tools = strings.Fields(`/usr/sbin/iptables /usr/sbin/iptables-save /usr/sbin/iptables-restore
	/usr/sbin/ip6tables /usr/sbin/ip6tables-save /usr/sbin/ip6tables-restore
	/usr/sbin/iptables-nft /usr/sbin/iptables-nft-save /usr/sbin/iptables-nft-restore
	/usr/sbin/ip6tables-nft /usr/sbin/ip6tables-nft-save /usr/sbin/ip6tables-nft-restore
	/usr/sbin/iptables-legacy /usr/sbin/iptables-legacy-save /usr/sbin/iptables-legacy-restore
	/usr/sbin/ip6tables-legacy /usr/sbin/ip6tables-legacy-save /usr/sbin/ip6tables-legacy-restore
	/usr/sbin/ipset /usr/sbin/nft /usr/sbin/conntrack`)

// environment is that of every container.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}

// seed returns a directory as containerd keeps it, with the lab's images in it.
// It is made once; the nodes' are clones of it, which share its files: what is
// in an image is never written to. That saves each node an import of 200 MB.
func (c *Cluster) seed(ctx context.Context) (string, error) {
	kube, err := c.kubeLayer()
	if err != nil {
		return "", err
	}
	app := image.Layer{{Path: "/app", From: filepath.Join(c.bin, "app")}}
	key, err := hashLayers(app, kube)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Cache, "seed-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	c.say("making container images")
	work, err := os.MkdirTemp(c.Cache, "seeding-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	archives := map[string]func(*os.File) error{
		"app.tar": func(f *os.File) error {
			return image.Write(f,
				image.Image{Name: pauseImage, Entrypoint: []string{"/app", "pause"}, Env: environment, Layers: []image.Layer{app}},
				image.Image{Name: appImage, Entrypoint: []string{"/app"}, Env: environment, Layers: []image.Layer{app}})
		},
		"kube.tar": func(f *os.File) error {
			return image.Write(f, image.Image{Name: kubeImage, Env: environment, Layers: []image.Layer{kube}})
		},
	}
	var paths []string
	for name, write := range archives {
		f, err := os.Create(filepath.Join(work, name))
		if err != nil {
			return "", err
		}
		if err := write(f); err != nil {
			f.Close()
			return "", fmt.Errorf("image %s: %w", name, err)
		}
		if err := f.Close(); err != nil {
			return "", err
		}
		paths = append(paths, f.Name())
	}
	if err := importInto(ctx, work, paths); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(work, "root"), dir); err != nil {
		return "", err
	}
	return dir, c.prune("seed-", dir)
}

// kubeLayer is the file system of kube-proxy, flannel and CoreDNS.
func (c *Cluster) kubeLayer() (image.Layer, error) {
	l, err := image.Programs(tools...)
	if err != nil {
		return nil, err
	}
	extensions, err := image.Extensions()
	if err != nil {
		return nil, err
	}
	l = append(l, extensions...)
	l = append(l, image.File{Path: "/usr/bin/hyper", From: filepath.Join(c.bin, "hyper")})
	for _, name := range []string{"kube-proxy", "flanneld", "coredns"} {
		l = append(l, image.File{Path: "/usr/bin/" + name, Link: "hyper"})
	}
	for _, name := range []string{"protocols", "services"} { // iptables and ipset look names up in them
		if _, err := os.Stat("/etc/" + name); err == nil {
			l = append(l, image.File{Path: "/etc/" + name, From: "/etc/" + name, Mode: 0o644})
		}
	}
	return append(l, image.File{Path: "/etc/passwd", Text: "root:x:0:0:root:/root:/sbin/nologin\n", Mode: 0o644}), nil
}

// hashLayers returns a key that changes with the files of layers.
func hashLayers(layers ...image.Layer) (string, error) {
	h := sha256.New()
	for _, l := range layers {
		for _, f := range l {
			fmt.Fprintf(h, "%q %q %q\n", f.Path, f.Link, f.Text)
			if f.From == "" {
				continue
			}
			info, err := os.Stat(f.From)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(h, f.From, info.Size(), info.ModTime().UnixNano())
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16], nil
}

// importInto has a containerd of its own import archives into work/root. It runs
// in a mount namespace that ends with it.
func importInto(ctx context.Context, work string, archives []string) error {
	config := filepath.Join(work, "containerd.toml")
	socket := filepath.Join(work, "sock")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n",
		filepath.Join(work, "root"), filepath.Join(work, "state"), socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	var log bytes.Buffer
	daemon := exec.Command("unshare", "-m", "--propagation", "private", "containerd", "-c", config)
	daemon.Stdout, daemon.Stderr = &log, &log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		daemon.Process.Signal(unix.SIGTERM)
		daemon.Wait()
	}()
	if err := answers(ctx, socket); err != nil {
		return fmt.Errorf("containerd does not come up: %w\n%s", err, lastLines(log.String(), 10))
	}
	for _, a := range archives {
		out, err := exec.CommandContext(ctx, "ctr", "-a", socket, "-n", "k8s.io", "images", "import", a).CombinedOutput()
		if err != nil {
			return fmt.Errorf("import %s: %w: %s\n%s", filepath.Base(a), err, out, lastLines(log.String(), 10))
		}
	}
	return nil
}

// answers waits until a connection to a socket is taken: the file is there a moment before.
func answers(ctx context.Context, socket string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// clone copies a seed. The contents of images are shared as hard links, where
// the file system can; containerd's own tables are copied.
func clone(seed, dir string) error {
	return filepath.WalkDir(seed, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(p, seed))
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			return os.Chmod(to, info.Mode())
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		case strings.Contains(p, "/blobs/") || strings.Contains(p, "/snapshots/"):
			if os.Link(p, to) == nil {
				return nil
			}
		}
		if !d.Type().IsRegular() {
			return nil // a socket that containerd left
		}
		return copyFile(p, to, info.Mode())
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, mode)
}
