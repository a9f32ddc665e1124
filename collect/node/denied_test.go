//go:build linux

package node

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// withoutCapabilities runs f on a thread that may do no more than anyone, and that ends with it.
func withoutCapabilities(t *testing.T, ns *sandbox.NS, f func()) {
	t.Helper()
	must(t, ns.Do(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		f()
		return nil
	}))
}

// TestDenied collects without the capabilities that it takes: what is refused is a gap with the kernel's reason, and
// what is not is collected.
func TestDenied(t *testing.T) {
	sandbox.Need(t)
	own, other := newNS(t, "denied-own"), newNS(t, "denied-other")
	sh(t, own, "iptables-nft -A FORWARD -j DROP\nipset create x hash:ip")
	f := finder{o: Options{Host: own.Path}, at: map[uint64]int{}}
	must(t, f.host())
	defer f.close()
	inode, err := inodeOf(other.Path)
	must(t, err)
	f.add(inode, other.Path, "other", "")
	withoutCapabilities(t, own, func() {
		w := &worker{ctx: context.Background(), proc: "/proc", spaces: f.list}
		if r := w.collect(f.list[1]); len(r.files) != 0 || len(r.gaps) != 1 || r.gaps[0].Why != "enter the namespace: operation not permitted" {
			t.Errorf("another namespace: %d files, gaps %v", len(r.files), r.gaps)
		}
		files := snapshot.Files{}
		for name, data := range w.collect(f.list[0]).files {
			files["nodes/n/host/"+name] = data
		}
		c, err := snapshot.Read(files)
		must(t, err)
		for _, name := range []string{"iptables", "ip6tables", "nft.json", "ipset"} {
			if g, _ := c.GapAt("nodes/n/host/" + name); !strings.Contains(g.Why, "operation not permitted") {
				t.Errorf("%s: gap %q", name, g.Why)
			}
		}
		ns := c.Nodes[0].Host()
		if len(ns.Links) != 1 || len(ns.FIB.Rules) == 0 || len(ns.Sysctl) == 0 {
			t.Errorf("what anyone may read: %d links, %d rules, %d settings", len(ns.Links), len(ns.FIB.Rules), len(ns.Sysctl))
		}
	})
}

// asNobody says in the environment that the test collects, and prints the files.
const asNobody = "PLUMB_TEST_NOBODY"

// TestNobody collects a machine as a user who may enter no namespace but its own.
func TestNobody(t *testing.T) {
	if os.Getenv(asNobody) != "" {
		files, err := Collect(context.Background(), Options{Node: "n"})
		must(t, err)
		must(t, json.NewEncoder(os.Stdout).Encode(files))
		return
	}
	sandbox.Need(t)
	must(t, sandbox.Setup())
	// Others may not read where the test's program is; through an open file they can run it.
	self, err := os.Open("/proc/self/exe")
	must(t, err)
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestNobody$")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), asNobody+"=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var files snapshot.Files
	must(t, json.NewDecoder(strings.NewReader(string(out))).Decode(&files))
	c, err := snapshot.Read(files)
	must(t, err)
	for path, why := range map[string]string{
		"nodes/n/host":          "this is the namespace of the collector: open /proc/1/ns/net: permission denied",
		"nodes/n/host/iptables": "operation not permitted",
		"nodes/n/processes":     "processes: permission denied",
	} {
		if g, _ := c.GapAt(path); !strings.Contains(g.Why, why) {
			t.Errorf("gap at %s: %q, want %q", path, g.Why, why)
		}
	}
	if ns := c.Nodes[0].Host(); ns == nil || ns.Inode == 0 || len(ns.Links) == 0 {
		t.Errorf("its own namespace: %+v", ns)
	}
	runtime.KeepAlive(self)
}
