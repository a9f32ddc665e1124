//go:build linux

package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/net/dns/dnsmessage"
)

// TestNames looks names up, by what the Corefile says.
func TestNames(t *testing.T) {
	sandbox.Need(t)
	l, err := Up(Flannel)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	healthy := l.Corefile()
	for _, tt := range []struct {
		name, old, new, ask string
		want                Outcome
		why                 string
	}{
		{"a Service", "", "", "api.shop.svc.cluster.local.", Delivered, ""},
		{"no Service", "", "", "nope.shop.svc.cluster.local.", Refused, "NameError"},
		{"outside", "", "", "outside.example.", Delivered, ""},
		{"nowhere", "", "", "nowhere.example.", Refused, "NameError"},
		{"forwarded to nobody", "203.0.113.10", "10.20.0.50", "outside.example.", Refused, "ServerFailure"},
		{"forwarded to itself", "203.0.113.10", "10.96.0.10", "outside.example.", Refused, "ServerFailure"},
		{"of a Service, forwarded to itself", "203.0.113.10", "10.96.0.10", "api.shop.svc.cluster.local.", Delivered, ""},
		{"behind hosts", "ready\n", "ready\n hosts {\n 10.0.0.1 a.b\n }\n", "outside.example.", Refused, "ServerFailure"},
		{"behind hosts with fallthrough", "ready\n", "ready\n hosts {\n 10.0.0.1 a.b\n fallthrough\n }\n", "outside.example.", Delivered, ""},
	} {
		if err := l.SetCorefile(strings.Replace(healthy, tt.old, tt.new, 1)); err != nil {
			t.Fatal(err)
		}
		p, err := l.PathProbe(Path{From: "shop/web-0", To: "svc/kube-system/kube-dns:dns", Proto: packet.UDP, Name: tt.ask})
		if err != nil {
			t.Fatal(err)
		}
		o := l.Probe(p)
		if o.Outcome != tt.want || tt.why != "" && (o.Err == nil || !strings.Contains(o.Err.Error(), tt.why)) {
			t.Errorf("%s: %s: %v, want %s %s", tt.name, o.Outcome, o.Err, tt.want, tt.why)
		}
	}
	for _, bad := range []string{"", "forward . nobody\n"} {
		if err := l.SetCorefile(bad); err == nil {
			t.Errorf("the Corefile %q is loaded", bad)
		}
	}
}

// TestQuestion tells queries from what else comes to a name server's port.
func TestQuestion(t *testing.T) {
	good, err := query(7, "a.example.")
	if err != nil {
		t.Fatal(err)
	}
	h, q, _ := question(good)
	for _, tt := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"a query", good, true},
		{"an answer", reply(h, q, netip.Addr{}, dnsmessage.RCodeSuccess), false},
		{"a probe of the lab", make([]byte, 64), false},
		{"cut off", good[:len(good)-1], false},
		{"nothing", nil, false},
	} {
		if _, _, got := question(tt.in); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
	if _, err := query(7, strings.Repeat("a", 300)); err == nil {
		t.Error("a name too long is asked for")
	}
}
