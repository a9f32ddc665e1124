package whatif_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
	corev1 "k8s.io/api/core/v1"
)

const shopNew = `new {apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: cart}, spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}}}
new {apiVersion: v1, kind: Service, metadata: {namespace: shop, name: cart}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: http}]}}
`

// TestOthers: changes that neither break nor are without effect, and those that are not judged.
func TestOthers(t *testing.T) {
	o, text := base(t)
	for _, tt := range []struct {
		name, steps, want string
		unsure            bool
	}{
		{"a new workload and its Service", shopNew, "· shop/cart 80/TCP: the Service is new; its endpoints: 1\n· Pods that are new, whose connections are not compared: shop/cart", false},
		{"a Corefile", "edit ConfigMap kube-system/coredns: forward . /etc/resolv.conf => forward . 9.9.9.9", "· www.example.com.: before: www.example.com. is asked of /etc/resolv.conf; after: www.example.com. is asked of 9.9.9.9:53\n· the configuration of CoreDNS changes; names that were asked: ", false},
		{"a Corefile that says the same", "edit ConfigMap kube-system/coredns: kubernetes cluster.local => # the cluster\\n    kubernetes cluster.local", "✓ no change: every connection is answered as before\n· the configuration of CoreDNS changes; names that were asked: 8; answered otherwise: 0", false},
		{"a Corefile that stays", "edit ConfigMap kube-system/coredns: name: coredns} => name: coredns, labels: {a: b}}", "✓ no change: every connection is answered as before", false},
		{"a ConfigMap of somebody", "new {apiVersion: v1, kind: ConfigMap, metadata: {namespace: shop, name: settings}, data: {a: b}}", "✓ no change: every connection is answered as before", false},
		{"a policy of another API", "new {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {namespace: monitoring, name: x}, spec: {endpointSelector: {matchLabels: {app: none}}, ingress: [{}]}}",
			"? CiliumNetworkPolicy monitoring/x changes, and what that does is not judged", true},
		{"hostNetwork", "edit Deployment monitoring/prom: spec: {containers => spec: {hostNetwork: true, containers", "? Deployment monitoring/prom changes hostNetwork, and what that does is not judged", true},
		{"what is opened", "delete NetworkPolicy/data/db", "would open: 3\n+ data/db, kube-system/coredns → data/db", false},
		{"another session affinity", "edit Service shop/api: clusterIP => sessionAffinity: ClientIP, clusterIP", "· shop/api: its sessionAffinity None becomes ClientIP", false},
		{"node port chosen by hand stays", "edit Service shop/web: , nodePort: 30080 => ", "✓ no change: every connection is answered as before", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over, gone, touched := change(t, text, tt.steps)
			d := whatif.Compare(o, whatif.Apply(o, over, gone), touched)
			got := told(t, d)
			for line := range strings.Lines(tt.want) {
				if !strings.Contains(got, strings.TrimSpace(line)) && tt.name != "what is opened" {
					t.Errorf("no line %q in\n%s", line, got)
				}
			}
			if d.Breaks() || d.Unsure() != tt.unsure || tt.name == "what is opened" && !strings.Contains(got, "would open") {
				t.Errorf("breaks %v, unsure %v:\n%s", d.Breaks(), d.Unsure(), got)
			}
		})
	}
}

func TestNotCollected(t *testing.T) {
	o, text := base(t)
	o.Have["NetworkPolicy"] = false
	over, gone, touched := change(t, text, "edit Namespace shop: team: shop => team: store")
	if d := whatif.Compare(o, whatif.Apply(o, over, gone), touched); !d.Unsure() || !slices.Contains(d.Missing, "NetworkPolicy") {
		t.Errorf("%+v", d)
	}
	o.Have["NetworkPolicy"], o.Have["Ingress"] = true, false
	over, gone, touched = change(t, text, "edit Ingress shop/site: name: site => name: other")
	if d := whatif.Compare(o, whatif.Apply(o, over, gone), touched); !d.Unsure() || !strings.Contains(told(t, d), "? Ingress shop/other changes, and others of its kind were not collected") {
		t.Errorf("%s", told(t, d))
	}
}

