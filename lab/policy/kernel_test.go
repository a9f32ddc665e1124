//go:build linux

package policy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
)

func TestMain(m *testing.M) {
	if sandbox.Inside() { // the API server of the tests listens on lo
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			panic(err)
		}
	}
	sandbox.Main(m)
}

// The ends of the pairs that are tried. web-0 and dns-a are on node-a, web-1, api-b and dns-b on node-b.
var sources = [][2]string{
	{"web-0", "shop/web-0"}, {"web-1", "shop/web-1"}, {"api-b", "shop/api-6c9f7d5b8-9qjtl"},
	{"dns-a", "kube-system/coredns-76f75df574-h8x2k"}, {"host-a", "node/node-a"}, {"host-b", "node/node-b"}, {"outside", "outside"},
}

var targets = []struct {
	name, to string
	proto    packet.Proto
}{
	{"web-1/tcp", "shop/web-1:8080", packet.TCP},
	{"web-1/udp", "shop/web-1:8080", packet.UDP},
	{"web-1/ping", "shop/web-1", packet.ICMP},
	{"api-b/tcp", "shop/api-6c9f7d5b8-9qjtl:8080", packet.TCP},
	{"dns-b/tcp", "kube-system/coredns-76f75df574-m4v9z:53", packet.TCP},
	{"dns-b/udp", "kube-system/coredns-76f75df574-m4v9z:53", packet.UDP},
	{"svc-dns/udp", "svc/kube-system/kube-dns:dns", packet.UDP},
	{"host-b/tcp", "node/node-b:10250", packet.TCP},
	{"nodeport/tcp", "node/node-b:30090", packet.TCP},
	{"outside/tcp", "outside:80", packet.TCP},
}

// A row is policies, and what becomes of each pair: the last pattern that matches
// "FROM TO" decides; one with a + lets it pass, another drops it, and what no pattern matches passes.
type row struct {
	name     string
	own      []string // the nodes that have an enforcer, and whose Pods alone they know; nil: all
	policies []string
	fates    []string
}

const (
	web       = `"podSelector":{"matchLabels":{"app":"web"}}`
	fromApi   = `{"podSelector":{"matchLabels":{"app":"api"}}}`
	toWeb     = "* web-1/*"
	host      = "+host-b *" // a node reaches its own Pods
	self      = "+web-1 web-1/*"
	selfByAPI = "+api-b api-b/*"
	nodeport  = "outside nodeport/*" // web-1 is behind it, and sees who asks
)

// closedWeb are the fates where nothing reaches web-1.
var closedWeb = []string{toWeb, nodeport, host, self}

func plus(base []string, more ...string) []string { return slices.Concat(base, more) }

