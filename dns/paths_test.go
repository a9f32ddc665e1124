package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAutopath is by the plugin's documentation: a query for the first domain of a search list is
// tried for all of them, and the answer is an alias.
func TestAutopath(t *testing.T) {
	const kube = "autopath @kubernetes\nkubernetes cluster.local {\npods verified\n}\nforward . 203.0.113.10"
	const file = "autopath /etc/coredns/resolv.conf\nhosts {\n10.0.0.1 www.corp.test\n10.0.0.2 api.test\n10.0.0.3 alone\n}\n" // SERVFAIL where it has not
	const gone = "autopath /etc/coredns/resolv.conf\ntemplate ANY ANY corp.test test {\nrcode NXDOMAIN\n}\nhosts {\n10.0.0.3 alone\nfallthrough\n}\nforward . 203.0.113.10"
	runAll(t, []row{
		{
			name:  "the first is it, and nothing is added",
			lines: kube,
			ask:   "api.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:3\napi.shop.svc.cluster.local. 5 A 10.96.0.20",
			trail: []string{},
		},
		{
			name:  "the second is it",
			lines: kube,
			ask:   "kubernetes.default.shop.svc.cluster.local A",
			want: "NOERROR by kubernetes:3\nkubernetes.default.shop.svc.cluster.local. 5 CNAME kubernetes.default.svc.cluster.local." +
				"\nkubernetes.default.svc.cluster.local. 5 A 10.96.0.1",
			trail: []string{"autopath:2 kubernetes.default.shop.svc.cluster.local. A is asked for as kubernetes.default.svc.cluster.local. A"},
		},
		{
			name:  "the third is it",
			lines: kube,
			ask:   "api.shop.svc.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:3\napi.shop.svc.shop.svc.cluster.local. 5 CNAME api.shop.svc.cluster.local.\napi.shop.svc.cluster.local. 5 A 10.96.0.20",
		},
		{
			name:  "none is it, and the name itself is asked of others",
			lines: kube,
			ask:   "www.example.org.shop.svc.cluster.local A",
			want:  "forwarded by line 6: www.example.org. A to 203.0.113.10:53",
			trail: []string{
				"autopath:2 www.example.org.shop.svc.cluster.local. A is asked for as www.example.org.svc.cluster.local. A",
				"autopath:2 www.example.org.shop.svc.cluster.local. A is asked for as www.example.org.cluster.local. A",
				"autopath:2 the domains of CoreDNS's own resolv.conf are not known, and are left out",
				"autopath:2 www.example.org.shop.svc.cluster.local. A is asked for as www.example.org. A",
				"forward:6 www.example.org. A is forwarded to 203.0.113.10:53",
			},
		},
		{
			name:  "the list of another namespace",
			lines: kube,
			ask:   "kubernetes.default.svc.cluster.local A",
			want:  "NOERROR by kubernetes:3\nkubernetes.default.svc.cluster.local. 5 A 10.96.0.1",
			trail: []string{},
		},
		{
			name:  "Pods that are not verified have no list",
			lines: "autopath @kubernetes\nkubernetes cluster.local {\npods insecure\n}",
			ask:   "kubernetes.default.shop.svc.cluster.local A",
			want:  "NXDOMAIN by kubernetes:3",
		},
		{
			name:  "a plugin that is not there",
			lines: "autopath @kubernetes\nforward . 203.0.113.10",
			ask:   "kubernetes.default.shop.svc.cluster.local A",
			want:  "forwarded by line 3: kubernetes.default.shop.svc.cluster.local. A to 203.0.113.10:53",
		},
		{
			name:  "a plugin of which it is not known",
			lines: "autopath @etcd\netcd corp.test\nforward . 203.0.113.10",
			ask:   "a.test A",
			want:  "unknown at autopath:2: what the plugin autopath does is not followed",
		},
		{
			name:  "another zone than its own",
			lines: "autopath example.org @kubernetes\nkubernetes cluster.local {\npods verified\n}",
			ask:   "kubernetes.default.shop.svc.cluster.local A",
			want:  "NXDOMAIN by kubernetes:3",
		},
		{
			name:  "a resolv.conf, and its first domain",
			lines: file,
			ask:   "www.corp.test A",
			want:  "NOERROR by hosts:3\nwww.corp.test. 3600 A 10.0.0.1",
		},
		{
			name:  "a name that is not in the first domain",
			lines: file,
			ask:   "api.test A",
			want:  "NOERROR by hosts:3\napi.test. 3600 A 10.0.0.2",
		},
		{
			name:  "a resolv.conf, and the name itself",
			lines: gone,
			ask:   "alone.corp.test A",
			want:  "NOERROR by hosts:6\nalone.corp.test. 3600 CNAME alone.\nalone. 3600 A 10.0.0.3",
			trail: []string{
				"autopath:2 alone.corp.test. A is asked for as alone.test. A",
				"autopath:2 alone.corp.test. A is asked for as alone. A",
			},
		},
		{
			name:  "a resolv.conf, and upstreams decide",
			lines: gone,
			ask:   "else.corp.test A",
			want:  "forwarded by line 10: else. A to 203.0.113.10:53",
		},
		{
			name:  "a resolv.conf that is not collected",
			lines: "autopath /etc/resolv.conf\nforward . 203.0.113.10",
			ask:   "www.corp.test A",
			want:  "unknown at autopath:2: the plugin autopath answers from /etc/resolv.conf, which is not read",
		},
	})
	t.Run("whose Pod is not known", func(t *testing.T) {
		c := shop()
		c.Missing = []string{"Pod"}
		row{lines: kube, ask: "api.shop.svc.cluster.local A", want: "unknown at autopath:2: which Pod asks is not known"}.run(t, Env{Cluster: c})
	})
	t.Run("an address of no Pod", func(t *testing.T) {
		c := shop()
		c.Pods = nil
		c.Index()
		row{lines: kube, ask: "kubernetes.default.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:3"}.run(t, Env{Cluster: c})
	})
}

