package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// small is two nodes with three Pods.
func small(t *testing.T, policies ...string) World {
	return World{
		Pods: []corev1.Pod{
			aPod("shop", "web", "a", map[string]string{"app": "web"}, "10.244.0.2", "fd00:10:244::2"),
			aPod("shop", "api", "b", map[string]string{"app": "api"}, "10.244.1.2"),
			aPod("other", "web", "b", map[string]string{"app": "web"}, "10.244.1.3"),
		},
		Namespaces: []corev1.Namespace{aNamespace("shop", nil), aNamespace("other", map[string]string{"team": "x"})},
		Policies:   parsed(t, policies...),
	}
}

const smallWant = `add table inet plumb-lab-policy
delete table inet plumb-lab-policy
table inet plumb-lab-policy {
	set ingress/shop/some-0/ip {
		type ipv4_addr
		elements = { 10.244.1.2,
			10.244.1.3 }
	}
	set ingress/shop/some-0/ip6 {
		type ipv6_addr
	}
	chain ingress/shop/web {
		ip saddr 10.244.0.2 return comment "a Pod reaches itself"
		ip6 saddr fd00:10:244::2 return comment "a Pod reaches itself"
		ip saddr @ingress/shop/some-0/ip tcp dport 8080 counter return comment "plumb-lab policy shop/some"
		ip saddr 192.0.2.0/24 ip saddr != { 192.0.2.128/25 } tcp dport 8080 counter return comment "plumb-lab policy shop/some"
		ip6 saddr @ingress/shop/some-0/ip6 tcp dport 8080 counter return comment "plumb-lab policy shop/some"
		counter drop comment "plumb-lab policy shop/some"
	}
	map egress/ip {
		type ipv4_addr : verdict
	}
	map egress/ip6 {
		type ipv6_addr : verdict
	}
	map ingress/ip {
		type ipv4_addr : verdict
		elements = { 10.244.0.2 : jump ingress/shop/web }
	}
	map ingress/ip6 {
		type ipv6_addr : verdict
		elements = { fd00:10:244::2 : jump ingress/shop/web }
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related counter accept
		icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } accept
		ip saddr vmap @egress/ip
		ip6 saddr vmap @egress/ip6
		ip daddr vmap @ingress/ip
		ip6 daddr vmap @ingress/ip6
	}
}
`

const some = `shop/some {"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[
	{"podSelector":{"matchLabels":{"app":"api"}}},{"namespaceSelector":{"matchLabels":{"team":"x"}}},{"ipBlock":{"cidr":"192.0.2.7/24","except":["192.0.2.128/25","192.0.2.192/26"]}}],
	"ports":[{"port":"http"}]}]}`

func TestRuleset(t *testing.T) {
	if diff := cmp.Diff(smallWant, Enforcer{Node: "a"}.Ruleset(small(t, some))); diff != "" {
		t.Error(diff)
	}
}

// TestOrder: the rules do not change with the order in which the API server tells of things.
func TestOrder(t *testing.T) {
	w := small(t, some, `shop/all {"podSelector":{}}`)
	want := Enforcer{Node: "a"}.Ruleset(w)
	w.Pods[0], w.Pods[2] = w.Pods[2], w.Pods[0]
	w.Policies[0], w.Policies[1] = w.Policies[1], w.Policies[0]
	if diff := cmp.Diff(want, Enforcer{Node: "a"}.Ruleset(w)); diff != "" {
		t.Error(diff)
	}
}

// TestWho is about which Pods are isolated, and which are known.
func TestWho(t *testing.T) {
	const all = `shop/all {"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{}}]}]}`
	for _, c := range []struct {
		name    string
		e       Enforcer
		change  func(*World)
		want    []string // lines that are there
		without []string
	}{
		{"a Pod of this node", Enforcer{Node: "b"}, nil, []string{"chain ingress/shop/api", "10.244.0.2"}, []string{"chain ingress/shop/web", "chain ingress/other"}},
		{"no Pod of this node", Enforcer{Node: "c"}, nil, []string{"chain forward"}, []string{"jump", "drop"}},
		{"own nodes", Enforcer{Node: "b", Own: []string{"b"}}, nil, []string{"10.244.1.3"}, []string{"10.244.0.2"}},
		{"no own nodes", Enforcer{Node: "b", Own: []string{}}, nil, []string{"chain ingress/shop/api"}, []string{"10.244.1.3", "10.244.0.2"}},
		{"a Pod in its node's network", Enforcer{Node: "b"}, func(w *World) { w.Pods[1].Spec.HostNetwork = true }, nil, []string{"jump", "drop"}},
		{"a Pod that has ended", Enforcer{Node: "b"}, func(w *World) { w.Pods[1].Status.Phase = corev1.PodSucceeded }, nil, []string{"jump", "drop"}},
		{"a Pod without address", Enforcer{Node: "b"}, func(w *World) { w.Pods[1].Status.PodIPs = nil }, nil, []string{"jump", "drop"}},
		{"an address that makes no sense", Enforcer{Node: "b"}, func(w *World) { w.Pods[1].Status.PodIPs[0].IP = "}" }, nil, []string{"jump", "drop"}},
		{"two Pods with one address", Enforcer{Node: "b"}, func(w *World) { w.Pods[2].Status.PodIPs[0].IP = "10.244.1.2"; w.Pods[2].Namespace = "shop" }, []string{"10.244.1.2 : jump ingress/shop/api"}, []string{"ingress/shop/web"}},
		{"a namespace that is not known", Enforcer{Node: "b"}, func(w *World) { w.Namespaces = nil }, []string{"10.244.0.2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small(t, all)
			if c.change != nil {
				c.change(&w)
			}
			got := c.e.Ruleset(w)
			for _, s := range c.want {
				if !strings.Contains(got, s) {
					t.Errorf("no %q in\n%s", s, got)
				}
			}
			for _, s := range c.without {
				if strings.Contains(got, s) {
					t.Errorf("%q is in\n%s", s, got)
				}
			}
		})
	}
}

