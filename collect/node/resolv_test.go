//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// container starts a process with a network namespace and a root folder of its own, in which a script has
// put what it likes, and returns its namespace.
func container(t *testing.T, script string) NetNS {
	t.Helper()
	root := t.TempDir()
	must(t, os.Chmod(root, 0o755))
	const frame = `set -e; cd "$1"; mkdir -p usr etc run proc; for d in bin lib lib64; do ln -s usr/$d $d; done; mount --bind /usr usr
%s
exec chroot "$1" sh -c 'echo up; exec sleep 600'`
	cmd := exec.Command("sh", "-c", fmt.Sprintf(frame, script), "sh", root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatalf("the container did not come up: %v", err)
	}
	return NetNS{Name: "p", Pod: "shop/web-0", Path: fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)}
}

// TestResolvConf collects the resolv.conf of containers that mean well, and of those that do not.
func TestResolvConf(t *testing.T) {
	sandbox.Need(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("nameserver 6.6.6.6\n"), 0o644))
	const good = `printf 'nameserver 10.96.0.10\nsearch shop.svc.cluster.local\n# a comment\noptions ndots:5 \n nameserver 1.1.1.1\npassword hush\n' > `
	const want = "nameserver 10.96.0.10\nsearch shop.svc.cluster.local\noptions ndots:5\n"
	for _, tt := range []struct{ name, script, want, why string }{
		{"a kubelet's", good + "etc/resolv.conf", want, ""},
		{"an empty one", ": > etc/resolv.conf", "", ""},
		{"a link within", good + "run/it; ln -s /run/it etc/resolv.conf", want, ""},
		{"a link out, absolute", "ln -s " + secret + " etc/resolv.conf", "", "no such file or directory"},
		{"a link out, by dots", "ln -s ../../../../../../../.." + secret + " etc/resolv.conf", "", "no such file or directory"},
		{"a folder that leads out", "rmdir etc; ln -s " + filepath.Dir(secret) + " etc", "", "no such file or directory"},
		{"a link by a process", "mount -t proc p proc; ln -s /proc/1/root" + secret + " etc/resolv.conf", "", "too many levels of symbolic links"},
		{"a pipe", "mkfifo etc/resolv.conf", "", "no regular file"},
		{"a device", "mknod etc/resolv.conf c 1 5", "", "no regular file"},
		{"a folder", "mkdir etc/resolv.conf", "", "no regular file"},
		{"none", "", "", "no such file or directory"},
		{"a large one", "head -c 70000 /dev/zero | tr '\\0' a > etc/resolv.conf", "", "more than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := container(t, tt.script)
			files, err := Collect(context.Background(), Options{Node: "n", NetNS: []NetNS{ns}})
			must(t, err)
			c, err := snapshot.Read(files)
			must(t, err)
			got, ok := of(c, "p").Resolv[snapshot.ResolvConf]
			if d := cmp.Diff(tt.want, got); d != "" || ok != (tt.why == "") {
				t.Errorf("%v (-want +got):\n%s", ok, d)
			}
			if g, _ := c.GapAt("nodes/n/p/resolv.conf"); !strings.Contains(g.Why, tt.why) || tt.why == "" && g.Why != "" {
				t.Errorf("gap %q, want %q", g.Why, tt.why)
			}
			runScript(t, []string{"--node", "n", "--netns", "p=" + ns.Path}, func(t *testing.T, s ran) {
				text := of(s.Cluster, "p").Resolv[snapshot.ResolvConf]
				if strings.Contains(text, "6.6.6.6") || strings.Contains(text, "hush") || ok && text != got && tt.name != "a link within" {
					t.Errorf("the script has %q, Collect %q", text, got)
				}
			})
		})
	}
}

// of returns a namespace of the only node.
func of(c *snapshot.Cluster, name string) *snapshot.NetNS {
	for _, ns := range c.Nodes[0].NetNS {
		if ns.Name == name {
			return ns
		}
	}
	return &snapshot.NetNS{}
}

// TestResolvConfOfNode reads the node's own, through the link that systemd makes of it.
func TestResolvConfOfNode(t *testing.T) {
	sandbox.Need(t)
	root := t.TempDir()
	for name, text := range map[string]string{
		"run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\noptions edns0 trust-ad\n",
		"run/systemd/resolve/resolv.conf":      "# by systemd\nnameserver 203.0.113.10\nsearch example.org\n",
	} {
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	must(t, os.Symlink("/run/systemd/resolve/stub-resolv.conf", filepath.Join(root, "etc/resolv.conf")))
	files, err := Collect(context.Background(), Options{Node: "n", Root: root, NetNS: []NetNS{}})
	must(t, err)
	c, err := snapshot.Read(files)
	must(t, err)
	want := map[string]string{
		snapshot.ResolvConf:        "nameserver 127.0.0.53\noptions edns0 trust-ad\n",
		snapshot.SystemdResolvConf: "nameserver 203.0.113.10\nsearch example.org\n",
	}
	if d := cmp.Diff(want, c.Nodes[0].Host().Resolv); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestResolvConfLate wants a gap where another reads, and does not end.
func TestResolvConfLate(t *testing.T) {
	reading <- struct{}{}
	defer func() { <-reading }()
	s := spaces{list: []space{{name: "host"}, {name: "a", inode: 7}, {name: "b", inode: 8}}, in: map[uint64][]int{7: {1}}}
	start := time.Now()
	s.resolvConfs("/proc")
	if took := time.Since(start); took > 2*resolvPatience {
		t.Errorf("it took %s", took)
	}
	if a, b := s.list[1].conf, s.list[2].conf; !a.tried || a.err == nil || b.tried {
		t.Errorf("%+v, %+v", a, b)
	}
}