var rows = []row{
	{name: "no policy"},
	{name: "a policy for no Pod that runs", policies: []string{`shop/x {"podSelector":{"matchLabels":{"app":"gone"}}}`}},
	{name: "a policy of another namespace", policies: []string{`default/x {"podSelector":{}}`}},
	{name: "ingress: nothing to all Pods of a namespace", policies: []string{`shop/deny {"podSelector":{}}`},
		fates: plus(closedWeb, "* api-b/*", selfByAPI, "+host-b api-b/*")},
	{name: "ingress: nothing to selected Pods", policies: []string{`shop/deny {` + web + `,"policyTypes":["Ingress"]}`}, fates: closedWeb},
	{name: "ingress: everything", policies: []string{`shop/open {` + web + `,"ingress":[{}]}`}},
	{name: "ingress: Pods by label, one port", policies: []string{`shop/api {` + web + `,"ingress":[{"from":[` + fromApi + `],"ports":[{"port":8080}]}]}`},
		fates: plus(closedWeb, "+api-b web-1/tcp")},
	{name: "ingress: Pods by label, every port", policies: []string{`shop/api {` + web + `,"ingress":[{"from":[` + fromApi + `]}]}`},
		fates: plus(closedWeb, "+api-b web-1/*")},
	{name: "ingress: a namespace", policies: []string{`shop/dns {` + web + `,"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}}]}]}`},
		fates: plus(closedWeb, "+dns-a web-1/*")},
	{name: "ingress: every namespace", policies: []string{`shop/pods {` + web + `,"ingress":[{"from":[{"namespaceSelector":{}}]}]}`},
		fates: []string{"host-a web-1/*", "outside nodeport/*"}},
	{name: "ingress: Pods of a namespace, by expressions", policies: []string{`shop/dns {` + web + `,"ingress":[{"from":[{
			"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["kube-system","default"]}]},
			"podSelector":{"matchExpressions":[{"key":"k8s-app","operator":"Exists"},{"key":"app","operator":"DoesNotExist"}]}}]}]}`},
		fates: plus(closedWeb, "+dns-a web-1/*")},
	{name: "ingress: a namespace, but none of its Pods", policies: []string{`shop/dns {` + web + `,"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"app":"api"}}}]}]}`},
		fates: closedWeb},
	{name: "ingress: all but some labels", policies: []string{`shop/not {` + web + `,"ingress":[{"from":[{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["api"]}]}}]}]}`},
		fates: plus(closedWeb, "+web-0 web-1/*")},
	{name: "ingress: a range of addresses", policies: []string{`shop/block {` + web + `,"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.0.0/16"}},{"ipBlock":{"cidr":"fd00:10:244::/48"}}]}]}`},
		fates: []string{"outside nodeport/*"}},
	{name: "ingress: a range but for a part of it", policies: []string{`shop/block {` + web + `,"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.0.0/16","except":["10.244.1.0/24","10.244.1.0/28","10.244.7.0/24"]}},{"ipBlock":{"cidr":"fd00:10:244::/48","except":["fd00:10:244:1::/64"]}}]}]}`},
		fates: plus(closedWeb, "+web-0 web-1/*", "+dns-a web-1/*", "+host-a web-1/*")},
	{name: "ingress: the whole world", policies: []string{`shop/block {` + web + `,"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}},{"ipBlock":{"cidr":"::/0"}}],"ports":[{"port":8080}]}]}`},
		fates: []string{"* web-1/udp", "* web-1/ping", host, self}},
	{name: "ingress: the world but for the cluster", policies: []string{`shop/block {` + web + `,"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8"]}},{"ipBlock":{"cidr":"::/0","except":["fd00::/8"]}}]}]}`},
		fates: plus(closedWeb, "+outside nodeport/*")},
	{name: "ingress: a port's name", policies: []string{`shop/http {` + web + `,"ingress":[{"ports":[{"port":"http"}]}]}`},
		fates: []string{"* web-1/udp", "* web-1/ping", host, self}},
	{name: "ingress: a port's name, of the other protocol", policies: []string{`shop/http {` + web + `,"ingress":[{"ports":[{"port":"stats","protocol":"UDP"}]}]}`},
		fates: plus(closedWeb, "+* web-1/udp")},
	{name: "ingress: a name that no port has", policies: []string{`shop/http {` + web + `,"ingress":[{"ports":[{"port":"metrics"},{"port":"http","protocol":"UDP"}]}]}`}, fates: closedWeb},
	{name: "ingress: a range of ports", policies: []string{`shop/range {` + web + `,"ingress":[{"ports":[{"port":8000,"endPort":8090,"protocol":"UDP"},{"port":8081,"endPort":9000}]}]}`},
		fates: plus(closedWeb, "+* web-1/udp")},
	{name: "ingress: a protocol", policies: []string{`shop/tcp {` + web + `,"ingress":[{"ports":[{"protocol":"TCP"}]}]}`},
		fates: []string{"* web-1/udp", "* web-1/ping", host, self}},
	{name: "ingress: SCTP is not TCP", policies: []string{`shop/sctp {` + web + `,"ingress":[{"ports":[{"protocol":"SCTP","port":8080}]}]}`}, fates: closedWeb},
	{name: "ingress: two policies allow what either does", policies: []string{
		`shop/a {` + web + `,"ingress":[{"from":[` + fromApi + `],"ports":[{"port":8080}]}]}`,
		`shop/b {` + web + `,"ingress":[{"ports":[{"port":8080,"protocol":"UDP"}]}]}`},
		fates: plus(closedWeb, "+api-b web-1/tcp", "+* web-1/udp")},
	{name: "egress: nothing", policies: []string{`shop/deny {` + web + `,"policyTypes":["Egress"]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*"}},
	{name: "egress: names only", policies: []string{`shop/dns {` + web + `,"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}],"ports":[{"port":53,"protocol":"UDP"}]}]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*", "+web-[01] dns-b/udp", "+web-[01] svc-dns/udp"}},
	{name: "egress: a port's name at the peers", policies: []string{`shop/api {` + web + `,"policyTypes":["Egress"],"egress":[{"to":[` + fromApi + `],"ports":[{"port":"http"}]}]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*", "+web-[01] api-b/tcp"}},
	{name: "egress: a port's name anywhere", policies: []string{`shop/dns {` + web + `,"policyTypes":["Egress"],"egress":[{"ports":[{"port":"dns-tcp"}]}]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*", "+web-[01] dns-b/tcp"}},
	{name: "egress: a range of addresses", policies: []string{`shop/out {` + web + `,"egress":[{"to":[{"ipBlock":{"cidr":"203.0.113.0/24"}},{"ipBlock":{"cidr":"2001:db8:113::/64"}}]}],"policyTypes":["Egress"]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*", "+web-[01] outside/*"}},
	{name: "both ways, by rules for egress alone", policies: []string{`shop/both {` + web + `,"egress":[{"to":[` + fromApi + `]}]}`},
		fates: plus(closedWeb, "web-[01] *", self, "+web-1 host-b/*", "+web-[01] api-b/*")},
	{name: "each end has a say", policies: []string{
		`shop/from-web {` + web + `,"egress":[{"to":[` + fromApi + `]}],"policyTypes":["Egress"]}`,
		`shop/to-api {"podSelector":{"matchLabels":{"app":"api"}},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}}]}]}`},
		fates: []string{"web-[01] *", self, "+web-1 host-b/*", "* api-b/*", selfByAPI, "+host-b api-b/*", "+dns-a api-b/*"}},
	{name: "own nodes only: other nodes' Pods are the world", own: []string{"node-b", "node-c"},
		policies: []string{`shop/pods {` + web + `,"ingress":[{"from":[{"namespaceSelector":{}}]}]}`},
		fates:    plus(closedWeb, "+api-b web-1/*")},
	{name: "own nodes only: what is no policy's passes", own: []string{"node-b", "node-c"},
		policies: []string{`kube-system/dns {"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{}}]}]}`},
		fates:    []string{"* dns-b/*", "+api-b dns-b/*", "+web-1 dns-b/*", "+host-b dns-b/*", "!svc-dns/udp"}},
	{name: "own nodes only: an ipBlock lets the others in", own: []string{"node-b", "node-c"},
		policies: []string{`shop/pods {` + web + `,"ingress":[{"from":[{"namespaceSelector":{}},{"ipBlock":{"cidr":"10.244.0.0/24"}},{"ipBlock":{"cidr":"fd00:10:244::/64"}}]}]}`},
		fates:    []string{"outside nodeport/*"}},
}

// passes says what the row expects of a pair.
func (r row) passes(pair string) bool {
	pass := true
	for _, f := range r.fates {
		pattern, allow := strings.CutPrefix(f, "+")
		if ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "|"), strings.ReplaceAll(pair, "/", "|")); ok {
			pass = allow
		}
	}
	return pass
}

