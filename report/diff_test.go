package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/plan"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/whatif"
)

// sampleDiff has one of everything.
func sampleDiff() *whatif.Diff {
	web, api, dns := intent.Member{Namespace: "shop", Kind: "Deployment", Name: "web", Pods: 2, Of: 2}, intent.Member{Namespace: "shop", Kind: "Deployment", Name: "api", Pods: 1, Of: 3},
		intent.Member{Namespace: "kube-system", Kind: "Deployment", Name: "coredns", Pods: 2, Of: 2}
	open := intent.Decision{Answer: intent.Allowed, Why: text.F("no policy limits it")}
	shut := intent.Decision{Answer: intent.Denied, Egress: true, Why: text.F("no rule allows it: %s", "NetworkPolicy shop/web"), Rules: []intent.Ref{{Kind: "NetworkPolicy", Namespace: "shop", Name: "web", Rule: -1}}}
	all := []intent.PortRange{{Proto: 6, Lo: 1, Hi: 65535}, {Proto: 17, Lo: 1, Hi: 65535}, {Proto: 132, Lo: 1, Hi: 65535}}
	eighty := []intent.PortRange{{Proto: 6, Lo: 80, Hi: 80}}
	return &whatif.Diff{
		Refusal: "line 3: unknown property 'upstream'",
		Lookups: []whatif.Lookup{{From: []intent.Member{web}, DNS: []intent.Member{dns}, Ports: []intent.PortRange{{Proto: 17, Lo: 53, Hi: 53}}, All: true, After: shut}},
		Names:   []whatif.Name{{Name: "a.", Before: text.F("answered with %s", "1.2.3.4"), After: text.F("answered with %s", "1.2.3.5")}, {Name: "b.", Breaks: true, Before: text.F("answered with %s", "1.2.3.4"), After: text.F("answered with %s and no address", "NXDOMAIN")}},
		Asked:   5,
		Connections: []whatif.Connection{
			{Change: intent.Change{From: []intent.Member{web}, To: []intent.Member{api, {Kind: "Node", Name: "n1"}, {Kind: intent.Outside}}, Ports: all, Before: open, After: shut}, Declared: eighty},
			{Change: intent.Change{From: []intent.Member{web, api}, To: []intent.Member{{Name: "8.0.0.0/8"}}, Ports: eighty, Before: shut, After: open, Is6: true}},
			{Change: intent.Change{From: []intent.Member{{}}, To: []intent.Member{web}, Ports: eighty, Before: open, After: intent.Decision{Why: text.F("it is not known")}}},
		},
		Services: []whatif.Service{{Namespace: "shop", Name: "\x1b[31mevil", Port: "80/TCP", What: text.F("the port goes away"), Breaks: true, From: []intent.Member{web}}},
		Requests: []whatif.Request{{Entry: "IngressClass/nginx", Title: "http://shop.example.com/", Before: text.F("it goes to %s", "shop/web:80"), After: text.F("it goes to %s", "shop/api:80")},
			{Entry: "Gateway/shop/edge", Title: "http://*/…", Before: text.F("it is redirected"), After: text.F("not known: %s", text.F("it is not known")), Unknown: true},
			{Entry: "Gateway/shop/edge", Title: "http://\x1b/", Before: text.F("it is redirected"), After: text.F("no rule is for its host"), Breaks: true}},
		New: []intent.Member{api}, Gone: []intent.Member{dns}, Unjudged: []text.Text{text.F("%s %s changes, and what that does is not judged", "Ingress", "shop/web")},
		Missing: []string{"Node"}, Pods: map[string]int{"shop": 3, "kube-system": 2},
	}
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct{ lang, want string }{
		{"en", `what would change ──────────────────────────────────────────────────────────────────────────────────────────────────────
✗ every lookup would fail: CoreDNS refuses the new Corefile: line 3: unknown property 'upstream'
✗ every lookup of shop/web would fail: udp 53 to the cluster's DNS Pods (kube-system/coredns) is closed: no rule allows
  it: NetworkPolicy shop/web
✗ b.: before: answered with 1.2.3.4; after: answered with NXDOMAIN and no address
· a.: before: answered with 1.2.3.4; after: answered with 1.2.3.5
· the configuration of CoreDNS changes; names that were asked: 5; answered otherwise: 2

Services: 1
  ✗ shop/\x1b[31mevil 80/TCP, from shop/web: the port goes away

requests from outside: 3
  ✗ http://\x1b/ by Gateway/shop/edge: before: it is redirected; after: no rule is for its host
  · http://shop.example.com/ by IngressClass/nginx: before: it goes to shop/web:80; after: it goes to shop/api:80
  ? http://*/… by Gateway/shop/edge: before: it is redirected; after: not known: it is not known

would close: 1
  ✗ shop/web → shop/api (1 of 3), node n1, everything outside the cluster: all ports, among them declared: tcp 80
    before: no policy limits it
    after: no rule allows it: NetworkPolicy shop/web

would change, and may close: 1
  ? all that no policy names → shop/web: tcp 80
    before: no policy limits it
    after: it is not known

would open: 1
  + all Pods of shop → 8.0.0.0/8: tcp 80 (IPv6)
    before: no rule allows it: NetworkPolicy shop/web
    after: no policy limits it
· Pods that are new, whose connections are not compared: shop/api (1 of 3)
· Pods that go away: kube-system/coredns
? Ingress shop/web changes, and what that does is not judged
not collected: Node
`},
	} {
		var b bytes.Buffer
		if err := Diff(&b, sampleDiff(), Options{Lang: tt.lang, Width: 120}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, b.String()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	var b bytes.Buffer
	if err := Diff(&b, sampleDiff(), Options{Lang: "zh", Width: 120}); err != nil || !strings.Contains(b.String(), "shop 的所有 Pod → 8.0.0.0/8：tcp 80（IPv6）") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestDiffJSON(t *testing.T) {
	var b bytes.Buffer
	if err := DiffJSON(&b, sampleDiff(), Options{}); err != nil {
		t.Fatal(err)
	}
	var v diffJSON
	if err := json.Unmarshal(b.Bytes(), &v); err != nil || strings.Contains(b.String(), "\x1b") {
		t.Fatalf("%v: %s", err, b.String())
	}
	if len(v.Connections) != 3 || v.Connections[0].Change != "closes" || v.Connections[1].Change != "opens" || v.Connections[2].Change != "unknown" ||
		v.Connections[0].After.Side != "egress" || v.Connections[0].After.Rules[0] != "NetworkPolicy shop/web" || !v.Lookups[0].All || v.Refusal == "" || !v.Names[1].Breaks ||
		len(v.Requests) != 3 || !v.Requests[1].Unknown || !v.Requests[2].Breaks || v.Requests[0].After.EN != "it goes to shop/api:80" {
		t.Errorf("%+v", v)
	}
}

func TestPlan(t *testing.T) {
	p := &plan.Plan{Growth: 1, Shared: true, Ranges: []plan.Range{
		{Use: "pods", Prefix: netip.MustParsePrefix("100.64.0.0/20"), Mask: 24, Room: 16}, {Use: "services", Prefix: netip.MustParsePrefix("100.64.16.0/20"), Room: 4094},
		{Use: "nodes", Prefix: netip.MustParsePrefix("10.0.0.0/24"), Room: 254, Given: true}, {Use: "nodes", Prefix: netip.MustParsePrefix("fd00::/64"), Given: true}}}
	for lang, wants := range map[string][]string{
		"en": {"Pods: 100.64.0.0/20, a /24 for each node, room for 16 nodes", "nodes: 10.0.0.0/24, as given, room for 254", "nodes: fd00::/64, as given\n", "! there is no room to grow", "! 100.64.0.0/10 is shared",
			"kubeadm init --pod-network-cidr=100.64.0.0/20 --service-cidr=100.64.16.0/20\nkube-controller-manager --node-cidr-mask-size=24\n"},
		"zh": {"Pod：100.64.0.0/20，每个节点一个 /24，可容纳 16 个节点", "没有增长余地"},
	} {
		var b bytes.Buffer
		if err := Plan(&b, p, Options{Lang: lang, Width: 120}); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		}
	}
}
