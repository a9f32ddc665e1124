package report

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// gap is a file that was not collected.
func gap(path string) snapshot.Gap { return snapshot.Gap{Path: path, Why: notCollected} }

// wants are checks that a file was wanted by.
func wants(where string, checks ...string) (out []check.Unjudged) {
	for _, c := range checks {
		out = append(out, check.Unjudged{Check: c, Where: where, Why: notCollected})
	}
	return out
}

func TestMissingOf(t *testing.T) {
	rules := diagnose.Need{What: text.F("the rules of %s are not known: %s", "a/host", notCollected), Gaps: []snapshot.Gap{gap("nodes/a/host/iptables")}}
	damaged := snapshot.Gap{Path: "nodes/a/host/ipset", Why: "line 3: bad set"}
	for _, row := range []struct {
		name  string
		needs []diagnose.Need
		us    []check.Unjudged
		gaps  []snapshot.Gap
		want  missing
	}{
		{"nothing", nil, nil, nil, missing{}},
		{"decides nothing", nil, nil, []snapshot.Gap{gap("nodes/a/host/stat")}, missing{rest: []snapshot.Gap{gap("nodes/a/host/stat")}}},
		{"decides a check", nil, wants("nodes/a/host/stat", "x"), []snapshot.Gap{gap("nodes/a/host/stat")},
			missing{checks: []blank{{[]string{"nodes/a/host/stat"}, notCollected, []string{"x"}}}}},
		{"decides the path", []diagnose.Need{rules}, nil, []snapshot.Gap{gap("nodes/a/host/iptables")}, missing{path: []need{{what: rules.What}}}},
		{"decides both", []diagnose.Need{rules}, wants("nodes/a/host/iptables", "y", "x", "y"), []snapshot.Gap{gap("nodes/a/host/iptables")},
			missing{path: []need{{rules.What, []string{"x", "y"}}}}},
		{"the same of two nodes", nil, append(wants("nodes/a/host/stat", "x"), wants("nodes/b/host/stat", "x")...), nil,
			missing{checks: []blank{{[]string{"nodes/a/host/stat", "nodes/b/host/stat"}, notCollected, []string{"x"}}}}},
		{"of other checks", nil, append(wants("nodes/a/host/stat", "x"), wants("nodes/b/host/stat", "x", "y")...), nil,
			missing{checks: []blank{{[]string{"nodes/a/host/stat"}, notCollected, []string{"x"}}, {[]string{"nodes/b/host/stat"}, notCollected, []string{"x", "y"}}}}},
		{"damaged is never passed over", nil, nil, []snapshot.Gap{damaged}, missing{checks: []blank{{where: []string{damaged.Path}, why: damaged.Why}}}},
	} {
		got := missingOf(row.needs, row.us, row.gaps)
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(missing{}, need{}, blank{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestEachMissingThingOnce prints what is missing in every form: each path stands there once.
func TestEachMissingThingOnce(t *testing.T) {
	r := sampleUnknown()
	r.Gaps = []snapshot.Gap{gap("nodes/a/host/iptables"), gap("nodes/a/host/stat"), {Path: "nodes/zzz", Why: "no answer"}, gap("nodes/a/host/vlan.json")}
	r.Needs = []diagnose.Need{{What: text.F("%s of %s, by which packets pass: %s", "iptables", "nodes/a/host", notCollected), Gaps: r.Gaps[:1]}}
	r.Checks.Unjudged = append(wants("nodes/a/host/iptables", "c1", "c2", "c3", "fourth-check", "c5"), wants("nodes/a/host/stat", "c1")...)
	for _, lang := range []string{"en", "zh"} {
		for name, got := range map[string]string{
			"text":    string(render(t, func(w io.Writer) error { return Text(w, r, Options{Lang: lang}) })),
			"verbose": string(render(t, func(w io.Writer) error { return Text(w, r, Options{Lang: lang, Verbose: true}) })),
			"page":    string(render(t, func(w io.Writer) error { return HTML(w, r, Options{Lang: lang}) })),
			"check":   string(render(t, func(w io.Writer) error { return CheckText(w, r.Checks, r.Gaps, Options{Lang: lang}) })),
		} {
			for _, once := range []string{"nodes/a/host/stat", "nodes/zzz"} {
				if n := strings.Count(got, once); n != 1 {
					t.Errorf("%s in %s: %q stands there %d times", name, lang, once, n)
				}
			}
			if n := strings.Count(got, "iptables"); n != 1 && name != "page" { // it shows what rules rest on
				t.Errorf("%s in %s: iptables stands there %d times", name, lang, n)
			}
			if all := strings.Contains(got, "fourth-check"); all != (name == "verbose") {
				t.Errorf("%s in %s: all checks are named: %v", name, lang, all)
			}
			if listed := strings.Contains(got, "vlan.json"); listed == (name == "text" || name == "check") {
				t.Errorf("%s in %s: what nothing needed is listed: %v", name, lang, listed)
			}
		}
	}
}

func TestSomeOf(t *testing.T) {
	for _, row := range []struct {
		in   string
		all  bool
		want string
	}{
		{"", false, ""}, {"a", false, "a"}, {"a b c", false, "a, b, c"}, {"a b c d", false, "a, b, c, d"},
		{"a b c d e", false, "a, b, c and 2 more"}, {"a b c d e", true, "a, b, c, d, e"},
	} {
		if got := someOf(strings.Fields(row.in), row.all).String(); got != row.want {
			t.Errorf("%q: got %q, want %q", row.in, got, row.want)
		}
	}
}
