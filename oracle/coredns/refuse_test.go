package coredns

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/dns"
)

// more are lines that are read and that change no answer, and lines that are wrong in some way.
var more = []string{"health", "health {\nlameduck 5s\n}", "health :8080 {\nlameduck\n}", "ready :8181", "ready {\nmonitor continuously\n}", "ready {\nmonitor never\n}",
	"prometheus :9153", "prometheus 9153", "loop", "loop x", "reload", "reload 10s 5s", "reload 1s", "reload 10s 100ms", "loadbalance round_robin", "loadbalance random",
	"errors stdout", "errors file", "errors {\nconsolidate 5m \".* timeout$\" warning show_first\n}", "errors {\nconsolidate 5m (\n}", "errors {\nstacktrace\n}", "log", "log example.org {\nclass denial error\n}",
	"log . {\nclass nothing\n}", "whoami", "any", "any x", "local", "local {\nlocalhost_prefix maybe\n}", "minimal", "minimal x", "debug", "file /nonexistent/db example.org {\nreload 0\nfallthrough\n}", "file", "file x {\nbogus\n}",
	"kubernetes cluster.local {\nupstream\n}", "kubernetes cluster.local {\nresyncperiod 5m\n}", "kubernetes cluster.local {\npods some\n}", "kubernetes in-addr.arpa", "kubernetes 10.0.0.0/8",
	"kubernetes {\nttl 5000\n}", "kubernetes {\nttl\n}", "kubernetes {\nzonal\nnoendpoints\n}", "kubernetes a b {\nmulticluster c\n}", "kubernetes {\nignore everything\n}", "kubernetes {\nstartup_timeout 5\n}",
	"kubernetes {\napiserver_qps -1\n}", "kubernetes {\ntls a b\n}", "kubernetes {\nnamespaces\n}", "kubernetes {\nendpoint_pod_names yes\n}", "kubernetes {\nfallthrough\nbogus\n}",
	"proxy . 8.8.8.8", "federation cluster.local", "hosts {\nfallthrough\n1.2.3.4 a.b\n}", "hosts {\nttl 0\n}", "hosts {\nttl\n}", "hosts {\nreload x\n}", "hosts {\nfallthrough_unsupported\n}", "hosts {\nfallthrough_unsupported\nfallthrough\n}",
	"forward .", "forward . bad..name", "forward . 8.8.8.8:53 tls://9.9.9.9 /etc/resolv.conf", "forward . https://8.8.8.8/dns-query", "forward . grpc://8.8.8.8", "forward . 8.8.8.8 {\nupstream\n}", "forward . 8.8.8.8 {\nmax_concurrent -1\n}",
	"forward . 8.8.8.8 {\nhealth_check 5s domain example.org no_rec\n}", "forward . 8.8.8.8 {\nhealth_check 5s bogus\n}", "forward . 8.8.8.8 {\npolicy best\n}", "forward . 8.8.8.8 {\nexpire 10s\nmax_age 5s\n}",
	"forward . 8.8.8.8 {\nnext BOGUS\n}", "forward . 8.8.8.8 {\nfailover NOERROR\n}", "forward . 8.8.8.8 {\nfailover SERVFAIL refused\n}", "forward . 8.8.8.8 {\nforce_tcp yes\n}", "forward . 8.8.8.8 {\ntls_servername dns.google\n}", "forward . [2001:4860:4860::8888]:53 fe80::1%eth0",
	"forward . 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15 1.1.1.16", "forward . unix:///tmp/x", "forward a..b 8.8.8.8", "forward . /nonexistent/resolv.conf",
	"cache 0", "cache -5", "cache 30 {\nprefetch 10 1m 20%\n}", "cache {\nprefetch 10 1m 5%\n}", "cache {\nserve_stale 1h verify 500ms 30s 10s\n}", "cache {\nserve_stale 1h immediate 10s 6m\n}", "cache {\nserve_stale 1h soon\n}", "cache {\nservfail 10m\n}",
	"cache {\ndisable success\n}", "cache {\ndisable all\n}", "cache {\nkeepttl\n}", "cache {\nserve_stale_policy prefer_positive\n}", "cache {\nsuccess\n}", "cache {\nsuccess 100 0\n}", "cache {\ndenial 100 5 -1\n}", "cache {\nsuccess many\n}",
	"rewrite", "rewrite name a", "rewrite name bogus a b", "rewrite name regex ( b", "rewrite name regex (a) {1}{2}", "rewrite name regex (a) {1} answer auto", "rewrite name a b answer name x y", "rewrite name exact a b answer", "rewrite name exact a b bogus auto",
	"rewrite name suffix a b answer auto answer name (x) {1}", "rewrite name suffix a b answer value (x) {2}", "rewrite answer name a b", "rewrite type A", "rewrite type A BOGUS", "rewrite class IN XX", "rewrite ttl a -", "rewrite ttl a 9-3", "rewrite ttl regex [ 5",
	"rewrite ttl a b c d", "rewrite rcode a 99 3", "rewrite rcode a NXDOMAIN 23", "rewrite cname exact a b", "rewrite cname a b c d", "rewrite edns0 local bogus 1 2", "rewrite continue", "rewrite stop name a b", "rewrite {\nname a b\n}", "rewrite bogus a b", "rewrite continue {\nname regex x y\n}",
	"template IN A", "template", "template IN BOGUS", "template XX A", "template IN A {\nmatch [\n}", "template IN A {\nanswer \"{{ .Name\"\n}", "template IN A {\nanswer \"{{ bogus }}\"\n}", "template IN A {\nrcode BOGUS\n}", "template IN A {\nupstream\n}", "template IN A {\nederror 21 \"Blocked\"\n}",
	"template IN A {\nederror x\n}", "template IN A {\nbogus\n}", "autopath", "autopath @errors", "autopath /nonexistent/resolv.conf", "autopath /etc/resolv.conf", "import nothing", "import", "import a b", "import some", "bind 127.0.0.1 {\nexcept\n}", "bind", "bind 127.0.0.1 {\nbogus\n}", "bogus", "}", "{", "\"unclosed", "# a comment"}

