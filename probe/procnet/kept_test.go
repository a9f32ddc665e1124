//go:build linux

package procnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
)

// cgroup2 is where version 2 of cgroups is, alone or beside version 1.
func cgroup2(t *testing.T) string {
	t.Helper()
	sandbox.Need(t)
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir
		}
	}
	t.Skip("version 2 of cgroups is not mounted")
	return ""
}

// opened is how many files of this process are open below dir.
func opened(t *testing.T, dir string) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

// TestKept: a file is told as it now is, ends with its cgroup though it is open, and is another when the cgroup is made anew.
func TestKept(t *testing.T) {
	dir := filepath.Join(cgroup2(t), fmt.Sprintf("plumb-kept-%d", os.Getpid()))
	t.Cleanup(func() { _ = os.Remove(dir) })
	file := filepath.Join(dir, "cgroup.max.depth")
	set := func(depth string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(depth), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var k Kept
	read := func(want string) {
		t.Helper()
		if got, err := k.Read(file); err != nil || string(got) != want+"\n" {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	read("max")
	set("3")
	read("3")
	set("12345")
	read("12345")
	if n := opened(t, dir); n != 1 {
		t.Errorf("%d open", n)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Read(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q, %v of one that has ended", got, err)
	}
	if n := opened(t, dir); n != 0 {
		t.Errorf("%d open of one that has ended", n)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	read("max")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	set("7")
	read("7")
	if k.Forget(); opened(t, dir) != 1 {
		t.Error("closed, though it was read")
	}
	if k.Forget(); opened(t, dir) != 0 {
		t.Error("open, though it was not read")
	}
	read("7")
	if k.Close(); opened(t, dir) != 0 {
		t.Error("open")
	}
}
