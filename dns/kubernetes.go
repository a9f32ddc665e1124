package dns

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/text"
)

// kubernetes serves the names of Services and Pods
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md).
type kubernetes struct {
	zones      zones
	primary    string // the first zone that is none of addresses
	pods       string // "disabled", "insecure", "verified"
	namespaces []string
	through    zones
	ttl        uint32
	podNames   bool // endpoint_pod_names
	noEndpoint bool // noendpoints
	noEmpty    bool // ignore empty_service
	zonal      bool
	multi      zones
	strange    string // a property that is not followed
}

const dnsVersion = "1.1.0"

func setKubernetes(in *input) (handler, error) {
	k := &kubernetes{pods: "disabled", ttl: 5}
	return k, in.once(func() error {
		k.zones = in.zones(in.RemainingArgs())
		i := slices.IndexFunc(k.zones, func(z string) bool { return !isReverse(z) })
		if i < 0 {
			return errors.New("non-reverse zone name must be used")
		}
		k.primary = k.zones[i]
		labels := false
		err := in.each(func(property string) error {
			labels = labels || property == "namespace_labels"
			return k.property(in, property)
		})
		switch {
		case err != nil:
			return err
		case len(k.namespaces) > 0 && labels:
			return errors.New("namespaces and namespace_labels cannot both be set")
		case k.zonal && k.noEndpoint:
			return errors.New("zonal requires the endpoint cache; remove noendpoints")
		}
		for _, z := range k.multi {
			if !slices.Contains(k.zones, z) {
				return fmt.Errorf("is not authoritative for the multicluster zone %s", z)
			}
		}
		return nil
	})
}

// flag returns what a property without arguments sets, nil for the others.
func (k *kubernetes) flag(name string) *bool {
	switch name {
	case "endpoint_pod_names":
		return &k.podNames
	case "noendpoints":
		return &k.noEndpoint
	case "zonal":
		return &k.zonal
	}
	return nil
}

func (k *kubernetes) property(in *input, name string) (err error) {
	if f := k.flag(name); f != nil {
		*f = true
		return in.none()
	}
	if name == "fallthrough" {
		k.through = in.through()
		return nil
	}
	args := in.RemainingArgs()
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	switch name {
	case "multicluster":
		k.multi = parseZones(args, nil)
		return nil
	case "ignore":
		if k.noEmpty = first == "empty_service"; !k.noEmpty && first != "" {
			err = fmt.Errorf("unable to parse ignore value: '%v'", first)
		}
		return err
	case "upstream", "resyncperiod", "transfer": // of old, and without a meaning here
		if accepts(in.options.Version, "kubernetes", name) {
			return nil
		}
	}
	n, known := numberOf[name]
	switch {
	case !known:
		return fmt.Errorf("unknown property '%s'", name)
	case len(args) < n.low || len(args) > n.high:
		return in.argErr()
	}
	switch name {
	case "pods":
		k.pods = first
		err = isOneOf(first, "disabled", "verified", "insecure")
	case "namespaces":
		k.namespaces = append(k.namespaces, args...)
	case "labels", "namespace_labels":
		k.strange = name
	case "ttl":
		k.ttl, err = parseTTL(first, 0, 3600)
	case "startup_timeout":
		_, err = time.ParseDuration(first)
	case "apiserver_qps":
		var f float64
		if f, err = strconv.ParseFloat(first, 32); err == nil && f < 0 {
			err = errors.New("apiserver_qps must be >= 0")
		}
	case "apiserver_burst", "apiserver_max_inflight":
		err = isCount(first)
	}
	return err
}

// numberOf says how many arguments the other properties have.
var numberOf = map[string]struct{ low, high int }{
	"pods": {1, 1}, "namespaces": {1, math.MaxInt}, "endpoint": {1, math.MaxInt}, "tls": {3, 3}, "labels": {1, math.MaxInt},
	"namespace_labels": {1, math.MaxInt}, "ttl": {1, math.MaxInt}, "kubeconfig": {1, 2}, "startup_timeout": {1, math.MaxInt},
	"apiserver_qps": {1, 1}, "apiserver_burst": {1, 1}, "apiserver_max_inflight": {1, 1},
}

// An item is what is served under a name: an address with a port, or another name.
type item struct {
	addr  netip.Addr
	alias string
	port  int    // -1 where none is set
	own   string // the name of the address itself, to which SRV leads
}

// errName is the error of a name that does not exist.
var errName = errors.New("no such name")

