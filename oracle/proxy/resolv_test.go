package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	kubelet "k8s.io/kubernetes/pkg/kubelet/network/dns"
)

// TestResolvConf compares with the resolv.conf that the kubelet's own code makes for the same Pods, of the same
// file of the node. The kubelet leaves the order of options to chance: it is not compared.
func TestResolvConf(t *testing.T) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	r := rand.New(rand.NewPCG(4, 1))
	const nodes, pods = 400, 20
	file := filepath.Join(t.TempDir(), "resolv.conf")
	n, wrong, long := 0, 0, 0
	for range nodes {
		text := hostConf(r)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k := randomKubelet(r, text)
		var ips []net.IP
		for _, a := range k.DNS {
			ips = append(ips, a.AsSlice())
		}
		theirs := kubelet.NewConfigurer(&record.FakeRecorder{}, nil, nil, ips, k.Domain, file)
		for range pods {
			pod := randomPod(r)
			said, err := theirs.GetPodDNS(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			want := dns.Conf{Search: said.Searches, Options: said.Options}
			for _, s := range said.Servers {
				want.Servers = append(want.Servers, netip.MustParseAddr(s))
			}
			got, open := k.Conf(check.PodDNS(pod))
			slices.Sort(got.Options)
			slices.Sort(want.Options)
			if len(want.Search) > 20 {
				long++
			}
			n++
			if d := cmp.Diff(want.String(), got.String()); d != "" || open {
				if wrong++; wrong < 5 {
					t.Errorf("%+v\non a node with\n%sdomain %q, DNS %v: open %t (-kubelet +plumb):\n%s", pod.Spec, text, k.Domain, k.DNS, open, d)
				}
			}
		}
	}
	fmt.Printf("agree: resolv.conf and the kubelet: %d random Pods on %d nodes, %d with long search lists, %d disagreements, 0 explained\n", n, nodes, long, wrong)
	if long < n/20 {
		t.Errorf("%d search lists are long", long)
	}
}

// servers, domains and options are what files and Pods name.
var (
	servers  = []string{"203.0.113.10", "192.0.2.53", "127.0.0.53", "10.96.0.10", "2001:db8::53", "8.8.8.8"}
	resolves = []string{"ndots:1", "ndots:2", "ndots:5", "edns0", "timeout:1", "attempts:3", "rotate", "trust-ad"}
)

func domain(r *rand.Rand) string {
	switch r.IntN(12) {
	case 0:
		return strings.Repeat("a.", 127+r.IntN(4)) + "b" // about as long as a name may be
	case 1:
		return strings.Repeat("long-label.", 10+r.IntN(12)) + "example"
	case 2:
		return []string{"cluster.local", "svc.cluster.local"}[r.IntN(2)]
	}
	return fmt.Sprintf("d%d.example", r.IntN(60))
}

func some(r *rand.Rand, most int, one func() string) (out []string) {
	for range r.IntN(most + 1) {
		out = append(out, one())
	}
	return out
}

// hostConf writes the file of a node.
func hostConf(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("# by a random node\n\n")
	for _, s := range some(r, 4, func() string { return servers[r.IntN(len(servers))] }) {
		b.WriteString("nameserver " + s + "\n")
	}
	for range r.IntN(3) { // of two lines the last counts
		dot := []string{"", "."}[r.IntN(2)]
		if list := some(r, []int{3, 40}[r.IntN(2)], func() string { return domain(r) + dot }); len(list) > 0 {
			b.WriteString("search " + strings.Join(list, " ") + "\n")
		}
	}
	if r.IntN(3) == 0 {
		b.WriteString("search .\n")
	}
	for range r.IntN(3) {
		if list := some(r, 3, func() string { return resolves[r.IntN(len(resolves))] }); len(list) > 0 {
			b.WriteString("options " + strings.Join(list, " ") + "\n")
		}
	}
	return b.String()
}

func randomKubelet(r *rand.Rand, text string) (k dns.Kubelet) {
	host := dns.ParseConf(text)
	k.Host = &host
	for _, s := range []string{"10.96.0.10", "fd00:96::a"}[:r.IntN(3)] {
		k.DNS = append(k.DNS, netip.MustParseAddr(s))
	}
	k.Domain = []string{"cluster.local", "cluster.local", "corp", ""}[r.IntN(4)]
	return k
}

func randomPod(r *rand.Rand) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: []string{"shop", "default"}[r.IntN(2)], Name: "p"}}
	p.Spec.DNSPolicy = []corev1.DNSPolicy{corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone}[r.IntN(4)]
	p.Spec.HostNetwork = r.IntN(3) == 0
	if r.IntN(2) == 0 {
		return p
	}
	p.Spec.DNSConfig = &corev1.PodDNSConfig{
		Nameservers: some(r, 3, func() string { return servers[r.IntN(len(servers))] }),
		Searches:    some(r, []int{3, 32}[r.IntN(2)], func() string { return domain(r) }),
	}
	for _, o := range some(r, 3, func() string { return resolves[r.IntN(len(resolves))] }) {
		name, value, valued := strings.Cut(o, ":")
		opt := corev1.PodDNSConfigOption{Name: name}
		if valued {
			opt.Value = &value
		}
		p.Spec.DNSConfig.Options = append(p.Spec.DNSConfig.Options, opt)
	}
	return p
}
