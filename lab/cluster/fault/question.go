//go:build linux

package fault

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	corev1 "k8s.io/api/core/v1"
)

// A Question is one that a user would put to plumb. Where Pods are is for the
// scheduler to say: "web@node-a" is the Pod of the app web on node-a.
type Question struct {
	From, To string // "web@node-a", "outside", "office"; "web@node-b:8080", "svc/shop/api:80", "node/node-a:30080", "10.0.0.1:80", "outside.example:80", "http://shop.example"
	Proto    string // "udp"; "" for TCP
	External string // a range outside the cluster that the user names
	By       probe  // how a connection is made
}

// A probe is how a connection is made, to see whether it works.
type probe string

const (
	small  probe = ""       // an HTTP request and its answer
	large  probe = "bytes"  // one with an answer of 200,000 bytes
	lookup probe = "lookup" // the name of To is looked up, or one of the cluster
)

// Beyond reports whether the way leads by what no snapshot holds: a router, or a name server outside.
func (q Question) Beyond() bool {
	return q.From == cluster.Outside || strings.Contains(q.To, ".example")
}

// String returns the question in the words of its parts.
func (q Question) String() string { return q.From + " → " + q.To }

// Args returns the flags of "plumb diagnose" that put the question.
func (q Question) Args(ctx context.Context, c *cluster.Cluster) ([]string, error) {
	p, err := placesOf(ctx, c)
	if err != nil {
		return nil, err
	}
	from, err := p.words(q.From)
	if err != nil {
		return nil, err
	}
	to, err := p.words(q.To)
	args := []string{"-s", from, "-d", to}
	if q.Proto != "" {
		args = append(args, "--proto", q.Proto)
	}
	if q.External != "" {
		args = append(args, "--external", p.expand(q.External))
	}
	return args, err
}

// outsiders are the addresses of what is not of the cluster.
var outsiders = map[string]string{cluster.Outside: cluster.OutsideIP, cluster.Office: cluster.OfficeIP}

// Connect makes the question's connection, and says what came of it.
func (q Question) Connect(ctx context.Context, c *cluster.Cluster) (string, error) {
	p, err := placesOf(ctx, c)
	if err != nil {
		return "", err
	}
	if q.By == lookup {
		from, err := p.pod(q.From)
		if err != nil {
			return "", err
		}
		name, _, _ := strings.Cut(q.To, ":")
		if strings.Contains(name, "/") {
			name = "api.shop.svc.cluster.local"
		}
		return c.Exec(ctx, from.Namespace, from.Name, "/app", "lookup", name)
	}
	machine, enter, err := p.where(c, q.From)
	if err != nil {
		return "", err
	}
	get := append(enter, c.Binary("app"), "get")
	if host, ok := strings.CutPrefix(q.To, "http://"); ok { // by the node port of the controller's Service
		return c.Run(machine, append(get, "http://"+c.Addr("node-a").String()+":30088", host)...)
	}
	at, err := p.address(ctx, c, q.To)
	if err != nil {
		return "", err
	}
	url := "http://" + at
	if q.By == large {
		url += "/bytes?n=200000"
	}
	return c.Run(machine, append(get, url)...)
}

// places are what a cluster has, and where.
type places struct {
	pods  []corev1.Pod
	nodes []corev1.Node
}

func placesOf(ctx context.Context, c *cluster.Cluster) (places, error) {
	var pods corev1.PodList
	var nodes corev1.NodeList
	if err := c.Get(ctx, "/api/v1/pods", &pods); err != nil {
		return places{}, err
	}
	err := c.Get(ctx, "/api/v1/nodes", &nodes)
	return places{pods.Items, nodes.Items}, err
}

// pod returns the Pod that "app@node" stands for.
func (p places) pod(name string) (corev1.Pod, error) {
	app, node, _ := strings.Cut(name, "@")
	for _, pod := range p.pods {
		is := pod.Labels["app"] == app || pod.Labels["k8s-app"] == app
		if is && pod.Spec.NodeName == node && pod.Status.PodIP != "" && pod.DeletionTimestamp == nil {
			return pod, nil
		}
	}
	return corev1.Pod{}, fmt.Errorf("no Pod of %s on %s", app, node)
}

// words returns an end of a question as plumb is given it.
func (p places) words(end string) (string, error) {
	if at, ok := outsiders[end]; ok {
		return at, nil
	}
	name, port, _ := strings.Cut(p.expand(end), ":")
	if !strings.Contains(name, "@") {
		return p.expand(end), nil
	}
	pod, err := p.pod(name)
	if port != "" {
		port = ":" + port
	}
	return pod.Namespace + "/" + pod.Name + port, err
}

// expand puts the node's Pod range and the first three numbers of it in the place of
// "{node-b.cidr}" and "{node-b.net}", and a Pod's address in the place of "{web@node-b}".
func (p places) expand(s string) string {
	var out []string
	for _, n := range p.nodes {
		if cidr, err := netip.ParsePrefix(n.Spec.PodCIDR); err == nil {
			out = append(out, "{"+n.Name+".cidr}", cidr.String(), "{"+n.Name+".net}", strings.TrimSuffix(cidr.Addr().String(), ".0"))
		}
	}
	for _, pod := range p.pods {
		out = append(out, "{"+pod.Labels["app"]+"@"+pod.Spec.NodeName+"}", pod.Status.PodIP)
	}
	return strings.NewReplacer(out...).Replace(s)
}

// address returns the address and port that a destination stands for.
func (p places) address(ctx context.Context, c *cluster.Cluster, to string) (string, error) {
	name, port, _ := strings.Cut(p.expand(to), ":")
	switch parts := strings.Split(name, "/"); {
	case strings.Contains(name, "@"):
		pod, err := p.pod(name)
		return pod.Status.PodIP + ":" + port, err
	case parts[0] == "node" && len(parts) == 2:
		return c.Addr(parts[1]).String() + ":" + port, nil
	case parts[0] == "svc" && len(parts) == 3:
		var s corev1.Service
		err := c.Get(ctx, "/api/v1/namespaces/"+parts[1]+"/services/"+parts[2], &s)
		return s.Spec.ClusterIP + ":" + port, err
	}
	return name + ":" + port, nil
}

// where returns the machine that a source is on, and the command that enters its network namespace.
func (p places) where(c *cluster.Cluster, from string) (machine string, enter []string, err error) {
	if _, ok := outsiders[from]; ok {
		return from, nil, nil
	}
	if node, ok := strings.CutPrefix(from, "node/"); ok {
		return node, nil, nil
	}
	pod, err := p.pod(from)
	if err != nil {
		return "", nil, err
	}
	pid, err := holder(c, pod)
	return pod.Spec.NodeName, []string{"nsenter", "-n", "-t", strconv.Itoa(pid), "--"}, err
}

// holder returns the process, by its number on its node, that holds the network namespace of a Pod.
func holder(c *cluster.Cluster, pod corev1.Pod) (int, error) {
	const script = `for p in $(pgrep -f '^/app pause'); do nsenter -n -t $p ip -o -4 addr show eth0 | grep -qF "inet $1/" && echo $p && exit; done`
	out, err := c.Run(pod.Spec.NodeName, "sh", "-c", script, "sh", pod.Status.PodIP)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("no process holds %s of %s/%s", pod.Status.PodIP, pod.Namespace, pod.Name)
	}
	return pid, nil
}
