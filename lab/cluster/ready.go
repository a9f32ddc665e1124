//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
	"github.com/plumbnet/plumb/lab/policy"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// await asks until there is no error any more. What it returns otherwise is the
// last error, with the last lines of the logs of what has ended or not come up.
func (c *Cluster) await(ctx context.Context, what string, ready func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	said := time.Now()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if ended := c.ended(); ended != "" {
			return fmt.Errorf("waiting for %s: %s", what, ended)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for %s: not after %s: %w\n%s", what, patience, err, c.logs())
		}
		if time.Since(said) > 15*time.Second {
			c.say("waiting for %s: %v", what, firstLine(err))
			said = time.Now()
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// ended says which programs have ended that should run, with their last words.
func (c *Cluster) ended() string {
	var out []string
	for _, m := range c.rack().Machines {
		programs, err := machine.Programs(c.Dir, m.Name)
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		for _, p := range programs {
			if !p.Running && p.Name != policy.Verb { // enforcers come and go
				out = append(out, fmt.Sprintf("%s: %s has ended: %s\n%s", m.Name, p.Name, p.Ended, c.tail(m.Name, p)))
			}
		}
	}
	return strings.Join(out, "\n")
}

// tail returns the last lines of a program's log.
func (c *Cluster) tail(name string, p machine.State) string {
	b, err := os.ReadFile(filepath.Join(machine.Dir(c.Dir, name), p.Log))
	if err != nil {
		return err.Error()
	}
	return indent(lastLines(string(b), 8))
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// logs returns the last lines of what runs on the nodes: of the kubelets, and of each container that is not ready.
func (c *Cluster) logs() string {
	var out []string
	for _, n := range c.Nodes {
		programs, _ := machine.Programs(c.Dir, n)
		for _, p := range programs {
			out = append(out, n+": "+p.Name+":\n"+c.tail(n, p))
		}
	}
	var pods corev1.PodList
	if err := c.Get(context.Background(), "/api/v1/pods", &pods); err != nil {
		return strings.Join(append(out, err.Error()), "\n")
	}
	for _, p := range pods.Items {
		if !podReady(p) {
			out = append(out, c.podLog(p))
		}
	}
	return strings.Join(out, "\n")
}

// podLog returns the last lines that the containers of a Pod wrote, read on its node: the API server may not reach the kubelet.
func (c *Cluster) podLog(p corev1.Pod) string {
	out := []string{fmt.Sprintf("%s/%s on %q: %s", p.Namespace, p.Name, p.Spec.NodeName, podTrouble(p))}
	if p.Spec.NodeName != "" {
		pattern := filepath.Join(machine.Dir(c.Dir, p.Spec.NodeName), "var/log/pods", p.Namespace+"_"+p.Name+"_*", "*", "*.log")
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			b, _ := os.ReadFile(f)
			out = append(out, indent(lastLines(string(b), 8)))
		}
	}
	return strings.Join(out, "\n")
}

func (c *Cluster) serverReady(ctx context.Context) error { return c.Get(ctx, "/readyz", nil) }

func (c *Cluster) nodesReady(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := c.Get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return err
	}
	var errs []error
	for _, name := range c.Nodes {
		i := slices.IndexFunc(nodes.Items, func(n corev1.Node) bool { return n.Name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s has not registered", name))
			continue
		}
		for _, cond := range nodes.Items[i].Status.Conditions {
			if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionTrue {
				errs = append(errs, fmt.Errorf("%s: %s", name, cond.Message))
			}
		}
	}
	return errors.Join(errs...)
}

// workloadsReady wants of every DaemonSet, Deployment and StatefulSet all its Pods.
func (c *Cluster) workloadsReady(ctx context.Context) error {
	var daemons appsv1.DaemonSetList
	var deployments appsv1.DeploymentList
	var stateful appsv1.StatefulSetList
	for path, list := range map[string]any{"daemonsets": &daemons, "deployments": &deployments, "statefulsets": &stateful} {
		if err := c.Get(ctx, "/apis/apps/v1/"+path, list); err != nil {
			return err
		}
	}
	var late []string
	want := func(kind, namespace, name string, ready, wanted int32, seen bool) {
		if !seen || ready < wanted {
			late = append(late, fmt.Sprintf("%s %s/%s: %d of %d Pods are ready", kind, namespace, name, ready, wanted))
		}
	}
	for _, d := range daemons.Items {
		s := d.Status
		want("DaemonSet", d.Namespace, d.Name, s.NumberReady, s.DesiredNumberScheduled, s.ObservedGeneration >= d.Generation && s.DesiredNumberScheduled > 0)
	}
	for _, d := range deployments.Items {
		want("Deployment", d.Namespace, d.Name, d.Status.ReadyReplicas, *d.Spec.Replicas, d.Status.ObservedGeneration >= d.Generation)
	}
	for _, d := range stateful.Items {
		want("StatefulSet", d.Namespace, d.Name, d.Status.ReadyReplicas, *d.Spec.Replicas, d.Status.ObservedGeneration >= d.Generation)
	}
	if len(late) == 0 {
		return nil
	}
	return errors.New(strings.Join(late, "; "))
}

func podReady(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// podTrouble says what a Pod waits for.
func podTrouble(p corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil {
			return w.Reason + " " + w.Message
		}
	}
	for _, cond := range p.Status.Conditions {
		if cond.Status == corev1.ConditionFalse && cond.Message != "" {
			return cond.Message
		}
	}
	return string(p.Status.Phase)
}
