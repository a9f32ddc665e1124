package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

func TestParseTarget(t *testing.T) {
	for _, row := range []struct {
		in   string
		want target
	}{
		{"10.0.1.7", target{kind: "address", addr: netip.MustParseAddr("10.0.1.7")}},
		{"10.0.1.7:53", target{kind: "address", addr: netip.MustParseAddr("10.0.1.7"), port: "53"}},
		{"::ffff:10.0.1.7", target{kind: "address", addr: netip.MustParseAddr("10.0.1.7")}},
		{"fd00::1", target{kind: "address", addr: netip.MustParseAddr("fd00::1")}},
		{"[fd00::1]:80", target{kind: "address", addr: netip.MustParseAddr("fd00::1"), port: "80"}},
		{"[fd00::1]", target{kind: "address", addr: netip.MustParseAddr("fd00::1")}},
		{"shop/web-0", target{kind: "pod", ns: "shop", name: "web-0"}},
		{"pod/shop/web-0:http", target{kind: "pod", ns: "shop", name: "web-0", port: "http"}},
		{"svc/shop/api:80", target{kind: "service", ns: "shop", name: "api", port: "80"}},
		{"service/shop/api", target{kind: "service", ns: "shop", name: "api"}},
		{"node/a", target{kind: "node", name: "a"}},
		{"api.shop.svc", target{kind: "host", name: "api.shop.svc"}},
		{"api.example.com:443", target{kind: "host", name: "api.example.com", port: "443"}},
	} {
		got, err := parseTarget("-d", row.in, "")
		if err != nil || got != row.want {
			t.Errorf("%q: got %+v, %v; want %+v", row.in, got, err, row.want)
		}
	}
}

func TestParseTargetErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":              "-d: nothing given",
		"svc/api":       "write svc/NAMESPACE/api",
		"a/b/c/d":       "write ns/pod",
		"shop/":         "write ns/pod",
		"shop/web 0":    "write ns/pod",
		"1.2.3.4:99999": "port 99999: want 1 to 65535",
		"1.2.3.4:":      "the port after",
		"x/y/z":         "write ns/pod",
	} {
		if _, err := parseTarget("-d", in, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", in, err, want)
		}
	}
}

func TestParseProto(t *testing.T) {
	for _, row := range []struct {
		in        string
		port, is6 bool
		want      packet.Proto
	}{
		{"", true, false, packet.TCP}, {"", false, false, packet.ICMP}, {"", false, true, packet.ICMPv6},
		{"UDP", true, false, packet.UDP}, {"icmp", false, true, packet.ICMPv6}, {"sctp", true, false, packet.SCTP},
	} {
		if got, err := parseProto(row.in, row.port, row.is6); err != nil || got != row.want {
			t.Errorf("%+v: got %v, %v", row, got, err)
		}
	}
	if _, err := parseProto("quic", true, false); err == nil {
		t.Error("quic is no protocol that plumb follows, and was taken")
	}
}

// TestNamespace reads names without a namespace, where one is given for them.
func TestNamespace(t *testing.T) {
	for _, row := range []struct {
		in   string
		want target
	}{
		{"web-0", target{kind: "pod", ns: "shop", name: "web-0"}},
		{"web-0:80", target{kind: "pod", ns: "shop", name: "web-0", port: "80"}},
		{"pod/web-0", target{kind: "pod", ns: "shop", name: "web-0"}},
		{"svc/api:http", target{kind: "service", ns: "shop", name: "api", port: "http"}},
		{"other/web-0", target{kind: "pod", ns: "other", name: "web-0"}},
		{"svc/other/api:80", target{kind: "service", ns: "other", name: "api", port: "80"}},
		{"node/a", target{kind: "node", name: "a"}},
		{"example.com:443", target{kind: "host", name: "example.com", port: "443"}},
	} {
		got, err := parseTarget("-d", row.in, "shop")
		if err != nil || got != row.want {
			t.Errorf("%s: %+v, %v", row.in, got, err)
		}
	}
}
