package snapshot

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPodPlaces(t *testing.T) {
	a := netip.MustParseAddr
	for _, tt := range []struct {
		name, spec, status string
		want               []PodPlace
	}{
		{"running", `{"nodeName":"n"}`, `{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}`, []PodPlace{{Name: "shop/x", Node: "n", Addrs: []netip.Addr{a("10.0.0.1")}}}},
		{"two families", `{"nodeName":"n"}`, `{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}`, []PodPlace{{Name: "shop/x", Node: "n", Addrs: []netip.Addr{a("10.0.0.1"), a("fd00::1")}}}},
		{"podIP alone", `{"nodeName":"n"}`, `{"podIP":"10.0.0.1"}`, []PodPlace{{Name: "shop/x", Node: "n", Addrs: []netip.Addr{a("10.0.0.1")}}}},
		{"in the node's namespace", `{"nodeName":"n","hostNetwork":true}`, `{"podIP":"192.168.0.1"}`, []PodPlace{{Name: "shop/x", Node: "n", HostNetwork: true, Addrs: []netip.Addr{a("192.168.0.1")}}}},
		{"pending", `{}`, `{"phase":"Pending"}`, []PodPlace{{Name: "shop/x"}}},
		{"of a phase that is not known", `{"nodeName":"n"}`, `{"phase":"Unknown","podIP":"10.0.0.1"}`, []PodPlace{{Name: "shop/x", Node: "n", Addrs: []netip.Addr{a("10.0.0.1")}}}},
		{"succeeded", `{"nodeName":"n"}`, `{"phase":"Succeeded","podIP":"10.0.0.1"}`, nil},
		{"failed", `{"nodeName":"n"}`, `{"phase":"Failed","podIP":"10.0.0.1"}`, nil},
		{"addresses that are none", `{"nodeName":"n"}`, `{"podIP":"x","podIPs":[{"ip":""},{"ip":"10.0.0.300"}]}`, []PodPlace{{Name: "shop/x", Node: "n"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"objects/pods.json": fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"x"},"spec":%s,"status":%s}`, tt.spec, tt.status)})
			if d := cmp.Diff(tt.want, c.PodPlaces(), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestNodePlaces(t *testing.T) {
	c := mustRead(t, Files{"objects/nodes.json": []byte(list(
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.2"},{"type":"InternalIP","address":"fd00::2"},{"type":"Hostname","address":"b"}]}}`,
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}}`))})
	want := []PodPlace{
		{Name: "a", Node: "a", HostNetwork: true},
		{Name: "b", Node: "b", HostNetwork: true, Addrs: []netip.Addr{netip.MustParseAddr("192.168.0.2"), netip.MustParseAddr("fd00::2")}},
	}
	if d := cmp.Diff(want, c.NodePlaces(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