// errMissing is the error of a name that depends on objects of a kind that is not known.
type errMissing string

func (e errMissing) Error() string { return string(e) }

func (k *kubernetes) serve(r *run, i int, q Query) Answer {
	zone := k.zones.match(q.Name)
	if zone == "" {
		return r.next(i, q)
	}
	if k.strange != "" || k.multi.match(zone) != "" {
		what := k.strange
		if what == "" {
			what = "multicluster"
		}
		return r.unknown(i, text.F("what its property %s does is not followed", what))
	}
	if q.Type == "AXFR" || q.Type == "IXFR" {
		return Answer{Outcome: Answered, Rcode: Refused, By: r.place(i)}
	}
	s := kubeSearch{kubernetes: k, c: r.env.Cluster, r: r, i: i, zone: zone}
	a, err := s.answer(q)
	var missing errMissing
	switch {
	case errors.As(err, &missing):
		return r.unknown(i, text.F("objects of the kind %s are not known", string(missing)))
	case err == nil && a.Outcome == Answered && len(a.Records) == 0:
		a.authority = []Record{s.soa()}
	case err != nil && k.through.match(q.Name) != "":
		r.step(i, text.F("it has no %s, and falls through", q))
		return r.next(i, q)
	case err != nil:
		a = r.answer(i, NXDomain)
		a.authority = []Record{s.soa()}
	}
	return a
}

// kubeSearch answers one query.
type kubeSearch struct {
	*kubernetes
	c    *Cluster
	r    *run
	i    int
	zone string
}

// soa is the zone's own record; its serial number, which counts changes, is not known.
func (s *kubeSearch) soa() Record {
	host, mail := "ns.dns."+s.zone, "hostmaster."+s.zone
	if s.zone == "." {
		host, mail = "ns.dns.", "hostmaster."
	}
	return Record{Name: s.zone, Type: "SOA", TTL: min(s.ttl, 300), Target: host, Tail: fmt.Sprintf("%s 0 7200 1800 86400 %d", mail, s.ttl)}
}

func (s *kubeSearch) answer(q Query) (Answer, error) {
	if (q.Type == "NS" && q.Name == s.zone) || strings.HasPrefix(q.Name, "ns.dns."+s.zone) {
		return s.r.unknown(s.i, text.F("the addresses of CoreDNS itself are not known")), nil
	}
	a := s.r.answer(s.i, NoError)
	switch q.Type {
	case "A", "AAAA":
		return s.addresses(q, nil)
	case "SOA":
		if q.Name == s.zone {
			a.Records = []Record{s.soa()}
		}
		return a, nil
	case "PTR":
		return s.pointers(q)
	case "TXT":
		return s.version(q)
	}
	items, err := s.items(q.Name)
	switch {
	case err != nil:
	case q.Type == "SRV":
		s.services(&a, q, items)
	case q.Type == "CNAME" && len(items) > 0 && items[0].alias != "":
		a.Records = []Record{{Name: q.Name, Type: "CNAME", TTL: s.ttl, Target: items[0].alias}}
	}
	return a, err
}

// version answers for the version of the scheme, and says of other names whether they are.
func (s *kubeSearch) version(q Query) (Answer, error) {
	if l := below(q.Name, s.zone); len(l) == 1 && l[0] == "dns-version" {
		return s.r.answer(s.i, NoError, Record{Name: q.Name, Type: "TXT", TTL: 28800, Head: strconv.Quote(dnsVersion)}), nil
	}
	items, err := s.items(q.Name)
	var missing errMissing
	if len(items) > 0 || errors.As(err, &missing) {
		return s.r.answer(s.i, NoError), err
	}
	if l := below(q.Name, s.zone); err == nil && s.zonal && len(l) > 4 {
		return s.r.answer(s.i, NoError), nil
	}
	return Answer{}, errName
}

// maxAliases is how many ExternalNames are followed within the zone.
const maxAliases = 10