// TestCacheTTL is by the plugin's documentation: the least TTL of an answer, within the bounds for
// answers and for denials.
func TestCacheTTL(t *testing.T) {
	tmpl := func(ttls string) (lines string) {
		for ttl := range strings.FieldsSeq(ttls) {
			lines += " \"{{ .Name }} " + ttl + " IN A 192.0.2.1\""
		}
		return "\ntemplate IN A {\nanswer" + lines + "\n}"
	}
	for _, r := range []struct {
		name, cache, ttl string
		want             uint32
	}{
		{"no more than an hour", "cache", "7200", 3600},
		{"as it is", "cache", "60", 60},
		{"no less than five seconds", "cache", "1", 5},
		{"nothing is five seconds too", "cache", "0", 5},
		{"the least of an answer, for all of it", "cache", "60 7 30", 7},
		{"a bound for all", "cache 30", "60", 30},
		{"a bound for all, and less", "cache 30", "20", 20},
		{"success", "cache {\nsuccess 9984 40\n}", "60", 40},
		{"success with a least", "cache {\nsuccess 9984 3600 120\n}", "60", 120},
		{"success without a TTL", "cache {\nsuccess 9984\n}", "60", 60},
		{"denial does not count", "cache {\ndenial 9984 7\n}", "60", 60},
		{"its zone", "cache 30 a.test", "60", 30},
		{"another zone", "cache 30 b.test", "60", 60},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, err := Parse(".:53 {\n"+r.cache+tmpl(r.ttl)+"\n}\n", Options{})
			if err != nil {
				t.Fatal(err)
			}
			a := c.Ask(query("a.test A"), Env{})
			odd := slices.ContainsFunc(a.Records, func(rec Record) bool { return rec.TTL != r.want })
			if len(a.Records) != len(strings.Fields(r.ttl)) || odd || a.By.Plugin != "template" {
				t.Errorf("got %s, want TTL %d", brief(a), r.want)
			}
		})
	}
}

