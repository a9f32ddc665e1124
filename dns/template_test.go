package dns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTemplate is by the plugin's documentation: records that are made of a query that matches.
func TestTemplate(t *testing.T) {
	const end = "\nkubernetes cluster.local\nforward . 203.0.113.10"
	runAll(t, []row{
		{
			name:  "a record",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by template:2\na.example.org. 60 A 192.0.2.1",
			trail: []string{},
		},
		{
			name:  "another zone",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.net A",
			want:  "forwarded by line 6: a.example.net. A to 203.0.113.10:53",
		},
		{
			name:  "another type goes on, without fallthrough",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org AAAA",
			want:  "forwarded by line 6: a.example.org. AAAA to 203.0.113.10:53",
		},
		{
			name:  "all types",
			lines: "template ANY ANY example.org {\nrcode NXDOMAIN\n}" + end,
			ask:   "a.example.org MX",
			want:  "NXDOMAIN by template:2",
		},
		{
			name:  "an rcode and no record: what many write against AAAA",
			lines: "template IN AAAA .\n" + "kubernetes cluster.local",
			ask:   "api.shop.svc.cluster.local AAAA",
			want:  "NOERROR by template:2",
		},
		{
			name:  "SERVFAIL",
			lines: "template IN A . {\nrcode SERVFAIL\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "SERVFAIL by template:2",
		},
		{
			name:  "REFUSED",
			lines: "template IN A . {\nrcode REFUSED\n}" + end,
			ask:   "a.example.org A",
			want:  "REFUSED by template:2",
		},
		{
			name:  "a match",
			lines: "template IN A {\nmatch ^a[.]\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by template:2\na.example.org. 60 A 192.0.2.1",
		},
		{
			name:  "no match, and it does not fall through",
			lines: "template IN A {\nmatch ^a[.]\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "b.example.org A",
			want:  "SERVFAIL by template:2",
			trail: []string{"template:2 the one in line 2 does not match b.example.org. A, and does not fall through"},
		},
		{
			name:  "no match, and it falls through",
			lines: "template IN A {\nmatch ^a[.]\nrcode NXDOMAIN\nfallthrough\n}" + end,
			ask:   "b.example.org A",
			want:  "forwarded by line 8: b.example.org. A to 203.0.113.10:53",
		},
		{
			name:  "no match, and it falls through for another zone",
			lines: "template IN A {\nmatch ^a[.]\nrcode NXDOMAIN\nfallthrough example.net\n}" + end,
			ask:   "b.example.org A",
			want:  "SERVFAIL by template:2",
		},
		{
			name:  "the second of two matches",
			lines: "template IN A {\nmatch ^a[.] ^(b)[.]\nanswer \"{{ index .Match 1 }}.test 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "b.example.org A",
			want:  "NOERROR by template:2\nb.test. 60 A 192.0.2.1",
		},
		{
			name:  "the second of two templates",
			lines: "template IN A {\nmatch ^a[.]\nrcode NXDOMAIN\nfallthrough\n}\ntemplate IN A {\nmatch ^b[.]\nrcode REFUSED\n}" + end,
			ask:   "b.example.org A",
			want:  "REFUSED by template:2",
		},
		{
			name: "groups by their names",
			lines: "template IN A {\nmatch ^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)-(?P<c>[0-9]+)-(?P<d>[0-9]+)[.]example[.]org[.]$\n" +
				"answer \"{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}\"\n}" + end,
			ask:  "ip-10-96-0-1.example.org A",
			want: "NOERROR by template:2\nip-10-96-0-1.example.org. 60 A 10.96.0.1",
		},
		{
			name:  "the zone, class and type",
			lines: "template IN TXT example.org {\nanswer \"{{ .Name }} 60 IN TXT {{ .Zone }} {{ .Class }} {{ .Type }}\"\n}" + end,
			ask:   "a.example.org TXT",
			want:  "NOERROR by template:2\na.example.org. 60 TXT \"example.org.\" \"IN\" \"TXT\"",
		},
		{
			name:  "a condition",
			lines: "template IN TXT example.org {\nanswer \"{{ .Name }} 60 IN TXT {{ if eq .Zone `example.org.` }}yes{{ else }}no{{ end }}\"\n}" + end,
			ask:   "a.example.org TXT",
			want:  "NOERROR by template:2\na.example.org. 60 TXT \"yes\"",
		},
		{
			name:  "without a TTL it is an hour",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by template:2\na.example.org. 3600 A 192.0.2.1",
		},
		{
			name:  "several records, and additional ones",
			lines: "template IN MX example.org {\nanswer \"{{ .Name }} 60 IN MX 10 mx.{{ .Name }}\" \"{{ .Name }} 60 IN MX 20 mx2.{{ .Name }}\"\nadditional \"mx.{{ .Name }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org MX",
			want: "NOERROR by template:2\na.example.org. 60 MX 10 mx.a.example.org.\na.example.org. 60 MX 20 mx2.a.example.org." +
				"\n+ mx.a.example.org. A 192.0.2.1",
		},
		{
			name:  "an alias into the cluster",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN CNAME api.shop.svc.cluster.local\"\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by template:2\na.example.org. 60 CNAME api.shop.svc.cluster.local.\napi.shop.svc.cluster.local. 5 A 10.96.0.20",
			trail: []string{"template:2 api.shop.svc.cluster.local. is looked up"},
		},
		{
			name:  "an alias to outside",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN CNAME www.example.net\"\n}" + end,
			ask:   "a.example.org A",
			want:  "forwarded by line 6: www.example.net. A to 203.0.113.10:53\na.example.org. 60 CNAME www.example.net.",
		},
		{
			name:  "a record that is none",
			lines: "template IN A example.org {\nanswer \"{{ .Name }} 60 IN A 300.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "SERVFAIL by template:2",
			trail: []string{`template:2 the one in line 2 makes no record: "a.example.org. 60 IN A 300.0.2.1" is no record`},
		},
		{
			name:  "a field that CoreDNS has, and that is not known here",
			lines: "template IN A example.org {\nanswer \"{{ .Meta `x` }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "unknown at template:2: Meta of the one in line 2 is not followed",
		},
		{
			name:  "a function that may run for long",
			lines: "template IN A example.org {\nanswer \"{{ printf `%01000d` 1 }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.org A",
			want:  "unknown at template:2: printf of the one in line 2 is not followed",
		},
		{
			name:  "a record of a type that is not read",
			lines: "template IN CAA example.org {\nanswer \"{{ .Name }} 60 IN CAA 0 issue x\"\n}" + end,
			ask:   "a.example.org CAA",
			want:  "unknown at template:2: the record of the one in line 2 is not followed",
		},
		{
			name:  "what is not followed does not matter to other names",
			lines: "template IN A example.org {\nanswer \"{{ .Remote }} 60 IN A 192.0.2.1\"\n}" + end,
			ask:   "a.example.net A",
			want:  "forwarded by line 6: a.example.net. A to 203.0.113.10:53",
		},
		{
			name:  "a language of its own",
			lines: "template IN A example.org {\nexpr name() startsWith 'a'\nrcode NXDOMAIN\n}" + end,
			ask:   "a.example.org A",
			want:  "unknown at template:2: expr of the one in line 2 is not followed",
		},
	})
}

