package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A row is a question to a server block, what becomes of it, and by what.
type row struct {
	name  string
	lines string   // of the server block .:53; the first is line 2 of the Corefile
	ask   string   // "api.shop.svc.cluster.local A"
	want  string   // as brief writes an answer; in a row's own words, records are each on a line
	trail []string // what plugins did with it: "hosts:2 it has no a.b. A, and falls through"; nil: not looked at
}

// corp is a folder of CoreDNS, of which all is known.
var corp = Options{Files: Files{Corefile: "/etc/coredns/Corefile", Dirs: []string{"/etc/coredns"}, Text: map[string]string{
	"/etc/coredns/hosts":           "# by hand\n192.0.2.10 node-a node-a.example.org # the first\nnonsense node-b\n192.0.2.11\nfe80::1%eth0 link\n::ffff:192.0.2.12 mapped\n",
	"/etc/coredns/one.override":    "hosts {\n10.0.0.7 www.example.org\n}\n",
	"/etc/coredns/two.override":    "log\n",
	"/etc/coredns/resolv.conf":     "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch corp.test. test\n",
	"/etc/coredns/nothing.conf":    "search corp.test\n",
	"/etc/coredns/site.server":     "corp.test {\nforward . 192.0.2.9\n}\n",
	"/etc/coredns/nested.override": "import one.override\n",
}}}

func (r row) run(t *testing.T, env Env) {
	t.Helper()
	c, err := Parse(".:53 {\n"+r.lines+"\n}\n", corp)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Ask(query(r.ask), env)
	if diff := cmp.Diff(strings.Split(r.want, "\n"), strings.Split(brief(a), "; ")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", r.ask, diff)
	}
	if diff := cmp.Diff(r.trail, trail(a)); r.trail != nil && diff != "" {
		t.Errorf("%s, its trail (-want +got):\n%s", r.ask, diff)
	}
	if a.Outcome == Unknown && a.Why.IsZero() {
		t.Error("it is unknown, and nothing says why")
	}
}

// runAll asks the small cluster.
func runAll(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { r.run(t, Env{Cluster: shop()}) })
	}
}

// trail writes what plugins did, without the server blocks that a query came to.
func trail(a Answer) []string {
	out := []string{}
	for _, s := range a.Steps {
		if s.Place.Plugin != "" {
			out = append(out, fmt.Sprintf("%s:%d %s", s.Place.Plugin, s.Place.Line, s.What))
		}
	}
	return out
}
