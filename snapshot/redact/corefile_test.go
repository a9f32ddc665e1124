package redact

import (
	"strings"
	"testing"
)

// TestCorefile keeps what is CoreDNS's own, and nothing that is a cluster's.
func TestCorefile(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"what kubeadm writes", ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n       pods insecure\n       ttl 30\n    }\n    prometheus :9153\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n    cache 30\n}\n", ""},
		{"comments", "errors # of the payments team\n", "errors\n"},
		{"patterns", "rewrite name regex (.*)\\.pay\\.corp {1}.shop\n", "rewrite name regex redacted redacted\n"},
		{"a typing error stays one", "froward . /etc/resolv.conf\n", "‹froward› . /etc/resolv.conf\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := row.want
			if want == "" {
				want = row.in
			}
			got := fresh().corefile(row.in)
			word := fresh().name("froward")
			if want = strings.ReplaceAll(want, "‹froward›", word); strings.TrimRight(got, " \n") != strings.TrimRight(want, " \n") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
	in := "pay.corp.example:53 {\nforward . 198.51.100.7 tls://dns.corp.example\nhosts {\n10.1.2.3 db.pay.corp\n}\n}\n"
	got := fresh().corefile(in)
	for _, s := range []string{"pay", "corp", "198.51.100.7", "10.1.2.3", "db."} {
		if strings.Contains(got, s) {
			t.Errorf("%s is left in %s", s, got)
		}
	}
}
