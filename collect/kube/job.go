package kube

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A Run says how agents that are not installed are run for a short while.
type Run struct {
	Namespace   string
	Image       string
	PullPolicy  corev1.PullPolicy
	TokenSHA256 string        // of the one token that they take, in hex
	For         time.Duration // after which they end by themselves
}

// Such an agent listens on one of runPorts ports from runPort on: not on the installed one's, and seldom
// on that of another run, which the node may not have given back yet.
const (
	runPort  = 10271
	runPorts = 64
)

// keptAfter is how long a Job that ended stays, where nobody was left to remove it, in seconds.
const keptAfter = 30

// RunOn runs an agent on a node and waits until it answers. It ends after r.For, and the API
// server then removes it, also where plumb is killed; [Client.Remove] is sooner. Where there is no
// such namespace, since nothing of plumb is installed, it is kube-system, which takes privileged Pods.
func (c *Client) RunOn(ctx context.Context, r Run, node string) (Agent, error) {
	var salt [4]byte
	rand.Read(salt[:])
	a := Agent{Node: node, Namespace: r.Namespace, Port: runPort + int32(salt[0]%runPorts)}
	job := r.job("plumb-"+hex.EncodeToString(salt[:]), a)
	t := target{verb: "create", group: "batch", version: "v1", namespace: r.Namespace, resource: "jobs"}
	var made batchv1.Job
	err := c.call(ctx, t, job, &made)
	if notFound(err) && r.Namespace != metav1.NamespaceSystem {
		r.Namespace = metav1.NamespaceSystem
		return c.RunOn(ctx, r, node)
	}
	if err != nil {
		return a, fmt.Errorf("node %s: an agent for this run: %w", node, err)
	}
	a.job = job.Name
	return c.await(ctx, a)
}

// await waits for the Pod of a's Job to be ready. The end of ctx bounds it.
func (c *Client) await(ctx context.Context, a Agent) (Agent, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	t := target{verb: "list", version: "v1", namespace: a.Namespace, resource: "pods"}
	query := url.Values{"labelSelector": {batchv1.JobNameLabel + "=" + a.job}}
	for {
		page, err := c.page(ctx, t, typeProtobuf, query)
		if err != nil && ctx.Err() != nil && a.Pod != "" { // the last question came too late, but not those before it
			return a, notReady(a)
		}
		if err != nil {
			return a, fmt.Errorf("node %s: %w", a.Node, err)
		}
		var list corev1.PodList
		if err := unmarshal(page, &list); err != nil {
			return a, err
		}
		for i := range list.Items {
			p := &list.Items[i]
			a.Pod = p.Name
			if newAgent(p).Ready {
				a.Ready = true
				return a, nil
			}
			a.Why = whyNot(p)
			if p.Status.Phase == corev1.PodFailed {
				return a, fmt.Errorf("node %s: the agent for this run failed: %s", a.Node, a.Why)
			}
		}
		select {
		case <-ctx.Done():
			return a, notReady(a)
		case <-tick.C:
		}
	}
}

func notReady(a Agent) error {
	return fmt.Errorf("node %s: the agent for this run is not ready: %s", a.Node, a.Why)
}

// whyNot says what keeps a Pod from being ready: a container's state tells more than the conditions.
func whyNot(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			return strings.TrimSuffix(s.State.Waiting.Reason+": "+s.State.Waiting.Message, ": ")
		case s.State.Terminated != nil:
			return strings.TrimSpace(fmt.Sprintf("%s, exit status %d %s", s.State.Terminated.Reason, s.State.Terminated.ExitCode, s.State.Terminated.Message))
		}
	}
	if p.Status.Message != "" {
		return p.Status.Message
	}
	return newAgent(p).Why
}

// Remove removes an agent that [Client.RunOn] made, and its Pod.
func (c *Client) Remove(ctx context.Context, a Agent) error {
	if a.job == "" { // it was never made
		return nil
	}
	t := target{verb: "delete", group: "batch", version: "v1", namespace: a.Namespace, resource: "jobs", name: a.job}
	now := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}, PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	var status metav1.Status
	err := c.call(ctx, t, now, &status)
	if notFound(err) {
		return nil
	}
	return err
}

// job is the Job of an agent. The node is named and not asked of the scheduler,
// which a node in trouble would not be given by.
func (r Run) job(name string, a Agent) *batchv1.Job {
	seconds := int64(r.For.Seconds())
	labels := map[string]string{"app.kubernetes.io/name": "plumbd-run", "app.kubernetes.io/managed-by": "plumb"}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: r.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To(int32(0)), ActiveDeadlineSeconds: &seconds, TTLSecondsAfterFinished: ptr.To(int32(keptAfter)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeName: a.Node, HostNetwork: true, HostPID: true, RestartPolicy: corev1.RestartPolicyNever,
					AutomountServiceAccountToken: ptr.To(false), EnableServiceLinks: ptr.To(false),
					TerminationGracePeriodSeconds: ptr.To(int64(1)),
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:                    []corev1.Container{r.container(a)},
					Volumes:                       []corev1.Volume{{Name: "run", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}}},
				},
			},
		},
	}
}

func (r Run) container(a Agent) corev1.Container {
	return corev1.Container{
		Name: "plumbd", Image: r.Image, ImagePullPolicy: r.PullPolicy,
		Args: []string{
			"--node", a.Node, "--listen", fmt.Sprintf(":%d", a.Port),
			"--run-token-sha256", r.TokenSHA256, "--run-for", r.For.String(),
		},
		Ports:          []corev1.ContainerPort{{Name: AgentPortName, ContainerPort: a.Port}},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/plumbd", "health"}}}, PeriodSeconds: 1, TimeoutSeconds: 5},
		SecurityContext: &corev1.SecurityContext{
			ReadOnlyRootFilesystem: ptr.To(true), AllowPrivilegeEscalation: ptr.To(true), // which SYS_ADMIN implies
			RunAsUser:    ptr.To(int64(0)),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: AgentCapabilities},
			// The runtime's own profiles forbid to look at the processes of others.
			SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
			SELinuxOptions:  &corev1.SELinuxOptions{Type: "spc_t"},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "run", MountPath: "/run/plumb"}},
	}
}

// AgentCapabilities are what an agent cannot do without: to enter network namespaces, to find
// them by the processes of others, to read what netlink and iptables show to root alone, to send pings, to hear of changes in Pods.
var AgentCapabilities = []corev1.Capability{"SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "NET_RAW", "NET_BROADCAST", "DAC_READ_SEARCH"}