// addresses returns the addresses of a name, with those of the names that it leads to.
func (s *kubeSearch) addresses(q Query, before []Record) (Answer, error) {
	a := s.r.answer(s.i, NoError)
	items, err := s.items(q.Name)
	if err != nil {
		return a, err
	}
	seen := map[netip.Addr]bool{}
	for _, it := range items {
		if it.alias == "" {
			if it.addr.Is6() == (q.Type == "AAAA") && !seen[it.addr] {
				seen[it.addr] = true
				a.Records = append(a.Records, Record{Name: q.Name, Type: q.Type, TTL: s.ttl, Addr: it.addr})
			}
			continue
		}
		alias := Record{Name: q.Name, Type: "CNAME", TTL: s.ttl, Target: it.alias}
		loops := slices.ContainsFunc(before, func(r Record) bool { return r.Target == alias.Target })
		if within(it.alias, q.Name) || len(before) > maxAliases || loops {
			continue
		}
		if !within(it.alias, s.zone) {
			a.Records = append(a.Records, alias)
			a = join(a, s.r.lookup(s.i, it.alias, q.Type))
			continue
		}
		to, err := s.addresses(Query{Name: it.alias, Type: q.Type}, append(slices.Clone(before), alias))
		var missing errMissing
		switch {
		case errors.As(err, &missing):
			return a, err
		case err == nil && to.Outcome != Answered || len(to.Records) > 0:
			a.Records = append(a.Records, alias)
			a = join(a, to)
		}
	}
	return a, nil
}

// services makes SRV records, and the addresses that they lead to.
func (s *kubeSearch) services(a *Answer, q Query, items []item) {
	items = slices.DeleteFunc(items, func(it item) bool { return it.alias != "" })
	weight := uint16(max(1, math.Floor(100.0/float64(max(1, len(items))*100)*100)))
	type host struct {
		name string
		port int
		addr netip.Addr
	}
	seen := map[host]bool{}
	once := func(h host) bool {
		was := seen[h]
		seen[h] = true
		return !was
	}
	for _, it := range items {
		if it.port == -1 {
			continue
		}
		if once(host{name: it.own, port: it.port}) {
			a.Records = append(a.Records, Record{Name: q.Name, Type: "SRV", TTL: s.ttl, Head: fmt.Sprintf("0 %d %d", weight, it.port), Target: it.own})
		}
		kind := "A"
		if it.addr.Is6() {
			kind = "AAAA"
		}
		if once(host{name: it.own, addr: it.addr}) {
			a.Extra = append(a.Extra, Record{Name: it.own, Type: kind, TTL: s.ttl, Addr: it.addr})
		}
	}
}

// pointers returns the names of an address: of the Service that has it, or else of endpoints.
func (s *kubeSearch) pointers(q Query) (Answer, error) {
	a := s.r.answer(s.i, NoError)
	ip, ok := reverseAddr(q.Name)
	if !ok {
		_, err := s.items(q.Name)
		return a, err
	}
	if m := s.c.lacks("Service", "EndpointSlice"); m != "" {
		return a, errMissing(m)
	}
	for _, svc := range s.c.byAddr[ip] {
		if exposed, err := s.reversible(svc); err != nil {
			return a, err
		} else if exposed {
			a.Records = []Record{{Name: q.Name, Type: "PTR", TTL: s.ttl, Target: s.name(svc)}}
			return a, nil
		}
	}
	for _, svc := range s.c.backends[ip] {
		exposed, err := s.reversible(svc)
		if err != nil {
			return a, err
		}
		for _, sl := range svc.Slices {
			for _, e := range sl.Endpoints {
				p := Record{Name: q.Name, Type: "PTR", TTL: s.ttl, Target: fqdn(e.label(s.podNames) + "." + s.name(svc))}
				if exposed && !s.noEndpoint && e.Addr == ip && !slices.Contains(a.Records, p) {
					a.Records = append(a.Records, p)
				}
			}
		}
	}
	if len(a.Records) == 0 {
		return a, errName
	}
	return a, nil
}

// name is a Service's, in the first zone.
func (s *kubeSearch) name(svc *Service) string {
	return fqdn(strings.TrimSuffix(svc.Name+"."+svc.Namespace+".svc."+s.primary, "."))
}

// reversible reports whether addresses of a Service are served: of all namespaces, unless some are chosen.
func (s *kubeSearch) reversible(svc *Service) (bool, error) {
	if len(s.namespaces) == 0 {
		return true, nil
	}
	return s.exposed(svc.Namespace)
}

// exposed reports whether names of a namespace are served.
func (s *kubeSearch) exposed(namespace string) (bool, error) {
	if len(s.namespaces) > 0 && !slices.Contains(s.namespaces, namespace) {
		return false, nil
	}
	if s.c != nil && s.c.spaces[namespace] { // one that has something in it is known without its object
		return true, nil
	}
	if m := s.c.lacks("Namespace"); m != "" {
		return false, errMissing(m)
	}
	return false, nil
}

