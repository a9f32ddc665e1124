package intent

import (
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A workload is what a person put into the cluster, and what Pods come from.
type workload struct{ namespace, kind, name string }

// owners knows which Deployment a ReplicaSet is of, and which CronJob a Job.
type owners map[workload]workload

func (e *Engine) owners() owners { return ownersOf(e.objects) }

// Workloads returns what finds the workload of a Pod: the Pod, where it has none.
func Workloads(objects *snapshot.Objects) func(*corev1.Pod) Member {
	known := ownersOf(objects)
	return func(p *corev1.Pod) Member {
		w := known.of(p)
		return Member{Namespace: w.namespace, Kind: w.kind, Name: w.name}
	}
}

func ownersOf(objects *snapshot.Objects) owners {
	out := owners{}
	for i := range objects.ReplicaSets {
		r := &objects.ReplicaSets[i]
		if o := metav1.GetControllerOf(r); o != nil {
			out[workload{r.Namespace, "ReplicaSet", r.Name}] = workload{r.Namespace, o.Kind, o.Name}
		}
	}
	return out
}

// of returns the workload of a Pod; the Pod, where it has none.
func (o owners) of(p *corev1.Pod) workload {
	c := metav1.GetControllerOf(p)
	if c == nil {
		return workload{p.Namespace, "Pod", p.Name}
	}
	w := workload{p.Namespace, c.Kind, c.Name}
	if top, ok := o[w]; ok {
		return top
	}
	// A Deployment's ReplicaSet has its name, and the label that it gives its Pods.
	if name, ok := strings.CutSuffix(c.Name, "-"+p.Labels["pod-template-hash"]); ok && c.Kind == "ReplicaSet" {
		return workload{p.Namespace, "Deployment", name}
	}
	return w
}