// leaves says that a row leaves a target open: which of its endpoints a packet meets decides.
func (r row) leaves(target string) bool { return slices.Contains(r.fates, "!"+target) }

// A pair is one connection that is tried.
type pair struct {
	name string // "web-0 web-1/tcp"
	ask  diagnose.Ask
	lab.Probe
}

// pairs returns the pairs of a cluster whose packets are those of a family.
func pairs(t *testing.T, l *lab.Lab, v6 bool) (out []pair) {
	t.Helper()
	for _, s := range sources {
		if s[0] == "host-a" && l.Topology.CNI != "flannel" {
			continue // without VXLAN it has no address among the Pods'
		}
		for _, g := range targets {
			if (s[0] == "outside") != (g.name == "nodeport/tcp") {
				continue // it has no other way to the Pods, and others none that keeps who they are
			}
			proto := g.proto
			if v6 && proto == packet.ICMP {
				proto = packet.ICMPv6
			}
			to := g.to
			at, err := l.Resolve(to, v6, proto)
			if err != nil {
				t.Fatal(err)
			}
			p := pair{name: s[0] + " " + g.name, Probe: lab.Probe{From: l.Namespace(s[1]), To: at, Proto: proto}}
			p.ask = diagnose.Ask{Src: s[1], Dst: at.String(), Proto: proto.String()}
			if g.proto == packet.ICMP {
				p.ask = diagnose.Ask{Src: s[1], Dst: at.Addr().String(), Proto: "icmp"}
			}
			if s[0] == "outside" {
				p.ask.Src = map[bool]string{false: lab.OutsideIP.String(), true: lab.OutsideIP6.String()}[v6]
			}
			out = append(out, p)
		}
	}
	return out
}

// An enforced cluster has an agent on some of its nodes, which follow an API server.
type enforced struct {
	l      *lab.Lab
	api    *api
	mu     sync.Mutex
	loaded map[string]string // what each node's agent has loaded last
	stop   func()
}

