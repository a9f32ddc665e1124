package diagnose

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// A Resolution is how a name that is the destination comes to an address in the source's Pod: by
// the resolv.conf that the kubelet gives it, the search list, and CoreDNS's Corefile.
type Resolution struct {
	Name    string     // as it was asked for
	Conf    dns.Conf   // the Pod's resolv.conf
	Own     bool       // it was collected; else it is what the Pod's object asks for
	Host    bool       // the node's own resolv.conf, which is not known, is in it too
	Server  netip.Addr // who is asked first
	Queries []Query    // in the order in which they go out, to the one that ends it
	Addrs   []netip.Addr
	Way     Trace // the first query's packet to Server; without paths where the source's namespace is not known
	// Onward are the ways from one of CoreDNS's Pods to each upstream that decides, where these are known.
	Onward []Trace
	// Upstreams are those that decide, where the last query is forwarded.
	Upstreams []dns.Upstream
}

// A Query is one question of a Resolution, and its answer.
type Query struct {
	dns.Query
	Answer dns.Answer
}

// Last returns the answer that ends the resolution.
func (r *Resolution) Last() *dns.Answer { return &r.Queries[len(r.Queries)-1].Answer }

// followName resolves a name as the Pod's C library does. It is nil where that cannot be followed:
// why, where it is known, says what is missing.
func (r *resolver) followName(name string, pod *corev1.Pod) (res *Resolution, why text.Text) {
	d := check.FindCoreDNS(&r.c.Objects, r.c.Nodes)
	switch {
	case pod == nil || d == nil:
		return nil, why
	case d.Corefile == nil:
		return nil, text.F("what CoreDNS answers: it refuses its configuration (%s)", d.Refusal)
	}
	res = &Resolution{Name: name}
	if own, ok := check.ConfOf(r.c.Nodes, pod); ok {
		res.Conf, res.Own = own.Conf, true
	} else {
		res.Conf, res.Host = d.Kubelet().Conf(check.PodDNS(pod))
	}
	res.Server = res.Conf.Asked()[0]
	if len(res.Conf.Servers) == 0 || !d.Serves(res.Server) {
		return nil, text.F("what the name server that %s asks answers: it is not the cluster's", r.q.src.Name)
	}
	env := dns.Env{Cluster: check.DNSCluster(&r.c.Objects)}
	for _, n := range res.Conf.Expand(name, dns.Glibc) {
		if r.tryName(res, d, env, n, podAddrs(pod)) {
			break
		}
	}
	return res, why
}

// tryName asks for the addresses of one name, and reports whether that ends it.
func (r *resolver) tryName(res *Resolution, d *check.CoreDNS, env dns.Env, name string, client []netip.Addr) (end bool) {
	for _, kind := range []string{"A", "AAAA"} {
		q := dns.Query{Name: name, Type: kind, Port: dnsTarget(d)}
		if len(client) > 0 {
			q.Client = client[0]
		}
		a := d.Corefile.Ask(q, env)
		if kind == "AAAA" && (len(res.Addrs) > 0 || len(a.Addrs()) == 0) {
			r.q.addAddrs(res, a)
			break // the other family says nothing more
		}
		res.Queries = append(res.Queries, Query{q, a})
		res.Upstreams = a.Upstreams
		r.q.addAddrs(res, a)
		if a.Outcome != dns.Answered || a.Rcode == "" {
			return true
		}
	}
	last := res.Last()
	return len(res.Addrs) > 0 || !dns.Glibc.Next(last.Rcode, false)
}

// addAddrs adds the addresses of an answer.
func (q *question) addAddrs(res *Resolution, a dns.Answer) {
	if a.Outcome == dns.Answered {
		res.Addrs = append(res.Addrs, a.Addrs()...)
	}
}

// dnsTarget returns the port on which CoreDNS's Pods are asked.
func dnsTarget(d *check.CoreDNS) uint16 {
	for _, s := range d.Services {
		for _, p := range s.Spec.Ports {
			if p.Port == dnsPort && p.TargetPort.IntVal > 0 {
				return uint16(p.TargetPort.IntVal)
			}
			for _, pod := range d.Pods {
				for _, c := range pod.Spec.Containers {
					for _, cp := range c.Ports {
						if p.Port == dnsPort && p.TargetPort.StrVal != "" && cp.Name == p.TargetPort.StrVal {
							return uint16(cp.ContainerPort)
						}
					}
				}
			}
		}
	}
	return dnsPort
}

