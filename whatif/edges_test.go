package whatif_test

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
)

// TestLines: changes that break nothing, or of which another line counts than that of the break.
func TestLines(t *testing.T) {
	o, text := base(t)
	const route = "http://api.corp.example/v1 by Gateway/monitoring/edge: before: it goes to shop/api:80 (9/10), shop/web:80 (1/10); after: "
	for _, tt := range []struct{ name, steps, want string }{
		{"weights", "edit HTTPRoute shop/api: weight: 9}, {name: web, port: 80, weight: 1} => weight: 1}, {name: web, port: 80, weight: 1}", "· " + route + "it goes to shop/api:80 (1/2), shop/web:80 (1/2)"},
		{"one backend takes all", "edit HTTPRoute shop/api: weight: 1} => weight: 0}", "· " + route + "it goes to shop/api:80"},
		{"a redirect", "edit HTTPRoute shop/api: backendRefs: [{name: api => filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example}}]⏎      backendRefs: [{name: api", "· " + route + "it is redirected"},
		{"a path that is new", "edit Ingress shop/site: /api, pathType => /v2, pathType", "· http://shop.example.com/api by IngressClass/nginx: before: it goes to shop/api:80; after: it goes to shop/web:http"},
		{"a path of a better one", "new {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: b}, spec: {ingressClassName: nginx, rules: [{host: shop.example.com, http: {paths: [{path: /api/v2, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}",
			"· http://shop.example.com/api/v2/… by IngressClass/nginx: before: it goes to shop/api:80; after: it goes to shop/web:80"},
		{"a second Ingress for one path", "new {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: b}, spec: {ingressClassName: nginx, rules: [{host: shop.example.com, http: {paths: [{path: /api, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}",
			"? http://shop.example.com/api by IngressClass/nginx: before: it goes to shop/api:80; after: not known: Ingress/shop/site and Ingress/shop/b both have shop.example.com /api, and Ingress does not say which one counts"},
		{"an expression", "edit Ingress shop/site: /api, pathType: Prefix => /api(/|$)(.*), pathType: ImplementationSpecific", "? http://shop.example.com/api by IngressClass/nginx: before: it goes to shop/api:80; after: not known: whether Ingress/shop/site takes it is its controller's matter: shop.example.com /api(/|$)(.*)"},
		{"a host that is new", "new {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: b}, spec: {ingressClassName: nginx, rules: [{host: b.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]}}",
			"· http://b.example/ by IngressClass/nginx: before: no rule is for its host; after: it is answered by an error: there is no Service shop/gone"},
		{"endpoints by hand", "edit EndpointSlice data/legacy-1: 198.51.100.5 => 198.51.100.6", "· data/legacy 1433/TCP: loses endpoints (1 of 2): 198.51.100.5\n· data/legacy 1433/TCP: gains endpoints (1): 198.51.100.6"},
		{"an external address more", "edit Service data/legacy: [203.0.113.7] => [203.0.113.7, 203.0.113.8]", `· data/legacy: its externalIPs "203.0.113.7" become "203.0.113.7,203.0.113.8"`},
		{"trafficDistribution", "edit Service shop/api: clusterIP => trafficDistribution: PreferClose, clusterIP", "· shop/api: its trafficDistribution - becomes PreferClose"},
		{"a timeout of sessions", "edit Service shop/api: clusterIP => sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, clusterIP", "· shop/api: its sessionAffinity None becomes ClientIP (60 s)"},
		{"a new Service that has no endpoints by its name of a port", "new {apiVersion: v1, kind: Service, metadata: {namespace: shop, name: b}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: https}]}}", `✗ shop/b 80/TCP: the Service is new, and has no endpoints: none of its Pods has a port named "https"`},
		{"a new Service of nobody", "new {apiVersion: v1, kind: Service, metadata: {namespace: shop, name: b}, spec: {selector: {app: none}, ports: [{port: 80}]}}", "✗ shop/b 80/TCP: the Service is new, and has no endpoints: its selector app=none matches no Pod that is ready"},
		{"a port that is new", "edit Service shop/api: ports: [ => ports: [{name: metrics, port: 9090}, ", "· shop/api 9090/TCP: the port is new; its endpoints: 2"},
		{"a port of another protocol", "edit Service shop/api: port: 80, targetPort => protocol: UDP, port: 80, targetPort", "✗ shop/api 80/TCP: the port goes away\n· shop/api 80/UDP: the port is new; its endpoints: 2"},
		{"headless", "edit Service shop/api: clusterIP: 10.96.0.12 => clusterIP: None", "✗ shop/api: its address 10.96.0.12 becomes None"},
		{"ranges of a load balancer", "edit Service shop/web: type: NodePort => type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.0/24]", "· shop/web: its type NodePort becomes LoadBalancer\n✗ shop/web: its loadBalancerSourceRanges \"\" become \"192.0.2.0/24\""},
		{"one Pod less is no matter", "edit Deployment shop/web: replicas: 2 => replicas: 1", "✓ no change: every connection is answered as before"},
		{"no Pods at all", "edit Deployment shop/web: replicas: 2 => replicas: 0", "✗ shop/web 80/TCP: no endpoints are left of 2: its selector app=web matches no Pod that is ready\n· Pods that go away: shop/web"},
		{"a Deployment deleted", "delete Deployment/data/db", "✗ data/db 5432/TCP: no endpoints are left of 1: its selector app=db matches no Pod that is ready\n· Pods that go away: data/db"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over, gone, touched := change(t, text, tt.steps)
			d := whatif.Compare(o, whatif.Apply(o, over, gone), touched)
			got := told(t, d)
			for want := range strings.SplitSeq(tt.want, "\n") {
				if !strings.Contains(got, want) {
					t.Errorf("no line %q in\n%s", want, got)
				}
			}
			if breaks := strings.Contains(got, "✗"); breaks != d.Breaks() {
				t.Errorf("breaks %v:\n%s", d.Breaks(), got)
			}
			if unsure := strings.Contains(got, "? "); unsure != d.Unsure() {
				t.Errorf("unsure %v:\n%s", d.Unsure(), got)
			}
		})
	}
}

