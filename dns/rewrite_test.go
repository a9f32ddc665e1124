package dns

import (
	"strings"
	"testing"
)

// TestRewriteName is by the plugin's documentation: the five ways to match a name, and what answers
// say the name is.
func TestRewriteName(t *testing.T) {
	const end = "\nkubernetes cluster.local\nforward . 203.0.113.10"
	const svc = "api.shop.svc.cluster.local."
	rewritten := func(line, from, to string) []string {
		return []string{"rewrite:2 rule in line " + line + ": " + from + " A is asked for as " + to + " A"}
	}
	runAll(t, []row{
		{
			name:  "exact gives the name back by itself",
			lines: "rewrite name exact www.example.org " + svc + end,
			ask:   "www.example.org A",
			want:  "NOERROR by kubernetes:3\nwww.example.org. 5 A 10.96.0.20",
			trail: rewritten("2", "www.example.org.", svc),
		},
		{
			name:  "exact is what is meant where nothing is said",
			lines: "rewrite name www.example.org " + svc + end,
			ask:   "www.example.org A",
			want:  "NOERROR by kubernetes:3\nwww.example.org. 5 A 10.96.0.20",
		},
		{
			name:  "exact is not a name below",
			lines: "rewrite name exact example.org " + svc + end,
			ask:   "www.example.org A",
			want:  "forwarded by line 4: www.example.org. A to 203.0.113.10:53",
			trail: []string{"forward:4 www.example.org. A is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "letters do not count",
			lines: "rewrite name exact WWW.example.org API.shop.svc.cluster.local" + end,
			ask:   "www.EXAMPLE.org A",
			want:  "NOERROR by kubernetes:3\nwww.example.org. 5 A 10.96.0.20",
		},
		{
			name:  "prefix",
			lines: "rewrite name prefix old- new-" + end,
			ask:   "old-www.example.org A",
			want:  "forwarded by line 4: old-www.example.org. A to 203.0.113.10:53",
		},
		{
			name:  "suffix, whose answer has the other name",
			lines: "rewrite name suffix .example.org .shop.svc.cluster.local" + end,
			ask:   "api.example.org A",
			want:  "NOERROR by kubernetes:3\n" + svc + " 5 A 10.96.0.20",
			trail: rewritten("2", "api.example.org.", svc),
		},
		{
			name:  "suffix, whose answer is given back",
			lines: "rewrite name suffix .example.org .shop.svc.cluster.local answer auto" + end,
			ask:   "api.example.org A",
			want:  "NOERROR by kubernetes:3\napi.example.org. 5 A 10.96.0.20",
		},
		{
			name:  "suffix, with what records lead to given back",
			lines: "rewrite name suffix .example.org .shop.svc.cluster.local answer auto" + end,
			ask:   "db.example.org SRV",
			want: "NOERROR by kubernetes:3\ndb.example.org. 5 SRV 0 50 8080 db-0.db.example.org.\ndb.example.org. 5 SRV 0 50 8080 10-244-2-3.db.example.org." +
				"\n+ db-0.db.example.org. A 10.244.1.3\n+ 10-244-2-3.db.example.org. A 10.244.2.3",
		},
		{
			name:  "suffix at the end only",
			lines: "rewrite name suffix .example.org .shop.svc.cluster.local" + end,
			ask:   "api.example.org.test A",
			want:  "forwarded by line 4: api.example.org.test. A to 203.0.113.10:53",
		},
		{
			name:  "regex with two groups, given back by itself",
			lines: "rewrite name regex (.*)corp(.*)[.]$ {1}shop{2} answer auto" + end,
			ask:   "api.corp.svc.cluster.local A",
			want:  "NOERROR by kubernetes:3\napi.corp.svc.cluster.local. 5 A 10.96.0.20",
		},
		{
			name:  "regex with a group",
			lines: `rewrite name regex ^([a-z]+)[.]example[.]org[.]$ {1}.shop.svc.cluster.local` + end,
			ask:   "api.example.org A",
			want:  "NOERROR by kubernetes:3\n" + svc + " 5 A 10.96.0.20",
			trail: rewritten("2", "api.example.org.", svc),
		},
		{
			name:  "regex with the whole",
			lines: `rewrite name regex ^(api)[.]shop[.]$ {0}svc.cluster.local` + end,
			ask:   "api.shop A",
			want:  "NOERROR by kubernetes:3\n" + svc + " 5 A 10.96.0.20",
		},
		{
			name:  "regex that does not match",
			lines: `rewrite name regex ^[0-9]+[.]example[.]org[.]$ a.b` + end,
			ask:   "api.example.org A",
			want:  "forwarded by line 4: api.example.org. A to 203.0.113.10:53",
		},
		{
			name:  "regex with an answer's name",
			lines: `rewrite name regex (.*)\.example\.org {1}.shop.svc.cluster.local answer name (.*)\.shop\.svc\.cluster\.local\.? {1}.example.org` + end,
			ask:   "api.example.org A",
			want:  "NOERROR by kubernetes:3\napi.example.org. 5 A 10.96.0.20",
		},
		{
			name: "regex with an answer's name and value",
			lines: `rewrite name regex (.*)\.example\.org {1}.shop.svc.cluster.local answer name (.*)\.shop\.svc\.cluster\.local\.? {1}.example.org ` +
				`answer value (.*)\.shop\.svc\.cluster\.local\.? {1}.example.org` + end,
			ask:  "in.example.org CNAME",
			want: "NOERROR by kubernetes:3\nin.example.org. 5 CNAME api.example.org.",
		},
		{
			name:  "regex without an answer's value",
			lines: `rewrite name regex (.*)\.example\.org {1}.shop.svc.cluster.local answer name (.*)\.shop\.svc\.cluster\.local\.? {1}.example.org` + end,
			ask:   "in.example.org CNAME",
			want:  "NOERROR by kubernetes:3\nin.example.org. 5 CNAME api.shop.svc.cluster.local.",
		},
		{
			name:  "the answer of a query that is forwarded has no records yet",
			lines: "rewrite name www.example.org www.example.net" + end,
			ask:   "www.example.org A",
			want:  "forwarded by line 4: www.example.net. A to 203.0.113.10:53",
			trail: append(rewritten("2", "www.example.org.", "www.example.net."), "forward:4 www.example.net. A is forwarded to 203.0.113.10:53"),
		},
		{
			name:  "what is no name after it is not asked for",
			lines: "rewrite name regex (.*)[.]example[.]org[.] {1}..x" + end,
			ask:   "api.example.org A",
			want:  "SERVFAIL by rewrite:2",
		},
		{
			name:  "in braces",
			lines: "rewrite {\nname exact www.example.org " + svc + "\n}" + end,
			ask:   "www.example.org A",
			want:  "NOERROR by kubernetes:5\nwww.example.org. 5 A 10.96.0.20",
		},
		{
			name:  "stop in braces",
			lines: "rewrite stop {\nname exact www.example.org a.b\n}\nrewrite name a.b c.d" + end,
			ask:   "www.example.org A",
			want:  "forwarded by line 7: a.b. A to 203.0.113.10:53",
		},
	})
}

// TestRewriteParts has prefix and substring: what follows from the final dot, that rules have too,
// is documented by CoreDNS's code only.
func TestRewriteParts(t *testing.T) {
	for _, r := range []struct {
		name, how, from, to, in string
		want                    string
		ok                      bool
	}{
		{"prefix", "prefix", "old.", "new.", "old.example.org.", "new.example.org.", true},
		{"prefix that is no prefix", "prefix", "old.", "new.", "very.old.example.org.", "very.old.example.org.", false},
		{"suffix", "suffix", "org.", "net.", "example.org.", "example.net.", true},
		{"suffix that is none", "suffix", "org.", "net.", "example.org.test.", "example.org.test.", false},
		{"substring", "substring", "b.", "x.", "a.b.c.b.", "a.x.c.x.", true},
		{"substring that is none", "substring", "z.", "x.", "a.b.", "a.b.", false},
		{"exact", "exact", "a.b.", "c.d.", "a.b.", "c.d.", true},
		{"regex", "regex", `^(.)\.(.)\.$`, "{2}.{1}.", "a.b.", "b.a.", true},
		{"regex, groups with the same number", "regex", `^(.)\.`, "{1}{1}.{0}", "a.b.", "aa.a.", true},
		{"regex that does not match", "regex", `^x`, "y", "a.b.", "a.b.", false},
	} {
		p, err := newPattern(r.how, r.from)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.replace(r.in, r.to)
		if ok != r.ok || ok && got != r.want {
			t.Errorf("%s: got %s %v", r.name, got, ok)
		}
		if p.matches(r.in) != r.ok {
			t.Errorf("%s: matches says %v", r.name, !r.ok)
		}
	}
}

// TestRewriteOrder has rules one after the other: a rule stops, unless it says that it goes on.
func TestRewriteOrder(t *testing.T) {
	const end = "\nforward . 203.0.113.10"
	runAll(t, []row{
		{
			name:  "a rule stops",
			lines: "rewrite name a.test b.test\nrewrite name b.test c.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: b.test. A to 203.0.113.10:53",
			trail: []string{"rewrite:2 rule in line 2: a.test. A is asked for as b.test. A", "forward:4 b.test. A is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "a rule says that it stops",
			lines: "rewrite stop name a.test b.test\nrewrite name b.test c.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: b.test. A to 203.0.113.10:53",
		},
		{
			name:  "a rule goes on",
			lines: "rewrite continue name a.test b.test\nrewrite name b.test c.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: c.test. A to 203.0.113.10:53",
			trail: []string{
				"rewrite:2 rule in line 2: a.test. A is asked for as b.test. A",
				"rewrite:2 rule in line 3: b.test. A is asked for as c.test. A",
				"forward:4 c.test. A is forwarded to 203.0.113.10:53",
			},
		},
		{
			name:  "a rule that does not match stops nothing",
			lines: "rewrite stop name x.test y.test\nrewrite name a.test b.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: b.test. A to 203.0.113.10:53",
		},
		{
			name:  "rules are tried in their order",
			lines: "rewrite name suffix .test .one\nrewrite name a.test b.two" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: a.one. A to 203.0.113.10:53",
		},
		{
			name:  "a rule behind the one that made its name is not tried again",
			lines: "rewrite continue name b.test c.test\nrewrite continue name a.test b.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: b.test. A to 203.0.113.10:53",
		},
		{
			name:  "answers are given back in the reverse order",
			lines: "rewrite continue name a.test b.test\nrewrite continue name b.test c.test\nhosts {\n10.0.0.1 c.test\n}" + end,
			ask:   "a.test A",
			want:  "NOERROR by hosts:4\na.test. 3600 A 10.0.0.1",
		},
		{
			name:  "of EDNS0 nothing comes of it, and the rule stops",
			lines: "rewrite edns0 local set 0xffee abc\nrewrite name a.test b.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: a.test. A to 203.0.113.10:53",
		},
		{
			name:  "what EDNS0 would replace is not there, and the rule does not stop",
			lines: "rewrite edns0 local replace 0xffee abc\nrewrite name a.test b.test" + end,
			ask:   "a.test A",
			want:  "forwarded by line 4: b.test. A to 203.0.113.10:53",
		},
	})
}

// TestRewriteOthers has the rules that are not for names.
func TestRewriteOthers(t *testing.T) {
	const end = "\nkubernetes cluster.local\nforward . 203.0.113.10"
	const api = "api.shop.svc.cluster.local"
	runAll(t, []row{
		{
			name:  "a type",
			lines: "rewrite type ANY A" + end,
			ask:   api + " ANY",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 A 10.96.0.20",
			trail: []string{"rewrite:2 rule in line 2: " + api + ". ANY is asked for as " + api + ". A"},
		},
		{
			name:  "another type",
			lines: "rewrite type ANY A" + end,
			ask:   api + " AAAA",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 AAAA fd00:96::20",
		},
		{
			name:  "a type in small letters",
			lines: "rewrite type aaaa a" + end,
			ask:   api + " AAAA",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 A 10.96.0.20",
		},
		{
			name:  "a TTL that is one",
			lines: "rewrite ttl " + api + " 60" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 60 A 10.96.0.20",
		},
		{
			name:  "a TTL that is at least so much",
			lines: "rewrite ttl " + api + " 30-" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 30 A 10.96.0.20",
		},
		{
			name:  "a TTL that is at most so much",
			lines: "rewrite ttl " + api + " -3" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 3 A 10.96.0.20",
		},
		{
			name:  "a TTL that is within",
			lines: "rewrite ttl " + api + " 1-10" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 A 10.96.0.20",
		},
		{
			name:  "a TTL of another name",
			lines: "rewrite ttl exact shop.svc.cluster.local 60" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 A 10.96.0.20",
		},
		{
			name:  "a TTL by a regex",
			lines: "rewrite ttl regex ^api[.] 60" + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 60 A 10.96.0.20",
		},
		{
			name:  "an rcode",
			lines: "rewrite rcode regex .* NXDOMAIN NOERROR" + end,
			ask:   "nope.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:3",
		},
		{
			name:  "an rcode by its number",
			lines: "rewrite rcode regex .* 3 5" + end,
			ask:   "nope.shop.svc.cluster.local A",
			want:  "REFUSED by kubernetes:3",
		},
		{
			name:  "an rcode that it is not",
			lines: "rewrite rcode regex .* SERVFAIL NOERROR" + end,
			ask:   "nope.shop.svc.cluster.local A",
			want:  "NXDOMAIN by kubernetes:3",
		},
		{
			name:  "a rule for aliases is not followed, where there is an alias",
			lines: "rewrite cname exact www.example.org. www.example.net." + end,
			ask:   "out.shop.svc.cluster.local CNAME",
			want:  "unknown at rewrite:2: what its rule in line 2 does with answers is not followed",
		},
		{
			name:  "or may be one",
			lines: "rewrite cname exact www.example.org. www.example.net." + end,
			ask:   "www.example.com A",
			want:  "unknown at rewrite:2: what its rule in line 2 does with answers is not followed",
		},
		{
			name:  "and changes nothing where there is none",
			lines: "rewrite cname exact www.example.org. www.example.net." + end,
			ask:   api + " A",
			want:  "NOERROR by kubernetes:3\n" + api + ". 5 A 10.96.0.20",
		},
	})
}

// TestClass has a rule for the class of queries.
func TestClass(t *testing.T) {
	c, err := Parse(".:53 {\nrewrite class CH IN\nforward . 203.0.113.10\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := query("a.test TXT")
	q.Class = "CH"
	a := c.Ask(q, Env{})
	if a.Outcome != Forwarded || a.Asked.Class != "IN" {
		t.Errorf("got %s, class %s", brief(a), a.Asked.Class)
	}
}

// TestRewriteRefused has rules that CoreDNS does not start with.
func TestRewriteRefused(t *testing.T) {
	const rcode, ttl = "rewrite rcode ", "rewrite ttl "
	for _, r := range []struct{ line, want string }{
		{"rewrite stop", "stop rule must begin with a rule type"},
		{"rewrite name exact a", ""}, // of the name "exact"
		{"rewrite name suffix a b answer", "invalid arguments for suffix rule"},
		{"rewrite name suffix a b answer bogus x y", `invalid type "bogus" for answer rule for suffix rule`},
		{"rewrite name suffix a b answer name x", "name answer rule for suffix rule: 2 arguments required"},
		{"rewrite name suffix a b answer value ( x", "value answer rule for suffix rule: invalid regex matching pattern: ("},
		{"rewrite name suffix a b answer auto answer", "type missing for answer rule for suffix rule"},
		{"rewrite name regex (a)(b) {1}{2}{3}", "uses more subexpressions than its corresponding matching regex pattern"},
		{"rewrite name regex " + strings.Repeat("a", maxRegexp+1) + " b", "invalid regex matching pattern"},
		{"rewrite class IN", "class rules must have exactly two arguments"},
		{ttl + "a", "wrong number (1) of arguments for a ttl rule"},
		{ttl + "a many", "invalid TTL 'many' for a ttl rule"},
		{ttl + "a -5-", "invalid TTL '-5-' for a ttl rule"},
		{ttl + "bogus a 5", "only exact, prefix, suffix, substring, and regex name matching are supported, received: bogus"},
		{rcode + "a NXDOMAIN", "wrong number (2) of arguments for a rcode rule"},
		{rcode + "a NXDOMAIN BOGUS", "invalid replacement RCODE 'BOGUS' for a rcode rule"},
		{rcode + "a BOGUS NXDOMAIN", "invalid matching RCODE 'BOGUS' for a rcode rule"},
		{"rewrite edns0 local", "too few arguments for an EDNS0 rule"},
		{"rewrite edns0 bogus set 1 2", "unknown value 'bogus'"},
		{"rewrite edns0 nsid set 1", "wrong number (3) of arguments for an EDNS0 nsid rule"},
		{"rewrite edns0 local set 0xffee", "wrong number (3) of arguments for an EDNS0 local rule"},
		{"rewrite edns0 local set x abc", "invalid syntax"},
		{"rewrite edns0 subnet set 33 64", "invalid bit mask length 33 or 64"},
		{"rewrite edns0 subnet set 24 129", "invalid bit mask length 24 or 129"},
		{"rewrite edns0 subnet set 24 x", "invalid syntax"},
		{"rewrite edns0 local set 0xffee abc", ""},
		{"rewrite edns0 local set 0xffee {client_ip} revert", ""},
		{"rewrite edns0 local unset 0xffee", ""},
		{"rewrite edns0 nsid append", ""},
		{"rewrite edns0 subnet set 24 56", ""},
		{"rewrite edns0 subnet unset", ""},
	} {
		refusedWith(t, r.line, r.want)
	}
}

// refusedWith wants that a line is refused with an error that has want in it, "" that it is not, in its place.
func refusedWith(t *testing.T, line, want string) {
	t.Helper()
	_, err := Parse(".:53 {\n"+line+"\n}\n", corp)
	switch {
	case err == nil && want != "":
		t.Errorf("%q is taken, want %s", line, want)
	case err != nil && (want == "" || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "Corefile:")):
		t.Errorf("%q: %v\nwant %s", line, err, want)
	}
}
