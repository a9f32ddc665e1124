//go:build linux

package real

import (
	"bytes"
	gocmp "cmp"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/snapshot/redact"
)

// redacted takes a snapshot of the whole cluster, and wants the same answer of it and of what
// --redact makes of it, which must hold no name and no address of the cluster.
func (b *bench) redacted(t *testing.T, args []string) {
	ctx, dir := t.Context(), t.TempDir()
	plain, hidden := filepath.Join(dir, "plain.tar.gz"), filepath.Join(dir, "hidden.tar.gz")
	for _, args := range [][]string{{"-o", plain}, {"-o", hidden, "--redact", "--snapshot", plain}} {
		if _, _, err := b.run(ctx, append([]string{"snapshot"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	want := b.offline(ctx, t, plain, args)
	got := b.offline(ctx, t, hidden, pseudonyms(t, filepath.Join(dir, "hidden.map.json"), hidden, args))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("redacted, plumb answers otherwise (-plain +redacted):\n%s", d)
	}
	for _, l := range leaks(t, unpack(t, plain), unpack(t, hidden)) {
		t.Errorf("redacted, %s", l)
	}
}

// offline returns the verdict and the findings of a question to a bundle, a line each. Of findings of one check
// in a row there is one line: which of two equal ways is told of first may hang on names.
func (b *bench) offline(ctx context.Context, t *testing.T, bundle string, args []string) []string {
	d, err := b.diagnose(ctx, append([]string{"--snapshot", bundle}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{d.Verdict}
	for _, f := range d.Findings {
		out = append(out, f.Severity+" "+f.Check)
	}
	return slices.Compact(out)
}

// pseudonyms returns the flags of a question as they are put to a redacted bundle.
func pseudonyms(t *testing.T, mapFile, bundle string, args []string) (out []string) {
	var back redact.Map
	data, err := os.ReadFile(mapFile)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := snapshot.Read(unpack(t, bundle))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	name := func(s string) { there[back.Restore(s)] = s }
	for i := range c.Objects.Pods {
		name(c.Objects.Pods[i].Namespace + "/" + c.Objects.Pods[i].Name)
	}
	for i := range c.Objects.Services {
		name("svc/" + c.Objects.Services[i].Namespace + "/" + c.Objects.Services[i].Name)
	}
	for i := range c.Objects.Nodes {
		name("node/" + c.Objects.Nodes[i].Name)
	}
	for i := range c.Objects.Ingresses {
		for _, r := range c.Objects.Ingresses[i].Spec.Rules {
			name("http://" + r.Host)
		}
	}
	for to, from := range back.Addresses {
		there[from] = to
	}
	for _, a := range args {
		if to := there[a]; to != "" {
			out = append(out, to)
			continue
		}
		what, port, ok := strings.Cut(a, ":")
		if ok {
			port = ":" + port
		}
		out = append(out, gocmp.Or(there[what], what)+port)
	}
	return out
}

func unpack(t *testing.T, bundle string) snapshot.Files {
	f, err := os.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, gaps, err := snapshot.Unpack(bundle, f)
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	return redact.Unwrap(files)
}

var (
	addrText = regexp.MustCompile(`\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b`)
	macText  = regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`)
)

// known are names that every cluster has, by which plumb knows what a Pod is for.
var known = strings.Fields("plumb kube-system kube-flannel kube-dns kube-proxy coredns default kubernetes")

// leaks says what of a bundle's names and addresses a redacted one holds.
func leaks(t *testing.T, plain, hidden snapshot.Files) (out []string) {
	c, err := snapshot.Read(plain)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range c.Objects.Nodes {
		names = append(names, c.Objects.Nodes[i].Name)
	}
	for i := range c.Objects.Pods {
		names = append(names, c.Objects.Pods[i].Namespace, c.Objects.Pods[i].Name)
	}
	for i := range c.Objects.Services {
		names = append(names, c.Objects.Services[i].Namespace+"/"+c.Objects.Services[i].Name)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool {
		return slices.Contains(known, n) || n == "kube-system/kube-dns" || n == "default/kubernetes" || n == "ingress-nginx" || n == "ingress-nginx/ingress-nginx-controller"
	})
	addrs := map[string]bool{}
	for _, data := range plain {
		for _, a := range slices.Concat(addrText.FindAll(data, -1), macText.FindAll(data, -1)) {
			addrs[string(a)] = !public(string(a))
		}
	}
	if len(names) < 10 || len(addrs) < 30 {
		t.Fatalf("looked for %d names and %d addresses only", len(names), len(addrs))
	}
	for path, data := range hidden {
		text := append([]byte(path+"\n"), data...)
		for _, n := range names {
			if bytes.Contains(text, []byte(n)) && regexp.MustCompile(`\b`+regexp.QuoteMeta(n)+`\b`).Match(text) {
				out = append(out, path+" holds the name "+n)
			}
		}
		for _, a := range slices.Concat(addrText.FindAll(text, -1), macText.FindAll(text, -1)) {
			if addrs[string(a)] {
				out = append(out, path+" holds the address "+string(a))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// public reports whether an address tells nothing of a cluster: masks, multicast, loopback, and those of no host.
func public(text string) bool {
	a, err := netip.ParseAddr(text)
	if err != nil { // a link-layer address
		return strings.HasPrefix(text, "00:00:00:00:00:00") || strings.HasPrefix(text, "33:33:") || strings.HasPrefix(text, "01:00:5e") || text == "ff:ff:ff:ff:ff:ff" || strings.HasPrefix(text, "ee:ee:ee")
	}
	b := a.As4()
	return b[0] == 0 || b[0] == 127 || b[0] >= 224 || b[0] == 169 && b[1] == 254 || b[0] == 10 && b[1] == 0 && b[2] == 0 && b[3] == 0
}