// outside are refusals for what is not in a Corefile: files, devices, the network.
var outside = []string{"not a valid IP address or interface name", "failed to resolve", "no such host", "unable to parse label selector", "connection refused", "in-cluster configuration"}

// mutate changes a Corefile in some places.
func (g *gen) mutate(text string) string {
	lines := strings.Split(text, "\n")
	for range g.IntN(3) {
		i := g.IntN(len(lines))
		words := strings.Fields(lines[i])
		switch g.IntN(7) {
		case 0:
			lines = append(lines[:i], lines[i+1:]...)
		case 1:
			lines[i] += "\n" + lines[i]
		case 2:
			lines[i] += " " + pick(g, "x", "{", "}", "5", "fallthrough", "\"", "import some")
		case 3:
			if len(words) > 0 {
				lines[i] = strings.Join(words[:len(words)-1], " ")
			}
		case 4:
			if len(words) > 0 {
				words[g.IntN(len(words))] = pick(g, "x", "-1", "example.org", "{", "a..b", "(", "10.0.0.0/9", "*")
				lines[i] = strings.Join(words, " ")
			}
		case 5:
			lines[i] = pick(g, "example.net:53 {", ".:99999 {", "dns://.", "tls://.:853 {", "10.0.0.0/12 2001:db8::/31 {", "(some) {", "a:b {", ",", "x,")
		}
		if len(lines) == 0 {
			return ""
		}
	}
	return strings.Join(lines, "\n")
}

// TestRefusals compares which Corefiles are refused.
func TestRefusals(t *testing.T) {
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	hosts, _ := os.ReadFile("/etc/hosts")
	files := dns.Files{Corefile: "/nonexistent/Corefile", Dirs: []string{"/nonexistent", "/etc"},
		Text: map[string]string{"/etc/resolv.conf": string(resolv), "/etc/hosts": string(hosts)}}
	g := &gen{ports: [2]int{10053, 10054}, upstreams: [2]uint16{10055, 10056}, api: "http://127.0.0.1:1"}
	n, refused, skipped, wrong := 0, 0, 0, 0
	try := func(name, text string) {
		_, ours := dns.Parse(text, dns.Options{Files: files})
		if ours != nil && (strings.Contains(ours.Error(), "cannot serve") || strings.Contains(ours.Error(), "AutoPather") || strings.Contains(ours.Error(), "invalid port")) {
			skipped++ // found out when it starts: TestAnswers
			return
		}
		theirs := validate(text)
		for _, s := range outside {
			if theirs != nil && strings.Contains(theirs.Error(), s) {
				skipped++
				return
			}
		}
		n++
		if theirs != nil {
			refused++
		}
		if (ours == nil) != (theirs == nil) {
			if wrong++; wrong <= 30 {
				t.Errorf("%s: ours: %v\nCoreDNS's: %v\n%s", name, ours, theirs, text)
			}
		}
	}
	for i, line := range more {
		try(fmt.Sprint("line ", i), ".:10053 {\n"+line+"\n}\n")
	}
	for i := range count(3000) {
		g.Rand = rand.New(rand.NewPCG(7, uint64(i)))
		text := g.corefile()
		if g.one(2) {
			text = strings.Replace(text, "bind 127.0.0.1\n", pick(g, more...)+"\n", 1)
		}
		if g.one(3) {
			text = "(some) {\n" + pick(g, more...) + "\n}\n" + strings.Replace(text, "errors\n", "import some\n", 1)
		}
		try(fmt.Sprint("random ", i), g.mutate(text))
	}
	fmt.Printf("agree: refusals of dns and CoreDNS: %d Corefiles, %d of them refused, %d disagreements, 0 explained, %d not judged\n", n, refused, wrong, skipped)
}
