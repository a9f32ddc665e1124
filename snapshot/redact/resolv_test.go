package redact

import (
	"testing"

	"github.com/plumbnet/plumb/snapshot"
)

// TestResolvConf keeps what a resolv.conf means, and tells no name or address.
func TestResolvConf(t *testing.T) {
	r := fresh()
	server, domain, ns := "198.51.100.7", "corp.example", "payments"
	to, _ := r.one(server)
	for _, row := range []struct{ name, in, want string }{
		{"a server", "nameserver " + server, "nameserver " + to},
		{"no server", "nameserver " + domain, "nameserver ?redacted"},
		{"a search list", "search " + ns + ".svc.cluster.local svc.cluster.local cluster.local " + domain, "search " + r.name(ns) + ".svc.cluster.local svc.cluster.local cluster.local " + r.name(domain)},
		{"of a namespace that is known", "search ingress-nginx.svc.cluster.local", "search ingress-nginx.svc.cluster.local"},
		{"a domain", "domain " + domain, "domain " + r.name(domain)},
		{"options", "options ndots:5 edns0 trust-ad " + domain, "options ndots:5 edns0 trust-ad ?redacted"},
		{"another word", "password hush", "?redacted"},
		{"nothing", " ", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := r.resolvLine(row.in); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	out := r.files(snapshot.Files{"nodes/n/host/resolv.conf": []byte("nameserver " + server + "\n"), "nodes/n/host/resolv.conf.error": []byte("/proc/7/root/etc/resolv.conf is no regular file\n")})
	if len(out) != 2 || len(r.left) > 0 {
		t.Errorf("%d files, left out: %v", len(out), r.left)
	}
}
