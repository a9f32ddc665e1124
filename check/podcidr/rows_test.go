package podcidr

import (
	"fmt"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cidr gives a node its ranges.
func cidr(f *checktest.Facts, node string, cs ...string) {
	s := &f.Node(node).Spec
	s.PodCIDR, s.PodCIDRs = "", cs
}

func TestMissing(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "one without", Edit: func(f *checktest.Facts) { cidr(f, "node-b") },
			Want: "error: node/node-b: podcidr-missing: the node has no Pod range; 2 other nodes have one"},
		{Name: "two without", Edit: func(f *checktest.Facts) { cidr(f, "node-b"); cidr(f, "node-a") },
			Want: "error: node/node-a: podcidr-missing: the node has no Pod range; 1 other nodes have one\n" +
				"error: node/node-b: podcidr-missing: the node has no Pod range; 1 other nodes have one"},
		{Name: "all without: the CNI has ranges of its own", Edit: func(f *checktest.Facts) { cidr(f, "node-a"); cidr(f, "node-b"); cidr(f, "node-c") }},
		{Name: "what does not parse is none", Edit: func(f *checktest.Facts) { cidr(f, "node-b", "10.244.1.0") },
			Want: "error: node/node-b: podcidr-missing: the node has no Pod range; 2 other nodes have one"},
		{Name: "on the path to its Pods", Edit: func(f *checktest.Facts) {
			cidr(f, "node-b")
			f.Unroute("node-a/host", "10.244.1.0/24")
			f.Unroute("node-a/host", "0.0.0.0/0")
		}, Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path: node/node-b: podcidr-missing: the node has no Pod range; 2 other nodes have one"},
		{Name: "not collected", Without: []string{"objects/nodes.json"}, Want: "? objects/Node: podcidr-missing: not collected"},
	})
}

func TestOverlap(t *testing.T) {
	says := func(b, a string) string {
		return fmt.Sprintf("error: node/node-c: podcidr-overlap: its Pod range %s overlaps %s of node node-b", b, a)
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Overlap}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "the same", Edit: func(f *checktest.Facts) { cidr(f, "node-c", "10.244.1.0/24") }, Want: says("10.244.1.0/24", "10.244.1.0/24"),
			Fix: []string{"kubectl drain node-c --ignore-daemonsets", "kubectl delete node node-c"}},
		{Name: "a part", Edit: func(f *checktest.Facts) { cidr(f, "node-c", "10.244.1.128/25") }, Want: says("10.244.1.128/25", "10.244.1.0/24")},
		{Name: "the next one", Edit: func(f *checktest.Facts) { cidr(f, "node-c", "10.244.3.0/24") }},
		{Name: "one that holds all others", Edit: func(f *checktest.Facts) { cidr(f, "node-c", "10.244.0.0/16") },
			Want: "error: node/node-c: podcidr-overlap: its Pod range 10.244.0.0/16 overlaps 10.244.0.0/24 of node node-a\n" + says("10.244.0.0/16", "10.244.1.0/24")},
		{Name: "on the path", Edit: func(f *checktest.Facts) {
			cidr(f, "node-c", "10.244.1.0/24")
			f.NS("node-b/host").Sysctl["net.ipv4.ip_forward"] = "0"
		}, Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path" + says("10.244.1.0/24", "10.244.1.0/24")[5:]},
		{Name: "beside the path", Edit: func(f *checktest.Facts) {
			cidr(f, "node-c", "10.244.1.0/24")
			f.NS("node-a/host").Sysctl["net.ipv4.ip_forward"] = "0"
		}, Ask: "from shop/web-1\nto 10.244.0.2:8080", Want: says("10.244.1.0/24", "10.244.1.0/24")},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Overlap}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "of IPv6 alone", Edit: func(f *checktest.Facts) { cidr(f, "node-c", "10.244.2.0/24", "fd00:10:244:1::/64") }, Want: says("fd00:10:244:1::/64", "fd00:10:244:1::/64")},
	})
}

// full returns an edit that has node-b's range be c, and n Pods in it.
func full(c string, n int) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		cidr(f, "node-b", c)
		f.Objects.Pods = nil
		for i := range n {
			f.Objects.Pods = append(f.Objects.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("p", i)},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.244.1.%d", i+2)}})
		}
	}
}

func TestExhausted(t *testing.T) {
	says := func(used, room int, c string) string {
		return fmt.Sprintf("warning: node/node-b: podcidr-exhausted: %d of the %d Pod addresses of %s are in use", used, room, c)
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Exhausted}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "below nine tenths of 253", Edit: full("10.244.1.0/24", 227)},
		{Name: "at nine tenths", Edit: full("10.244.1.0/24", 228), Want: says(228, 253, "10.244.1.0/24")},
		{Name: "the last one of a /29", Edit: full("10.244.1.0/29", 5), Want: says(5, 5, "10.244.1.0/29")},
		{Name: "one left of a /29", Edit: full("10.244.1.0/29", 4)},
		{Name: "too small for any Pod", Edit: full("10.244.1.0/31", 0)},
		{Name: "Pods that have ended gave theirs back", Edit: func(f *checktest.Facts) {
			full("10.244.1.0/29", 5)(f)
			f.Objects.Pods[0].Status.Phase = corev1.PodSucceeded
		}},
		{Name: "Pods with the node's network have none of the range", Edit: func(f *checktest.Facts) {
			full("10.244.1.0/29", 5)(f)
			f.Objects.Pods[0].Spec.HostNetwork = true
		}},
		{Name: "a range of IPv6 is never full", Edit: func(f *checktest.Facts) {
			full("10.244.1.0/24", 5)(f)
			cidr(f, "node-b", "fd00::/126")
		}},
		{Name: "Pods were not collected", Without: []string{"objects/pods.json"}, Want: "? objects/Pod: podcidr-exhausted: not collected"},
	})
}