// TestApplyTemplate: Pods follow their template, and keep what others gave them.
func TestApplyTemplate(t *testing.T) {
	o, text := base(t)
	for i := range o.Pods {
		if p := &o.Pods[i]; p.Labels["app"] == "web" {
			p.Labels["injected"] = "1"
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "mesh", ContainerPort: 15001}}})
		}
	}
	over, gone, _ := change(t, text, "edit Deployment shop/web: {app: web, tier: front} => {app: site}\nedit Deployment shop/web: name: http, containerPort: 8080 => name: www, containerPort: 8081")
	is := whatif.Apply(o, over, gone)
	n := 0
	for _, p := range is.Pods {
		if !strings.HasPrefix(p.Name, "web-") {
			continue
		}
		n++
		if d := cmp.Diff(map[string]string{"app": "site", "injected": "1", "pod-template-hash": "66b"}, p.Labels); d != "" {
			t.Error(d)
		}
		var ports []string
		for _, c := range p.Spec.Containers {
			ports = append(ports, c.Name+"/"+c.Ports[0].Name)
		}
		if d := cmp.Diff([]string{"web/www", "sidecar/mesh"}, ports); d != "" {
			t.Error(d)
		}
	}
	if n != 2 {
		t.Errorf("%d Pods", n)
	}
	if slices.ContainsFunc(o.Pods, func(p corev1.Pod) bool { return p.Labels["app"] == "site" }) {
		t.Error("what was is changed")
	}
}

// TestApplyKeeps: what the cluster adds to a Pod and a Service stays.
func TestApplyKeeps(t *testing.T) {
	o, _ := base(t)
	over := objects(t, "new.yaml", `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-66b-0, labels: {app: other}}, spec: {containers: []}}
- {apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
`)
	is := whatif.Apply(o, over, nil)
	var pod *corev1.Pod
	for i := range is.Pods {
		if is.Pods[i].Name == "web-66b-0" {
			pod = &is.Pods[i]
		}
	}
	if pod.Status.PodIPs[0].IP != "10.1.0.14" || pod.Spec.NodeName != "a" || pod.Labels["app"] != "other" || len(pod.OwnerReferences) != 1 {
		t.Errorf("%+v", pod)
	}
	for _, s := range is.Services {
		if s.Name == "web" && (s.Spec.ClusterIP != "10.96.0.11" || s.Spec.Ports[0].NodePort != 30080) {
			t.Errorf("%+v", s.Spec)
		}
	}
}

// TestApplyNamespace: with a namespace goes what is in it.
func TestApplyNamespace(t *testing.T) {
	o, _ := base(t)
	is := whatif.Apply(o, &snapshot.Objects{}, map[string]bool{"Namespace//shop": true})
	left := map[string]bool{}
	for _, p := range is.Pods {
		left[p.Namespace] = true
	}
	if d := cmp.Diff([]string{"data", "kube-system", "monitoring"}, slices.Sorted(maps.Keys(left))); d != "" {
		t.Error(d)
	}
	if d := whatif.Compare(o, is, []string{"Namespace//shop"}); !d.Breaks() || len(d.Gone) != 2 {
		t.Errorf("%+v", d)
	}
}

func TestUndo(t *testing.T) {
	o, text := base(t)
	over, gone, touched := change(t, text, "edit NetworkPolicy data/db: 5432 => 5433\ndelete NetworkPolicy/shop/api\nedit Deployment shop/web: replicas: 2 => replicas: 3\n"+shopNew)
	r := whatif.Undo(o, whatif.Apply(o, over, gone), touched)
	if d := cmp.Diff([]string{"deployment/shop/cart", "service/shop/cart"}, r.Delete); d != "" {
		t.Error(d)
	}
	if len(r.Objects) != 2 || !strings.Contains(string(r.Objects[0]), `"port":5432`) || !strings.Contains(string(r.Objects[1]), `"name":"api"`) || strings.Contains(string(r.Objects[0]), "status") {
		t.Errorf("%s", r.Objects)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0].String(), "deployment/shop/web") {
		t.Errorf("%v", r.Notes)
	}
}
