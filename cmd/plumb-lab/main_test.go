package main

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeInit {
		main() // a node starts by running its program again
		return
	}
	sandbox.Main(m)
}

// TestRecord records a cluster with a fault by the usual commands, and reads it back.
func TestRecord(t *testing.T) {
	sandbox.Need(t)
	dir := t.TempDir()
	if err := record([]string{"--fault", "vtep-address-gone", "-o", dir}); err != nil {
		t.Fatal(err)
	}
	c, err := snapshot.Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Nodes) != 3 || len(c.Objects.Services) != 8 || len(c.Gaps) != 0 {
		t.Errorf("%d nodes, %d Services, gaps %v", len(c.Nodes), len(c.Objects.Services), c.Gaps)
	}
	for _, n := range c.Nodes {
		if len(n.NetNS) < 3 || n.NetNS[0].Name != "host" {
			t.Errorf("%s: %d namespaces", n.Name, len(n.NetNS))
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		choice
		want string
	}{
		{"no such fault", choice{fault: "gremlins"}, "no fault is named"},
		{"no such topology", choice{topology: "token-ring"}, "no topology is named"},
		{"a fault of another topology", choice{fault: "fdb-missing", topology: "hostgw"}, "does not apply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := c.build(false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("build: %v, want %q", err, c.want)
			}
		})
	}
}

// TestNode starts the nodes of a cluster as "up" does, and wants each to be a machine of its own.
func TestNode(t *testing.T) {
	sandbox.Need(t)
	l, _, err := choice{}.build(false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if made, tried := warm(l); made != tried || tried < 30 {
		t.Errorf("%d of %d connections in a healthy cluster", made, tried)
	}
	ns, err := startNodes(l)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.stop()
	for _, c := range []struct {
		name   string
		argv   []string
		status int
	}{
		{"its own name", []string{"sh", "-c", `test "$(uname -n)" = node-b`}, 0},
		{"its own Pods", []string{"sh", "-c", `ip netns list | grep -q web-1 && ! ip netns list | grep -q web-0`}, 0},
		{"its own devices", []string{"sh", "-c", `ip addr show eth0 | grep -q 192.168.10.12/24 && test -d /sys/class/net/flannel.1`}, 0},
		{"few processes", []string{"sh", "-c", `test $(ls -d /proc/[0-9]* | wc -l) -lt 8`}, 0},
		{"the folder of whoever runs it", []string{"test", "-e", "main_test.go"}, 0},
		{"the status of the command", []string{"sh", "-c", "exit 7"}, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ns.run("node-b", c.argv...)
			exit := exitStatus(0)
			if errors.As(err, &exit); int(exit) != c.status || err != nil && exit == 0 {
				t.Errorf("%v: %v, want status %d", c.argv, err, c.status)
			}
		})
	}
	b := t.TempDir() + "/objects.tar.gz"
	if err := ns.run("node-b", "cp", objectsFile, b); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := snapshot.ReadBundle(b, f)
	if err != nil || len(c.Objects.Services) != 8 || !c.Objects.Have["NetworkPolicy"] {
		t.Errorf("objects: %v, %d Services", err, len(c.Objects.Services))
	}
}

// TestNext wants commands that can be pasted.
func TestNext(t *testing.T) {
	sandbox.Need(t)
	l, ft, err := choice{fault: "office-replies-lost"}.build(false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out strings.Builder
	if err := next(&out, l, ft); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" exec node-c -- plumb snapshot -o /tmp/node-c.tar.gz\n",
		" objects >/tmp/objects.tar.gz\n",
		"plumb diagnose -s 10.20.0.50 -d node/node-a:30080 --external 10.244.1.0/24 --snapshot /tmp/node-a.tar.gz",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestPlumbBeside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plumb", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for me, want := range map[string]string{"plumb-lab": "plumb", "/nowhere/plumb-lab": "plumb", dir + "/plumb-lab": dir + "/plumb"} {
		if got := plumbBeside(me); got != want {
			t.Errorf("beside %s: %s, want %s", me, got, want)
		}
	}
}

// TestArguments wants a hint for each wrong command line.
func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func([]string) error
		args []string
		want string
	}{
		{"a demo of no incident", demo, []string{"gremlins"}, "choose mixed, mtu, no-endpoints, overlap, restart, vtep"},
		{"a demo of two", demo, []string{"mtu", "vtep"}, flag.ErrHelp.Error()},
		{"a demo without plumb", demo, []string{"--plumb", "/nowhere/plumb", "mtu"}, "--plumb: "},
		{"exec without a command", execIn, []string{"node-a", "--"}, "want a node and a command"},
		{"exec where nothing is up", execIn, []string{"node-z", "--", "true"}, `no node "node-z" is up`},
		{"up with an argument", up, []string{"mtu"}, flag.ErrHelp.Error()},
		{"up with an unknown flag", up, []string{"--fualt", "mtu"}, "-fualt"},
		{"record without a folder", record, nil, flag.ErrHelp.Error()},
		{"objects with an argument", objects, []string{"x"}, flag.ErrHelp.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.run(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestIncidents(t *testing.T) {
	for name, f := range incidents {
		if _, ok := fault.Named(f); !ok {
			t.Errorf("incident %q: no fault is named %q", name, f)
		}
	}
}