// enforce starts agents.
func enforce(t *testing.T, l *lab.Lab, a *api, own []string) *enforced {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &enforced{l: l, api: a, loaded: map[string]string{}}
	var g errgroup.Group
	for _, n := range l.Nodes {
		if own != nil && !slices.Contains(own, n.Name) {
			continue
		}
		agent := &Agent{Enforcer: Enforcer{Node: n.Name, Own: own}, Server: a.URL, Client: a.Client(), Log: t.Output()}
		agent.NFT = func(stdin string, args ...string) error {
			err := n.NS.Run(stdin, append([]string{"nft"}, args...)...)
			e.mu.Lock()
			defer e.mu.Unlock()
			if stdin != "" && err == nil {
				e.loaded[n.Name] = stdin
			}
			return err
		}
		g.Go(func() error { return agent.Run(ctx) })
	}
	e.stop = func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
	return e
}

// settled waits until the agents have loaded what they should.
func (e *enforced) settled(t *testing.T, w World, own []string) {
	t.Helper()
	until(t, "the agents load the rules", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, n := range e.l.Nodes {
			if own != nil && !slices.Contains(own, n.Name) {
				continue
			}
			if e.loaded[n.Name] != (Enforcer{Node: n.Name, Own: own}).Ruleset(w) {
				return false
			}
		}
		return true
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30 s: %s", what)
		}
	}
}

// TestKernel loads policies by agents that follow an API server, sends packets between Pods, nodes and a host outside,
// and compares their fates with those that the policies mean; and with what plumb says of each pair, from a snapshot.
func TestKernel(t *testing.T) {
	sandbox.Need(t)
	var sum tally
	topologies := []lab.Topology{lab.Dual}
	if os.Getenv("PLUMB_AGREE") == "full" {
		topologies = append(topologies, lab.Flannel, lab.HostGW, lab.PTP)
	}
	for _, topo := range topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l, err := lab.Up(topo)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for _, own := range [][]string{nil, {"node-b", "node-c"}} {
				runRows(t, l, own, &sum)
			}
		})
	}
	fmt.Printf("policy: %d times policies, %d pairs with the fate that they mean, %d of them dropped; plumb agrees on %d and names the rule of %d drops\n",
		sum.rows, sum.pairs, sum.drops, sum.agreed, sum.named)
}

// TestKernelTakes loads the rules of many Pods, with the longest names there are, and removes them.
func TestKernelTakes(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("many")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	long := strings.Repeat("a", 240)
	w := World{
		Namespaces: []corev1.Namespace{aNamespace(long[:63], nil)},
		Policies: parsed(t, long[:63]+"/"+long+` {"podSelector":{},"policyTypes":["Ingress","Egress"],"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":"http"}]}],
			"egress":[{"to":[{"namespaceSelector":{}}],"ports":[{"port":"http"}]}]}`),
	}
	for i := range 500 {
		w.Pods = append(w.Pods, aPod(long[:63], fmt.Sprintf("%s-%d", long, i), "a", nil, fmt.Sprintf("10.244.%d.%d", i/250, i%250+2), fmt.Sprintf("fd00::%x", i+2)))
	}
	for _, text := range []string{Enforcer{Node: "a"}.Ruleset(w), Enforcer{Node: "a"}.Ruleset(World{}), Removal(), Removal()} {
		begun := time.Now()
		if err := ns.Run(text, "nft", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d lines in %s", strings.Count(text, "\n"), time.Since(begun))
	}
	if out, err := ns.Output("", "nft", "list", "ruleset"); out != "" || err != nil {
		t.Errorf("left behind: %s%v", out, err)
	}
}

type tally struct{ rows, pairs, drops, agreed, named int }

// runRows runs the rows with enforcers of one kind, which are started for the first and end after the last.
func runRows(t *testing.T, l *lab.Lab, own []string, sum *tally) {
	a := newAPI(t, World{Pods: l.Objects.Pods, Namespaces: l.Objects.Namespaces})
	e := enforce(t, l, a, own)
	defer gone(t, l)
	defer e.stop()
	ps := pairs(t, l, false)
	if l.Topology.IPv6 {
		ps = append(ps, pairs(t, l, true)...)
	}
	for _, r := range rows {
		if !slices.Equal(r.own, own) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			l.Objects.NetworkPolicies = parsed(t, r.policies...)
			a.replace(t, l.Objects.NetworkPolicies)
			e.settled(t, World{l.Objects.Pods, l.Objects.Namespaces, l.Objects.NetworkPolicies}, own)
			for _, n := range l.Nodes { // a source port may come again, and what was open stays so
				if err := n.NS.Run("", "conntrack", "-F"); err != nil {
					t.Fatal(err)
				}
			}
			sum.rows++
			try(t, l, r, ps, sum)
		})
	}
}