// TestParseRecord reads records as zone files have them (RFC 1035, 5.1).
func TestParseRecord(t *testing.T) {
	a := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	for _, r := range []struct {
		in   string
		want Record
		err  string
	}{
		{"a.b. 60 IN A 192.0.2.1", Record{Name: "a.b.", Type: "A", TTL: 60, Addr: a("192.0.2.1")}, ""},
		{"a.b IN 60 A 192.0.2.1", Record{Name: "a.b.", Type: "A", TTL: 60, Addr: a("192.0.2.1")}, ""},
		{"A.B a 192.0.2.1", Record{Name: "a.b.", Type: "A", TTL: 3600, Addr: a("192.0.2.1")}, ""},
		{"a.b 60 AAAA 2001:db8::1", Record{Name: "a.b.", Type: "AAAA", TTL: 60, Addr: a("2001:db8::1")}, ""},
		{"a.b 60 CNAME c.d", Record{Name: "a.b.", Type: "CNAME", TTL: 60, Target: "c.d."}, ""},
		{"a.b 60 SRV 0 100 53 c.d", Record{Name: "a.b.", Type: "SRV", TTL: 60, Head: "0 100 53", Target: "c.d."}, ""},
		{"a.b 60 TXT x \"y z\"", Record{Name: "a.b.", Type: "TXT", TTL: 60, Head: `"x" "y z"`}, ""},
		{"x.y 60 TXT x", Record{Name: "x.y.", Type: "TXT", TTL: 60, Head: `"x"`}, ""}, // what the name begins with too
		{"a.b 60 A 2001:db8::1", Record{}, "is no record"},
		{"a.b 60 AAAA 192.0.2.1", Record{}, "is no record"},
		{"a.b 60 A", Record{}, "is no record"},
		{"a.b 60 A 192.0.2.1 192.0.2.2", Record{}, "is no record"},
		{"a.b 60 BOGUS x", Record{}, "is no record"},
		{"a..b 60 A 192.0.2.1", Record{}, "is no record"},
		{"a.b 60 CNAME c..d", Record{}, "is no record"},
		{"a.b 60 SRV 0 100 70000 c.d", Record{}, "is no record"},
		{"a.b", Record{}, "is no record"},
		{"a.b 60 SOA x y 1 2 3 4 5", Record{}, "the record"},
		{"a.b 60 TXT ( x )", Record{}, "the record"},
		{"$ORIGIN x", Record{}, "the record"},
	} {
		got, err := parseRecord(r.in)
		switch {
		case err != nil && (r.err == "" || !strings.Contains(err.Error(), r.err)), err == nil && r.err != "":
			t.Errorf("%s: error %v, want %q", r.in, err, r.err)
		case err == nil && !cmp.Equal(got, r.want, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })):
			t.Errorf("%s: got %+v", r.in, got)
		}
	}
}

// TestTemplateRefused has blocks that CoreDNS does not start with.
func TestTemplateRefused(t *testing.T) {
	in := func(s string) string { return "template IN A {\n" + s + "\n}" }
	for _, r := range []struct{ line, want string }{
		{"template IN", "wrong argument count or unexpected line ending after 'IN'"},
		{in("match"), "wrong argument count or unexpected line ending after 'match'"},
		{in("answer"), "wrong argument count or unexpected line ending after 'answer'"},
		{in("additional"), "wrong argument count or unexpected line ending after 'additional'"},
		{in("authority \"{{ .Name\""), "could not compile template: {{ .Name"},
		{in("rcode"), "wrong argument count or unexpected line ending after 'rcode'"},
		{in("ederror 1 a b"), "wrong argument count or unexpected line ending after 'b'"},
		{in("ederror 70000"), "value out of range"},
		{in("authority \"example.org 60 IN SOA ns.example.org a.example.org (1 60 60 60 60)\""), ""},
		{in("match ^a ^b"), ""},
		{in("fallthrough a b"), ""},
		{in("upstream 8.8.8.8"), ""},
	} {
		refusedWith(t, r.line, r.want)
	}
}