// items returns what is served under a name: nothing, and no error, for a name that only others are below.
func (s *kubeSearch) items(name string) ([]item, error) {
	l := below(name, s.zone)
	if len(l) == 0 || len(l) == 1 && (l[0] == "svc" || l[0] == "pod") {
		return nil, nil
	}
	slices.Reverse(l)
	if l[0] != "svc" && l[0] != "pod" {
		return nil, errName
	}
	if s.zonal && len(l) > 5 && l[3] == "_zone" {
		return nil, errMissing("topology zone")
	}
	if len(l) > 5 || isReverse(name) {
		return nil, errName
	}
	exposed, err := s.exposed(l[1])
	switch {
	case err != nil:
		return nil, err
	case !exposed:
		return nil, errName
	case l[0] == "pod":
		return s.pod(l)
	case len(l) == 2:
		return nil, nil
	}
	if m := s.c.lacks("Service"); m != "" {
		return nil, errMissing(m)
	}
	svc := s.c.services[l[2]+"."+l[1]]
	if svc == nil {
		return nil, errName
	}
	return s.service(svc, l[3:])
}

// service returns what a Service serves: under its name, an endpoint's before it, or a port's: _port._proto.
func (s *kubeSearch) service(svc *Service, l []string) (out []item, err error) {
	endpoint, port, proto := "", "", ""
	switch len(l) {
	case 1:
		endpoint = l[0]
	case 2:
		proto, port = strings.TrimPrefix(l[0], "_"), strings.TrimPrefix(l[1], "_")
	}
	if svc.ExternalName != "" {
		if _, isAddr := parseIP(svc.ExternalName); len(l) > 0 || isAddr {
			return nil, errName
		}
		return []item{{alias: fqdn(svc.ExternalName)}}, nil
	}
	own := strings.TrimSuffix(svc.Name+"."+svc.Namespace+".svc."+s.zone, ".") + "."
	fits := func(p Port) bool {
		return (port == "" || strings.EqualFold(port, p.Name)) && (proto == "" || strings.EqualFold(proto, p.Proto))
	}
	needs := svc.Headless || endpoint != "" || s.noEmpty
	if m := s.c.lacks("EndpointSlice"); m != "" && needs {
		return nil, errMissing(m)
	}
	if s.noEmpty && !svc.Headless && !slices.ContainsFunc(svc.Slices, func(sl Slice) bool { return len(sl.Endpoints) > 0 }) {
		return nil, errName
	}
	if !svc.Headless && endpoint == "" {
		for _, p := range ports(svc.Ports) {
			for _, a := range svc.Addrs {
				if fits(p) {
					out = append(out, item{addr: a, port: p.Number, own: own})
				}
			}
		}
		return out, found(out)
	}
	for _, sl := range svc.Slices {
		for _, e := range sl.Endpoints {
			label := e.label(s.podNames)
			for _, p := range ports(sl.Ports) {
				if fits(p) && !s.noEndpoint && (endpoint == "" || strings.EqualFold(endpoint, label)) {
					out = append(out, item{addr: e.Addr, port: p.Number, own: strings.ToLower(label) + "." + own})
				}
			}
		}
	}
	return out, found(out)
}

// ports are those that records are made for: one without a number, where there are none.
func ports(ps []Port) []Port {
	if len(ps) == 0 {
		return []Port{{Number: -1}}
	}
	return ps
}

func found(items []item) error {
	if len(items) == 0 {
		return errName
	}
	return nil
}

// pod returns the address that a name of the form "10-0-0-1.shop.pod" stands for.
func (s *kubeSearch) pod(l []string) ([]item, error) {
	if s.pods == "disabled" {
		return nil, errName
	}
	if len(l) == 2 {
		return nil, nil
	}
	sep := ":"
	if strings.Count(l[2], "-") == 3 && !strings.Contains(l[2], "--") {
		sep = "."
	}
	a, ok := parseIP(strings.ReplaceAll(l[2], "-", sep))
	if !ok {
		return nil, errName
	}
	it := item{addr: a, own: strings.TrimSuffix(l[2]+"."+l[1]+".pod."+s.zone, ".") + "."}
	if s.pods == "insecure" {
		return []item{it}, nil
	}
	if m := s.c.lacks("Pod"); m != "" {
		return nil, errMissing(m)
	}
	if !slices.ContainsFunc(s.c.pods[a], func(p *Pod) bool { return p.Namespace == l[1] }) {
		return nil, errName
	}
	return []item{it}, nil
}