// TestUnread has parts of a Corefile that are not known: where a query reaches them, it is unknown.
func TestUnread(t *testing.T) {
	for _, r := range []struct{ name, corefile, ask, want string }{
		{"a variable in a directive", ".:53 {\nforward . {$DNS}\n}\n", "a.test A", "unknown at forward:2: the environment variable DNS is not known"},
		{"one of Windows' form", ".:53 {\nforward . {%DNS%}\n}\n", "a.test A", "unknown at forward:2: the environment variable DNS is not known"},
		{"in a block", ".:53 {\nhosts {\n{$IP} a.test\nfallthrough\n}\nforward . 192.0.2.1\n}\n", "b.test A", "unknown at hosts:2: the environment variable IP is not known"},
		{"behind what answers", ".:53 {\nhosts {\n10.0.0.1 a.test\n}\nforward . {$DNS}\n}\n", "a.test A", "NOERROR by hosts:2; a.test. 3600 A 10.0.0.1"},
		{"in what no query passes", ".:53 {\nhealth {$ADDR}\nforward . 192.0.2.1\n}\n", "a.test A", "forwarded by line 3: a.test. A to 192.0.2.1:53"},
		{"for a directive", ".:53 {\n{$PLUGIN}\nforward . 192.0.2.1\n}\n", "a.test A", "unknown at :2: the environment variable PLUGIN is not known"},
		{"for a zone", "{$ZONE} {\nforward . 192.0.2.1\n}\n", "a.test A", "unknown at :1: the environment variable ZONE is not known"},
		{"an import of a folder that is not collected", ".:53 {\nimport /etc/custom/*.override\nforward . 192.0.2.1\n}\n", "a.test A", "unknown at :2: it imports /etc/custom/*.override, which is not known"},
		{"an import of server blocks that are not", ".:53 {\nforward . 192.0.2.1\n}\nimport /etc/custom/*.server\n", "a.test A", "unknown at :4: it imports /etc/custom/*.server, which is not known"},
		{"an import by a variable", ".:53 {\nimport {$FILE}\nforward . 192.0.2.1\n}\n", "a.test A", "unknown at :2: it imports {$FILE}, which is not known"},
		{"an import into a directive", ".:53 {\nhosts {\nimport /etc/custom/hosts\nfallthrough\n}\nforward . 192.0.2.1\n}\n", "a.test A", "unknown at hosts:2: it imports /etc/custom/hosts, which is not known"},
		{"another server block", ".:53 {\nimport /etc/custom/*.override\n}\ntest {\nforward . 192.0.2.1\n}\n", "a.test A", "forwarded by line 5: a.test. A to 192.0.2.1:53"},
		{"a file that is collected", ".:53 {\nimport one.override\nforward . 192.0.2.1\n}\n", "www.example.org A", "NOERROR by hosts:1; www.example.org. 3600 A 10.0.0.7"},
		{"a pattern that nothing has", ".:53 {\nimport *.nothing\nforward . 192.0.2.1\n}\n", "a.test A", "forwarded by line 3: a.test. A to 192.0.2.1:53"},
		{"a file with a server block", ".:53 {\nforward . 192.0.2.1\n}\nimport *.server\n", "a.corp.test A", "forwarded by line 2: a.corp.test. A to 192.0.2.9:53"},
		{"a file that imports one", ".:53 {\nimport nested.override\nforward . 192.0.2.1\n}\n", "www.example.org A", "NOERROR by hosts:1; www.example.org. 3600 A 10.0.0.7"},
		{"a snippet", "(common) {\nhosts {\n10.0.0.1 a.test\n}\n}\n.:53 {\nimport common\n}\n", "a.test A", "NOERROR by hosts:2; a.test. 3600 A 10.0.0.1"},
		{"a snippet in a directive", "(lines) {\n10.0.0.1 a.test\n}\n.:53 {\nhosts {\nimport lines\n}\n}\n", "a.test A", "NOERROR by hosts:5; a.test. 3600 A 10.0.0.1"},
		{"a server without braces", ".:53\nforward . 192.0.2.1\n", "a.test A", "forwarded by line 2: a.test. A to 192.0.2.1:53"},
		{"keys in several lines", "a.test,\nb.test {\nforward . 192.0.2.1\n}\n", "x.b.test A", "forwarded by line 3: x.b.test. A to 192.0.2.1:53"},
		{"in quotes", ".:53 {\n\"forward\" \".\" \"192.0.2.1\"\n}\n", "a.test A", "forwarded by line 2: a.test. A to 192.0.2.1:53"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, err := Parse(r.corefile, corp)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.want, brief(c.Ask(query(r.ask), Env{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPatternTwice imports a file, and another that imports it: its place is in the error.
func TestPatternTwice(t *testing.T) {
	_, err := Parse(".:53 {\nimport *.override\n}\n", corp)
	if err == nil || err.Error() != "/etc/coredns/one.override:1: hosts: this plugin can only be used once per Server Block" {
		t.Errorf("got %v", err)
	}
}

// TestNotFollowed has plugins that may answer, and of which only that is known: what comes to them is unknown.
func TestNotFollowed(t *testing.T) {
	const end = "\nforward . 192.0.2.1"
	is := func(plugin string) string {
		return "unknown at " + plugin + ":2: what the plugin " + plugin + " does is not followed"
	}
	const up = " A to 192.0.2.1:53"
	runAll(t, []row{
		{name: "acl", lines: "acl {\nblock\n}" + end, ask: "a.test A", want: is("acl")},
		{name: "erratic is behind forward", lines: "erratic" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "whoami is behind forward", lines: "whoami" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "whoami alone", lines: "whoami", ask: "a.test A", want: is("whoami")},
		{name: "etcd, its zone", lines: "etcd corp.test" + end, ask: "a.corp.test A", want: is("etcd")},
		{name: "etcd, another zone", lines: "etcd corp.test" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "k8s_external, its zone", lines: "k8s_external corp.test" + end, ask: "a.corp.test A", want: is("k8s_external")},
		{name: "secondary without a zone has its server's", lines: "secondary" + end, ask: "a.test A", want: is("secondary")},
		{name: "dns64, IPv6", lines: "dns64" + end, ask: "a.test AAAA", want: is("dns64")},
		{name: "dns64, IPv4", lines: "dns64" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "any, of all types", lines: "any" + end, ask: "a.test ANY", want: is("any")},
		{name: "any, of one", lines: "any" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "local, localhost", lines: "local" + end, ask: "localhost A", want: is("local")},
		{name: "local, below it", lines: "local" + end, ask: "a.localhost A", want: is("local")},
		{name: "local, as a search list makes it", lines: "local" + end, ask: "localhost.cluster.local A", want: is("local")},
		{name: "local, without that", lines: "local {\nlocalhost_prefix off\n}" + end, ask: "localhost.cluster.local A", want: "forwarded by line 5: localhost.cluster.local." + up},
		{name: "local, its address", lines: "local" + end, ask: "1.0.0.127.in-addr.arpa PTR", want: is("local")},
		{name: "local, another", lines: "local" + end, ask: "a.test A", want: "forwarded by line 3: a.test." + up},
		{name: "a zone's file", lines: "file db.corp corp.test" + end, ask: "a.corp.test A", want: "unknown at file:2: the plugin file answers from db.corp, which is not read"},
		{name: "what changes nothing", lines: "log\nerrors\nprometheus\nloadbalance\nbufsize 1232\nnsid x\nmetadata" + end, ask: "a.test A", want: "forwarded by line 9: a.test." + up},
		{name: "nothing that answers", lines: "log\nerrors\nloadbalance", ask: "a.test A", want: "SERVFAIL by :1"},
	})
}

// TestMinimal leaves away what is beside an answer, and of denials nothing.
func TestMinimal(t *testing.T) {
	const kube = "kubernetes cluster.local"
	const srv = "NOERROR by kubernetes:3\n_https._tcp.kubernetes.default.svc.cluster.local. 5 SRV 0 100 443 kubernetes.default.svc.cluster.local."
	runAll(t, []row{
		{name: "with it", lines: "minimal\n" + kube, ask: "_https._tcp.kubernetes.default.svc.cluster.local SRV", want: srv},
		{name: "without it", lines: "errors\n" + kube, ask: "_https._tcp.kubernetes.default.svc.cluster.local SRV", want: srv + "\n+ kubernetes.default.svc.cluster.local. A 10.96.0.1"},
		{name: "a denial", lines: "minimal\n" + kube, ask: "nope.default.svc.cluster.local A", want: "NXDOMAIN by kubernetes:3"},
	})
}

// TestRefusedOthers has arguments and properties of the plugins that change no answer.
func TestRefusedOthers(t *testing.T) {
	for _, r := range []struct{ line, want string }{
		{"errors a b", "errors: wrong argument count or unexpected line ending after 'b'"},
		{"errors {\nbogus\n}", "Corefile:3: errors: unknown property 'bogus'"},
		{"errors {\nconsolidate 5m\n}", "wrong argument count or unexpected line ending after '5m'"},
		{"errors {\nconsolidate x .*\n}", "invalid duration"},
		{"errors {\nconsolidate 5m .* loud\n}", "unknown option in consolidate: loud"},
		{"errors {\nconsolidate 5m .* error info\n}", "log level info of consolidate comes twice, or late"},
		{"errors\nerrors", "Corefile:3: errors: this plugin can only be used once per Server Block"},
		{"log . {combined} {\nclass all\n}", ""},
		{"log {\nclass\n}", "wrong argument count or unexpected line ending after 'class'"},
		{"log {\nbogus\n}", "unknown property 'bogus'"},
		{"health a b", "wrong argument count or unexpected line ending after 'b'"},
		{"health 8080", "missing port in address"},
		{"health {\nlameduck soon\n}", "invalid duration"},
		{"health {\nbogus\n}", "unknown property 'bogus'"},
		{"ready\nready", "this plugin can only be used once per Server Block"},
		{"ready {\nbogus\n}", "unknown property 'bogus'"},
		{"ready 8181", "missing port in address"},
		{"reload a b c", "wrong argument count or unexpected line ending after 'c'"},
		{"reload soon", "invalid duration"},
		{"loop\nloop", "this plugin can only be used once per Server Block"},
		{"loadbalance", ""},
		{"loadbalance round_robin x", "unknown property for round_robin"},
		{"loadbalance round_robin {\nprefer 10.0.0.0/8 fd00::/8\n}", ""},
		{"loadbalance round_robin {\nprefer 10.0.0.0\n}", "no '/'"},
		{"loadbalance round_robin {\nbogus\n}", "unknown property 'bogus'"},
		{"loadbalance weighted", "weighted wants one weight file"},
		{"loadbalance weighted /etc/coredns/weights {\nreload 10s\n}", ""},
		{"loadbalance weighted /etc/coredns/weights {\nreload soon\n}", "invalid duration"},
		{"loadbalance weighted /etc/coredns/weights {\nbogus\n}", "unknown property 'bogus'"},
		{"prometheus :9153 {\nruntime_metrics\n}", ""},
		{"prometheus :9153 {\nruntime_metrics yes\n}", "wrong argument count or unexpected line ending after 'yes'"},
		{"prometheus {\nbogus\n}", "unknown property 'bogus'"},
		{"prometheus a b", "wrong argument count or unexpected line ending after 'b'"},
		{"any {\nbogus\n}", "any: unexpected token '{', expecting argument"},
		{"local x", "wrong argument count or unexpected line ending after 'x'"},
		{"local {\nbogus\n}", "unknown property 'bogus'"},
		{"file db {\nreload\n}", "reload duration value is expected"},
		{"file db {\nreload soon\n}", "invalid duration"},
		{"cache 30 {\nbogus\n}", "wrong argument count or unexpected line ending after 'bogus'"},
		{"cache {\nprefetch\n}", "wrong argument count or unexpected line ending after 'prefetch'"},
		{"cache {\nprefetch -1\n}", "can't be negative: -1"},
		{"cache {\nprefetch 1 soon\n}", "invalid duration"},
		{"cache {\nprefetch 1 1m 10% x\n}", "wrong argument count or unexpected line ending after 'x'"},
		{"cache {\nserve_stale\n}", ""},
		{"cache {\nserve_stale -1h\n}", "invalid duration \"-1h\" for serve_stale"},
		{"cache {\nserve_stale 1h immediate 1500ms\n}", "must be a whole number of seconds"},
		{"cache {\nserve_stale 1h immediate 1s 1s 1s\n}", "wrong argument count or unexpected line ending after '1s'"},
		{"cache {\nserve_stale\nserve_stale_policy prefer_positive\n}", ""},
		{"cache {\nserve_stale\nserve_stale_policy other\n}", "unknown value 'other'"},
		{"cache {\nservfail\n}", "wrong argument count or unexpected line ending after 'servfail'"},
		{"cache {\nservfail 0s\n}", ""},
		{"cache {\nkeepttl x\n}", "wrong argument count or unexpected line ending after 'x'"},
		{"cache {\ndisable\n}", "wrong argument count or unexpected line ending after 'disable'"},
		{"autopath @errors\nerrors", "errors does not implement the AutoPather interface"},
		{"kubernetes {\nnamespaces a\nnamespace_labels x\n}", "namespaces and namespace_labels cannot both be set"},
		{"kubernetes {\nkubeconfig a b c\n}", "wrong argument count or unexpected line ending after 'c'"},
		{"kubernetes {\napiserver_burst -1\n}", "can't be negative: -1"},
		{"kubernetes\nkubernetes", "Corefile:3: kubernetes: this plugin can only be used once per Server Block"},
		{"hosts\nhosts", "Corefile:3: hosts: this plugin can only be used once per Server Block"},
		{"import *.a.*", "Glob pattern may only contain one wildcard (*)"},
		{"import \"\"", "Import requires a non-empty filepath"},
	} {
		refusedWith(t, r.line, r.want)
	}
}

// TestVersions has what a version does not have yet, or has no longer.
func TestVersions(t *testing.T) {
	for _, r := range []struct {
		line       string
		last, next string // the last version that refuses it, and the first that does not
	}{
		{"minimal", "1.8.0", "1.8.3"},
		{"local", "1.8.0", "1.8.3"},
		{"tsig", "1.9.3", "1.9.4"},
		{"timeouts", "1.9.4", "1.10.0"},
		{"multisocket", "1.11.4", "1.12.0"},
		{"nomad", "1.12.4", "1.13.0"},
		{"errors {\nstacktrace\n}", "1.8.6", "1.8.7"},
		{"cache {\nservfail 5s\n}", "1.9.3", "1.9.4"},
		{"cache {\nkeepttl\n}", "1.9.4", "1.10.0"},
		{"forward . 192.0.2.1 {\nhealth_check 1s domain a.test\n}", "1.8.6", "1.8.7"},
		{"forward . 192.0.2.1 {\nnext NXDOMAIN\n}", "1.11.3", "1.11.4"},
		{"forward . 192.0.2.1 {\nfailover SERVFAIL\n}", "1.12.4", "1.13.0"},
		{"kubernetes {\nmulticluster\n}", "1.12.1", "1.12.2"},
		{"kubernetes {\nstartup_timeout 5s\n}", "1.12.2", "1.12.3"},
		{"rewrite cname a b", "1.10.1", "1.11.0"},
		{"rewrite rcode a 3 0", "1.11.1", "1.11.3"},
		{"template IN A {\nederror 21\n}", "1.9.4", "1.10.0"},
	} {
		for version, refused := range map[string]bool{r.last: true, r.next: false, "": false} {
			_, err := Parse(".:53 {\n"+r.line+"\n}\n", Options{Version: version})
			if (err != nil) != refused {
				t.Errorf("%q of %s: %v", r.line, version, err)
			}
		}
	}
}

// TestDomain reads the cluster's domain, and whose names kubernetes answers for.
func TestDomain(t *testing.T) {
	for _, r := range []struct {
		name, corefile, domain string
		serves                 []string // of cluster.local, kube.test, 1.0.96.10.in-addr.arpa
	}{
		{"none", ".:53 {\nforward . 192.0.2.1\n}\n", "", nil},
		{"the usual", ".:53 {\nkubernetes cluster.local in-addr.arpa\n}\n", "cluster.local", []string{"cluster.local", "1.0.96.10.in-addr.arpa"}},
		{"of its server", "kube.test {\nkubernetes\n}\n", "kube.test", []string{"kube.test"}},
		{"behind a range", ".:53 {\nkubernetes 10.0.0.0/8 kube.test\n}\n", "kube.test", []string{"kube.test", "1.0.96.10.in-addr.arpa"}},
		{"the zone of all addresses is one like others", ".:53 {\nkubernetes in-addr.arpa kube.test\n}\n", "in-addr.arpa", []string{"kube.test", "1.0.96.10.in-addr.arpa"}},
		{"in the second server", ".:53 {\nforward . 192.0.2.1\n}\nkube.test {\nkubernetes\n}\n", "kube.test", []string{"kube.test"}},
	} {
		c, err := Parse(r.corefile, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var serves []string
		for _, n := range []string{"cluster.local", "kube.test", "1.0.96.10.in-addr.arpa"} {
			if c.Kubernetes(n) {
				serves = append(serves, n)
			}
		}
		if diff := cmp.Diff(r.serves, serves); c.Domain() != r.domain || diff != "" {
			t.Errorf("%s: domain %q, serves (-want +got):\n%s", r.name, c.Domain(), diff)
		}
	}
}

// TestReverseName is by RFC 1035, 3.5, and RFC 3596, 2.5.
func TestReverseName(t *testing.T) {
	for _, r := range []struct{ addr, want string }{
		{"10.96.0.1", "1.0.96.10.in-addr.arpa."},
		{"::ffff:10.96.0.1", "1.0.96.10.in-addr.arpa."},
		{"4321:0:1:2:3:4:567:89ab", "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa."},
	} {
		if got := ReverseName(netip.MustParseAddr(r.addr)); got != r.want {
			t.Errorf("%s: got %s", r.addr, got)
		}
	}
}
