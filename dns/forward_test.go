package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForward is by the plugin's documentation: what is within FROM, and not in an except, is asked
// of the upstreams.
func TestForward(t *testing.T) {
	runAll(t, []row{
		{
			name:  "all",
			lines: "forward . 192.0.2.1",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to 192.0.2.1:53",
			trail: []string{"forward:2 a.test. A is forwarded to 192.0.2.1:53"},
		},
		{
			name:  "a zone",
			lines: "forward corp.test 192.0.2.1",
			ask:   "a.corp.test A",
			want:  "forwarded by line 2: a.corp.test. A to 192.0.2.1:53",
		},
		{
			name:  "not its zone, and nothing comes after it",
			lines: "forward corp.test 192.0.2.1",
			ask:   "a.test A",
			want:  "SERVFAIL by :1",
		},
		{
			name:  "two, by their order and zones",
			lines: "forward corp.test 192.0.2.1\nforward . 192.0.2.2",
			ask:   "a.test A",
			want:  "forwarded by line 3: a.test. A to 192.0.2.2:53",
			trail: []string{"forward:3 a.test. A is forwarded to 192.0.2.2:53"},
		},
		{
			name:  "two, of which the first has all",
			lines: "forward . 192.0.2.2\nforward corp.test 192.0.2.1",
			ask:   "a.corp.test A",
			want:  "forwarded by line 2: a.corp.test. A to 192.0.2.2:53",
		},
		{
			name:  "except",
			lines: "forward . 192.0.2.1 {\nexcept corp.test internal.test\n}\nforward . 192.0.2.2",
			ask:   "a.internal.test A",
			want:  "forwarded by line 5: a.internal.test. A to 192.0.2.2:53",
		},
		{
			name:  "except a zone, that this is not",
			lines: "forward . 192.0.2.1 {\nexcept corp.test\n}\nforward . 192.0.2.2",
			ask:   "a.mycorp.test A",
			want:  "forwarded by line 2: a.mycorp.test. A to 192.0.2.1:53",
		},
		{
			name:  "except, and nobody else",
			lines: "forward . 192.0.2.1 {\nexcept corp.test\n}",
			ask:   "corp.test A",
			want:  "SERVFAIL by :1",
			trail: []string{},
		},
		{
			name:  "several upstreams; which one first is not known, by any policy",
			lines: "forward . 192.0.2.1 192.0.2.2:5353 {\npolicy sequential\n}",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to 192.0.2.1:53, 192.0.2.2:5353",
		},
		{
			name:  "an upstream twice is one",
			lines: "forward . 192.0.2.1 192.0.2.1:53",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to 192.0.2.1:53",
		},
		{
			name:  "over TLS",
			lines: "forward . tls://192.0.2.1 tls://192.0.2.2:8853 {\ntls_servername dns.test\n}",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to tls://192.0.2.1:853, tls://192.0.2.2:8853",
		},
		{
			name:  "IPv6",
			lines: "forward . 2001:db8::1 [2001:db8::2]:5353",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to [2001:db8::1]:53, [2001:db8::2]:5353",
		},
		{
			name:  "a resolv.conf",
			lines: "forward . /etc/coredns/resolv.conf",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to 192.0.2.53:53, [2001:db8::53]:53",
		},
		{
			name:  "a resolv.conf that is not collected",
			lines: "forward . /etc/resolv.conf",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to /etc/resolv.conf",
		},
		{
			name:  "a name",
			lines: "forward . dns.test dns2.test:5353",
			ask:   "a.test A",
			want:  "forwarded by line 2: a.test. A to dns.test:53, dns2.test:5353",
		},
		{
			name:  "a loop to itself is not seen by asking",
			lines: "loop\nforward . 127.0.0.1",
			ask:   "a.test A",
			want:  "forwarded by line 3: a.test. A to 127.0.0.1:53",
		},
	})
}

