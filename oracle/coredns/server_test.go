package coredns

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/any"
	_ "github.com/coredns/coredns/plugin/autopath"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/local"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/minimal"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"
	_ "github.com/coredns/coredns/plugin/whoami"
	mdns "github.com/miekg/dns"
	"github.com/plumbnet/plumb/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An apiServer answers a CoreDNS's lists and watches with the objects of a cluster.
type apiServer struct{ lists map[string]any }

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	list, ok := s.lists[kind]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Query().Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity) // as one that knows no such lists: it lists then
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonInvalid, Code: 422})
	case r.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		json.NewEncoder(w).Encode(list)
	}
}

// serveAPI starts an API server with the objects that make c.
func serveAPI(t *testing.T, c *dns.Cluster) string {
	t.Helper()
	meta := metav1.ListMeta{ResourceVersion: "1"}
	namespaces := corev1.NamespaceList{TypeMeta: metav1.TypeMeta{Kind: "NamespaceList", APIVersion: "v1"}, ListMeta: meta}
	services := corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}, ListMeta: meta}
	slices := discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"}, ListMeta: meta}
	pods := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: meta}
	for _, n := range c.Namespaces {
		namespaces.Items = append(namespaces.Items, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	for i := range c.Services {
		services.Items = append(services.Items, service(&c.Services[i]))
		slices.Items = append(slices.Items, endpointSlices(&c.Services[i])...)
	}
	for i, p := range c.Pods {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: fmt.Sprint("p", i)}}
		for _, a := range p.Addrs {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: a.String()})
		}
		pods.Items = append(pods.Items, pod)
	}
	s := httptest.NewServer(&apiServer{map[string]any{"namespaces": namespaces, "services": services, "endpointslices": slices, "pods": pods}})
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

func service(s *dns.Service) corev1.Service {
	out := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	for _, a := range s.Addrs {
		out.Spec.ClusterIPs = append(out.Spec.ClusterIPs, a.String())
	}
	if s.Headless {
		out.Spec.ClusterIPs = []string{"None"}
	}
	if s.ExternalName != "" {
		out.Spec.Type, out.Spec.ExternalName = corev1.ServiceTypeExternalName, s.ExternalName
	}
	for _, p := range s.Ports {
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: corev1.Protocol(p.Proto), Port: int32(p.Number)})
	}
	return out
}

func endpointSlices(s *dns.Service) (out []discoveryv1.EndpointSlice) {
	for i, sl := range s.Slices {
		o := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", s.Name, i),
			Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}}}
		for _, p := range sl.Ports {
			proto, port := corev1.Protocol(p.Proto), int32(p.Number)
			o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &proto, Port: &port})
		}
		for _, e := range sl.Endpoints {
			ep := discoveryv1.Endpoint{Addresses: []string{e.Addr.String()}}
			if e.Hostname != "" {
				ep.Hostname = &e.Hostname
			}
			if e.Pod != "" {
				ep.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: e.Pod}
			}
			o.Endpoints = append(o.Endpoints, ep)
		}
		out = append(out, o)
	}
	return out
}

// upstreamAnswer is what the upstream on a port says to a query: by the query alone, so that both sides know it.
func upstreamAnswer(port uint16, q dns.Query) dns.Answer {
	a := dns.Answer{Outcome: dns.Answered, Rcode: dns.NoError}
	h := fnv.New32a()
	fmt.Fprint(h, q.Name, port)
	n := byte(h.Sum32())
	switch {
	case strings.HasPrefix(q.Name, "no"):
		a.Rcode = dns.NXDomain
	case strings.HasPrefix(q.Name, "fail"):
		a.Rcode = dns.ServFail
	case q.Type == "A":
		a.Records = []dns.Record{{Name: q.Name, Type: "A", TTL: 60 + uint32(n), Addr: netip.AddrFrom4([4]byte{192, 0, 2, n})}}
	case q.Type == "AAAA" && n%2 == 0:
		a.Records = []dns.Record{{Name: q.Name, Type: "AAAA", TTL: 2, Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n))}}
	case q.Type == "PTR":
		a.Records = []dns.Record{{Name: q.Name, Type: "PTR", TTL: 5000, Target: "host.example.org."}}
	}
	if strings.HasPrefix(q.Name, "alias") && (q.Type == "A" || q.Type == "AAAA") {
		target := dns.Record{Name: q.Name, Type: "CNAME", TTL: 90, Target: "target." + q.Name}
		for i := range a.Records {
			a.Records[i].Name = target.Target
		}
		a.Records = append([]dns.Record{target}, a.Records...)
	}
	return a
}

// serveUpstream starts an upstream, and returns its port.
func serveUpstream(t *testing.T) uint16 {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(pc.LocalAddr().(*net.UDPAddr).Port)
	s := &mdns.Server{PacketConn: pc, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, r *mdns.Msg) {
		m := new(mdns.Msg)
		m.SetReply(r)
		a := upstreamAnswer(port, dns.Query{Name: strings.ToLower(r.Question[0].Name), Type: mdns.TypeToString[r.Question[0].Qtype]})
		m.Rcode = mdns.StringToRcode[a.Rcode]
		for _, rec := range a.Records {
			rr, err := mdns.NewRR(rec.String())
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return port
}

var quiet = sync.OnceFunc(func() { caddy.Quiet, dnsserver.Quiet = true, true })

// start runs a CoreDNS with a Corefile until stop is called.
func start(corefile string) (stop func(), err error) {
	quiet()
	inst, err := caddy.Start(caddy.CaddyfileInput{Filepath: "Corefile", Contents: []byte(corefile), ServerTypeName: "dns"})
	if err != nil {
		return nil, err
	}
	return func() {
		inst.ShutdownCallbacks()
		inst.Stop()
	}, nil
}

// validate reads a Corefile as CoreDNS does, and starts nothing.
func validate(corefile string) error {
	quiet()
	return caddy.ValidateAndExecuteDirectives(caddy.CaddyfileInput{Filepath: "Corefile", Contents: []byte(corefile), ServerTypeName: "dns"}, nil, true)
}

// noAnswer is how long is waited for an answer, where none may come.
const noAnswer = 700 * time.Millisecond

// ask asks the CoreDNS on a port, and writes its answer as render does.
func ask(port int, q dns.Query) (string, error) {
	m := new(mdns.Msg)
	m.SetQuestion(q.Name, mdns.StringToType[q.Type])
	c := mdns.Client{Timeout: noAnswer}
	r, _, err := c.Exchange(m, fmt.Sprintf("127.0.0.1:%d", port))
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return render("", nil, nil), nil
	case err != nil:
		return "", err
	}
	return render(mdns.RcodeToString[r.Rcode], strs(r.Answer), strs(r.Extra)), nil
}

func strs(rrs []mdns.RR) (out []string) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == mdns.TypeOPT { // of rewrite edns0: no record of anything
			continue
		}
		if soa, ok := rr.(*mdns.SOA); ok {
			soa.Serial = 0 // a time
		}
		out = append(out, strings.ToLower(rr.String()))
	}
	return out
}
