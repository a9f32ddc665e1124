//go:build linux

package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestContainerd imports the image, of two architectures, into a containerd of its own, and runs what is in it.
func TestContainerd(t *testing.T) {
	if os.Getuid() != 0 || architecture != "amd64" {
		t.Skip("to run containers takes root, on amd64")
	}
	for _, p := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	images := []Image{
		{Name: "plumbd:1", Arch: "amd64", Gzip: true, Layers: []Layer{programs(t, 0), {{Path: "/plumbd", From: emptyProgram(t, elf.EM_X86_64)}}}},
		{Name: "plumbd:1", Arch: "arm64", Gzip: true, Layers: []Layer{programs(t, 1)}},
	}
	var tar bytes.Buffer
	if err := Write(&tar, images...); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "image.tar"), tar.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctr := containerd(t, dir)
	if out, err := ctr("images", "import", filepath.Join(dir, "image.tar")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	name := "docker.io/library/plumbd:1" // as Kubernetes asks for plumbd:1
	if out, err := ctr("images", "ls"); err != nil || !strings.Contains(out, name) || !strings.Contains(out, "linux/amd64,linux/arm64") {
		t.Errorf("%v: %s", err, out)
	}
	const cgroup = "plumb-image-test"
	t.Cleanup(func() {
		made, _ := filepath.Glob("/sys/fs/cgroup/*/" + cgroup)
		for _, d := range append(made, "/sys/fs/cgroup/"+cgroup) {
			os.Remove(d) // there is one or the other, by the version of cgroups
		}
	})
	for i, tt := range []struct{ argv, want string }{
		{"/usr/sbin/iptables-nft-save --version", "(nf_tables)"},
		{"/usr/sbin/ip6tables-legacy-save --version", "(legacy)"},
		{"/usr/sbin/nft --version", "nftables v"},
		{"/usr/sbin/ipset --version", "ipset v"},
		{"/bin/sh -c true", "no such file"},
	} {
		args := []string{"run", "--rm", "--cgroup", "/" + cgroup + "/x", name, fmt.Sprint("c", i)}
		if out, _ := ctr(append(args, strings.Fields(tt.argv)...)...); !strings.Contains(out, tt.want) {
			t.Errorf("%s: %s, want %q", tt.argv, out, tt.want)
		}
	}
}

// containerd starts one that keeps all below dir and ends with the test, and returns its ctr.
func containerd(t *testing.T, dir string) func(args ...string) (string, error) {
	t.Helper()
	config, socket := filepath.Join(dir, "config.toml"), filepath.Join(dir, "socket")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n", filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("containerd", "-c", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ctr := func(args ...string) (string, error) {
		out, err := exec.Command("ctr", append([]string{"-a", socket, "-n", "k8s.io"}, args...)...).CombinedOutput()
		return string(out), err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := ctr("version")
		if err == nil {
			return ctr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", out, log.String())
		}
	}
}