// TestForwardNext asks the next forward after some answers.
func TestForwardNext(t *testing.T) {
	two := func(property string) string {
		return "forward . 192.0.2.1 {\n" + property + "\n}\nforward . 192.0.2.2"
	}
	const first, second = " by forward:2", " by forward:5"
	one := Record{Name: "a.test.", Type: "A", TTL: 60, Addr: netip.MustParseAddr("192.0.2.99")}
	for _, r := range []struct {
		name, property string
		rcode          string // of 192.0.2.1; 192.0.2.2 answers NOTIMP
		records        []Record
		want           string
	}{
		{"nothing is said", "", NXDomain, nil, NXDomain + first},
		{"an answer", "next NXDOMAIN", NoError, []Record{one}, NoError + first + "; a.test. 60 A 192.0.2.99"},
		{"that answer", "next NXDOMAIN", NXDomain, nil, "NOTIMP" + second},
		{"one of those", "next REFUSED servfail", ServFail, nil, "NOTIMP" + second},
		{"another", "next REFUSED SERVFAIL", NXDomain, nil, NXDomain + first},
		{"an empty one", "next_on_nodata", NoError, nil, "NOTIMP" + second},
		{"an empty one that is a denial", "next_on_nodata", NXDomain, nil, NXDomain + first},
		{"one that is not empty", "next_on_nodata", NoError, []Record{one}, NoError + first + "; a.test. 60 A 192.0.2.99"},
	} {
		t.Run(r.name, func(t *testing.T) {
			env := Env{Upstream: func(us []Upstream, q Query) Answer {
				if us[0].String() == "192.0.2.2:53" {
					return Answer{Outcome: Answered, Rcode: "NOTIMP"}
				}
				return Answer{Outcome: Answered, Rcode: r.rcode, Records: r.records}
			}}
			row{lines: two(r.property), ask: "a.test A", want: strings.ReplaceAll(r.want, "; ", "\n")}.run(t, env)
		})
	}
	t.Run("the last has no next", func(t *testing.T) {
		row{lines: "forward . 192.0.2.1 {\nnext NXDOMAIN\n}", ask: "a.test A", want: NXDomain + first,
			trail: []string{"forward:2 a.test. A is forwarded to 192.0.2.1:53, and answered by NXDOMAIN"}}.run(t, Env{Upstream: func([]Upstream, Query) Answer {
			return Answer{Outcome: Answered, Rcode: NXDomain}
		}})
	})
}

// TestUpstreams reads what a forward may name.
func TestUpstreams(t *testing.T) {
	for _, r := range []struct{ in, want, err string }{
		{"192.0.2.1", "192.0.2.1:53", ""},
		{"192.0.2.1:5353", "192.0.2.1:5353", ""},
		{"dns://192.0.2.1", "192.0.2.1:53", ""},
		{"tls://192.0.2.1", "tls://192.0.2.1:853", ""},
		{"quic://192.0.2.1", "quic://192.0.2.1:853", ""},
		{"https://192.0.2.1", "https://192.0.2.1:443", ""},
		{"2001:db8::1", "[2001:db8::1]:53", ""},
		{"[2001:db8::1]", "[2001:db8::1]:53", ""},
		{"[2001:db8::1]:5353", "[2001:db8::1]:5353", ""},
		{"tls://192.0.2.1%dns.test", "tls://192.0.2.1:853", ""},
		{"tls://192.0.2.1%dns.test:8853", "tls://192.0.2.1:8853", ""},
		{"tls://[2001:db8::1%dns.test]:8853", "tls://[2001:db8::1]:8853", ""},
		{"fe80::1%eth0", "[fe80::1]:53", ""},
		{"dns.test", "dns.test:53", ""},
		{"tls://dns.test", "tls://dns.test:853", ""},
		{"/etc/coredns/resolv.conf", "192.0.2.53:53, [2001:db8::53]:53", ""},
		{"/elsewhere/resolv.conf", "/elsewhere/resolv.conf", ""},
		{"tls://", "", "invalid address"},
		{"192.0.2.1:port", "", "invalid port"},
		{"192.0.2.1:70000", "", "invalid port"},
		{"grpc://192.0.2.1", "", "'grpc' is not supported as a destination protocol in forward"},
		{"a..test", "", "not an IP address, file, or valid domain"},
	} {
		us, err := parseUpstream(r.in, corp, false)
		got := listed(us)
		if (err != nil) != (r.err != "") || err != nil && !strings.Contains(err.Error(), r.err) || got != r.want {
			t.Errorf("%s: got %q, %v", r.in, got, err)
		}
	}
	old := corp
	old.Version = "1.14.3"
	for _, s := range []string{"/etc/coredns/none.conf", "dns.test"} { // a later one looks either up as a name
		if _, err := parseUpstream(s, old, false); err == nil {
			t.Errorf("CoreDNS %s takes %s", old.Version, s)
		}
	}
	if _, err := parseUpstream("tls://192.0.2.1%dns.test", corp, true); err == nil {
		t.Error("a TLS server may have two names")
	}
}