// named aims at what a name comes to. done is false where the name was not followed, for others to guess.
func (r *resolver) named(t target, e Endpoint) (done bool, err error) {
	if r.q.src.Kind != "pod" {
		return false, nil
	}
	ns, short, _ := strings.Cut(r.q.src.Name, "/")
	res, why := r.followName(t.name, find(r.c.Objects.Pods, ns, short))
	if res == nil {
		if !why.IsZero() {
			r.q.need(why)
		}
		return false, nil
	}
	r.q.name = res
	last := res.Last()
	switch {
	case last.Outcome == dns.Unknown:
		r.q.need(text.F("what CoreDNS answers to %s: %s", res.Queries[len(res.Queries)-1].Name, last.Why))
		return false, nil
	case last.Outcome == dns.Forwarded:
		return r.outside(t, e, res)
	case len(res.Addrs) == 0:
		r.q.dst = e
		r.q.nothing = unresolved(res)
		return true, nil
	}
	for _, svc := range r.c.Objects.Services {
		ips := check.ClusterIPs(&svc)
		own := slices.ContainsFunc(last.Records, func(rec dns.Record) bool {
			return rec.Addr.IsValid() && strings.HasPrefix(rec.Name, svc.Name+"."+svc.Namespace+".svc.")
		})
		if slices.ContainsFunc(res.Addrs, func(a netip.Addr) bool { return slices.Contains(ips, a) }) || own && svc.Spec.Type != corev1.ServiceTypeExternalName {
			e.Kind, t.ns, t.name = "service", svc.Namespace, svc.Name
			return true, r.service(t, e)
		}
	}
	e.Addrs = res.Addrs
	return true, r.connect(t, e)
}

// connect aims at the addresses of a name that is no Service's.
func (r *resolver) connect(t target, e Endpoint) error {
	port, named, err := r.port(t, e)
	if err != nil {
		return err
	}
	e.Port = port
	return r.aim(e, e.Addrs, port, named != "" || port != 0)
}

// outside aims at a name that upstreams answer for, by the addresses that this machine finds.
func (r *resolver) outside(t target, e Endpoint, res *Resolution) (done bool, err error) {
	asked := strings.TrimSuffix(res.Last().Asked.Name, ".")
	e.Addrs = r.ask.Hosts[asked]
	for _, a := range res.Last().Records {
		if len(e.Addrs) == 0 && a.Type == "CNAME" {
			e.Addrs = r.ask.Hosts[strings.TrimSuffix(a.Target, ".")]
		}
	}
	if len(e.Addrs) == 0 {
		e.Addrs = r.ask.Hosts[t.name]
	}
	if len(e.Addrs) == 0 {
		r.q.dst = e
		r.q.need(text.F("what %s answer to %s", UpstreamNames(res.Upstreams), asked))
		return true, nil
	}
	r.q.need(text.F("what %s answer to %s: the addresses are those that this machine finds", UpstreamNames(res.Upstreams), asked))
	return true, r.connect(t, e)
}

// UpstreamNames writes upstreams in a row.
func UpstreamNames(us []dns.Upstream) string {
	var out []string
	for _, u := range us {
		out = append(out, u.String())
	}
	return strings.Join(out, ", ")
}

// unresolved says that a name has no address.
func unresolved(res *Resolution) text.Text {
	last := res.Last()
	switch {
	case last.Rcode == "":
		return text.F("%s does not resolve: CoreDNS sends no answer to %s", res.Name, res.Queries[len(res.Queries)-1].Name)
	case last.Rcode == dns.NoError:
		return text.F("%s does not resolve: CoreDNS has no address for %s", res.Name, res.Queries[len(res.Queries)-1].Name)
	}
	return text.F("%s does not resolve: CoreDNS answers %s to each of %d names", res.Name, last.Rcode, names(res))
}

// names returns how many names were asked for.
func names(res *Resolution) int {
	seen := map[string]bool{}
	for _, q := range res.Queries {
		seen[q.Query.Name] = true
	}
	return len(seen)
}

// ways follows the first query to the name server and, where the last one is forwarded, those of
// CoreDNS to its upstreams.
func (res *Resolution) ways(n *network.Network, from *network.NS) {
	if from != nil {
		q := trace.Query{From: from, Dst: netip.AddrPortFrom(res.Server, dnsPort), Proto: packet.UDP, DF: true}
		res.Way = newTrace(text.F("the query to the name server %s", q.Dst), trace.Run(n, q))
	}
	d := check.FindCoreDNS(&n.Snapshot.Objects, n.Snapshot.Nodes)
	for _, pod := range d.Pods {
		ns := n.Pod(pod.Namespace + "/" + pod.Name)
		if ns == nil {
			continue
		}
		for _, u := range res.Upstreams[:min(maxOnward, len(res.Upstreams))] {
			if u.Addr.IsValid() && u.Transport == "dns" {
				q := trace.Query{From: ns, Dst: u.Addr, Proto: packet.UDP, DF: true}
				res.Onward = append(res.Onward, newTrace(text.F("the query of %s to the upstream %s", ns.PodName, u.Addr), trace.Run(n, q)))
			}
		}
		return
	}
}

// asks follows the query to the name server, where the destination is a name that was not followed.
func (r *Report) asks(from *network.NS) {
	if from == nil || r.hostName() == "" {
		return
	}
	ns, short, _ := strings.Cut(from.PodName, "/")
	for _, a := range nameServers(r.network.Snapshot, find(r.network.Snapshot.Objects.Pods, ns, short)) {
		q := trace.Query{From: from, Dst: netip.AddrPortFrom(a, dnsPort), Proto: packet.UDP, DF: true}
		r.server = newTrace(text.F("the query to the name server %s", q.Dst), trace.Run(r.network, q))
	}
}

// maxOnward is how many upstreams are followed to.
const maxOnward = 3

// Ways returns the packets of the resolution that were followed.
func (res *Resolution) Ways() (out []Trace) {
	if len(res.Way.Result.Paths) > 0 {
		out = append(out, res.Way)
	}
	return append(out, res.Onward...)
}
