package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
)

func TestWidth(t *testing.T) {
	for _, row := range []struct {
		in   string
		want int
	}{
		{"", 0}, {"eth0", 4}, {"路由", 4}, {"到 eth0", 7}, {"，（）", 6}, {"→ ✗ │", 5}, {"e\u0301", 1}, {"🚀", 2}, {"ｅ", 2}, {"한", 2},
	} {
		if got := width(row.in); got != row.want {
			t.Errorf("%q: %d columns, want %d", row.in, got, row.want)
		}
	}
	if got := pad("路由", 6); got != "路由  " {
		t.Errorf("pad: %q", got)
	}
	if got := pad("POSTROUTING", 3); got != "POSTROUTING" {
		t.Errorf("pad: %q", got)
	}
}

func TestWrap(t *testing.T) {
	for _, row := range []struct {
		name, in string
		n        int
		want     []string
	}{
		{"nothing", "", 10, []string{""}},
		{"it fits", "ten column", 10, []string{"ten column"}},
		{"at a space", "no route to 10.0.0.1", 12, []string{"no route to", "10.0.0.1"}},
		{"within a word that is too long", "abcdefghijklmnop", 10, []string{"abcdefghij", "klmnop"}},
		{"between Chinese characters", "报文止于此处报文过大", 10, []string{"报文止于此", "处报文过大"}},
		{"not before punctuation", "报文止于此，报文过大", 10, []string{"报文止于", "此，报文过", "大"}},
		{"between the scripts", "经 flannel.1发出报文", 14, []string{"经 flannel.1发", "出报文"}},
	} {
		if diff := cmp.Diff(row.want, wrap(row.in, row.n)); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
}

func TestClip(t *testing.T) {
	for _, row := range []struct {
		in          string
		n           int
		clip, short string
	}{
		{"short", 10, "short", "short"},
		{"-A KUBE-SEP-X -j DNAT --to 10.0.0.1", 20, "-A KUBE-SEP-X -j DN…", "-A KUB…--to 10.0.0.1"},
		{"报文止于此处报文过大", 10, "报文止于…", "报…报文过大"},
	} {
		if got := clip(row.in, row.n); got != row.clip || width(got) > row.n {
			t.Errorf("clip %q: %q", row.in, got)
		}
		if got := shorten(row.in, row.n); width(got) > row.n || row.short != "" && !strings.HasSuffix(row.short, row.in[len(row.in)-3:]) {
			t.Errorf("shorten %q: %q", row.in, got)
		}
	}
}

func TestClean(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"harmless", "eth0 → 路由", "eth0 → 路由"},
		{"a tab is a space", "a\tb", "a b"},
		{"escape", "\x1b[31m", `\x1b[31m`},
		{"new line", "a\r\nb", `a\x0d\nb`},
		{"C1", "\u009b", `\u009b`},
		{"turned round", "\u202e", `\u202e`},
		{"zero width", "a\u200bb", `a\u200bb`},
		{"a line separator", "\u2028", `\u2028`},
		{"bad UTF-8", "\xff\xfe", `\xff\xfe`},
	} {
		if got := clean(row.in); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func FuzzLayout(f *testing.F) {
	f.Add("报文止于此处：too big at node-a/host/eth0", 20)
	f.Add(evil, 12)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 10 + abs(n)%200
		c := clean(s)
		if strings.ContainsFunc(c, unsafe) || !utf8.ValidString(c) {
			t.Fatalf("clean(%q) = %q", s, c)
		}
		lines := wrap(c, n)
		for _, line := range lines {
			if width(line) > n {
				t.Errorf("%d columns, want at most %d: %q", width(line), n, line)
			}
		}
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if squeeze(strings.Join(lines, "")) != squeeze(c) {
			t.Errorf("wrap loses text of %q: %q", c, lines)
		}
		if w := width(shorten(c, n)); w > n {
			t.Errorf("shorten leaves %d columns, want at most %d", w, n)
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

func TestMergeGaps(t *testing.T) {
	in := []snapshot.Gap{
		{Path: "nodes/a/host/ipset", Why: "not collected"}, {Path: "nodes/a/host/stat", Why: "permission denied"},
		{Path: "nodes/b/host/ipset", Why: "not collected"}, {Path: "nodes/c/host/ipset", Why: "permission denied"},
	}
	want := []snapshot.Gap{{Path: ".../ipset × 2", Why: "not collected"}, in[1], in[3]}
	if diff := cmp.Diff(want, mergeGaps(in)); diff != "" {
		t.Error(diff)
	}
}