// TestRules is about what single rules become.
func TestRules(t *testing.T) {
	for _, c := range []struct{ name, spec, want string }{
		{"everything", `"ingress":[{}]`, "meta nfproto ipv4 counter return|meta nfproto ipv6 counter return"},
		{"a port", `"ingress":[{"ports":[{"port":80}]}]`, "meta nfproto ipv4 tcp dport 80 counter return|meta nfproto ipv6 tcp dport 80 counter return"},
		{"ports", `"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"port":80,"endPort":90},{"protocol":"UDP"},{"protocol":"SCTP","port":7}]}]`,
			"ip saddr 10.0.0.0/8 tcp dport 80-90 counter return|ip saddr 10.0.0.0/8 meta l4proto udp counter return|ip saddr 10.0.0.0/8 sctp dport 7 counter return"},
		{"a name that is none", `"ingress":[{"ports":[{"port":"gone"}]}]`, ""},
		{"blocks", `"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","10.1.0.0/16","9.0.0.0/8"]}},{"ipBlock":{"cidr":"::/0"}},{"ipBlock":{"cidr":"nonsense"}}]}]`,
			"meta nfproto ipv4 ip saddr != { 10.0.0.0/8, 9.0.0.0/8 } counter return|meta nfproto ipv6 counter return"},
		{"an exception that holds an earlier one", `"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.1.0/24","10.1.0.0/16"]}}]}]`,
			"ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16 } counter return"},
		{"egress by name", `"policyTypes":["Egress"],"egress":[{"to":[{"podSelector":{}}],"ports":[{"port":"http"}]}]`,
			"ip daddr . tcp dport @egress/shop/p-0/ip-0 counter return|ip6 daddr . tcp dport @egress/shop/p-0/ip6-0 counter return"},
		{"a selector that makes no sense", `"ingress":[{"from":[{"podSelector":{"matchExpressions":[{"key":"a","operator":"Like"}]}}]}]`,
			"ip saddr @ingress/shop/p-0/ip counter return|ip6 saddr @ingress/shop/p-0/ip6 counter return"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small(t, `shop/p {"podSelector":{"matchLabels":{"app":"web"}},`+c.spec+`}`)
			var got []string
			for line := range strings.Lines(Enforcer{Node: "a"}.Ruleset(w)) {
				if strings.Contains(line, "counter return") {
					got = append(got, strings.TrimSuffix(strings.TrimSpace(line), ` comment "plumb-lab policy shop/p"`))
				}
			}
			if s := strings.Join(got, "|"); s != c.want {
				t.Errorf("got\n%s\nwant\n%s", s, c.want)
			}
		})
	}
}

func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 250)
	w := small(t, "shop/"+long+` {"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}`)
	w.Pods[0].Name = long + "x"
	a, b := name("ingress/shop/"+long+"x"), name("ingress/shop/"+long+"y")
	if a == b || len(a) > longestName || name("short") != "short" {
		t.Errorf("%q, %q", a, b)
	}
	got := Enforcer{Node: "a"}.Ruleset(w)
	for line := range strings.Lines(got) {
		if _, c, ok := strings.Cut(line, ` comment "`); ok && len(c) > longestComment+2 {
			t.Errorf("a comment of %d bytes: %s", len(c)-2, line)
		}
	}
	if !strings.Contains(got, "jump "+a) || !strings.Contains(got, "chain "+a+" {") {
		t.Error(got)
	}
}

func TestComment(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("shop/policy-%d", i))
	}
	for _, c := range []struct {
		policies []string
		want     string
	}{
		{many[:1], ` comment "plumb-lab policy shop/policy-0"`},
		{many[:2], ` comment "plumb-lab policy shop/policy-0 shop/policy-1"`},
		{many, ` comment "plumb-lab policy shop/policy-0 shop/policy-1 shop/policy-2 shop/policy-3 shop/policy-4 shop/policy-5 shop/policy-6 and 23 more"`},
	} {
		if got := comment(c.policies...); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
