package diagnose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"golang.org/x/tools/txtar"
)

const (
	orders = `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":"shop","name":"in"},"spec":{"ingressClassName":"nginx","rules":[{"host":"api.example.com","http":{"paths":[
		{"path":"/orders","pathType":"Prefix","backend":{"service":{"name":"api","port":{"number":80}}}}]}}]},"status":{"loadBalancer":{"ingress":[{"ip":"WEB"}]}}}`
	nginx = `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}}`
	split = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"edge"},"spec":{"controllerName":"example.com/edge"}}
		{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"namespace":"shop","name":"edge"},"spec":{"gatewayClassName":"edge","listeners":[{"name":"web","port":80,"protocol":"HTTP"}]},"status":{"addresses":[{"value":"WEB"}]}}
		{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"namespace":"shop","name":"r"},"spec":{"parentRefs":[{"name":"edge"}],"hostnames":["split.example.com","old.example.com"],"rules":[
			{"matches":[{"path":{"value":"/old"}}],"filters":[{"type":"RequestRedirect","requestRedirect":{"hostname":"new.example.com"}}]},
			{"backendRefs":[{"name":"api","port":80,"weight":9},{"name":"gone","port":80}]}]}}`
)

// incoming is a recorded cluster with an Ingress and a Gateway, whose controller's Pods are those of Service
// shop/web. Each pair of swaps replaces a text in every file.
func incoming(t *testing.T, swaps ...string) *snapshot.Cluster {
	t.Helper()
	a, err := txtar.ParseFile("../check/checktest/testdata/flannel.txtar")
	if err != nil {
		t.Fatal(err)
	}
	a.Files = append(a.Files, txtar.File{Name: "objects/in.json", Data: []byte(orders + nginx + split)})
	swap := strings.NewReplacer(append(swaps, `"WEB"`, `"10.96.0.10"`)...)
	for i := range a.Files {
		a.Files[i].Data = []byte(swap.Replace(string(a.Files[i].Data)))
	}
	fsys, err := txtar.FS(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := snapshot.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	c.Objects.Have["IngressClass"], c.Objects.Have["Ingress"] = true, true
	web := find(c.Objects.Services, "shop", "web").Spec.ClusterIP
	c.Objects.Ingresses[0].Status.LoadBalancer.Ingress[0].IP = web
	c.Objects.Gateways[0].Status.Addresses[0].Value = web
	return c
}

var marks = map[Verdict]string{Works: "+", Broken: "-", CannotTell: "?", Partly: "~"}

func TestURL(t *testing.T) {
	const forward = "-A FORWARD -m conntrack --ctstate NEW"
	const url = "https://api.example.com/orders/7"
	good := []string{"+ k8s.io/ingress-nginx acts on it", "+ its rule api.example.com /orders takes it", "+ it sends to Service/shop/api port 80"}
	with := func(more ...string) []string { return append(good[:len(good):len(good)], more...) }
	all3 := with("+ endpoints that may be used: 3", "+ requests come from its controller's Pods: 3, such as shop/web-0, shop/web-1, shop/web-2")
	for _, tt := range []struct {
		name, url string
		swaps     []string
		verdict   Verdict
		summary   string
		links     []string
		cause     string // the check that is named first, where one is
	}{
		{"works", url, nil, Works, "requests for " + url + " get from the controller's Pods to every backend", all3, ""},
		{"no rule", "https://api.example.com/x", nil, Broken, "no rule takes /x: it is answered by 404", []string{good[0], "- no rule takes /x: it is answered by 404"}, ""},
		{"no such Service", url, []string{`{"service":{"name":"api"`, `{"service":{"name":"gone"`}, Broken, "requests are answered by 500 or 503: there is no Service shop/gone",
			[]string{good[0], good[1], "- requests are answered by 500 or 503: there is no Service shop/gone"}, "route-backend-missing"},
		{"no endpoints", url, []string{`"ready":true`, `"ready":false`, `"addresses":["10.244.`, `"conditions":{"ready":false},"addresses":["10.244.`}, Broken,
			"requests are answered by 503: Service shop/api has no endpoint that may be used", with("- requests are answered by 503: Service shop/api has no endpoint that may be used"), ""},
		{"the class is not there", url, []string{`"ingressClassName":"nginx"`, `"ingressClassName":"ngnix"`, `"loadBalancer":{"ingress":[{"ip":"WEB"}]}`, `"loadBalancer":{"ingress":[{"ip":""}]}`}, CannotTell, "", nil, ""},
		{"dropped", url, []string{forward, "-A FORWARD -p tcp -m tcp --dport 8080 -j DROP\n" + forward}, Broken,
			"requests for " + url + " are answered by 504: no Pod of the controller gets to a backend", all3, "forward-drop"},
		{"refused", url, []string{"LISTEN 0      4096   *:8080", "LISTEN 0      4096   *:8099"}, Broken, "requests for " + url + " are answered by 502: no Pod of the controller gets to a backend", all3, "not-listening"},
		{"told to go elsewhere", "http://old.example.com/old", nil, Works, "requests for http://old.example.com/old are told to go elsewhere",
			[]string{"+ example.com/edge acts on it", "+ its rule old.example.com /old takes it", "+ it answers that the request is to go elsewhere"}, ""},
		{"a share goes nowhere", "http://split.example.com/", nil, Partly, "some requests for http://split.example.com/ fail: requests are answered by 500 or 503: there is no Service shop/gone",
			[]string{"+ example.com/edge acts on it", "+ its rule split.example.com / takes it", good[2], "+ endpoints that may be used: 3", all3[4], "- requests are answered by 500 or 503: there is no Service shop/gone"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Run(incoming(t, tt.swaps...), Ask{Src: "shop/web-0", Dst: tt.url}, all.Checks...)
			if err != nil {
				t.Fatal(err)
			}
			var links []string
			for _, l := range r.Links {
				links = append(links, marks[l.Verdict]+" "+l.What.String())
			}
			if d := cmp.Diff(tt.links, links); d != "" && tt.links != nil {
				t.Errorf("(-want +got):\n%s", d)
			}
			if r.Verdict != tt.verdict || tt.summary != "" && r.Summary.String() != tt.summary {
				t.Errorf("%s: %s", r.Verdict, r.Summary)
			}
			if tt.cause != "" && (len(r.Checks.Findings) == 0 || r.Checks.Findings[0].Check != tt.cause) {
				t.Errorf("found %+v", r.Checks.Findings)
			}
		})
	}
}

func TestURLErrors(t *testing.T) {
	for _, tt := range []struct {
		ask  Ask
		want string
	}{
		{Ask{Src: "shop/web-0", Dst: "https://api.example.com/", Port: "80"}, "-p 80: -d https://api.example.com/ names its port itself"},
		{Ask{Src: "shop/web-0", Dst: "ftp://x"}, `-d ftp://x: url "ftp://x": want http://HOST/PATH or https://HOST/PATH`},
		{Ask{Src: "https://x", Dst: "shop/web-0"}, "-s https://x: a source is a Pod, a node or an address: " + hint},
	} {
		if _, err := Run(incoming(t), tt.ask); err == nil || err.Error() != tt.want {
			t.Errorf("%v: %v", tt.ask, err)
		}
	}
}

// TestNoRoute: what no route has is asked for as its host is.
func TestNoRoute(t *testing.T) {
	r, err := Run(incoming(t), Ask{Src: "shop/web-0", Dst: "http://10.96.0.20/x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Link{{Verdict: CannotTell, What: text.F("no Ingress and no route of a Gateway has the host %s and the port %d", "10.96.0.20", uint16(80))}}
	if d := cmp.Diff(want, r.Links); d != "" || r.Verdict != Works || len(r.Traces) == 0 {
		t.Errorf("%s: %s (-want +got):\n%s", r.Verdict, r.Summary, d)
	}
}

// TestURLName: the name is resolved in the Pod that asks, and who has no address for it sends no request.
func TestURLName(t *testing.T) {
	ask := Ask{Src: "shop/web-0", Dst: "https://api.example.com/orders"}
	r, err := Run(incoming(t), ask)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name == nil || r.Name.Name != "api.example.com" || r.Verdict != Works {
		t.Errorf("%+v: %s: %s", r.Name, r.Verdict, r.Summary)
	}
	r, err = Run(incoming(t, `forward . 203.0.113.10 {\n       max_concurrent 1000\n    }`, `hosts {\n 192.0.2.1 other.example.com\n }`), ask)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Broken || !strings.Contains(r.Summary.String(), "api.example.com") {
		t.Errorf("%s: %s", r.Verdict, r.Summary)
	}
}

// TestURLWants wants the controller's Pods to be collected.
func TestURLWants(t *testing.T) {
	c := incoming(t)
	c.Nodes = nil
	ask := Ask{Src: "203.0.113.10", Dst: "https://api.example.com/orders"}
	r, err := Run(c, ask)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range Wants(c, ask, r) {
		got = append(got, w.Node+" "+strings.Join(w.Pods, " "))
	}
	if r.Verdict != CannotTell || len(got) != 3 {
		t.Error(r.Verdict, got)
	}
}
