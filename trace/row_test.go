package trace_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// A row changes a recorded fixture and says what becomes of one packet then.
type row struct {
	name    string
	changes []change
	ask     string // as parseProbe reads it
	query   func(*trace.Query)
	want    trace.Fate
	at      string // where it ends; "" is not compared
	why     string // part of Why
	reply   trace.Fate
	told    string // of the message about the end: its packet and fate; "none": there is no message
}

// rows runs the rows on a fixture.
func rows(t *testing.T, name string, all []row) {
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, name, tt.changes...)
			q := parseProbe(n, tt.ask)
			if tt.query != nil {
				tt.query(&q)
			}
			r := trace.Run(n, q)
			if len(r.Paths) != 1 {
				t.Fatalf("%d paths:\n%s", len(r.Paths), explain(r))
			}
			tt.judge(t, r)
		})
	}
}

func (tt row) judge(t *testing.T, r trace.Result) {
	t.Helper()
	p := r.Paths[0]
	if p.End != tt.want || !strings.Contains(p.Why.String(), tt.why) || tt.at != "" && p.At.String() != tt.at {
		t.Errorf("%s at %s: %s\nwant %s at %s: …%s…", p.End, p.At, p.Why, tt.want, tt.at, tt.why)
	}
	if tt.reply != trace.Unknown && (len(p.Reply) != 1 || p.Reply[0].End != tt.reply) {
		t.Errorf("answer: %s\nwant %s", summary(r), tt.reply)
	}
	got := "none"
	if len(p.ICMP) > 0 {
		m := p.ICMP[0].Final
		got = m.String() + " " + p.ICMP[0].End.String()
	}
	if tt.told != "" && got != tt.told {
		t.Errorf("the sender is told: %s\nwant %s", got, tt.told)
	}
}

// set changes a sysctl of a namespace.
func set(ns, key, value string) change {
	node, name, _ := strings.Cut(ns, "/")
	return sub("nodes/"+node+"/"+name+"/sysctl", `(?m)^`+regexp.QuoteMeta(key)+` = .*$`, key+" = "+value)
}

// unset has a sysctl not collected.
func unset(ns, key string) change {
	node, name, _ := strings.Cut(ns, "/")
	return sub("nodes/"+node+"/"+name+"/sysctl", `(?m)^`+regexp.QuoteMeta(key)+` = .*\n`, "")
}

// rules sets the iptables rules of a namespace: lines of one table.
func rules(ns, table string, lines ...string) change {
	return func(f snapshot.Files) {
		node, name, _ := strings.Cut(ns, "/")
		path := "nodes/" + node + "/" + name + "/iptables"
		f[path] = []byte(string(f[path]) + "*" + table + "\n" + strings.Join(lines, "\n") + "\nCOMMIT\n")
	}
}
