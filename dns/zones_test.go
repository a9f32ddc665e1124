package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestServerBlocks says which server block a query comes to: that of the longest zone, at the port.
func TestServerBlocks(t *testing.T) {
	const corefile = `.:53 {
    forward . 192.0.2.1
}
test corp.test:53 {
    forward . 192.0.2.2
}
deep.corp.test {
    forward . 192.0.2.3
}
.:5353 {
    forward . 192.0.2.4
}
tls://.:853 {
    forward . 192.0.2.5
}
2001:db8::/32 {
    forward . 192.0.2.6
}
silent.test {
    errors
}
bare.test {
}
`
	for _, r := range []struct {
		name  string
		ask   string
		port  uint16
		class string
		want  string
		block string // the first step: the server block that it came to
	}{
		{"the root has what no other has", "a.example A", 0, "", "forwarded by line 2: a.example. A to 192.0.2.1:53", "a.example. A comes to the server block dns://.:53"},
		{"the first key of two", "a.test A", 0, "", "forwarded by line 5: a.test. A to 192.0.2.2:53", "a.test. A comes to the server block dns://test.:53"},
		{"the second key of two", "a.corp.test A", 0, "", "forwarded by line 5: a.corp.test. A to 192.0.2.2:53", "a.corp.test. A comes to the server block dns://test.:53"},
		{"the longest", "a.deep.corp.test A", 0, "", "forwarded by line 8: a.deep.corp.test. A to 192.0.2.3:53", "a.deep.corp.test. A comes to the server block dns://deep.corp.test.:53"},
		{"a zone's own name", "deep.corp.test A", 0, "", "forwarded by line 8: deep.corp.test. A to 192.0.2.3:53", "deep.corp.test. A comes to the server block dns://deep.corp.test.:53"},
		{"the DS of a zone is its parent's", "deep.corp.test DS", 0, "", "forwarded by line 5: deep.corp.test. DS to 192.0.2.2:53", "deep.corp.test. DS comes to the server block dns://test.:53"},
		{"labels, not letters", "a.mytest A", 0, "", "forwarded by line 2: a.mytest. A to 192.0.2.1:53", "a.mytest. A comes to the server block dns://.:53"},
		{"another port", "a.corp.test A", 5353, "", "forwarded by line 11: a.corp.test. A to 192.0.2.4:53", "a.corp.test. A comes to the server block dns://.:5353"},
		{"a port of another transport", "a.test A", 853, "", "REFUSED by :0", ""},
		{"a port where nobody is", "a.test A", 54, "", "REFUSED by :0", ""},
		{"a range of IPv6 addresses", strings.TrimSuffix(ReverseName(netip.MustParseAddr("2001:db8:9::1")), ".") + " PTR", 0, "",
			"forwarded by line 17: " + ReverseName(netip.MustParseAddr("2001:db8:9::1")) + " PTR to 192.0.2.6:53",
			ReverseName(netip.MustParseAddr("2001:db8:9::1")) + " PTR comes to the server block dns://8.b.d.0.1.0.0.2.ip6.arpa.:53"},
		{"another class, where one serves it", "version.bind TXT", 0, "CH", "forwarded by line 2: version.bind. TXT to 192.0.2.1:53", "version.bind. TXT comes to the server block dns://.:53"},
		{"plugins, none of which answers", "a.silent.test A", 0, "", "SERVFAIL by :19", "a.silent.test. A comes to the server block dns://silent.test.:53"},
		{"no plugins", "a.bare.test A", 0, "", "REFUSED by :22", ""},
		{"the DS of one without plugins is not its parent's", "bare.test DS", 0, "", "REFUSED by :22", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, err := Parse(corefile, Options{})
			if err != nil {
				t.Fatal(err)
			}
			q := query(r.ask)
			q.Port, q.Class = r.port, r.class
			a := c.Ask(q, Env{})
			if diff := cmp.Diff(r.want, brief(a)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			block := ""
			if len(a.Steps) > 0 {
				block = a.Steps[0].What.String()
			}
			if diff := cmp.Diff(r.block, block); diff != "" {
				t.Errorf("its server block (-want +got):\n%s", diff)
			}
		})
	}
}