// TestDefaultClass: an Ingress that is made without a class gets the default one, and one that has one keeps it.
func TestDefaultClass(t *testing.T) {
	const own = "new {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: own}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}"
	for _, tt := range []struct {
		name, steps, ingress, want string
		isDefault                  bool
	}{
		{"there is a default", own, "own", "nginx", true},
		{"there is none", own, "own", "", false},
		{"the default comes with it", "edit IngressClass nginx: {name: nginx} => {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}}\n" + own, "own", "nginx", false},
		{"it names one", strings.Replace(own, "spec: {", "spec: {ingressClassName: other, ", 1), "own", "other", true},
		{"it names one as it was done before", strings.Replace(own, "name: own}", "name: own, annotations: {kubernetes.io/ingress.class: old}}", 1), "own", "", true},
		{"it has one already", "edit Ingress shop/site: ingressClassName: nginx => defaultBackend:", "site", "nginx", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, text := base(t)
			if tt.isDefault {
				o.IngressClasses[0].Annotations = map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}
			}
			over, gone, _ := change(t, text, tt.steps)
			is := whatif.Apply(o, over, gone)
			for _, in := range is.Ingresses {
				got := ""
				if in.Spec.IngressClassName != nil {
					got = *in.Spec.IngressClassName
				}
				if in.Name == tt.ingress && got != tt.want {
					t.Errorf("class %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// TestNames: what the configuration of CoreDNS changes, and where that cannot be told.
func TestNames(t *testing.T) {
	const corefile = "edit ConfigMap kube-system/coredns: "
	for _, tt := range []struct {
		name, steps, want string
		breaks, unsure    bool
	}{
		{"refused", corefile + "forward . /etc/resolv.conf => forward", "✗ every lookup would fail: CoreDNS refuses the new Corefile: ", true, false},
		{"deleted", "delete ConfigMap/kube-system/coredns", "? what CoreDNS answers changes, and its Corefile is not among the objects before and after", false, true},
		{"another domain", corefile + "kubernetes cluster.local => kubernetes example.local", "✗ api.shop.svc.cluster.local.: before: answered with 10.96.0.12; after: api.shop.svc.cluster.local. is asked of /etc/resolv.conf", true, false},
		{"a name more", corefile + "kubernetes cluster.local => hosts {\\n        192.0.2.5 db.corp.example\\n        fallthrough\\n    }\\n    kubernetes cluster.local", "· db.corp.example.: before: db.corp.example. is asked of /etc/resolv.conf; after: answered with 192.0.2.5", false, false},
		{"hosts without fallthrough", corefile + "kubernetes cluster.local => hosts {\\n        192.0.2.5 db.corp.example\\n    }\\n    kubernetes cluster.local", "✗ api.shop.svc.cluster.local.: before: answered with 10.96.0.12; after: answered with SERVFAIL and no address", true, false},
		{"a zone that CoreDNS answers itself", corefile + "forward . /etc/resolv.conf => forward . /etc/resolv.conf\\n    template IN A corp.example {\\n        rcode NXDOMAIN\\n    }", "✗ x.corp.example.: before: x.corp.example. is asked of /etc/resolv.conf; after: answered with NXDOMAIN and no address", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, text := base(t)
			over, gone, touched := change(t, text, tt.steps)
			d := whatif.Compare(o, whatif.Apply(o, over, gone), touched)
			if got := told(t, d); !strings.Contains(got, tt.want) || d.Unsure() != tt.unsure || d.Breaks() != tt.breaks {
				t.Errorf("breaks %v, unsure %v, want %q in\n%s", d.Breaks(), d.Unsure(), tt.want, got)
			}
		})
	}
}

// TestUndoKinds: what undoes what, by kind.
func TestUndoKinds(t *testing.T) {
	for _, tt := range []struct{ name, steps, deletes, objects, notes string }{
		{"an Ingress that is new", "new {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: b}, spec: {}}", "ingress/shop/b", "", ""},
		{"a class that is new", "new {apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: b}, spec: {controller: x/y}}", "ingressclass/b", "", ""},
		{"an Ingress that changes, without its state", "edit Ingress shop/site: /api => /v2", "", `"path":"/api"`, ""},
		{"a route that goes", "delete HTTPRoute/shop/api", "", `"api.corp.example"`, ""},
		{"a namespace that goes", "delete Namespace//shop", "", `"team":"shop"`, "namespace/shop: what was in it is not among the objects"},
		{"a ConfigMap", "edit ConfigMap kube-system/kube-proxy: iptables => ipvs", "", "", "configmap/kube-system/kube-proxy: a snapshot holds it without what may be secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, text := base(t)
			over, gone, touched := change(t, text, tt.steps)
			r := whatif.Undo(o, whatif.Apply(o, over, gone), touched)
			var objects, notes []string
			for _, data := range r.Objects {
				objects = append(objects, string(data))
			}
			for _, n := range r.Notes {
				notes = append(notes, n.String())
			}
			got := strings.Join(objects, "\n")
			if strings.Join(r.Delete, " ") != tt.deletes || !strings.Contains(got, tt.objects) || (got == "") != (tt.objects == "") || strings.Contains(got, "192.0.2.10") || !strings.Contains(strings.Join(notes, "\n"), tt.notes) {
				t.Errorf("%q %q %q", r.Delete, got, notes)
			}
		})
	}
	if r := whatif.Undo(&snapshot.Objects{}, &snapshot.Objects{}, nil); len(r.Objects)+len(r.Delete)+len(r.Notes) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestWorkloadKinds: Pods of every kind of workload follow their template, and go with it.
func TestWorkloadKinds(t *testing.T) {
	const labels, next = "{app: x}", "{app: z}"
	workload := func(kind, labels, more string) string {
		return "{apiVersion: apps/v1, kind: " + kind + ", metadata: {namespace: shop, name: w}, spec: {" + more + "selector: {matchLabels: " + labels + "}, template: {metadata: {labels: " + labels + "}, spec: {containers: []}}}}"
	}
	for _, tt := range []struct{ name, kind, was, is, gone, want string }{
		{"a StatefulSet", "StatefulSet", "", next, "", "w-0 z"},
		{"a DaemonSet", "DaemonSet", "", next, "", "w-0 z"},
		{"a ReplicaSet of its own", "ReplicaSet", "", next, "", "w-0 z"},
		{"a StatefulSet that stays", "StatefulSet", "", labels, "", "w-0 x"},
		{"a StatefulSet that wants none", "StatefulSet", "", "replicas: 0", "", ""},
		{"that wanted none", "StatefulSet", "replicas: 0, ", next, "", "w-new z"},
		{"a DaemonSet deleted", "DaemonSet", "", "", "DaemonSet/shop/w", ""},
		{"a ReplicaSet deleted", "ReplicaSet", "", "", "ReplicaSet/shop/w", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := "- {apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: w-0, labels: {app: x}, ownerReferences: [{apiVersion: apps/v1, kind: " + tt.kind + ", name: w, uid: u, controller: true}]}, spec: {containers: []}}\n"
			if tt.was != "" {
				pod = ""
			}
			o := objects(t, "was.yaml", "apiVersion: v1\nkind: List\nitems:\n- "+workload(tt.kind, labels, tt.was)+"\n"+pod)
			over := &snapshot.Objects{}
			switch {
			case strings.HasPrefix(tt.is, "replicas"):
				over = objects(t, "is.yaml", workload(tt.kind, labels, tt.is+", "))
			case tt.is != "":
				over = objects(t, "is.yaml", workload(tt.kind, tt.is, ""))
			}
			var got []string
			for _, p := range whatif.Apply(o, over, map[string]bool{tt.gone: tt.gone != ""}).Pods {
				got = append(got, p.Name+" "+p.Labels["app"])
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
