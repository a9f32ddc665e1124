package main

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
)

// telling has each agent of the recorded cluster tell one event, and watch no more.
func telling(t *testing.T) string {
	s, config := running(t)
	var mu sync.Mutex
	told := map[string]bool{}
	s.Events = func(node string) []event.Event {
		mu.Lock()
		defer mu.Unlock()
		if told[node] {
			return nil
		}
		told[node] = true
		return []event.Event{{
			Time: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), Kind: "tcpreset", Pod: "shop/web-0", Peer: "shop/api-1",
			Packet: packet.Packet{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.244.0.2:40000"), Dst: netip.MustParseAddrPort("10.244.1.2:8080")},
			Detail: []event.Field{{Key: "reason", Value: "NO_SOCKET"}},
		}}
	}
	return config
}

func TestWatchVerb(t *testing.T) {
	status, out, errOut := plumb("watch", "--kubeconfig", telling(t))
	got := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(got)
	const want = "05:06:07.089 tcpreset node-a shop/web-0 tcp 10.244.0.2:40000 > 10.244.1.2:8080 (shop/api-1) reason=NO_SOCKET"
	if status != statusFine || len(got) != 3 || got[0] != want {
		t.Errorf("status %d:\n%s\nwant first %s", status, out, want)
	}
	for _, want := range []string{"(3 of 3 nodes)", "plumb: node-b: plumbd there does not watch its node"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("no %q in\n%s", want, errOut)
		}
	}
	status, out, _ = plumb("watch", "--kubeconfig", telling(t), "--json")
	if status != statusFine || !strings.Contains(out, `"kind":"tcpreset","node":"node-c","namespace":"shop","pod":"web-0"`) {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// TestPodFlag: what --pod names, with -n and without.
func TestPodFlag(t *testing.T) {
	for _, tt := range []struct{ text, namespace, want string }{
		{"", "", ""}, {"", "shop", ""},
		{"shop/web-0", "", "shop/web-0"}, {"shop/web-0", "cart", "shop/web-0"},
		{"web-0", "shop", "shop/web-0"},
		{"svc/shop/api", "", "svc/shop/api"},
		{"unknown", "", event.Unknown}, {"unknown", "shop", "shop/unknown"},
	} {
		l := live{kube: kube.Options{Namespace: tt.namespace}}
		if got, err := l.pod(tt.text); got != tt.want || err != nil {
			t.Errorf("--pod %q -n %q: %q, %v, want %q", tt.text, tt.namespace, got, err, tt.want)
		}
	}
	for _, text := range []string{"web-0", "shop/", "/web-0"} {
		if got, err := (&live{}).pod(text); err == nil {
			t.Errorf("--pod %q: %q", text, got)
		}
	}
}

func TestWatchRefuses(t *testing.T) {
	_, silent := running(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nobody watches", []string{"--kubeconfig", silent}, "does not watch its node: it runs without --config"},
		{"a Pod of no namespace", []string{"--kubeconfig", silent, "--pod", "web-0"}, "--pod web-0: in which namespace?"},
		{"a kubeconfig that is not there", []string{"--kubeconfig", "/does/not/exist"}, "no such file"},
		{"a word too many", []string{"web-0"}, "web-0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, errOut := plumb(append([]string{"watch"}, tt.args...)...)
			if status != statusUnsure || !strings.Contains(errOut, tt.want) {
				t.Errorf("status %d: %s, want %q", status, errOut, tt.want)
			}
		})
	}
}

func TestWatchQuery(t *testing.T) {
	for _, tt := range []struct{ namespace, pod, kind, want string }{
		{"", "", "", ""},
		{"shop", "", "", "namespace=shop"},
		{"shop", "web-0", "", "pod=shop%2Fweb-0"},
		{"shop", "db/pg-0", "dns,tcpreset", "kind=dns%2Ctcpreset&pod=db%2Fpg-0"},
	} {
		f := watchFlags{pod: tt.pod, kind: tt.kind}
		f.cluster.kube.Namespace = tt.namespace
		if q, err := f.query(); err != nil || q.Encode() != tt.want {
			t.Errorf("%+v: %q, %v", tt, q.Encode(), err)
		}
	}
}
