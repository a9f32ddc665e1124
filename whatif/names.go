package whatif

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Name is a name that CoreDNS answers otherwise than before.
type Name struct {
	Name          string // "api.shop.svc.cluster.local."
	Before, After text.Text
	Breaks        bool // it led somewhere, and no longer does; or it is a Service's, and leads elsewhere
}

// names compares the answers for names where the configuration of CoreDNS changes: those of all
// Services, those that either Corefile writes, and one of the world. Other names are not asked
// for, nor other types than A.
func (d *Diff) names(was, is *snapshot.Objects) {
	before, after := check.FindCoreDNS(was, nil), check.FindCoreDNS(is, nil)
	switch {
	case before == nil || after == nil:
		d.Unjudged = append(d.Unjudged, text.F("what CoreDNS answers changes, and its Corefile is not among the objects before and after"))
		return
	case after.Refusal != nil:
		d.Refusal = after.Refusal.Error()
		return
	case before.Refusal != nil:
		d.Unjudged = append(d.Unjudged, text.F("the Corefile that CoreDNS has is one that it refuses: what it answers by another is not compared"))
		return
	}
	cluster := check.DNSCluster(is)
	env := dns.Env{Cluster: cluster}
	services := map[string]bool{}
	for i := range is.Services {
		if s := &is.Services[i]; before.Corefile.Domain() != "" {
			services[s.Name+"."+s.Namespace+".svc."+before.Corefile.Domain()+"."] = true
		}
	}
	all := maps.Clone(services)
	for _, m := range []*check.CoreDNS{before, after} {
		for _, body := range m.ConfigMap.Data {
			for _, name := range written(body) {
				all[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		q := dns.Query{Name: name, Type: "A"}
		a, b := before.Corefile.Ask(q, env), after.Corefile.Ask(q, env)
		n := Name{Name: name, Before: said(&a), After: said(&b)}
		if n.Before.String() != n.After.String() {
			n.Breaks = leads(&a) && (!leads(&b) && b.Outcome != dns.Unknown || services[name])
			d.Names = append(d.Names, n)
		}
	}
	d.Asked = len(all)
}

// word is a name, or the end of one, in a Corefile.
var word = regexp.MustCompile(`(?i)(?:^|[\s(])(\.?(?:[a-z0-9_-]+\.)+[a-z0-9_-]*[a-z_-][a-z0-9_-]*\.?)(?:$|[\s):])`)

// written returns the names that a Corefile writes, and one name below each.
func written(body string) []string {
	out := []string{"www.example.com."}
	for line := range strings.Lines(body) {
		for _, field := range strings.Fields(line) {
			if m := word.FindStringSubmatch(field); m != nil {
				name := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(m[1]), "."), ".") + "."
				out = append(out, "x."+name)
				if !strings.HasPrefix(m[1], ".") {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// leads reports whether an answer has addresses, or upstreams give one.
func leads(a *dns.Answer) bool {
	return a.Outcome == dns.Forwarded || a.Outcome == dns.Answered && len(a.Addrs()) > 0
}

// said says what an answer is.
func said(a *dns.Answer) text.Text {
	switch {
	case a.Outcome == dns.Unknown:
		return text.F("not known: %s", a.Why)
	case a.Outcome == dns.Forwarded:
		var to []string
		for _, u := range a.Upstreams {
			to = append(to, u.String())
		}
		return text.F("%s is asked of %s", a.Asked.Name, some(to))
	case len(a.Addrs()) > 0:
		return text.F("answered with %s", some(addrs(a.Addrs())))
	}
	return text.F("answered with %s and no address", a.Rcode)
}

func addrs(list []netip.Addr) (out []string) {
	for _, a := range list {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}
