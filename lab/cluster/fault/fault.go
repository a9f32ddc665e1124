//go:build linux

// Package fault holds the faults that a real cluster of the lab can be given, and
// relieved of. Each really changes what becomes of a connection, and names the
// check that must find it. They are injected as they come about: by programs on
// the nodes, and by changes of the cluster's objects.
package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/cluster"
)

// A Fault is something that goes wrong in a cluster.
type Fault struct {
	Name     string
	Check    string // the check that must name it first; "" where only a probe can tell, which must contradict the prediction
	Also     string // another check that names it: which of the two depends on when one asks; "" for none
	Incident int    // of the incidents that the project started from, 1 to 7; 0 for none
	Story    string // one line
	Says     string // what the first finding must say, in English; "" for nothing in particular
	Question Question
	// Healthy is the question that has a good answer where the fault's own has none without the fault; the zero value is the fault's own.
	Healthy Question

	inject, heal step
}

// A step changes a cluster.
type step func(context.Context, *cluster.Cluster) error

// patience is how long it may take until a fault is felt, or felt no more: kube-proxy
// and the kubelets are told of changes, and a node is given up after 20 seconds without a word.
const patience = 2 * time.Minute

// All lists the faults.
func All() []Fault {
	return slices.Concat(services, names, ingresses, agents, nodes, overlays, policies)
}

// Named returns the fault of that name.
func Named(name string) (Fault, bool) {
	i := slices.IndexFunc(All(), func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return All()[i], true
}

// Well returns the question that has a good answer once the fault is healed.
func (f Fault) Well() Question {
	if f.Healthy != (Question{}) {
		return f.Healthy
	}
	return f.Question
}

// Inject brings the fault about, and returns when connections fail.
func (f Fault) Inject(ctx context.Context, c *cluster.Cluster) error {
	if now, err := Current(c); err != nil || now != "" {
		return errors.Join(err, fmt.Errorf("the cluster has the fault %q: heal it first", now))
	}
	if err := os.WriteFile(record(c), []byte(f.Name), 0o600); err != nil {
		return err
	}
	if err := f.inject(ctx, c); err != nil {
		return fmt.Errorf("fault %s: %w", f.Name, err)
	}
	return f.await(ctx, c, false)
}

// Heal undoes the fault, and returns when connections are made again.
func (f Fault) Heal(ctx context.Context, c *cluster.Cluster) error {
	if err := f.heal(ctx, c); err != nil {
		return fmt.Errorf("heal %s: %w", f.Name, err)
	}
	if err := f.await(ctx, c, true); err != nil {
		return err
	}
	return os.Remove(record(c))
}

// record is the file that names the fault which a cluster has.
func record(c *cluster.Cluster) string { return filepath.Join(c.Dir, "fault") }

// Current returns the name of the fault that a cluster has, "" for none.
func Current(c *cluster.Cluster) (string, error) {
	b, err := os.ReadFile(record(c))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// calm is how many connections in a row must be made before a cluster counts as healed:
// a Service has three endpoints, and one may still be wrong.
const calm = 9

// await makes connections until they are made or, where it is not healed, until two in a row fail.
func (f Fault) await(ctx context.Context, c *cluster.Cluster, healed bool) error {
	q, n := f.Question, 2
	if healed {
		q, n = f.Well(), calm
	}
	err := until(ctx, func() error {
		for range n {
			out, err := q.Connect(ctx, c)
			switch {
			case healed && err != nil:
				return err
			case !healed && err == nil:
				return fmt.Errorf("%s: connections are made as before: %s", q, strings.TrimSpace(out))
			}
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Name, err)
	}
	return nil
}

// until tries until there is no error, for as long as patience lasts.
func until(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		err := try()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not after %s: %w", patience, err)
		}
	}
}
