package listen

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestTakes(t *testing.T) {
	sock := func(addr string, only6 bool) *snapshot.Socket {
		return &snapshot.Socket{Local: netip.AddrPortFrom(netip.MustParseAddr(addr), 80), V6Only: only6}
	}
	for _, tt := range []struct {
		name string
		s    *snapshot.Socket
		to   string
		want bool
	}{
		{"its own address", sock("10.0.0.1", false), "10.0.0.1", true},
		{"another address", sock("10.0.0.1", false), "10.0.0.2", false},
		{"any of IPv4", sock("0.0.0.0", false), "10.0.0.1", true},
		{"any of IPv4, asked by IPv6", sock("0.0.0.0", false), "fd00::1", false},
		{"any of both", sock("::", false), "10.0.0.1", true},
		{"any of both, asked by IPv6", sock("::", false), "fd00::1", true},
		{"any of IPv6 only", sock("::", true), "10.0.0.1", false},
		{"any of IPv6 only, asked by IPv6", sock("::", true), "fd00::1", true},
		{"loopback", sock("127.0.0.1", false), "10.0.0.1", false},
		{"written as IPv6", sock("::ffff:10.0.0.1", false), "10.0.0.1", true},
		{"asked as IPv6", sock("10.0.0.1", false), "::ffff:10.0.0.1", true},
	} {
		if got := takes(tt.s, netip.MustParseAddr(tt.to)); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

// sockets replaces the TCP sockets of Pods of the Service shop/api.
func sockets(locals ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, ns := range []string{"node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"} {
			only(f, ns, locals...)
		}
	}
}

func only(f *checktest.Facts, ns string, locals ...string) {
	n := f.NS(ns)
	n.Sockets = slices.DeleteFunc(n.Sockets, func(s snapshot.Socket) bool { return s.Proto == packet.TCP })
	for _, l := range locals {
		n.Sockets = append(n.Sockets, snapshot.Socket{Proto: packet.TCP, Local: netip.MustParseAddrPort(l), State: "LISTEN"})
	}
}

// retargeted sends the port of the Service shop/api to another.
func retargeted(f *checktest.Facts, port int32) {
	for i := range f.Objects.EndpointSlices {
		s := &f.Objects.EndpointSlices[i]
		for j := range s.Ports {
			if s.Labels[discoveryv1.LabelServiceName] == "api" && *s.Ports[j].Name == "http" {
				s.Ports[j].Port = &port
			}
		}
	}
}

func TestPorts(t *testing.T) {
	all := []*check.Check{TargetPort, Loopback, NotListening}
	const a, b, c = "node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"
	lines := func(severity, check, before, after string) string {
		s := ""
		for _, ns := range []string{a, b, c} {
			s += severity + ": " + ns + ": " + check + ": " + before + "shop/" + ns[len("node-a/pod-shop-"):] + after + "\n"
		}
		return s
	}
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "as recorded"},
		{Name: "none at all", Edit: sockets(), Want: lines("error", "not-listening", "nothing listens on tcp port 8080 in ", "")},
		{Name: "one of three", Edit: func(f *checktest.Facts) { only(f, b) }, Want: "error: " + b + ": not-listening: nothing listens on tcp port 8080 in shop/api-6c9f7d5b8-9qjtl"},
		{Name: "loopback", Edit: sockets("127.0.0.1:8080"), Want: lines("error", "listen-loopback", "the server on tcp port 8080 of ", " listens on the loopback address only")},
		{Name: "loopback of IPv6", Edit: func(f *checktest.Facts) { only(f, b, "[::1]:8080") },
			Want: "error: " + b + ": listen-loopback: the server on tcp port 8080 of shop/api-6c9f7d5b8-9qjtl listens on the loopback address only"},
		{Name: "loopback and its own address", Edit: func(f *checktest.Facts) { only(f, b, "127.0.0.1:8080", "10.244.1.3:8080") }},
		{Name: "another address", Edit: func(f *checktest.Facts) { only(f, b, "10.244.1.99:8080") },
			Want: "error: " + b + ": not-listening: nothing listens on tcp port 8080 in shop/api-6c9f7d5b8-9qjtl"},
		{Name: "the Service sends elsewhere", Edit: func(f *checktest.Facts) { retargeted(f, 8081) },
			Want: "error: service/shop/api:http: target-port: it sends to tcp port 8081, on which none of its Pods listens; they listen on 8080",
			Fix:  []string{`kubectl -n shop patch service api --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'`}},
		{Name: "the Service sends elsewhere, and the Pods listen on two ports, not on that of the other Service", Edit: func(f *checktest.Facts) { retargeted(f, 8081); sockets("0.0.0.0:9000", "0.0.0.0:7000")(f) },
			Want: "error: service/shop/api:http: target-port: it sends to tcp port 8081, on which none of its Pods listens; they listen on 7000 9000\n" +
				strings.ReplaceAll("> "+strings.TrimSuffix(lines("error", "not-listening", "nothing listens on tcp port 8080 in ", ""), "\n"), "\n", "\n> "),
			Fix: []string{"kubectl -n shop edit service api"}},
		{Name: "a port that its containers declare: the server is at fault", Edit: func(f *checktest.Facts) {
			retargeted(f, 8081)
			for _, p := range []string{"shop/api-6c9f7d5b8-4xk2p", "shop/api-6c9f7d5b8-9qjtl", "shop/api-6c9f7d5b8-zw7hc"} {
				f.Pod(p).Spec.Containers[0].Ports[0].ContainerPort = 8081
			}
		}, Want: lines("error", "not-listening", "nothing listens on tcp port 8081 in ", "")},
		{Name: "an endpoint that is not ready does not have to listen", Edit: func(f *checktest.Facts) {
			only(f, b)
			no := false
			for i := range f.Objects.EndpointSlices {
				for j := range f.Objects.EndpointSlices[i].Endpoints {
					if e := &f.Objects.EndpointSlices[i].Endpoints[j]; e.Addresses[0] == "10.244.1.3" {
						e.Conditions.Ready = &no
					}
				}
			}
		}},
		{Name: "no Service, but a path: nothing listens", Ask: "from shop/web-0\nto 10.244.1.2:9999",
			Want: "error on path: node-b/pod-shop-web-1: not-listening: nothing listens on tcp port 9999 in shop/web-1"},
		{Name: "a path to a port of a node", Ask: "from shop/web-0\nto 192.168.10.12:9999", Want: "error on path: node-b/host: not-listening: nothing listens on tcp port 9999 in node-b"},
		{Name: "a path through the Service to one of three", Edit: func(f *checktest.Facts) { only(f, b) }, Ask: "from shop/web-0\nto 10.96.0.20:80",
			Want: "error on path: " + b + ": not-listening: nothing listens on tcp port 8080 in shop/api-6c9f7d5b8-9qjtl"},
		{Name: "not collected", Without: []string{"nodes/" + b + "/sockets"}, Want: "? nodes/" + b + "/sockets: listen-loopback: not collected\n? nodes/" + b +
			"/sockets: not-listening: not collected\n? nodes/" + b + "/sockets: target-port: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, all, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "IPv4 only, and the Service has endpoints of IPv6", Edit: func(f *checktest.Facts) { only(f, b, "0.0.0.0:8080") },
			Want: "error: " + b + ": not-listening: nothing listens on tcp port 8080 in shop/api-6c9f7d5b8-9qjtl"},
	})
}

func TestPortName(t *testing.T) {
	for want, p := range map[string]corev1.ServicePort{"http": {Name: "http", Port: 80}, "80": {Port: 80}} {
		if got := portName(&p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
