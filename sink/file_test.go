//go:build linux

package sink

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if sandbox.Inside() { // whose loopback device is down
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			panic(err)
		}
	}
	sandbox.Main(m)
}

// numbered returns n events of about 1 kB, told apart by their kind.
func numbered(from, n int) (out []event.Event) {
	for i := range n {
		out = append(out, event.Event{Time: at, Kind: strconv.Itoa(from + i), Detail: []event.Field{{Key: "x", Value: strings.Repeat("y", 950)}}})
	}
	return out
}

// kinds returns the kinds of the events of a file, each of whose lines must be whole.
func kinds(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var e event.Event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v: %.60q", path, err, s.Text())
		}
		out = append(out, e.Kind)
	}
	return out
}

func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "events")
	s := open(t, Config{File: &File{Path: path, Megabytes: 1, Files: 3}})
	n := 0
	for ; n < 5000; n += 250 {
		if err := s.Write(t.Context(), numbered(n, 250)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, name := range []string{path + ".2", path + ".1", path} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1<<20 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %o", name, info.Size(), info.Mode().Perm())
		}
		got = append(got, kinds(t, name)...)
	}
	if _, err := os.Stat(path + ".3"); !os.IsNotExist(err) {
		t.Errorf("there is a fourth file: %v", err)
	}
	for i, kind := range got {
		if want := strconv.Itoa(n - len(got) + i); kind != want {
			t.Fatalf("event %d is %s, want %s", i, kind, want)
		}
	}
	if len(got) < 2000 {
		t.Errorf("only %d events are left", len(got))
	}
}

func TestFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	s := open(t, Config{File: &File{Path: path, Megabytes: 1, Files: 1}})
	for n := 0; n < 3000; n += 500 {
		if err := s.Write(t.Context(), numbered(n, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if got := kinds(t, path); got[len(got)-1] != "2999" {
		t.Errorf("the last is %s", got[len(got)-1])
	}
	if all, _ := filepath.Glob(path + "*"); len(all) != 1 {
		t.Errorf("%v", all)
	}
}

// TestFileLine has a line that is larger than a file.
func TestFileLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	s := open(t, Config{File: &File{Path: path, Megabytes: 1, Files: 2}})
	large := event.Event{Time: at, Kind: "large", Peer: strings.Repeat("z", 1<<20)}
	if err := s.Write(t.Context(), []event.Event{{Time: at, Kind: "a"}, large, {Time: at, Kind: "b"}}); err != nil {
		t.Fatal(err)
	}
	if got := kinds(t, path); !cmp.Equal(got, []string{"b"}) {
		t.Error(got)
	}
	info, err := os.Stat(path + ".1")
	if err != nil || info.Size() < 1<<20 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestFileTakenAway has another program rename, remove and replace the file.
func TestFileTakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "events")
	s := open(t, Config{File: &File{Path: path}})
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"nothing", func() error { return nil }, []string{"0"}},
		{"renamed", func() error { return os.Rename(path, path+".old") }, []string{"1"}},
		{"removed", func() error { return os.Remove(path) }, []string{"2"}},
		{"replaced", func() error {
			return errors.Join(os.WriteFile(path+".new", []byte("{\"kind\":\"other\"}\n"), 0o600), os.Rename(path+".new", path))
		}, []string{"other", "3"}},
		{"with its folder", func() error { return os.RemoveAll(filepath.Dir(path)) }, []string{"4"}},
		{"cut off", func() error { return os.Truncate(path, 0) }, []string{"5"}},
	}
	for i, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(step.name, err)
		}
		if err := s.Write(t.Context(), numbered(i, 1)); err != nil {
			t.Fatal(step.name, err)
		}
		if diff := cmp.Diff(step.want, kinds(t, path)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

// TestReload has two sinks write the same file, as the old and the new one do after a reload.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	var wg sync.WaitGroup
	const each = 1500
	for w := range 2 {
		s := open(t, Config{File: &File{Path: path, Megabytes: 1, Files: 10}})
		wg.Go(func() {
			for n := 0; n < each; n += 50 {
				if err := s.Write(t.Context(), numbered(w*each+n, 50)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	all, _ := filepath.Glob(path + "*")
	for _, name := range all {
		if info, err := os.Stat(name); err != nil || info.Size() > 1<<20 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
		for _, kind := range kinds(t, name) {
			if seen[kind] {
				t.Errorf("%s is there twice", kind)
			}
			seen[kind] = true
		}
	}
	if len(seen) != 2*each {
		t.Errorf("%d events of %d are there", len(seen), 2*each)
	}
}

// TestDiskFull fills a disk, and makes room again.
func TestDiskFull(t *testing.T) {
	sandbox.Need(t)
	if err := sandbox.Setup(); err != nil { // a mount stays within
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path, ballast := filepath.Join(dir, "events"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{File: &File{Path: path, Megabytes: 1, Files: 2}})
	var err error
	n := 0
	for ; err == nil && n < 1000; n += 10 {
		err = s.Write(t.Context(), numbered(n, 10))
	}
	if _, again := verdict(err, 10); !errors.Is(err, syscall.ENOSPC) || !again {
		t.Fatalf("after %d events: %v", n, err)
	}
	if got := kinds(t, path); len(got) != n-10 {
		t.Errorf("%d events are there, %d were written", len(got), n-10)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), numbered(n-10, 10)); err != nil {
		t.Fatal(err)
	}
	if got := kinds(t, path); len(got) != n || got[n-1] != strconv.Itoa(n-1) {
		t.Errorf("%d events are there, want %d", len(got), n)
	}
}

// TestPipe has nobody read standard output.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := newStream(w)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Write(ctx, numbered(0, 100)); !errors.Is(err, context.DeadlineExceeded) { // a pipe holds 64 kB
		t.Fatal(err)
	}
	if err := s.Write(ctx, numbered(100, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Write(t.Context(), numbered(200, 1)); w.Close() }()
	n := 0
	for sc := bufio.NewScanner(r); sc.Scan(); n++ {
		var e event.Event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil || n != 101 {
		t.Errorf("%d lines, %v", n, err)
	}
	if err := newStream(io.Discard).Close(); err != nil {
		t.Error(err)
	}
}
