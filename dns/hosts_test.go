package dns

import "testing"

// TestHosts is by the plugin's documentation: lines as of /etc/hosts, for the zones that it names,
// of which those it does not have fall through only where it says so.
func TestHosts(t *testing.T) {
	const end = "\nforward . 203.0.113.10"
	runAll(t, []row{
		{
			name:  "a line in the block",
			lines: "hosts {\n10.0.0.1 api.example.org\n}" + end,
			ask:   "api.example.org A",
			want:  "NOERROR by hosts:2\napi.example.org. 3600 A 10.0.0.1",
			trail: []string{},
		},
		{
			name:  "several names in a line",
			lines: "hosts {\n10.0.0.1 api.example.org www.example.org api\n}" + end,
			ask:   "api A",
			want:  "NOERROR by hosts:2\napi. 3600 A 10.0.0.1",
		},
		{
			name:  "several addresses of a name",
			lines: "hosts {\n10.0.0.1 a.b\n10.0.0.2 a.b\n}" + end,
			ask:   "a.b A",
			want:  "NOERROR by hosts:2\na.b. 3600 A 10.0.0.1\na.b. 3600 A 10.0.0.2",
		},
		{
			name:  "letters do not count",
			lines: "hosts {\n10.0.0.1 API.Example.org\n}" + end,
			ask:   "api.EXAMPLE.org A",
			want:  "NOERROR by hosts:2\napi.example.org. 3600 A 10.0.0.1",
		},
		{
			name:  "IPv6",
			lines: "hosts {\n2001:db8::1 a.b\n10.0.0.1 a.b\n}" + end,
			ask:   "a.b AAAA",
			want:  "NOERROR by hosts:2\na.b. 3600 AAAA 2001:db8::1",
		},
		{
			name:  "a name of the other family is there, with nothing",
			lines: "hosts {\n2001:db8::1 a.b\nfallthrough\n}" + end,
			ask:   "a.b A",
			want:  "NOERROR by hosts:2",
			trail: []string{},
		},
		{
			name:  "so it is for other types",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough\n}" + end,
			ask:   "a.b MX",
			want:  "NOERROR by hosts:2",
		},
		{
			name:  "unless those fall through too",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough\nfallthrough_unsupported\n}" + end,
			ask:   "a.b MX",
			want:  "forwarded by line 7: a.b. MX to 203.0.113.10:53",
		},
		{
			name:  "and then not A",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough\nfallthrough_unsupported\n}" + end,
			ask:   "a.b AAAA",
			want:  "NOERROR by hosts:2",
		},
		{
			name:  "it has not, and falls through",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough\n}" + end,
			ask:   "c.d A",
			want:  "forwarded by line 6: c.d. A to 203.0.113.10:53",
			trail: []string{"hosts:2 it has no c.d. A, and falls through", "forward:6 c.d. A is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "it has not, and does not fall through",
			lines: "hosts {\n10.0.0.1 a.b\n}" + end,
			ask:   "c.d A",
			want:  "SERVFAIL by hosts:2",
			trail: []string{"hosts:2 it has no c.d. A, and does not fall through"},
		},
		{
			name:  "it falls through for a zone, that is this",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough d e\n}" + end,
			ask:   "c.d A",
			want:  "forwarded by line 6: c.d. A to 203.0.113.10:53",
		},
		{
			name:  "it falls through for a zone, that is another",
			lines: "hosts {\n10.0.0.1 a.b\nfallthrough e\n}" + end,
			ask:   "c.d A",
			want:  "SERVFAIL by hosts:2",
			trail: []string{"hosts:2 it has no c.d. A, and does not fall through"},
		},
		{
			name:  "of other zones it answers nothing",
			lines: "hosts /etc/coredns/hosts example.org {\n10.0.0.1 a.b\n}" + end,
			ask:   "a.b A",
			want:  "forwarded by line 5: a.b. A to 203.0.113.10:53",
			trail: []string{"forward:5 a.b. A is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "and of its own all",
			lines: "hosts /etc/coredns/hosts example.org {\n10.0.0.1 a.b\n}" + end,
			ask:   "b.example.org A",
			want:  "SERVFAIL by hosts:2",
		},
		{
			name:  "an address",
			lines: "hosts {\n10.0.0.1 a.b c.d\n}" + end,
			ask:   "1.0.0.10.in-addr.arpa PTR",
			want:  "NOERROR by hosts:2\n1.0.0.10.in-addr.arpa. 3600 PTR a.b.\n1.0.0.10.in-addr.arpa. 3600 PTR c.d.",
		},
		{
			name:  "an IPv6 address",
			lines: "hosts {\n2001:db8::1 a.b\n}" + end,
			ask:   "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR",
			want:  "NOERROR by hosts:2\n1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 PTR a.b.",
		},
		{
			name:  "an address that it has not goes on in any case",
			lines: "hosts {\n10.0.0.1 a.b\n}" + end,
			ask:   "2.0.0.10.in-addr.arpa PTR",
			want:  "forwarded by line 5: 2.0.0.10.in-addr.arpa. PTR to 203.0.113.10:53",
		},
		{
			name:  "no_reverse",
			lines: "hosts {\n10.0.0.1 a.b\nno_reverse\n}" + end,
			ask:   "1.0.0.10.in-addr.arpa PTR",
			want:  "forwarded by line 6: 1.0.0.10.in-addr.arpa. PTR to 203.0.113.10:53",
		},
		{
			name:  "ttl",
			lines: "hosts {\n10.0.0.1 a.b\nttl 7\n}" + end,
			ask:   "a.b A",
			want:  "NOERROR by hosts:2\na.b. 7 A 10.0.0.1",
		},
		{
			name:  "a wildcard",
			lines: "hosts {\n10.0.0.1 *.example.org\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by hosts:2\na.example.org. 3600 A 10.0.0.1",
		},
		{
			name:  "a name is before a wildcard",
			lines: "hosts {\n10.0.0.1 *.example.org\n10.0.0.2 a.example.org\n}" + end,
			ask:   "a.example.org A",
			want:  "NOERROR by hosts:2\na.example.org. 3600 A 10.0.0.2",
		},
		{
			name:  "a wildcard has no name of its address",
			lines: "hosts {\n10.0.0.1 *.example.org\n}" + end,
			ask:   "1.0.0.10.in-addr.arpa PTR",
			want:  "forwarded by line 5: 1.0.0.10.in-addr.arpa. PTR to 203.0.113.10:53",
		},
		{
			name:  "a file",
			lines: "hosts /etc/coredns/hosts" + end,
			ask:   "node-a.example.org A",
			want:  "NOERROR by hosts:2\nnode-a.example.org. 3600 A 192.0.2.10",
		},
		{
			name:  "what is behind a # in a file is no name",
			lines: "hosts /etc/coredns/hosts" + end,
			ask:   "first A",
			want:  "SERVFAIL by hosts:2",
		},
		{
			name:  "a line of a file without an address",
			lines: "hosts /etc/coredns/hosts" + end,
			ask:   "node-b A",
			want:  "SERVFAIL by hosts:2",
		},
		{
			name:  "an address of a file with a scope",
			lines: "hosts /etc/coredns/hosts" + end,
			ask:   "link AAAA",
			want:  "NOERROR by hosts:2\nlink. 3600 AAAA fe80::1",
		},
		{
			name:  "IPv4 in IPv6 is IPv4",
			lines: "hosts /etc/coredns/hosts" + end,
			ask:   "mapped A",
			want:  "NOERROR by hosts:2\nmapped. 3600 A 192.0.2.12",
		},
		{
			name:  "a file and lines",
			lines: "hosts /etc/coredns/hosts {\n10.0.0.1 node-a\n}" + end,
			ask:   "node-a A",
			want:  "NOERROR by hosts:2\nnode-a. 3600 A 192.0.2.10\nnode-a. 3600 A 10.0.0.1",
		},
		{
			name:  "a file that is named from CoreDNS's own folder, which has none",
			lines: "hosts coredns/hosts" + end,
			ask:   "node-a A",
			want:  "SERVFAIL by hosts:2",
		},
		{
			name:  "a file that is not collected may have any name",
			lines: "hosts /etc/custom/hosts {\n10.0.0.1 a.b\n}" + end,
			ask:   "c.d A",
			want:  "unknown at hosts:2: the plugin hosts answers from /etc/custom/hosts, which is not read",
			trail: []string{},
		},
		{
			name:  "and none of another zone",
			lines: "hosts /etc/custom/hosts example.org" + end,
			ask:   "c.d A",
			want:  "forwarded by line 3: c.d. A to 203.0.113.10:53",
		},
		{
			name:  "the Pod's own /etc/hosts has loopback addresses",
			lines: "hosts {\n10.0.0.1 a.b\n}" + end,
			ask:   "1.0.0.127.in-addr.arpa PTR",
			want:  "unknown at hosts:2: the plugin hosts answers from /etc/hosts, which is not read",
		},
		{
			name:  "and the Pod's name",
			lines: "hosts {\n10.0.0.1 a.b\n}" + end,
			ask:   "coredns-5d78c9869d-abcde A",
			want:  "unknown at hosts:2: the plugin hosts answers from /etc/hosts, which is not read",
		},
		{
			name:  "kubernetes comes after it, wherever it is written",
			lines: "kubernetes cluster.local\nhosts {\n10.0.0.1 api.shop.svc.cluster.local\n}" + end,
			ask:   "api.shop.svc.cluster.local A",
			want:  "NOERROR by hosts:3\napi.shop.svc.cluster.local. 3600 A 10.0.0.1",
		},
	})
}

// TestHostsOfVersions has what a version makes of a wildcard: before 1.14.4 it is a name like others.
func TestHostsOfVersions(t *testing.T) {
	for _, r := range []struct{ version, ask, want string }{
		{"1.14.3", "a.example.org A", "SERVFAIL by hosts:2"},
		{"1.14.3", "*.example.org A", "NOERROR by hosts:2; *.example.org. 3600 A 10.0.0.1"},
		{"1.14.3", "1.0.0.10.in-addr.arpa PTR", "NOERROR by hosts:2; 1.0.0.10.in-addr.arpa. 3600 PTR *.example.org."},
		{"1.14.4", "a.example.org A", "NOERROR by hosts:2; a.example.org. 3600 A 10.0.0.1"},
		{"1.14.4", "a.b.example.org A", "SERVFAIL by hosts:2"},
	} {
		t.Run(r.version+" "+r.ask, func(t *testing.T) {
			asked{q: r.ask, want: r.want}.run(t, ".:53 {\nhosts {\n10.0.0.1 *.example.org\n}\n}\n", Options{Version: r.version})
		})
	}
}
