//go:build linux

package node

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// bound sets what a program may print and how long it may take, for a test.
func bound(t *testing.T, bytes int, d time.Duration) {
	t.Helper()
	oldOutput, oldRun := maxOutput, maxRun
	maxOutput, maxRun = bytes, d
	t.Cleanup(func() { maxOutput, maxRun = oldOutput, oldRun })
}

// TestBounds wants programs that hang or print without end to be stopped, and what they said by then to be kept with the reason.
func TestBounds(t *testing.T) {
	program(t, map[string]string{
		"hangs":   "echo half; exec /bin/sleep 30",
		"ignores": "trap '' TERM INT; echo half; while :; do /bin/sleep 1; done",
		"floods":  "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
		"much":    "i=0; while [ $i -lt 99 ]; do echo xxxxxxxxxxxxxxxxxx; i=$((i+1)); done",
		"orphan":  "echo ok; /bin/sleep 30 &",
	})
	bound(t, 1000, 500*time.Millisecond)
	for _, tt := range []struct {
		name, err string
		size      int
	}{
		{"hangs", "did not end within 500ms", len("half\n")},
		{"ignores", "did not end within 500ms", len("half\n")},
		{"floods", "did not end within 500ms", 1000},
		{"much", "prints more than 1000 bytes", 1000},
		{"orphan", "did not end within 500ms", len("ok\n")}, // its child holds the pipe: more may be said
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &worker{ctx: context.Background(), result: result{files: map[string][]byte{}}}
			start := time.Now()
			if w.run("f", tt.name) {
				t.Error("succeeded")
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if len(w.files["f"]) != tt.size || !strings.Contains(string(w.files["f.error"]), tt.err) {
				t.Errorf("%d bytes, error %q; want %d, %q", len(w.files["f"]), w.files["f.error"], tt.size, tt.err)
			}
		})
	}
}

// TestSaveGoesWrong has an iptables-save that does not do its job, in a namespace with rules: it costs
// what it did not say, with its reason, and nothing else.
func TestSaveGoesWrong(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "save-host")
	sh(t, host, "iptables-nft -A FORWARD -j DROP")
	const rules = "cat <<X\n*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j DROP\nCOMMIT\nX\n"
	const half = "cat <<X\n*filter\n:FORWARD ACCEPT [0:0]\nX\n"
	for _, tt := range []struct {
		name, script string
		rules        int    // of FORWARD
		gap          string // "" for none
	}{
		{"well", rules, 1, ""},
		{"warns", "echo '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them' >&2\n" + rules, 1, ""},
		{"warns among the rules", "echo '# Warning: something'\n" + rules, 1, ""},
		{"complains among the rules", "echo 'modprobe: FATAL: Module ip_tables not found'\n" + rules, 1, "modprobe: FATAL"},
		{"ends early", half, 0, "the text ends before COMMIT"},
		{"fails half way", half + "echo 'Resource temporarily unavailable' >&2; exit 4", 0, "exit status 4: Resource temporarily unavailable"},
		{"fails", "echo 'Permission denied (you must be root)' >&2; exit 4", 0, "exit status 4: Permission denied"},
		{"says nothing", "exit 0", 0, "prints nothing, although the kernel has something"},
		{"hangs", half + "exec sleep 30", 0, "did not end within 1s"},
		{"is killed", half + "kill -9 $$", 0, "signal: killed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program(t, map[string]string{"iptables-nft-save": "PATH=/bin:/usr/bin\n" + tt.script})
			bound(t, 1<<20, time.Second)
			files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: []NetNS{}})
			must(t, err)
			c, err := snapshot.Read(files)
			must(t, err)
			ns := c.Nodes[0].Host()
			n := 0
			for _, table := range ns.Netfilter.Tables {
				n += len(table.Chains["FORWARD"].Rules)
			}
			g, found := c.GapAt("nodes/n/host/iptables")
			if n != tt.rules || found != (tt.gap != "") || !strings.Contains(g.Why, tt.gap) {
				t.Errorf("%d rules, gap %q; want %d, %q", n, g.Why, tt.rules, tt.gap)
			}
			if len(ns.Links) != 1 || len(ns.FIB.Rules) == 0 || len(ns.Sysctl) == 0 {
				t.Errorf("the rest: %d links, %d rules, %d settings", len(ns.Links), len(ns.FIB.Rules), len(ns.Sysctl))
			}
		})
	}
}

// TestOpen opens what is no namespace: a pipe that nobody writes to, a file, a folder, a link that leads nowhere.
func TestOpen(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "open-host")
	dir := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	must(t, unix.Symlink("/nowhere", filepath.Join(dir, "link")))
	must(t, unix.Symlink("loop", filepath.Join(dir, "loop")))
	for _, tt := range []struct{ path, why string }{
		{filepath.Join(dir, "pipe"), "enter the namespace: invalid argument"},
		{"/proc/self/ns/mnt", "enter the namespace: invalid argument"},
		{"/proc/self/comm", "enter the namespace: invalid argument"},
		{dir, "enter the namespace: invalid argument"},
		{filepath.Join(dir, "link"), "no such file or directory"},
		{filepath.Join(dir, "loop"), "too many levels of symbolic links"},
	} {
		t.Run(filepath.Base(tt.path), func(t *testing.T) {
			files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: []NetNS{{Name: "x", Path: tt.path}}})
			must(t, err)
			c, err := snapshot.Read(files)
			must(t, err)
			if g, _ := c.GapAt("nodes/n/x"); !strings.Contains(g.Why, tt.why) {
				t.Errorf("gaps %v, want %q", c.Gaps, tt.why)
			}
			if c.Nodes[0].Host() == nil || len(c.Nodes[0].Host().Links) != 1 {
				t.Error("the node's own namespace is not there")
			}
		})
	}
}
