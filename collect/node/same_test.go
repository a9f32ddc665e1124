//go:build linux

package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// asks are questions about richNode, with what they come to.
var asks = []struct {
	src, dst string
	want     diagnose.Verdict
}{
	{"10.244.0.2", "10.244.0.1:81", diagnose.Works},  // a Pod to a listener of the node
	{"10.244.0.2", "10.244.0.1:80", diagnose.Broken}, // which listens on loopback only
	{"node/n", "10.9.1.1:80", diagnose.Broken},       // a blackhole
	{"10.244.0.2", "10.11.0.1:80", diagnose.Broken},  // FORWARD drops it
	{"node/n", "10.244.0.2:8080", diagnose.Broken},   // nothing listens in the Pod
	{"10.244.0.1", "10.13.0.1:80", diagnose.Broken},  // by two ways, where nobody answers
}

// verdicts answers all questions about a snapshot, with the findings and the hops.
func verdicts(t *testing.T, c *snapshot.Cluster) string {
	t.Helper()
	var out strings.Builder
	for _, a := range asks {
		r, err := diagnose.Run(c, diagnose.Ask{Src: a.src, Dst: a.dst}, all.Checks...)
		must(t, err)
		fmt.Fprintf(&out, "%s to %s: %v: %v\n", a.src, a.dst, r.Verdict, r.Summary)
		for _, f := range r.Checks.Findings {
			fmt.Fprintf(&out, "  %s %s: %v: %v\n", f.Check, f.Where, f.What, f.Fix)
		}
		for _, tr := range r.Traces {
			fmt.Fprintf(&out, "  %v: %v\n", tr.Title, tr.Verdict)
		}
	}
	return out.String()
}

// TestScriptSameVerdict lets the script and Collect find all of a node by themselves, Pods included, and wants of both the same files
// and the same answers.
func TestScriptSameVerdict(t *testing.T) {
	sandbox.Need(t)
	host, _ := makeNode(t)
	newNS(t, "spare")
	record := "/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json" // /run is the sandbox's own
	must(t, os.MkdirAll(filepath.Dir(record), 0o755))
	must(t, os.WriteFile(record, []byte(strings.ReplaceAll(containerdConfig, "cni-a", "pod1")), 0o644))
	t.Cleanup(func() { _ = os.RemoveAll("/run/containerd") })
	// A process where the script will run, so that Collect sees that namespace too.
	sleep := exec.Command("sleep", "600")
	must(t, sleep.Start())
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, Root: "/"})
	must(t, err)
	want, err := snapshot.Read(files)
	must(t, err)
	wanted := verdicts(t, want)
	for _, a := range asks {
		if !strings.Contains(wanted, fmt.Sprintf("%s to %s: %v:", a.src, a.dst, a.want)) {
			t.Errorf("%s to %s is not %v:\n%s", a.src, a.dst, a.want, wanted)
		}
	}
	runScript(t, []string{"--node", "n", "--host", host.Path}, func(t *testing.T, got ran) {
		if d := cmp.Diff(files.Names(), unpack(t, got.bundle)); d != "" {
			t.Errorf("files (-plumb +script):\n%s", d)
		}
		if d := clusterDiff(want, got.Cluster); d != "" {
			t.Errorf("(-plumb +script):\n%s", d)
		}
		if d := cmp.Diff(wanted, verdicts(t, got.Cluster)); d != "" {
			t.Errorf("answers (-plumb +script):\n%s", d)
		}
	})
	if pods := podsOf(want); !slices.Equal(pods, []string{"shop/web-0"}) {
		t.Errorf("Pods %v", pods)
	}
}

func podsOf(c *snapshot.Cluster) []string {
	var out []string
	for _, ns := range c.Nodes[0].NetNS {
		if ns.Pod != "" {
			out = append(out, ns.Pod)
		}
	}
	return out
}

// unpack returns the names of the files in a bundle, sorted.
func unpack(t *testing.T, data []byte) []string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	must(t, err)
	var out []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(out)
			return out
		}
		must(t, err)
		if h.Typeflag == tar.TypeReg {
			out = append(out, path.Clean(h.Name))
		}
	}
}
