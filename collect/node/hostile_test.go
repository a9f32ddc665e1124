//go:build linux

package node

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// hostileNames are names that "ip netns add" would take, and that a careless shell would act on.
var hostileNames = []string{
	"$(touch pwned)", "`touch pwned`", "a; touch pwned", "-rf", "--net=x", "*", "a b", "new\nline", "tab\there",
	`quo"te`, `back\slash`, "'single'", "node.json", "host", "x.error", ".hidden", "..x", "=", "a=b", "%s%n", "\x1b[31m",
	strings.Repeat("long", 60),
}

// hostileSpaces makes a namespace of each of the names, and returns them by inode.
func hostileSpaces(t *testing.T) map[uint64]string {
	t.Helper()
	inodes := map[uint64]string{}
	for _, name := range hostileNames {
		inode, err := inodeOf(newNS(t, name).Path)
		must(t, err)
		inodes[inode] = name
	}
	return inodes
}

// TestScriptHostileNames wants the script to write nothing but its bundle, whatever namespaces are called, and to leave none out.
func TestScriptHostileNames(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "hostile-host")
	inodes := hostileSpaces(t)
	for _, shell := range shells[:1] { // a second a namespace, in three shells, is too long; the others get the arguments below
		t.Run(shell[0], func(t *testing.T) {
			all, args := runIn(t, shell, "--host", host.Path, "--node", "../../../n")
			if all == nil {
				t.Skip(shell[0] + " is not installed")
			}
			left := map[uint64]string{}
			for inode, name := range inodes {
				left[inode] = name
			}
			for _, ns := range all.Nodes[0].NetNS {
				delete(left, ns.Inode)
				if len(ns.Links) == 0 {
					t.Errorf("%q is empty", ns.Name)
				}
			}
			if len(left) > 0 || len(all.Nodes) != 1 {
				t.Errorf("%d nodes; left out: %v\n%v", len(all.Nodes), left, args)
			}
			for _, g := range all.Gaps {
				if strings.Contains(g.Path, "node.json") || strings.Contains(g.Why, "mkdir") {
					t.Errorf("gap: %v", g)
				}
			}
		})
	}
}

// TestScriptHostileArguments gives the names on the command line, where they may have slashes too.
func TestScriptHostileArguments(t *testing.T) {
	sandbox.Need(t)
	host, pod := newNS(t, "args-host"), newNS(t, "args-pod")
	for _, shell := range shells {
		for _, name := range []string{"$(touch pwned)\n`touch pwned`", "../../../../up", "/etc/x", "", "..", "a\"b\\c"} {
			t.Run(shell[0]+"/"+strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
				c, _ := runIn(t, shell, "--node", name, "--host", host.Path, "--netns", strings.ReplaceAll(name, "=", "")+"="+pod.Path)
				if c == nil {
					t.Skip(shell[0] + " is not installed")
				}
				if len(c.Nodes) != 1 || len(c.Nodes[0].NetNS) != 2 || c.Nodes[0].Name == "" {
					t.Errorf("%+v", c.Nodes)
				}
			})
		}
	}
}

// runIn runs the script in a fresh folder, wants it to leave only the bundle there, and reads that. It returns nil without the shell.
func runIn(t *testing.T, shell []string, args ...string) (*snapshot.Cluster, []string) {
	t.Helper()
	if _, err := exec.LookPath(shell[0]); err != nil {
		return nil, nil
	}
	root := t.TempDir()
	cwd := filepath.Join(root, "a/b/c/d")
	tmp := filepath.Join(cwd, "tmp")
	must(t, os.MkdirAll(tmp, 0o755))
	must(t, os.WriteFile(filepath.Join(cwd, "collect.sh"), []byte(Script), 0o644))
	argv := slices.Concat(shell, []string{"collect.sh"}, args, []string{"out.tar.gz"})
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = cwd
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "TAR_OPTIONS=--remove-files", "GZIP=-1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, said)
	}
	var files []string
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() || path == tmp {
			files = append(files, strings.TrimPrefix(path, cwd+"/"))
		}
		return err
	}))
	if want := []string{"collect.sh", "out.tar.gz", "tmp"}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	data, err := os.ReadFile(filepath.Join(cwd, "out.tar.gz"))
	must(t, err)
	c, err := snapshot.ReadBundle("out.tar.gz", bytes.NewReader(data))
	must(t, err)
	return c, argv
}

// TestCollectHostileNames wants the same of Collect.
func TestCollectHostileNames(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "hostile-host2")
	inodes := hostileSpaces(t)
	files, err := Collect(context.Background(), Options{Node: "..", Host: host.Path})
	must(t, err)
	for name := range files {
		if !fs.ValidPath(name) || strings.ContainsAny(name, "\n\t ") || strings.Count(name, "/") > 3 {
			t.Errorf("a file %q", name)
		}
	}
	var packed bytes.Buffer
	must(t, snapshot.Write(&packed, files))
	c, err := snapshot.ReadBundle("x.tar.gz", &packed)
	must(t, err)
	for _, ns := range c.Nodes[0].NetNS {
		delete(inodes, ns.Inode)
	}
	if len(inodes) > 0 {
		t.Errorf("left out: %v", inodes)
	}
}