// TestForwardRefused has properties that CoreDNS does not start with.
func TestForwardRefused(t *testing.T) {
	in := func(s string) string { return "forward . 192.0.2.1 {\n" + s + "\n}" }
	for _, r := range []struct{ line, want string }{
		{"forward", "wrong argument count or unexpected line ending after 'forward'"},
		{"forward . /etc/coredns/nothing.conf", "no valid upstream addresses found"},
		{in("except"), "wrong argument count or unexpected line ending after 'except'"},
		{in("except a..b corp.test"), ""},
		{in("max_fails"), "wrong argument count or unexpected line ending after 'max_fails'"},
		{in("max_fails -1"), "invalid syntax"},
		{in("max_fails 5000000000"), "value out of range"},
		{in("max_fails 0"), ""},
		{in("max_concurrent many"), "invalid syntax"},
		{in("expire"), "wrong argument count or unexpected line ending after 'expire'"},
		{in("expire -1s"), "the least is 0s"},
		{in("expire 5"), "missing unit in duration"},
		{in("max_age 1m"), ""},
		{in("max_age 5s"), "max_age (5s) must not be less than expire (10s)"},
		{in("max_age 5s\nexpire 2s"), ""},
		{in("policy"), "wrong argument count or unexpected line ending after 'policy'"},
		{in("policy round_robin"), ""},
		{in("health_check"), "wrong argument count or unexpected line ending after 'health_check'"},
		{in("health_check 500ms"), ""},
		{in("health_check -1s"), "the least is 0s"},
		{in("health_check 1s domain"), "wrong argument count or unexpected line ending after 'domain'"},
		{in("health_check 1s domain a..b"), "invalid domain name a..b"},
		{in("tls a b c"), ""},
		{in("tls a b c d"), "wrong argument count or unexpected line ending after 'd'"},
		{in("tls_servername"), "wrong argument count or unexpected line ending after 'tls_servername'"},
		{in("force_tcp\nprefer_udp"), ""},
		{in("prefer_udp x"), "wrong argument count or unexpected line ending after 'x'"},
		{in("resolver 192.0.2.53 192.0.2.54:5353"), ""},
		{in("resolver dns.test"), "resolver must be an IP address or IP:port"},
		{in("source_address 192.0.2.9"), ""},
		{in("source_address here"), "invalid IP address: here"},
		{in("doh_method POST"), ""},
		{in("doh_method PUT"), "unknown value 'PUT', want one of GET, POST"},
		{in("read_timeout 0s"), "the least is 1ns"},
		{in("next"), "wrong argument count or unexpected line ending after 'next'"},
		{in("failover BOGUS"), "BOGUS is not a valid rcode"},
		{in("bogus"), "unknown property 'bogus'"},
	} {
		refusedWith(t, r.line, r.want)
	}
}

// TestRecordText is how answers are written, as zone files have them.
func TestRecordText(t *testing.T) {
	for _, r := range []struct {
		r    Record
		want string
	}{
		{Record{Name: "a.b.", Type: "A", TTL: 5, Addr: netip.MustParseAddr("192.0.2.1")}, "a.b.\t5\tIN\tA\t192.0.2.1"},
		{Record{Name: "a.b.", Type: "SRV", TTL: 5, Head: "0 100 53", Target: "c.d."}, "a.b.\t5\tIN\tSRV\t0 100 53 c.d."},
		{Record{Name: "a.b.", Type: "SOA", TTL: 5, Target: "ns.b.", Tail: "x.b. 0 1 2 3 4"}, "a.b.\t5\tIN\tSOA\tns.b. x.b. 0 1 2 3 4"},
		{Record{Name: "a.b.", Type: "TXT", TTL: 5, Head: `"x y"`}, "a.b.\t5\tIN\tTXT\t\"x y\""},
	} {
		if diff := cmp.Diff(r.want, r.r.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	a := Answer{Records: []Record{{Type: "CNAME", Target: "c.d."}, {Type: "A", Addr: netip.MustParseAddr("192.0.2.1")}, {Type: "A", Addr: netip.MustParseAddr("192.0.2.2")}}}
	if got := a.Addrs(); !slices.Equal(got, addrs("192.0.2.1", "192.0.2.2")) {
		t.Errorf("addresses: %v", got)
	}
}
