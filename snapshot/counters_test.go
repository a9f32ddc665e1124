package snapshot

import "testing"

func TestCounters(t *testing.T) {
	files := Files{
		"nodes/a/host/addr.json": []byte(`[{"ifindex":1,"ifname":"lo","flags":[],"mtu":1},{"ifindex":2,"ifname":"eth0","flags":[],"mtu":1500,"stats64":{"rx":{"bytes":600,"packets":9},"tx":{"bytes":60,"packets":4}}}]`),
		"nodes/a/host/iptables":  []byte("*filter\n:FORWARD DROP [7:420]\n[5:300] -A FORWARD -j ACCEPT\nCOMMIT\n"),
		"nodes/a/host/nft.json":  []byte(`{"nftables": [{"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 7, "expr": [{"counter": {"packets": 3}}, {"drop": null}]}}]}`),
		"nodes/a/node.json":      []byte(`{}`),
		"objects/pods.json":      []byte(`[`),
	}
	c := ReadCounters(files)
	if s, ok := c.Link("nodes/a/host", "eth0"); !ok || s.RX.Packets != 9 || s.TX.Packets != 4 || s.RX.Bytes != 600 {
		t.Errorf("eth0: %+v %v", s, ok)
	}
	for _, dev := range []string{"lo", "eth1"} {
		if _, ok := c.Link("nodes/a/host", dev); ok {
			t.Errorf("%s has counts", dev)
		}
	}
	save := "nodes/a/host/iptables"
	for _, tt := range []struct {
		name string
		e    Evidence
		want uint64
		ok   bool
	}{
		{"a rule", Evidence{File: save, Line: 3, Text: "-A FORWARD -j ACCEPT"}, 5, true},
		{"a policy", Evidence{File: save, Line: 2, Text: "-P FORWARD DROP"}, 7, true},
		{"a rule that has moved", Evidence{File: save, Line: 4, Text: "-A FORWARD -j ACCEPT"}, 0, false},
		{"another rule at its place", Evidence{File: save, Line: 3, Text: "-A FORWARD -j DROP"}, 0, false},
		{"of nf_tables", Evidence{File: "nodes/a/host/nft.json", Line: 1, Text: "counter drop # handle 7", Command: "nft -a list chain inet t c"}, 3, true},
		{"of nf_tables, without a counter", Evidence{File: "nodes/a/host/nft.json", Line: 1, Text: "drop # handle 8", Command: "nft -a list chain inet t c"}, 0, false},
		{"of another node", Evidence{File: "nodes/b/host/iptables", Line: 3, Text: "-A FORWARD -j ACCEPT"}, 0, false},
	} {
		if n, ok := c.Rule(tt.e); n != tt.want || ok != tt.ok {
			t.Errorf("%s: %d %v", tt.name, n, ok)
		}
	}
	var all Counters
	all.Merge(c)
	all.Merge(ReadCounters(Files{"nodes/b/host/addr.json": []byte(`[{"ifindex":2,"ifname":"eth0","stats64":{"rx":{"packets":1},"tx":{"packets":2}}}]`)}))
	a, _ := all.Link("nodes/a/host", "eth0")
	b, ok := all.Link("nodes/b/host", "eth0")
	if a.RX.Packets != 9 || b.TX.Packets != 2 || !ok {
		t.Errorf("merged: %+v %+v", a, b)
	}
	var none Counters
	if _, ok := none.Rule(Evidence{}); ok {
		t.Error("none has counts")
	}
}
