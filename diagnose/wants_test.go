package diagnose

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// wanted writes what is wanted: "node-b shop/far-0; node-c".
func wanted(list []Want) string {
	var out []string
	for _, w := range list {
		out = append(out, strings.TrimSpace(w.Node+" "+strings.Join(w.Pods, " ")))
	}
	return strings.Join(out, "; ")
}

// TestWants asks for what the source, the destination and the packets on the way are, and was not collected.
func TestWants(t *testing.T) {
	c := shop()
	c.Objects.Nodes = append(c.Objects.Nodes,
		corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-b"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.2"}}}},
		corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-c"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.3"}}}})
	agent := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent-c"}}
	agent.Spec.NodeName, agent.Spec.HostNetwork, agent.Status.PodIP = "node-c", true, "192.0.2.3"
	waiting := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "waiting"}}
	c.Objects.Pods = append(c.Objects.Pods, agent, waiting)
	to := func(dsts ...string) *packet.Packet {
		var p *packet.Packet
		for _, d := range dsts { // the last is the outermost
			p = &packet.Packet{Src: netip.MustParseAddrPort("10.244.1.2:1"), Dst: netip.MustParseAddrPort(d), Proto: packet.TCP, Inner: p}
		}
		return p
	}
	for _, row := range []struct {
		name, src, dst, namespace string
		steps                     []*packet.Packet
		final                     *packet.Packet
		want                      string
	}{
		{name: "all is there", src: "shop/web-0", dst: "node/node-a"},
		{name: "the destination's node", src: "shop/web-0", dst: "shop/far-0:80", want: "node-b shop/far-0"},
		{name: "the source's node", src: "shop/far-0", dst: "shop/web-0:80", want: "node-b shop/far-0"},
		{name: "a node", src: "shop/web-0", dst: "node/node-c:22", want: "node-c"},
		{name: "a node that nobody knows", src: "shop/web-0", dst: "node/node-x:22", want: "node-x"},
		{name: "a Pod on the node's own network", src: "kube-system/agent-c", dst: "shop/web-0:80", want: "node-c"},
		{name: "a Pod whose namespace is lacking", src: "shop/lost-0", dst: "shop/web-0:80", want: "node-a shop/lost-0"},
		{name: "a Pod that is nowhere yet", src: "shop/waiting", dst: "shop/web-0:80"},
		{name: "a Pod that does not exist", src: "shop/nobody", dst: "shop/web-0:80"},
		{name: "the address of a Pod", src: "10.244.2.2", dst: "shop/web-0:80", want: "node-b shop/far-0"},
		{name: "the address of a node", src: "192.0.2.3", dst: "shop/web-0:80", want: "node-c"},
		{name: "an address that nobody has", src: "203.0.113.9", dst: "shop/web-0:80"},
		{name: "a name without its namespace", src: "far-0", dst: "web-0:80", namespace: "shop", want: "node-b shop/far-0"},
		{name: "what cannot be read", src: "", dst: "a/b/c/d"},
		{name: "both, in order", src: "node/node-c", dst: "shop/far-0:80", want: "node-c; node-b shop/far-0"},
		{name: "the Pod behind a Service", src: "shop/web-0", dst: "svc/shop/api:80", final: to("10.244.2.2:8080"), want: "node-b shop/far-0"},
		{name: "the far end of a tunnel, and who is in it", src: "shop/web-0", dst: "svc/shop/api:80", steps: []*packet.Packet{to("10.96.0.20:80"), to("10.244.2.2:8080", "192.0.2.3:8472")}, final: to("10.244.2.2:8080"),
			want: "node-c; node-b shop/far-0"},
		{name: "a router of a node", src: "shop/web-0", dst: "203.0.113.9:80", steps: []*packet.Packet{to("192.0.2.2:80")}, final: to("203.0.113.9:80"), want: "node-b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Report{}
			if row.final != nil {
				hop := trace.Hop{Node: "node-a", NetNS: "web"}
				for _, p := range row.steps {
					hop.Steps = append(hop.Steps, trace.Step{Out: p})
				}
				path := trace.Path{Hops: []trace.Hop{hop}, Final: *row.final}
				r.Traces = []Trace{{Result: trace.Result{Paths: []trace.Path{path}}}}
			}
			got := wanted(Wants(c, Ask{Src: row.src, Dst: row.dst, Namespace: row.namespace}, r))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWantsOfAnswers looks into the answers and the error messages too.
func TestWantsOfAnswers(t *testing.T) {
	c := shop()
	far := packet.Packet{Dst: netip.MustParseAddrPort("10.244.2.2:80")}
	for _, path := range []trace.Path{{Reply: []trace.Path{{Final: far}}}, {ICMP: []trace.Path{{Final: far}}}, {Reply: []trace.Path{{ICMP: []trace.Path{{Final: far}}}}}} {
		r := &Report{Traces: []Trace{{Result: trace.Result{Paths: []trace.Path{path}}}}}
		if got := wanted(Wants(c, Ask{Src: "shop/web-0", Dst: "203.0.113.9:80"}, r)); got != "node-b shop/far-0" {
			t.Errorf("%+v: %q", path, got)
		}
	}
}

// TestObserved says what was seen, for each way in which a probe can end.
func TestObserved(t *testing.T) {
	tcp := snapshot.Probe{Proto: packet.TCP, Dst: netip.MustParseAddrPort("10.0.0.2:80"), Sent: 3}
	ping := snapshot.Probe{Proto: packet.ICMP, Dst: netip.MustParseAddrPort("10.0.0.2:0"), Sent: 3, Size: 1450}
	icmp := &snapshot.ProbeICMP{From: netip.MustParseAddr("10.0.0.9"), Type: 3, Code: 4, MTU: 1400}
	for _, row := range []struct {
		fate     snapshot.ProbeFate
		probe    snapshot.Probe
		answered int
		icmp     *snapshot.ProbeICMP
		why      string
		want     string
	}{
		{snapshot.ProbeAnswered, tcp, 2, nil, "", "2 of 3 probes by tcp to 10.0.0.2:80 were answered"},
		{snapshot.ProbeAnswered, ping, 3, nil, "", "3 of 3 probes of 1450 bytes by icmp to 10.0.0.2 were answered"},
		{snapshot.ProbeSilent, tcp, 0, nil, "", "3 probes by tcp to 10.0.0.2:80 were not answered"},
		{snapshot.ProbeSilent, ping, 0, nil, "", "3 probes of 1450 bytes by icmp to 10.0.0.2 were not answered"},
		{snapshot.ProbeRefused, tcp, 0, nil, "", "3 probes by tcp to 10.0.0.2:80: its host refuses them: nothing listens there"},
		{snapshot.ProbeRejected, tcp, 0, icmp, "", "3 probes by tcp to 10.0.0.2:80: 10.0.0.9 rejects them (ICMP type 3 code 4)"},
		{snapshot.ProbeRejected, tcp, 0, nil, "no route to host", "3 probes by tcp to 10.0.0.2:80 are rejected: no route to host"},
		{snapshot.ProbeTooBig, ping, 0, icmp, "", "3 probes of 1450 bytes to 10.0.0.2: 10.0.0.9 says that its next link takes 1400"},
		{snapshot.ProbeTooBig, ping, 0, nil, "", "3 probes of 1450 bytes to 10.0.0.2: the sender's own link takes less"},
		{snapshot.ProbeNotSent, tcp, 0, nil, "operation not permitted", "the sender's own kernel does not send to 10.0.0.2:80: operation not permitted"},
	} {
		p := row.probe
		p.Fate, p.Answered, p.ICMP, p.Why = row.fate, row.answered, row.icmp, row.why
		if got := observed(&p).String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

// TestNamesOfWords writes the words of an answer, and no word for what is none.
func TestNamesOfWords(t *testing.T) {
	var got []string
	for i := range uint8(5) {
		v, err := Verdict(i).MarshalText()
		a, err2 := Agreement(i).MarshalText()
		got = append(got, fmt.Sprintf("%s %s %t", v, a, err == nil && err2 == nil))
	}
	want := []string{"cannot-tell not-comparable true", "works agrees true", "broken differs true", "partly invalid true", "invalid invalid true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
