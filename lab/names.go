//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
)

// zone is that of the cluster's own names.
const zone = "cluster.local."

// A resolver is what the name servers of CoreDNS's Pods go by: as much of the Corefile as faults of the lab
// change. The cluster's names are those of its Services; all others are asked of one other server.
type resolver struct {
	names   map[string]netip.Addr
	forward netip.AddrPort
	only    bool          // hosts has no fallthrough: no name but those in it is looked for
	busy    chan struct{} // as max_concurrent: how many queries may be on their way to the other server
}

const (
	maxForwards    = 2 * parallel // at once, so that a loop ends: more than probes are on their way
	forwardTimeout = time.Second  // less than a probe waits the second time
)

var (
	forwardLine = regexp.MustCompile(`(?m)^\s*forward \. (\S+)`)
	hostsBlock  = regexp.MustCompile(`(?s)\bhosts \{(.*?)\}`)
)

// LoadCorefile has the name servers of CoreDNS's Pods go by the Corefile and the Services of the objects.
func (l *Lab) LoadCorefile() error {
	r := &resolver{names: map[string]netip.Addr{}, busy: make(chan struct{}, maxForwards)}
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		if a, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil {
			r.names[s.Name+"."+s.Namespace+".svc."+zone] = a
		}
	}
	text := l.Corefile()
	to := forwardLine.FindStringSubmatch(text)
	if to == nil {
		return errors.New("lab: the Corefile has no line forward")
	}
	a, err := netip.ParseAddr(to[1])
	if err != nil {
		return fmt.Errorf("lab: the Corefile: %w", err)
	}
	r.forward = netip.AddrPortFrom(a, 53)
	hosts := hostsBlock.FindStringSubmatch(text)
	r.only = hosts != nil && !strings.Contains(hosts[1], "fallthrough")
	l.resolver.Store(r)
	return nil
}

// Corefile returns the ConfigMap's Corefile.
func (l *Lab) Corefile() string { return l.coreDNS().Data["Corefile"] }

// SetCorefile changes the Corefile, and has CoreDNS load it.
func (l *Lab) SetCorefile(text string) error {
	l.coreDNS().Data["Corefile"] = text
	return l.LoadCorefile()
}

// coreDNS returns CoreDNS's ConfigMap. It panics where there is none.
func (l *Lab) coreDNS() *corev1.ConfigMap {
	i := slices.IndexFunc(l.Objects.ConfigMaps, func(m corev1.ConfigMap) bool { return m.Name == "coredns" })
	return &l.Objects.ConfigMaps[i]
}

// outsideNames are what the name server outside knows.
var outsideNames = map[string]netip.Addr{"outside.example.": OutsideIP, "office.example.": OfficeIP}

// question reads a query; false means that b is none.
func question(b []byte) (h dnsmessage.Header, q dnsmessage.Question, ok bool) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.Response {
		return h, q, false
	}
	qs, err := p.AllQuestions()
	if err != nil || len(qs) != 1 || qs[0].Class != dnsmessage.ClassINET {
		return h, q, false
	}
	return h, qs[0], true
}

// answer answers a query that came to a name server in a namespace.
func (l *Lab) answer(ns *sandbox.NS, b []byte) []byte {
	h, q, _ := question(b)
	name, r := strings.ToLower(q.Name.String()), l.resolver.Load()
	known := outsideNames
	switch {
	case ns == l.Outside:
	case r == nil || r.only:
		return reply(h, q, netip.Addr{}, dnsmessage.RCodeServerFailure)
	case !strings.HasSuffix(name, "."+zone):
		return r.ask(ns, h, q, b)
	default:
		known = r.names
	}
	a, ok := known[name]
	if !ok {
		return reply(h, q, a, dnsmessage.RCodeNameError)
	}
	return reply(h, q, a, dnsmessage.RCodeSuccess)
}

// ask passes a query on, and its answer back.
func (r *resolver) ask(ns *sandbox.NS, h dnsmessage.Header, q dnsmessage.Question, b []byte) []byte {
	fail := reply(h, q, netip.Addr{}, dnsmessage.RCodeServerFailure)
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	default:
		return fail
	}
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.Dial("udp", r.forward.String())
		return err
	})
	if err != nil {
		return fail
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(forwardTimeout))
	answer := make([]byte, 512)
	if _, err := c.Write(b); err != nil {
		return fail
	}
	n, err := c.Read(answer)
	if err != nil {
		return fail
	}
	return answer[:n]
}

// reply writes an answer, with an address where there is one of IPv4 and that was asked for.
func reply(h dnsmessage.Header, q dnsmessage.Question, a netip.Addr, code dnsmessage.RCode) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true, RCode: code}, Questions: []dnsmessage.Question{q}}
	if a.Is4() && q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 30}, Body: &dnsmessage.AResource{A: a.As4()}}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// query writes the question for the IPv4 addresses of a name.
func query(id uint16, name string) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	return m.Pack()
}

// errNoAddress is why a lookup that was answered counts as refused.
var errNoAddress = errors.New("the answer has no address")

// lookup asks for a name, and waits for an answer with an address.
func (o *Observation) lookup(f io.ReadWriter) {
	b, err := query(uint16(o.id), o.Probe.Lookup)
	if err == nil {
		_, err = f.Write(b)
	}
	answer, n := make([]byte, 512), 0
	if err == nil {
		n, err = f.Read(answer)
	}
	var m dnsmessage.Message
	if err == nil {
		err = m.Unpack(answer[:n])
	}
	switch {
	case err != nil:
		o.fail(err)
	case m.ID != uint16(o.id) || len(m.Answers) == 0:
		o.Outcome, o.Err = Refused, fmt.Errorf("%w: %s", errNoAddress, m.RCode)
	default:
		o.Outcome = Delivered
	}
}