// gone wants no node to have a table once the agents have ended.
func gone(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, n := range l.Nodes {
		if out, err := n.NS.Output("", "nft", "list", "tables"); err != nil || strings.Contains(out, Table) {
			t.Errorf("%s: %v: the table is still there: %s", n.Name, err, out)
		}
	}
}

// try compares the fates of the pairs.
func try(t *testing.T, l *lab.Lab, r row, ps []pair, sum *tally) {
	var probes []lab.Probe
	for _, p := range ps {
		if !r.passes(p.name) {
			p.Once, p.Timeout = true, 300*time.Millisecond // what passes against the rules takes a few
		}
		probes = append(probes, p.Probe)
	}
	obs := l.ProbeAll(probes)
	c, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range check.Run(c, network.New(c), nil, nil, all.Checks...).Findings {
		if f.Severity > check.Info && r.own == nil { // policies may well mean to drop what nobody asked about
			t.Errorf("plumb check: %s: %s: %s", f.Where, f.Check, f.What)
		}
	}
	for i, p := range ps {
		_, target, _ := strings.Cut(p.name, " ")
		if r.leaves(target) {
			continue
		}
		want := map[bool]lab.Outcome{true: lab.Delivered, false: lab.Lost}[r.passes(p.name)]
		sum.pairs++
		if obs[i].Outcome != want {
			t.Errorf("%s (%s): the kernel: %s, want %s", p.name, p.To, obs[i].Outcome, want)
		}
		if want == lab.Lost {
			sum.drops++
		}
		if why := says(c, p, r, sum); why != "" {
			t.Errorf("%s (%s): plumb: %s", p.name, p.To, why)
		}
	}
}

// says returns what is wrong with plumb's word about a pair.
func says(c *snapshot.Cluster, p pair, w row, sum *tally) string {
	passes := w.passes(p.name)
	r, err := diagnose.Run(c, p.ask, all.Checks...)
	if err != nil {
		return err.Error()
	}
	unseen := strings.Contains(p.name, "outside") && r.Verdict == diagnose.CannotTell // a router that is not in the snapshot
	if passes != (r.Verdict == diagnose.Works || unseen) || passes == (r.Verdict == diagnose.Broken) {
		return fmt.Sprintf("%s: %s", r.Verdict, r.Summary)
	}
	sum.agreed++
	if passes {
		return ""
	}
	if len(r.Checks.Findings) == 0 {
		return "no finding"
	}
	first := r.Checks.Findings[0]
	if !p.caused(w, first.Check) {
		return fmt.Sprintf("the first finding is %s: %s", first.Check, first.What)
	}
	if !slices.ContainsFunc(flat(r.Checks.Findings), func(f check.Finding) bool { return names(f, w.policies) }) {
		return fmt.Sprintf("no finding names the rule; the first is %s: %s", first.Check, first.What)
	}
	sum.named++
	return ""
}

// caused reports whether a check may come first where a pair's packets are dropped. Where an enforcer
// takes Pods for the world, it is not the policy that denies.
func (p pair) caused(w row, name string) bool {
	from, _, _ := strings.Cut(p.name, " ")
	switch {
	case w.own != nil && (from == "web-0" || from == "dns-a"):
		return name == "forward-drop" || name == "policy-stale"
	case p.Proto.HasPorts() && from != "host-a": // what is meant of pings, and of the address that a node has among Pods, is left open
		return name == "policy-denies"
	}
	return name == "policy-denies" || name == "forward-drop"
}

// flat returns findings, and those that are folded under them.
func flat(fs []check.Finding) (out []check.Finding) {
	for _, f := range fs {
		out = append(append(out, f), flat(f.Consequences)...)
	}
	return out
}

// names reports whether a finding names a rule of one of the policies that drops, and where it is.
func names(f check.Finding, policies []string) bool {
	what := f.What.String()
	return strings.Contains(what, Table) && strings.Contains(what, "drop") && slices.ContainsFunc(policies, func(text string) bool {
		name, _, _ := strings.Cut(text, " ")
		return strings.Contains(what, Label+name)
	})
}
