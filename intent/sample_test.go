package intent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSamples(t *testing.T) {
	peers := strings.Fields("a/web b/web b/host 8.8.8.8")
	np := func(spec string) string { return `np a/x {"podSelector":{"matchLabels":{"app":"db"}},` + spec + `}` }
	for _, tt := range []struct {
		name, policies string
		sends          bool
		want           string // peers, ports and answers
	}{
		{"no policy", "", false, "a/web tcp/80 allowed, b/web tcp/80 allowed"},
		{"no policy of that direction", np(`"policyTypes":["Egress"]`), false, "a/web tcp/80 allowed, b/web tcp/80 allowed"},
		{"nothing is allowed", np(`"ingress":[]`), false, "a/web tcp/80 denied, b/web tcp/80 denied, b/host tcp/80 denied"},
		{"all is", np(`"ingress":[{}]`), false, "a/web tcp/80 allowed"},
		{"one kind of Pods", np(`"ingress":[{"from":[{"podSelector":{}}]}]`), false, "a/web tcp/80 allowed, b/web tcp/80 denied, b/host tcp/80 denied, 8.8.8.8 tcp/80 denied"},
		{"a port, and beside it", np(`"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":5432}]}]`), false,
			"a/web tcp/5432 allowed, a/web tcp/5433 denied, a/web tcp/80 denied, b/web tcp/80 denied, b/host tcp/80 denied"},
		{"each port of a rule", np(`"ingress":[{"ports":[{"port":5432},{"port":53,"protocol":"UDP"}]}]`), false,
			"a/web tcp/5432 allowed, a/web tcp/5433 denied, a/web udp/53 allowed, a/web udp/54 denied, a/web tcp/80 denied, b/web tcp/80 denied, b/host tcp/80 denied"},
		{"a port by name", np(`"ingress":[{"ports":[{"port":"http"}]}]`), false,
			"a/web tcp/80 allowed, a/web tcp/81 denied, a/web tcp/15001 allowed, a/web tcp/15002 denied"},
		{"an address", np(`"ingress":[{"from":[{"ipBlock":{"cidr":"8.0.0.0/8"}}]}]`), false, "8.8.8.8 tcp/80 allowed, a/web tcp/80 denied, b/web tcp/80 denied, b/host tcp/80 denied"},
		{"what it sends", np(`"egress":[{"to":[{"podSelector":{}}]}],"policyTypes":["Egress"]`), true, "a/web tcp/8080 allowed, b/web tcp/80 denied, b/host tcp/80 denied, 8.8.8.8 tcp/80 denied"},
		{"what it sends by a name", np(`"egress":[{"ports":[{"port":"http"}]}],"policyTypes":["Egress"]`), true,
			"a/web tcp/8080 allowed, a/web tcp/8081 denied, a/web tcp/80 denied, b/web tcp/80 denied, b/host tcp/8080 denied"},
		{"a selector that is not understood", np(`"ingress":[{"from":[{"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}]}]`), false, "b/web tcp/80 denied, b/host tcp/80 denied, 8.8.8.8 tcp/80 denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			pod := peerOf(t, e, "a/db")
			var list []Peer
			for _, p := range peers {
				list = append(list, peerOf(t, e, p))
			}
			var got []string
			for _, s := range e.Samples(pod, tt.sends, false, list) {
				from, to := list[s.Peer], pod.In(false)
				if tt.sends {
					from, to = pod, list[s.Peer].In(false)
				}
				got = append(got, fmt.Sprintf("%s %s/%d %s", peers[s.Peer], s.Port.Proto, s.Port.Number, e.Answer(from, to, s.Port)))
			}
			if d := cmp.Diff(tt.want, strings.Join(got, ", ")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if e.Limits(pod, tt.sends) != (tt.policies != "" && tt.sends == strings.Contains(tt.policies, "Egress")) {
				t.Errorf("limits: %v", e.Limits(pod, tt.sends))
			}
		})
	}
}

func TestSamplesOfOthers(t *testing.T) {
	e := engineOf(t, "")
	pod := peerOf(t, e, "a/db")
	for _, p := range []Peer{{}, peerOf(t, e, "b/host"), peerOf(t, e, "8.8.8.8")} {
		if got := e.Samples(p, false, false, []Peer{pod}); len(got) > 0 || e.Limits(p, false) {
			t.Errorf("%+v: %v", p, got)
		}
	}
	if got := e.Samples(pod, false, false, []Peer{pod}); len(got) > 0 {
		t.Errorf("with itself: %v", got)
	}
}