// TestClasses has a class that no plugin serves.
func TestClasses(t *testing.T) {
	c, err := Parse(".:53 {\nkubernetes cluster.local\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := query("a.test A")
	q.Class = "CH"
	if got := brief(c.Ask(q, Env{})); got != "REFUSED by :0" {
		t.Errorf("got %s", got)
	}
}

// TestDefault is a Corefile with nothing in it, with which CoreDNS says who asks.
func TestDefault(t *testing.T) {
	for _, body := range []string{"", "# nothing\n", "(unused) {\nerrors\n}\n"} {
		c, err := Parse(body, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := brief(c.Ask(query("a.test A"), Env{})); got != "unknown at whoami:0: what the plugin whoami does is not followed" {
			t.Errorf("%q: %s", body, got)
		}
	}
}

// TestViews has two server blocks for one zone, between which views choose.
func TestViews(t *testing.T) {
	const corefile = "test {\nview inside {\nexpr true\n}\nforward . 192.0.2.1\n}\ntest {\nforward . 192.0.2.2\n}\n"
	c, err := Parse(corefile, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := "unknown at :1: several server blocks serve dns://test.:53, and which one is asked is not known"
	if got := brief(c.Ask(query("a.test A"), Env{})); got != want {
		t.Errorf("got %s", got)
	}
}

// TestDistinct has server blocks that would be at one place.
func TestDistinct(t *testing.T) {
	for _, r := range []struct{ name, corefile, want string }{
		{"two zones", "a.test {\nerrors\n}\nb.test {\nerrors\n}\n", ""},
		{"two ports", "a.test {\nerrors\n}\na.test:5353 {\nerrors\n}\n", ""},
		{"two transports", "a.test {\nerrors\n}\ntls://a.test {\nerrors\n}\n", ""},
		{"two addresses", "a.test {\nbind 192.0.2.1\n}\na.test {\nbind 192.0.2.2\n}\n", ""},
		{"one address", "a.test {\nbind 192.0.2.1\n}\na.test {\nbind 192.0.2.1\n}\n", "Corefile:4: cannot serve dns://a.test.:53 - it is already defined"},
		{"one address, and then all", "a.test {\nbind 192.0.2.1\n}\na.test {\nerrors\n}\n", "Corefile:4: cannot serve dns://a.test.:53 - zone overlap listener capacity"},
		{"one zone, written in two ways", "a.test {\nerrors\n}\nA.TEST.:53 {\nerrors\n}\n", "Corefile:4: cannot serve dns://a.test.:53 - it is already defined"},
		{"one zone twice in one block", "a.test a.test {\nerrors\n}\n", "Corefile:1: cannot serve dns://a.test.:53 - it is already defined"},
		{"a zone that is in a range", "10.0.0.0/23 {\nerrors\n}\n1.0.10.in-addr.arpa {\nerrors\n}\n", "Corefile:4: cannot serve dns://1.0.10.in-addr.arpa.:53 - it is already defined"},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := Parse(r.corefile, Options{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != r.want {
				t.Errorf("got  %s\nwant %s", got, r.want)
			}
		})
	}
}

// TestParseZone reads what a server block or a plugin names.
func TestParseZone(t *testing.T) {
	for _, r := range []struct {
		in        string
		transport string
		zones     string
		port      string
		err       string
	}{
		{".", "dns", ".", "", ""},
		{".:53", "dns", ".", "53", ""},
		{"Example.ORG", "dns", "example.org.", "", ""},
		{"example.org.:5353", "dns", "example.org.", "5353", ""},
		{"tls://example.org", "tls", "example.org.", "", ""},
		{"https://.:8443", "https", ".", "8443", ""},
		{"10.0.0.0/8", "dns", "10.in-addr.arpa.", "", ""},
		{"10.1.0.0/16", "dns", "1.10.in-addr.arpa.", "", ""},
		{"10.1.2.3/16", "dns", "1.10.in-addr.arpa.", "", ""},
		{"10.1.2.3/32", "dns", "3.2.1.10.in-addr.arpa.", "", ""},
		{"10.0.0.0/23", "dns", "0.0.10.in-addr.arpa. 1.0.10.in-addr.arpa.", "", ""},
		{"10.0.0.0/7", "dns", "10.in-addr.arpa. 11.in-addr.arpa.", "", ""},
		{"10.0.255.0/22", "dns", "252.0.10.in-addr.arpa. 253.0.10.in-addr.arpa. 254.0.10.in-addr.arpa. 255.0.10.in-addr.arpa.", "", ""},
		{"2001:db8::/32", "dns", "8.b.d.0.1.0.0.2.ip6.arpa.", "", ""},
		{"2001:db8::/31", "dns", "8.b.d.0.1.0.0.2.ip6.arpa. 9.b.d.0.1.0.0.2.ip6.arpa.", "", ""},
		{"a:", "", "", "", "expecting data after last colon"},
		{"a..b", "", "", "", "zone is not a valid domain name"},
		{strings.Repeat("a", 64) + ".org", "", "", "", "zone is not a valid domain name"},
	} {
		k, err := parseZone(r.in)
		if r.err != "" {
			if err == nil || !strings.Contains(err.Error(), r.err) {
				t.Errorf("%s: error %v, want %s", r.in, err, r.err)
			}
			continue
		}
		if got := strings.Join(k.zones, " "); err != nil || k.transport != r.transport || got != r.zones || k.port != r.port {
			t.Errorf("%s: %+v, %v", r.in, k, err)
		}
	}
}

// TestZones finds the longest zone of a name.
func TestZones(t *testing.T) {
	for _, r := range []struct {
		zones, name, want string
	}{
		{"cluster.local. in-addr.arpa.", "a.cluster.local.", "cluster.local."},
		{"cluster.local. svc.cluster.local.", "a.svc.cluster.local.", "svc.cluster.local."},
		{"svc.cluster.local. cluster.local.", "a.svc.cluster.local.", "svc.cluster.local."},
		{"cluster.local.", "cluster.local.", "cluster.local."},
		{"cluster.local.", "mycluster.local.", ""},
		{"cluster.local.", "local.", ""},
		{". cluster.local.", "a.test.", "."},
		{"", "a.test.", ""},
	} {
		if got := zones(strings.Fields(r.zones)).match(r.name); got != r.want {
			t.Errorf("%s in %s: got %q, want %q", r.name, r.zones, got, r.want)
		}
	}
	if got := below("a.b.cluster.local.", "cluster.local."); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("below: %v", got)
	}
	if got := below("cluster.local.", "cluster.local."); got != nil {
		t.Errorf("below a zone itself: %v", got)
	}
}

// TestIsName has the bounds of RFC 1035, 2.3.4.
func TestIsName(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label}, ".") + "." // 192 bytes
	for _, r := range []struct {
		name, in string
		want     bool
	}{
		{"the root", ".", true},
		{"a name", "a.b.", true},
		{"without its dot", "a.b", true},
		{"a label of 63", label + ".", true},
		{"a label of 64", label + "a.", false},
		{"a name of 254 and its dot", long + strings.Repeat("a", 62) + ".", true},
		{"nothing", "", false},
		{"an empty label", "a..b.", false},
		{"two dots", "..", false},
		{"an escape", `a\.b.`, false},
		{"an underscore", "_http._tcp.a.", true},
		{"a star", "*.a.", true},
	} {
		if got := isName(r.in); got != r.want {
			t.Errorf("%s: got %v", r.name, got)
		}
	}
	if isName(long + label + ".") {
		t.Error("a name of 256 bytes is one")
	}
}

// TestHostPort splits as Go's net does.
func TestHostPort(t *testing.T) {
	for _, r := range []struct {
		in, host, port string
		ok             bool
	}{
		{"192.0.2.1:53", "192.0.2.1", "53", true},
		{"[2001:db8::1]:53", "2001:db8::1", "53", true},
		{":9153", "", "9153", true},
		{"a.b:", "a.b", "", true},
		{"192.0.2.1", "", "", false},
		{"2001:db8::1", "", "", false},
		{"[2001:db8::1]", "", "", false},
		{"[2001:db8::1", "", "", false},
		{"2001:db8::1]:53", "", "", false},
		{"a:b:c", "", "", false},
		{"", "", "", false},
	} {
		host, port, err := splitHostPort(r.in)
		if (err == nil) != r.ok || host != r.host || port != r.port {
			t.Errorf("%q: got %q %q %v", r.in, host, port, err)
		}
		if r.ok && joinHostPort(host, port) != r.in {
			t.Errorf("%q is joined as %q", r.in, joinHostPort(host, port))
		}
	}
}
