//go:build linux

package real

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/cluster/fault"
)

// across is a question that two nodes' agents are asked about.
var across = fault.Question{From: "web@node-a", To: "web@node-b:8080"}

// TestKilled ends what plumb asks while it waits for the answer: the report comes, and says what it lacks.
func TestKilled(t *testing.T) {
	b := setUp(t)
	sh := func(machine, script string) func() error {
		return func() error {
			_, err := b.Run(machine, "sh", "-ec", script)
			return err
		}
	}
	for _, c := range []struct {
		name       string
		kill, mend func() error
		gap        string // of node-b; a node that does not answer is waited for
	}{
		{"plumbd", sh("node-b", "pkill -KILL -f ^/plumbd"), func() error { return nil }, ""},
		{"the API server", func() error { return b.Stop(cluster.Control, "kube-apiserver") }, func() error { return b.Start(cluster.Control, "kube-apiserver") }, ""},
		{"a node", sh(cluster.Fabric, "ip link set p-node-b down"), sh(cluster.Fabric, "ip link set p-node-b up"), "no answer within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.gap != "" && !everything() {
				t.Skip(atLeisure)
			}
			start, d, err := b.interrupted(t, c.kill)
			for _, mend := range []func() error{c.mend, sh("node-b", "pkill -CONT -f ^/plumbd || true")} {
				if err := mend(); err != nil {
					t.Error(err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(d.Gaps, func(g gap) bool { return g.Path == "nodes/node-b" })
			if i < 0 || !strings.Contains(d.Gaps[i].Why.EN, c.gap) {
				t.Fatalf("no gap of node-b that says %q: %v", c.gap, d.Gaps)
			}
			fmt.Printf("faults: real: killed while it is asked: %-15s %-12s after %4.1f s: %s\n", c.name, d.Verdict, time.Since(start).Seconds(), d.Gaps[i].Why.EN)
			b.whole(t)
		})
	}
}

// interrupted asks a question that node-b's agent, which is stopped, does not answer, and kills
// something once it has been asked.
func (b *bench) interrupted(t *testing.T, kill func() error) (start time.Time, d diagnosis, err error) {
	args, err := across.Args(t.Context(), b.Cluster)
	if err != nil {
		return start, d, err
	}
	if _, err := b.Run("node-b", "pkill", "-STOP", "-f", "^/plumbd"); err != nil {
		return start, d, err
	}
	start = time.Now()
	cmd := exec.CommandContext(t.Context(), b.plumb, append([]string{"diagnose", "--json", "--kubeconfig", b.Kubeconfig()}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		return start, d, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	waiting := func() bool { // a request lies in the buffer of the agent's socket
		list, _ := b.Run("node-b", "ss", "-Htn", "state", "established", "sport = :10270")
		return slices.ContainsFunc(strings.Split(list, "\n"), func(l string) bool { f := strings.Fields(l); return len(f) > 0 && f[0] != "0" })
	}
	for deadline := time.Now().Add(patience); !waiting(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) || len(ended) > 0 {
			cmd.Process.Kill()
			return start, d, fmt.Errorf("node-b was not asked: %v: %s%s", <-ended, out.String(), errOut.String())
		}
	}
	err = kill()
	end := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer end.Stop()
	if status := <-ended; err == nil {
		err = status
	}
	if out.Len() == 0 {
		return start, d, fmt.Errorf("no report: %w: %s", err, errOut.String())
	}
	return start, d, json.Unmarshal(out.Bytes(), &d) // that something is wrong is no error
}

// TestNoServer asks where no API server answers from the start: there is nothing to report of, and plumb says so at once.
func TestNoServer(t *testing.T) {
	b := setUp(t)
	args, err := across.Args(t.Context(), b.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(cluster.Control, "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	out, took, err := b.run(t.Context(), append([]string{"diagnose"}, args...)...)
	if err := b.Start(cluster.Control, "kube-apiserver"); err != nil {
		t.Error(err)
	}
	if err == nil || len(out) > 0 || took > patience/4 {
		t.Errorf("after %s: %v, %s", took, err, out)
	}
	b.whole(t)
}

// whole waits until every agent answers, and the API server's own Service has its endpoint again.
func (b *bench) whole(t *testing.T) {
	for _, q := range []fault.Question{across, {From: "web@node-b", To: "svc/default/kubernetes:443"}} {
		d, err := b.calm(t.Context(), q)
		if err != nil || !d.fine(q) {
			t.Errorf("afterwards: %s: %v, %s: %s %v %v", q, err, d.Verdict, d.Summary.EN, d.alarms(), d.Gaps)
		}
	}
}
