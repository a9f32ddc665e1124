// Package checktest runs checks over the snapshots in their testdata folder.
//
// A case is a txtar: some lines of story, the files of a snapshot, the file
// "want" with the findings and what was not judged, one a line, and where a
// path is asked about the file "query":
//
//	from shop/web-0        a Pod, node/NAME, or an address outside the cluster
//	to 10.96.0.20:80
//	proto udp              tcp where not given
//	size 1500              with DF, the answer too: a second packet beside the first; -1 for full segments
//	external 10.20.0.0/16
package checktest

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/path"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// Run runs checks, and with a query path-broken too, over every
// testdata/*.txtar and compares what they say with "want". Under UPDATE=1 it
// writes "want" anew; under SHRINK=1 it first takes out of the cases what they do not need. A folder must hold three cases or more: the fault, the
// healthy twin, the gap.
func Run(t *testing.T, checks ...*check.Check) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 3 {
		t.Fatalf("%s: %d cases in testdata, want 3 or more", checks[0].Name, len(files))
	}
	if os.Getenv("SHRINK") != "" {
		shrink(t, files, checks)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runCase(t, file, a, checks)
		})
	}
}

func runCase(t *testing.T, file string, a *txtar.Archive, checks []*check.Check) {
	t.Helper()
	q, _ := cut(a, "query")
	want, _ := cut(a, "want")
	got, err := Judge(a, q, checks...)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(string(want), got)
	if diff == "" {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Errorf("(-want +got):\n%s", diff)
		return
	}
	if len(q) > 0 {
		a.Files = append(a.Files, txtar.File{Name: "query", Data: q})
	}
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
		t.Fatal(err)
	}
}

// cut removes a file from a and returns its content.
func cut(a *txtar.Archive, name string) ([]byte, bool) {
	for i, f := range a.Files {
		if f.Name == name {
			a.Files = append(a.Files[:i:i], a.Files[i+1:]...)
			return f.Data, true
		}
	}
	return nil, false
}

// Judge runs checks over the snapshot in a and returns what they say.
func Judge(a *txtar.Archive, query []byte, checks ...*check.Check) (string, error) {
	fsys, err := txtar.FS(a)
	if err != nil {
		return "", err
	}
	c, err := snapshot.Read(fsys)
	if err != nil {
		return "", err
	}
	n := network.New(c)
	results, external, err := ask(n, query)
	if err != nil {
		return "", err
	}
	if len(results) > 0 {
		checks = append(checks[:len(checks):len(checks)], path.Check)
	}
	return Format(check.Run(c, n, results, external, checks...)), nil
}

// Format writes a result as "want" holds it.
func Format(r check.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		write(&b, "", f)
	}
	for _, u := range r.Unjudged {
		fmt.Fprintf(&b, "? %s: %s: %s\n", u.Where, u.Check, u.Why)
	}
	return b.String()
}

var severities = [...]string{"info", "warning", "error"}

func write(b *strings.Builder, indent string, f check.Finding) {
	onPath := ""
	if f.OnPath {
		onPath = " on path"
	}
	fmt.Fprintf(b, "%s%s%s: %s: %s: %s\n", indent, severities[f.Severity], onPath, f.Where, f.Check, f.What)
	if len(f.Also) > 0 {
		fmt.Fprintf(b, "%s    also: %s\n", indent, strings.Join(f.Also, " "))
	}
	if !f.Fix.What.IsZero() {
		fmt.Fprintf(b, "%s    fix: %s\n", indent, f.Fix.What)
	}
	for _, c := range f.Fix.Commands {
		fmt.Fprintf(b, "%s    $ %s\n", indent, c)
	}
	for _, e := range f.Evidence {
		fmt.Fprintf(b, "%s    %s:%d: %s [%s]\n", indent, e.File, e.Line, e.Text, e.Command)
	}
	for _, c := range f.Consequences {
		write(b, indent+"  > ", c)
	}
}

// ask traces what a query file asks.
func ask(n *network.Network, query []byte) ([]trace.Result, []netip.Prefix, error) {
	var external []netip.Prefix
	q := trace.Query{Proto: packet.TCP}
	size := 0
	sc := bufio.NewScanner(bytes.NewReader(query))
	for sc.Scan() {
		key, val, _ := strings.Cut(sc.Text(), " ")
		var err error
		switch key {
		case "from":
			err = from(n, &q, val)
		case "to":
			q.Dst, err = netip.ParseAddrPort(val)
		case "proto":
			q.Proto, err = proto(val)
		case "size":
			size, err = strconv.Atoi(val)
		case "external":
			var e netip.Prefix
			e, err = netip.ParsePrefix(val)
			external = append(external, e)
		default:
			err = fmt.Errorf("query: unknown word %q", key)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if !q.Dst.IsValid() {
		return nil, external, nil
	}
	results := []trace.Result{trace.Run(n, q)}
	if size != 0 {
		q.Size, q.ReplySize, q.DF = size, size, true
		results = append(results, trace.Run(n, q))
	}
	return results, external, nil
}

func from(n *network.Network, q *trace.Query, s string) error {
	if a, err := netip.ParseAddr(s); err == nil {
		q.Src = a
		return nil
	}
	if node, ok := strings.CutPrefix(s, "node/"); ok {
		q.From = n.Host(node)
	} else {
		q.From = n.Pod(s)
	}
	if q.From == nil {
		return fmt.Errorf("query: no namespace of %q", s)
	}
	return nil
}

func proto(s string) (packet.Proto, error) {
	for _, p := range []packet.Proto{packet.TCP, packet.UDP, packet.SCTP, packet.ICMP, packet.ICMPv6} {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("query: unknown protocol %q", s)
}
