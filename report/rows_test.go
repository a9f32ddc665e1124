package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// TestHeaded lays out a paragraph beside what begins its lines, within 40 columns.
func TestHeaded(t *testing.T) {
	for _, row := range []struct {
		name, first, rest, in string
		want                  []string
	}{
		{"one line", "a: ", "   ", "short", []string{"a: short"}},
		{"nothing to say", "a: ", "   ", "", []string{"a:"}},
		{"no head", "", "", "short", []string{"short"}},
		{"a hanging indent", "  • ", "    ", "the route to 10.244.2.2 leads by eth0, and eth0 is down", []string{"  • the route to 10.244.2.2 leads by", "    eth0, and eth0 is down"}},
		{"a long head stands alone", "node-a/host/flannel.1: mtu-mismatch: ", "  ", "vxlan needs 50 bytes", []string{"node-a/host/flannel.1: mtu-mismatch:", "  vxlan needs 50 bytes"}},
		{"a head longer than a line", strings.Repeat("very ", 12), "  ", "long", []string{"very very very very very very very", "  very very very very very", "  long"}},
		{"a word longer than a line", "x ", "  ", strings.Repeat("0123456789", 5), []string{"x 01234567890123456789012345678901234567", "  890123456789"}},
		{"Chinese", "原因：", "  ", "报文止于此处，因为接口已经关闭，没有路由可以到达目的地", []string{"原因：报文止于此处，因为接口已经关闭，没", "  有路由可以到达目的地"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPrinter(Options{Width: 40})
			p.para(row.first, row.rest, plain, row.in)
			got := strings.Split(strings.TrimSuffix(p.b.String(), "\n"), "\n")
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			for _, line := range got {
				if width(line) > 40 {
					t.Errorf("%d columns: %s", width(line), line)
				}
			}
		})
	}
}

