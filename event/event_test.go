package event

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/packet"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

var examples = []struct {
	name, json, line string
	e                Event
}{
	{
		"a packet between Pods",
		`{"time":"2026-03-04T05:06:07.089Z","kind":"packetloss","node":"node-a","namespace":"shop","pod":"web-0","peer":"shop/api-1","by":"netns","proto":"tcp","src":"10.0.0.1:40000","dst":"[fd00::2]:80","size":60,"detail":{"reason":"NETFILTER_DROP","at":"nf_hook_slow+0x1"}}`,
		"05:06:07.089 packetloss node-a shop/web-0 tcp 10.0.0.1:40000 > [fd00::2]:80 (shop/api-1) reason=NETFILTER_DROP at=nf_hook_slow+0x1",
		Event{
			Time: at, Kind: "packetloss", Node: "node-a", Pod: "shop/web-0", Peer: "shop/api-1", By: ByNetNS,
			Packet: packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("[fd00::2]:80"), Proto: packet.TCP, Size: 60},
			Detail: []Field{{"reason", "NETFILTER_DROP"}, {"at", "nf_hook_slow+0x1"}},
		},
	},
	{
		"a message without ports",
		`{"time":"2026-03-04T05:06:07.089Z","kind":"packetloss","proto":"icmp","src":"10.0.0.1","dst":"10.0.0.2"}`,
		"05:06:07.089 packetloss icmp 10.0.0.1 > 10.0.0.2",
		Event{Time: at, Kind: "packetloss", Packet: packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:0"), Dst: netip.MustParseAddrPort("10.0.0.2:0"), Proto: packet.ICMP}},
	},
	{
		"no packet, of a namespace that is no Pod's",
		`{"time":"2026-03-04T05:06:07.089Z","kind":"conntrack","pod":"build","detail":{"z":"1","a":"2 \"x\""}}`,
		`05:06:07.089 conntrack build z=1 a=2 "x"`,
		Event{Time: at, Kind: "conntrack", Pod: "build", Detail: []Field{{"z", "1"}, {"a", `2 "x"`}}},
	},
	{
		"a protocol without a name",
		`{"time":"2026-03-04T05:06:07.089Z","kind":"packetloss","by":"address","proto":"89"}`,
		"05:06:07.089 packetloss 89  > ",
		Event{Time: at, Kind: "packetloss", By: ByAddress, Packet: packet.Packet{Proto: 89}},
	},
}

// TestPeerNames wants the namespace of what may be at the other end.
func TestPeerNames(t *testing.T) {
	for peer, want := range map[string]struct{ namespace, service, name string }{
		"":                         {},
		"node-a":                   {},
		"shop/web-0":               {"shop", "", ""},
		"svc/web-0":                {"svc", "", ""}, // a Pod of a namespace of that name
		Service("shop", "api"):     {"shop", "shop", "api"},
		"svc/kube-system/kube-dns": {"kube-system", "kube-system", "kube-dns"},
		"node-a.svc.example.com":   {},
	} {
		namespace, name, ok := SplitService(peer)
		if got := NamespaceOf(peer); got != want.namespace || ok != (want.name != "") || ok && (namespace != want.service || name != want.name) {
			t.Errorf("%q: namespace %q, Service %q %q %v; want %+v", peer, got, namespace, name, ok, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, tt := range examples {
		t.Run(tt.name, func(t *testing.T) {
			data, err := json.Marshal(tt.e)
			if err != nil || string(data) != tt.json {
				t.Errorf("%v\n got %s\nwant %s", err, data, tt.json)
			}
			var back Event
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.e, back, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Error(diff)
			}
			if got := tt.e.String(); got != tt.line {
				t.Errorf("%q, want %q", got, tt.line)
			}
		})
	}
}

func TestNotEvents(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                         "cannot unmarshal",
		`{"proto":"tpc"}`:            `protocol "tpc"`,
		`{"proto":"256"}`:            `protocol "256"`,
		`{"src":"10.0.0.1:http"}`:    "src:",
		`{"dst":"10.0.0.1:70000"}`:   "dst:",
		`{"detail":["a"]}`:           "detail:",
		`{"detail":{"a":1}}`:         "want a string",
		`{"time":"yesterday"}`:       "time",
		`{"detail":{"a":{"b":"c"}}}`: "want a string",
	} {
		var e Event
		if err := json.Unmarshal([]byte(in), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, tt := range examples {
		f.Add([]byte(tt.json))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, back Event
		if json.Unmarshal(data, &e) != nil {
			return
		}
		out, err := json.Marshal(e)
		if err != nil {
			return // a time beyond the year 9999
		}
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(out) {
			t.Errorf("%v\n%s\n%s", err, out, again)
		}
	})
}
