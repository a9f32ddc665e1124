package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/collect/kube"
)

// completed returns what completes the last of words, without what is said of the values, and the directive.
func completed(t *testing.T, words ...string) string {
	t.Helper()
	status, out, errOut := plumb(append([]string{completeVerb}, words...)...)
	if status != statusFine || errOut != "" {
		t.Errorf("%q: status %d, %s", words, status, errOut)
	}
	var values []string
	for line := range strings.Lines(out) {
		v, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values = append(values, v)
	}
	return strings.Join(values, " ")
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"_", "diagnose check matrix diff plan explain watch top record snapshot completion version help :4"},
		{"di", "diagnose diff :4"},
		{"nothing _", ":4"},
		{"diagnose --no", "--no-probe :4"},
		{"diagnose --n", "--no-probe --namespace :4"},
		{"check --lang _", "en zh :4"},
		{"check --lang=_", "--lang=en --lang=zh :4"},
		{"check --lang=z", "--lang=zh :4"},
		{"check -o _", "text wide json yaml :4"},
		{"check -v -o j", "json :4"},
		{"check -v _", ":4"},
		{"diagnose --proto _", "tcp udp sctp icmp :4"},
		{"diagnose --snapshot _", ":0"},
		{"diff -f _", ":0"},
		{"diagnose --snapshot=x", ":0"},
		{"snapshot -o _", ":0"},
		{"check --unknown --lang _", "en zh :4"},
		{"check extra --lang _", "en zh :4"},
		{"explain mtu-m", "mtu-mismatch :4"},
		{"explain mtu-mismatch _", ":4"},
		{"explain --lang zh mtu-m", "mtu-mismatch :4"},
		{"completion _", "bash zsh fish :4"},
		{"record _", "show episodes :4"},
		{"record show --dir _", ":0"},
		{"version _", ":4"},
		{"version --", "--help :4"},
		{"check --kubeconfig /does/not/exist --context _", ":4"},
		{"check --kubeconfig /does/not/exist -n _", ":4"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			words := wordsOf(tt.words)
			if got := completed(t, words...); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if got := completed(t); !strings.HasPrefix(got, "diagnose ") {
		t.Errorf("of nothing: %s", got)
	}
}

// wordsOf splits what is typed into words; "_" stands for one that is empty yet.
func wordsOf(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = strings.TrimSuffix(w, "_")
	}
	return words
}

// TestCompleteNames asks a running cluster.
func TestCompleteNames(t *testing.T) {
	s, config := running(t)
	for _, tt := range []struct{ words, want string }{
		{"diagnose -s _", "node/ default/ kube-flannel/ kube-system/ shop/ api-6c9f7d5b8-4xk2p api-6c9f7d5b8-9qjtl api-6c9f7d5b8-zw7hc web-0 web-1 web-2 :6"},
		{"diagnose -s w", "web-0 web-1 web-2 :4"},
		{"diagnose -s shop/web-", "shop/web-0 shop/web-1 shop/web-2 :4"},
		{"diagnose --source=shop/web-1", "--source=shop/web-1 :4"},
		{"diagnose -s node/", "node/node-a node/node-b node/node-c :4"},
		{"diagnose -s svc/", ":4"},
		{"diagnose -d s", "svc/ shop/ :6"},
		{"diagnose -d svc/kube-system/", "svc/kube-system/kube-dns:53 svc/kube-system/kube-dns:9153 :4"},
		{"diagnose -d svc/db", "svc/db:8080 :4"},
		{"diagnose -n kube-system -d svc/kube-d", "svc/kube-dns:53 svc/kube-dns:9153 :4"},
		{"diagnose -s nowhere/", ":4"},
		{"check -n sh", "shop :4"},
		{"check --context _", "lab :4"},
		{"snapshot --node _", "node-a node-b node-c :4"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			words := wordsOf(tt.words)
			words = append([]string{words[0], "--kubeconfig", config}, words[1:]...)
			if got := completed(t, words...); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	s.Forbid = []string{"/api/v1/namespaces"}
	if got := completed(t, "check", "--kubeconfig", config, "-n", ""); got != ":4" {
		t.Errorf("without the right: %s", got)
	}
	s.Close()
	start := time.Now()
	if got := completed(t, "check", "--kubeconfig", config, "-n", ""); got != ":4" || time.Since(start) > 5*time.Second {
		t.Errorf("without a server: %s after %v", got, time.Since(start))
	}
}

// TestCompleteAbout wants what is said of a value to stay on its line.
func TestCompleteAbout(t *testing.T) {
	_, config := running(t)
	_, out, _ := plumb(completeVerb, "diagnose", "--kubeconfig", config, "-s", "shop/web-0")
	if out != "shop/web-0\tRunning\n:4\n" {
		t.Errorf("%q", out)
	}
	l := listing{resource: "services", before: "svc/"}
	got := l.choices(kube.Name{Name: "api", About: "80:30080/TCP,53/UDP,<none>"})
	if diff := cmp.Diff([]choice{{"svc/api:80", "TCP"}, {"svc/api:53", "UDP"}}, got, cmp.AllowUnexported(choice{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, shell := range shells {
		if _, err := os.Stat("completion/plumb." + shell); err != nil {
			t.Error(err)
		}
	}
}