// TestPrinterWidths takes what no terminal has for the usual, or for the least that can be laid out.
func TestPrinterWidths(t *testing.T) {
	for in, want := range map[int]int{-5: 80, 0: 80, 1: 40, 39: 40, 40: 40, 80: 80, 200: 200} {
		if got := newPrinter(Options{Width: in}).width; got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
	p := newPrinter(Options{Color: true})
	for _, row := range []struct {
		st       style
		in, want string
	}{{red, "x", "\x1b[1;31mx\x1b[0m"}, {plain, "x", "x"}, {red, "", ""}} {
		if got := p.paint(row.st, row.in); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
	if got := newPrinter(Options{}).paint(red, "x"); got != "x" {
		t.Errorf("a colour where none was asked for: %q", got)
	}
}

// TestClipEdges cuts to nothing, to one column, and between wide characters.
func TestClipEdges(t *testing.T) {
	for _, row := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 0, ""}, {"a", 1, "a"}, {"ab", 1, "…"}, {"abc", 2, "a…"}, {"a bc", 3, "a…"}, {"报文", 4, "报文"}, {"报文", 3, "报…"}, {"报文", 2, "…"}, {"a报文", 3, "a…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		got := clip(row.in, row.n)
		if got != row.want || width(got) > row.n {
			t.Errorf("%q to %d: %q of %d columns, want %q", row.in, row.n, got, width(got), row.want)
		}
	}
	for f, want := range map[float64]string{0: "0", 1: "1", 33.3333: "33.3", 99.95: "100", 0.04: "0", 12.0: "12", 66.666: "66.7"} {
		if got := trimFloat(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

// TestSomeOfMany names the first few, and all where there is one more.
func TestSomeOfMany(t *testing.T) {
	var names []string
	for i, want := range []string{"", "a", "a, b", "a, b, c", "a, b, c, d", "a, b, c and 2 more", "a, b, c and 3 more"} {
		if got := someOf(names, false).String(); got != want {
			t.Errorf("of %d: %q, want %q", i, got, want)
		}
		if got := someOf(names, true).String(); got != strings.Join(names, ", ") {
			t.Errorf("all %d: %q", i, got)
		}
		names = append(names, string(rune('a'+i)))
	}
}

// TestSayArguments puts sentences, fates and words within sentences into the language of the whole.
func TestSayArguments(t *testing.T) {
	inner := text.F("node %s", "a")
	for _, row := range []struct {
		in     text.Text
		en, zh string
	}{
		{text.Text{}, "", ""},
		{text.F("%s at %s", inner, "b/host"), "node a at b/host", Say(text.F("%s at %s", Say(inner, "zh"), "b/host"), "zh")},
		{text.F("%s at %s", trace.Dropped, "b/host"), "dropped at b/host", Say(text.F("%s at %s", Say(fateWords[trace.Dropped], "zh"), "b/host"), "zh")},
		{text.F("no sentence of ours: %d", 5), "no sentence of ours: 5", "no sentence of ours: 5"},
		{text.F("%s %%", "33.3"), "33.3 %", "33.3 %"},
	} {
		if got := Say(row.in, "en"); got != row.en {
			t.Errorf("got %q, want %q", got, row.en)
		}
		if got := Say(row.in, "zh"); got != row.zh {
			t.Errorf("got %q, want %q", got, row.zh)
		}
		if got := Say(row.in, "fr"); got != row.en {
			t.Errorf("a language that is none of ours: %q, want %q", got, row.en)
		}
	}
}

// TestDescribe says what a packet is, with what is known of it.
func TestDescribe(t *testing.T) {
	p := tcp("10.0.0.1:40000", "10.0.0.2:80", 1500)
	with := func(f func(*packet.Packet)) packet.Packet { q := p; f(&q); return q }
	for _, row := range []struct {
		p    packet.Packet
		want string
	}{
		{packet.Packet{}, ""},
		{p, "tcp 10.0.0.1:40000 → 10.0.0.2:80, 1500 bytes, may not be fragmented"},
		{with(func(q *packet.Packet) { q.DF = false }), "tcp 10.0.0.1:40000 → 10.0.0.2:80, 1500 bytes"},
		{with(func(q *packet.Packet) { q.Size = 0 }), "tcp 10.0.0.1:40000 → 10.0.0.2:80"},
		{with(func(q *packet.Packet) { q.Proto, q.Src, q.Dst = packet.ICMP, ap("10.0.0.1:0"), ap("10.0.0.2:0") }), "icmp 10.0.0.1 → 10.0.0.2, 1500 bytes, may not be fragmented"},
		{tcp("[fd00::1]:40000", "[fd00::2]:80", 1500), "tcp [fd00::1]:40000 → [fd00::2]:80, 1500 bytes"},
	} {
		if got := describe(row.p).String(); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// TestTelling draws what decided, changed the packet or ended it, and no more.
func TestTelling(t *testing.T) {
	quote := []trace.Quote{said{Text: "x"}}
	for _, row := range []struct {
		stage  trace.Stage
		quotes []trace.Quote
		last   bool
		change text.Text
		want   bool
	}{
		{stage: trace.StageTransmit, quotes: quote}, {stage: trace.StageReceive, quotes: quote}, {stage: trace.StageForward}, {stage: trace.StageNeighbour},
		{stage: trace.StageTransmit, last: true, want: true}, {stage: trace.StageReceive, change: text.F("x"), want: true}, {stage: trace.StageForward, quotes: quote, want: true},
		{stage: trace.StageRoute, want: true}, {stage: trace.StageWire, want: true}, {stage: trace.StageDeliver, want: true}, {stage: trace.StageEncap, want: true}, {stage: trace.StageDecap, want: true},
	} {
		m := mark{Step: trace.Step{Stage: row.stage, Quotes: row.quotes}, last: row.last, change: row.change}
		if got := m.telling(); got != row.want {
			t.Errorf("%s, %d quotes, last %t: %t", row.stage, len(row.quotes), row.last, got)
		}
	}
}

// TestEveryWordIsKnown wants a word, in both languages, for each fate, stage, verdict and severity.
func TestEveryWordIsKnown(t *testing.T) {
	for f := trace.Fate(0); f.String() != "invalid"; f++ {
		if w, ok := fateWords[f]; !ok || Say(w, "zh") == Say(w, "en") {
			t.Errorf("fate %s: %q", f, Say(w, "zh"))
		}
		if fateMark(f) == "" {
			t.Errorf("fate %s has no mark", f)
		}
	}
	for s, w := range stageWords {
		if tongue("en").stage(s) == "" || Say(w, "en") == "" {
			t.Errorf("stage %s", s)
		}
	}
	if got := tongue("en").stage("x\x1b"); got != `x\x1b` {
		t.Errorf("a stage that is none of ours: %q", got)
	}
	for _, m := range []any{len(verdictWords) == len(verdictMarks), len(severityWords) == len(severityNames)} {
		if fmt.Sprint(m) != "true" {
			t.Error("words and marks are not of the same")
		}
	}
}
