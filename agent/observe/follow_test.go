//go:build linux

package observe

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSaid: what of a configuration cannot be is said once, and that not all of it is applied.
func TestSaid(t *testing.T) {
	o := observer(t, kind("a", fake{}))
	var said bytes.Buffer
	o.o.Log = log.New(&said, "", 0)
	file := filepath.Join(t.TempDir(), "plumbd.yaml")
	text := "sinks: [{file: {path: /proc/no/x}}, {file: {path: /proc/no/y}}]\nrecorder: {dir: /proc/no/z}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Follow(ctx, file, nil) }()
	until(t, func() bool { return o.Trouble() != "" })
	cancel()
	<-done
	for _, want := range []string{"sink file: file.path: ", "sink file-2: file.path: ", "recorder: from memory: mkdir /proc/no: ", "plumbd.yaml is applied, but for that"} {
		if strings.Count(said.String(), want) != 1 {
			t.Errorf("not once %q in\n%s", want, &said)
		}
	}
}

// TestLacks: a port that another program has is had when that ends, and a file that is refused meanwhile stays said.
func TestLacks(t *testing.T) {
	o := observer(t, kind("a", fake{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Web: WebConfig{Listen: l.Addr().String()}}
	o.Apply(config)
	lacks := o.Trouble()
	if o.again(); o.Trouble() != lacks || !strings.HasPrefix(lacks, "web.listen: ") {
		t.Errorf("%q, and again %q", lacks, o.Trouble())
	}
	o.Refuse(errors.New("not in order"))
	l.Close()
	o.again()
	if got := o.Trouble(); got != "not in order" {
		t.Errorf("%q is said", got)
	}
	resp, err := http.Get("http://" + config.Web.Listen + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	o.Apply(config)
	if got := o.Trouble(); got != "" {
		t.Errorf("%q is said of what is there", got)
	}
}

// TestFollow changes a file in each way that files are changed in. What is not valid changes nothing, and is said.
func TestFollow(t *testing.T) {
	o := observer(t, kind("a", fake{}), kind("b", fake{}))
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	// As kubelet lays a ConfigMap out: the file is a link to one below a folder, which is a link that is turned.
	first := "probes: {off: [a]}"
	write("..1/plumbd.yaml", first)
	must(os.Symlink("..1", filepath.Join(dir, "..data")))
	file := filepath.Join(dir, "plumbd.yaml")
	must(os.Symlink("..data/plumbd.yaml", file))
	c, err := o.Load(file)
	must(err)
	o.Apply(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Follow(ctx, file, []byte(first)) }()
	defer func() { cancel(); <-done }()
	up := func() (names string) {
		for _, s := range o.States() {
			if s.Up {
				names += s.Name
			}
		}
		return names
	}
	if up() != "b" {
		t.Fatalf("%q run at first", up())
	}
	for _, step := range []struct {
		name   string
		change func()
		up     string
		says   string
	}{
		{"the link is turned", func() {
			write("..2/plumbd.yaml", "probes: {off: [b]}")
			must(os.Symlink("..2", filepath.Join(dir, "..tmp")))
			must(os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
			must(os.RemoveAll(filepath.Join(dir, "..1")))
		}, "a", ""},
		{"a key that is not there", func() { write("..2/plumbd.yaml", "probes: {}\nprob: 1") }, "a", "plumbd.yaml:2: prob: unknown field"},
		{"written in place", func() { write("..2/plumbd.yaml", "") }, "ab", ""},
		{"gone", func() { must(os.Remove(filepath.Join(dir, "..data"))) }, "ab", "no such file"},
		{"renamed over", func() { must(os.Rename(write("new", "probes: {off: [all]}"), file)) }, "", ""},
	} {
		step.change()
		until(t, func() bool {
			return up() == step.up && (step.says == "") == (o.Trouble() == "") && strings.Contains(o.Trouble(), step.says)
		})
	}
}
