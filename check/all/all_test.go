package all

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var kebab = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func TestDocs(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Checks {
		t.Run(k.Name, func(t *testing.T) {
			if !kebab.MatchString(k.Name) || seen[k.Name] {
				t.Error("its name is not lower-kebab, or another check's")
			}
			seen[k.Name] = true
			title, rest, ok := strings.Cut(k.Doc, "\n\n")
			if !ok || strings.Contains(title, "\n") {
				t.Error("Doc does not begin with a title and a blank line")
			}
			for _, part := range []string{"Symptom: ", "\nCause: ", "\nCure: ", "\nCommands:\n    "} {
				if !strings.Contains(rest, part) {
					t.Errorf("Doc lacks %q", part)
				}
			}
			for _, part := range []string{"症状：", "\n原因：", "\n处理：", "\n命令：\n    "} {
				if !strings.Contains(k.DocZH, part) {
					t.Errorf("DocZH lacks %q", part)
				}
			}
			if strings.ContainsFunc(k.Doc, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
				t.Error("Doc is not English")
			}
		})
	}
}

// TestEmpty: nothing is found where nothing is known.
func TestEmpty(t *testing.T) {
	c := &snapshot.Cluster{}
	r := check.Run(c, network.New(c), nil, nil, Checks...)
	if len(r.Findings) > 0 || len(r.Unjudged) == 0 || len(r.Ran) != len(Checks) {
		t.Errorf("findings %v, %d unjudged, ran %d of %d", r.Findings, len(r.Unjudged), len(r.Ran), len(Checks))
	}
}

// large returns one node with n Services of three endpoints each, and their rules.
func large(tb testing.TB, n int) *snapshot.Cluster {
	var b strings.Builder
	b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n")
	c := &snapshot.Cluster{Objects: snapshot.Objects{Have: map[string]bool{}, Source: map[string]string{}}}
	for _, kind := range []string{"Node", "Pod", "Service", "EndpointSlice", "DaemonSet", "Deployment"} {
		c.Objects.Have[kind] = true
	}
	c.Objects.Nodes = []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{PodCIDR: "10.244.0.0/16"}}}
	var rules strings.Builder
	rules.WriteString("-A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n")
	ready, name, proto, port := true, "http", corev1.ProtocolTCP, int32(8080)
	for i := range n {
		ip, svc := fmt.Sprintf("10.96.%d.%d", i>>8, i&255), fmt.Sprintf("svc-%d", i)
		c.Objects.Services = append(c.Objects.Services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: svc},
			Spec: corev1.ServiceSpec{ClusterIP: ip, Selector: map[string]string{"app": svc}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: proto}}}})
		slice := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: svc, Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
			Ports: []discoveryv1.EndpointPort{{Name: &name, Protocol: &proto, Port: &port}}}
		fmt.Fprintf(&b, ":KUBE-SVC-%d - [0:0]\n", i)
		fmt.Fprintf(&rules, "-A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"shop/%s:http cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%d\n", ip, svc, i)
		for j := range 3 {
			ep := fmt.Sprintf("10.244.%d.%d", (3*i+j)>>8, (3*i+j)&255)
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ep}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
			fmt.Fprintf(&b, ":KUBE-SEP-%d-%d - [0:0]\n", i, j)
			fmt.Fprintf(&rules, "-A KUBE-SVC-%d -m statistic --mode random --probability 0.33 -j KUBE-SEP-%d-%d\n", i, i, j)
			fmt.Fprintf(&rules, "-A KUBE-SEP-%d-%d -s %s/32 -j KUBE-MARK-MASQ\n-A KUBE-SEP-%d-%d -p tcp -m tcp -j DNAT --to-destination %s:8080\n", i, j, ep, i, j, ep)
		}
		c.Objects.EndpointSlices = append(c.Objects.EndpointSlices, slice)
	}
	tables, problems := netfilter.ParseSave(strings.NewReader(b.String()+":KUBE-MARK-MASQ - [0:0]\n"+rules.String()+"COMMIT\n"), false, netfilter.NFT, "nodes/a/host/iptables")
	if len(problems) > 0 {
		tb.Fatal(problems[0])
	}
	ns := &snapshot.NetNS{Name: "host", Dir: "nodes/a/host", Netfilter: netfilter.Ruleset{Tables: tables}, Sysctl: map[string]string{}}
	ns.Links = []snapshot.Link{{Index: 1, Name: "eth0", Flags: []string{"UP", "LOWER_UP"}, MTU: 1500, Addrs: []snapshot.LinkAddr{{Family: "inet", Local: netip.MustParseAddr("192.0.2.1"), Len: 24}}}}
	c.Nodes = []*snapshot.Node{{Name: "a", NetNS: []*snapshot.NetNS{ns}}}
	return c
}

func BenchmarkChecks(b *testing.B) {
	c := large(b, 10000)
	n := network.New(c)
	for b.Loop() {
		check.Run(c, n, nil, nil, Checks...)
	}
}
