//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	corev1 "k8s.io/api/core/v1"
)

// do takes steps in order, and none after one that failed.
func do(steps ...step) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		for _, s := range steps {
			if err := s(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// every takes every step, also after one that failed: what a heal undoes may not all have been done.
func every(steps ...step) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		var errs []error
		for _, s := range steps {
			errs = append(errs, s(ctx, c))
		}
		return errors.Join(errs...)
	}
}

// on runs a shell script on a machine, with what places.expand knows.
func on(machine, script string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		p, err := placesOf(ctx, c)
		if err != nil {
			return err
		}
		_, err = c.Run(machine, "sh", "-ec", p.expand(script))
		return err
	}
}

// kubectl runs kubectl with words of a line.
func kubectl(line string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		_, err := c.Kubectl(ctx, strings.Fields(line)...)
		return err
	}
}

// patch changes an object, as in "-n shop service/api"; null takes a field away.
func patch(object, change string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		_, err := c.Kubectl(ctx, append([]string{"patch", "-p", change}, strings.Fields(object)...)...)
		return err
	}
}

// rolledOut waits until the Pods of a workload are those that it asks for.
func rolledOut(object string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		_, err := c.Kubectl(ctx, append([]string{"rollout", "status", "--timeout=90s"}, strings.Fields(object)...)...)
		return err
	}
}

// await waits until the Pods and nodes of a cluster are as wanted.
func await(what string, ready func(places) bool) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		return until(ctx, func() error {
			p, err := placesOf(ctx, c)
			if err == nil && !ready(p) {
				err = errors.New("waiting for " + what)
			}
			return err
		})
	}
}

// on returns the Pods of an app on a node, also those that wait for a place there.
func (p places) on(app, node string) (out []corev1.Pod) {
	for _, pod := range p.pods {
		is := pod.Labels["app"] == app || pod.Labels["k8s-app"] == app
		if is && (pod.Spec.NodeName == node || pod.Spec.NodeName == "" && wants(pod, node)) {
			out = append(out, pod)
		}
	}
	return out
}

// wants reports whether a Pod of a DaemonSet, that has no place, is meant for a node.
func wants(p corev1.Pod, node string) bool {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range t.MatchFields {
			if slices.Contains(f.Values, node) {
				return true
			}
		}
	}
	return false
}

// unready waits until so many Pods of an app run, none of them ready, and no other is left.
func unready(app string, n int) step {
	return await("the Pods of "+app+" to run, and not to be ready", func(p places) bool {
		running := 0
		for _, pod := range p.pods {
			if pod.Labels["app"] != app && pod.Labels["k8s-app"] != app {
				continue
			}
			if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || slices.ContainsFunc(pod.Status.Conditions, isReady) {
				return false
			}
			running++
		}
		return running == n
	})
}

// isReady reports whether a condition of a Pod is that it is ready.
func isReady(cond corev1.PodCondition) bool {
	return cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue
}

// node returns a node's object.
func (p places) node(name string) *corev1.Node {
	i := slices.IndexFunc(p.nodes, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return &corev1.Node{}
	}
	return &p.nodes[i]
}

// nodeReady reports whether a node is Ready.
func (p places) nodeReady(name string) bool {
	return slices.ContainsFunc(p.node(name).Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// remove deletes the Pod of an app on a node; whose it is makes another.
func remove(app, node string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		p, err := placesOf(ctx, c)
		if err != nil {
			return err
		}
		pods := p.on(app, node)
		if len(pods) == 0 {
			return fmt.Errorf("no Pod of %s on %s", app, node)
		}
		_, err = c.Kubectl(ctx, "delete", "pod", "-n", pods[0].Namespace, pods[0].Name)
		return err
	}
}

// keepOff has a DaemonSet run no Pod on a node, and leave its others alone.
func keepOff(daemonSet, node string) step {
	return do(patch(daemonSet, `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null},"template":{"spec":{"affinity":{"nodeAffinity":{
		"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"NotIn","values":["`+node+`"]}]}]}}}}}}}`),
		await("the Pod on "+node+" to be gone", func(p places) bool {
			return len(p.on(appOf(daemonSet), node)) == 0
		}))
}

// letBack undoes keepOff.
func letBack(daemonSet string) step {
	return do(patch(daemonSet, `{"spec":{"updateStrategy":{"type":"RollingUpdate"},"template":{"spec":{"affinity":null}}}}`), rolledOut(daemonSet))
}

// appOf returns the app of a DaemonSet of the lab, by its object's name.
func appOf(object string) string {
	return map[string]string{proxySet: "kube-proxy", flannelSet: "flannel"}[object]
}

// The workloads of the lab, as kubectl is given them.
const (
	proxySet   = "-n kube-system daemonset/kube-proxy"
	flannelSet = "-n kube-flannel daemonset/kube-flannel-ds"
	dnsDeploy  = "-n kube-system deployment/coredns"
	apiDeploy  = "-n shop deployment/api"
	apiService = "-n shop service/api"
)
