//go:build linux

package real

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// wantEphemeral is how long plumb may take, in the median, where nothing is installed.
const wantEphemeral = 15 * time.Second

// TestEphemeral has plumb run its agents for one question, and wants none of them left.
func TestEphemeral(t *testing.T) {
	b := setUp(t)
	if !everything() {
		t.Skip(atLeisure)
	}
	image, err := b.Kubectl(t.Context(), "get", "daemonset", "-n", "plumb", "plumbd", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil {
		t.Fatal(err)
	}
	args, err := across.Args(t.Context(), b.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Kubectl(t.Context(), "delete", "-f", manifest); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.install(t) })
	var took []time.Duration
	for range 3 {
		d, err := b.diagnose(t.Context(), append(args, "--ephemeral", "--image", image)...)
		if err != nil {
			t.Fatal(err)
		}
		if !d.fine(across) {
			t.Errorf("%s: %s %v", d.Verdict, d.Summary.EN, d.Gaps)
		}
		took = append(took, d.took)
		b.nothingLeft(t)
	}
	slices.Sort(took)
	fmt.Printf("faults: real: with --ephemeral %.1f s in the median\n", took[1].Seconds())
	if took[1] > wantEphemeral {
		t.Errorf("the median is %s, want at most %s", took[1], wantEphemeral)
	}
}

// nothingLeft waits until the Pods of a run, and what they needed, are gone.
func (b *bench) nothingLeft(t *testing.T) {
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		left, err := b.Kubectl(t.Context(), "get", "jobs,pods,serviceaccounts", "-A", "-o", "name")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(left, "plumb") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %s", left)
		}
	}
}

// manifest is what a user applies.
const manifest = root + "/deploy/plumb.yaml"

// install applies the manifest, and waits for its agents.
func (b *bench) install(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // t's own has ended
	defer cancel()
	for _, args := range [][]string{{"apply", "-f", manifest}, {"rollout", "status", "-n", "plumb", "daemonset/plumbd", "--timeout=110s"}} {
		if _, err := b.Kubectl(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
}
