package resolvconf

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

const web = "node-a/pod-shop-web-0"

// has gives web-0 a resolv.conf, and changes its object.
func has(text string, edit func(*corev1.PodSpec)) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		f.NS(web).Resolv = map[string]string{snapshot.ResolvConf: text}
		if edit != nil {
			edit(&f.Pod("shop/web-0").Spec)
		}
	}
}

func TestResolvConf(t *testing.T) {
	const (
		search = "search shop.svc.cluster.local svc.cluster.local cluster.local"
		good   = "nameserver 10.96.0.10\n" + search + "\noptions ndots:5\n"
		says   = web + ": resolv-conf-differs: shop/web-0 "
	)
	policy := func(p corev1.DNSPolicy, c *corev1.PodDNSConfig) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.DNSPolicy, s.DNSConfig = p, c }
	}
	two := "2"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "none collected", Want: "? nodes: resolv-conf-differs: what resolv.conf Pods have: none was collected"},
		{Name: "the kubelet's", Edit: has(good, nil)},
		{Name: "with the node's search list", Edit: has("nameserver 10.96.0.10\n"+search+" corp.example\noptions ndots:5\n", nil)},
		{Name: "a cache on the node", Edit: has("nameserver 169.254.20.10\n"+search+"\noptions ndots:5\n", nil)},
		{Name: "another clusterDNS", Edit: has("nameserver 10.96.0.99\n"+search+"\noptions ndots:5\n", nil), Want: "error: " + says + "asks 10.96.0.99 for names, and by its dnsPolicy it is to ask 10.96.0.10",
			Fix: []string{"grep -A2 clusterD /var/lib/kubelet/config.yaml", "kubectl -n shop delete pod web-0"}},
		{Name: "a second server that is another", Edit: has("nameserver 10.96.0.10\nnameserver 8.8.8.8\n"+search+"\noptions ndots:5\n", nil), Want: "warning: " + says + "asks 8.8.8.8 for names, and by its dnsPolicy it is to ask 10.96.0.10"},
		{Name: "another domain", Edit: has("nameserver 10.96.0.10\nsearch shop.svc.corp svc.corp corp\noptions ndots:5\n", nil), Want: "warning: " + says + "does not search shop.svc.cluster.local for names, and by its dnsPolicy it is to"},
		{Name: "no options", Edit: has("nameserver 10.96.0.10\n"+search+"\n", nil), Want: "warning: " + says + "has ndots 1 in its resolv.conf, and by its dnsPolicy it is to have 5"},
		{Name: "ndots of its own", Edit: has("nameserver 10.96.0.10\n"+search+"\noptions ndots:2\n", policy(corev1.DNSClusterFirst, &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}}}))},
		{Name: "the node's", Edit: has("nameserver 203.0.113.10\noptions edns0\n", policy(corev1.DNSDefault, nil))},
		{Name: "none but its own", Edit: has("nameserver 192.0.2.1\n", policy(corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}}))},
		{Name: "none but its own, and another", Edit: has("nameserver 192.0.2.2\n", policy(corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}})), Want: "error: " + says + "asks 192.0.2.2 for names, and by its dnsPolicy it is to ask 192.0.2.1"},
	})
}
