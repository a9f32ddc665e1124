//go:build linux

package peers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// api is an API server that has some Pods, Services and Events, and picks them by a field.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	pods     []corev1.Pod
	services []corev1.Service
	events   []corev1.Event
	asked    []string       // selectors
	slow     time.Duration  // until it answers
	code     map[string]int // with which it refuses a resource, if it does
	token    http.HandlerFunc
}

func newAPI(t *testing.T, pods ...corev1.Pod) (*api, *kube.Client) {
	t.Helper()
	a := &api{pods: pods}
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.StartTLS()
	t.Cleanup(a.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	file := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"current-context":"x","clusters":[{"name":"x","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"contexts":[{"name":"x","context":{"cluster":"x","namespace":"plumb"}}]}`, a.URL, base64.StdEncoding.EncodeToString(ca)), 0o600))
	c, err := kube.Connect(kube.Options{Kubeconfig: file})
	must(t, err)
	return a, c
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	selector := r.URL.Query().Get("fieldSelector")
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/token") {
		a.token(w, r)
		return
	}
	a.asked = append(a.asked, selector)
	select {
	case <-time.After(a.slow):
	case <-r.Context().Done():
	}
	resource := path.Base(r.URL.Path)
	if code := a.code[resource]; code != 0 {
		http.Error(w, "no", code)
		return
	}
	// As it is: the first address of a Pod, and of a Service, is what it can be picked by.
	var pods corev1.PodList
	for _, p := range a.pods {
		if selector == "status.podIP="+p.Status.PodIP || selector == "metadata.name="+p.Name && r.URL.Path == "/api/v1/namespaces/"+p.Namespace+"/pods" {
			pods.Items = append(pods.Items, p)
		}
	}
	var services corev1.ServiceList
	for _, s := range a.services {
		if selector == "spec.clusterIP="+s.Spec.ClusterIP && r.URL.Path == "/api/v1/services" {
			services.Items = append(services.Items, s)
		}
	}
	var events corev1.EventList
	for _, e := range a.events {
		o := e.InvolvedObject
		if selector == "involvedObject.kind="+o.Kind+",involvedObject.name="+o.Name && r.URL.Path == "/api/v1/namespaces/"+o.Namespace+"/events" {
			events.Items = append(events.Items, e)
		}
	}
	raw, _ := pods.Marshal()
	switch resource {
	case "services":
		raw, _ = services.Marshal()
	case "events":
		raw, _ = events.Marshal()
	}
	raw, _ = (&runtime.Unknown{Raw: raw}).Marshal()
	io.Copy(w, io.MultiReader(strings.NewReader("k8s\x00"), bytes.NewReader(raw)))
}

// questions returns what was asked since the last time.
func (a *api) questions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.asked
	a.asked = nil
	return out
}

func (a *api) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// start has Peers ask until the test ends.
func start(t *testing.T, c *kube.Client) *Peers {
	t.Helper()
	p := New(Options{Node: "node-a", Kube: c, Log: log.New(io.Discard, "", 0)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// who waits for the name of addresses.
func who(t *testing.T, p *Peers, at time.Time, pod string, addrs ...string) string {
	t.Helper()
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	told := make(chan string, 2)
	p.Name(at, pod, list, func(name string) { told <- name })
	select {
	case name := <-told:
		return name
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing is told", addrs)
		return ""
	}
}

// born is when the tests' Pods began.
var born = time.Now().Add(-time.Hour).Truncate(time.Second)

func pod(name, node, ip string, change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(born)},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "192.168.0.9", PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}},
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func hostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }

// finished has a Pod end so long after it began. It keeps its address in the API.
func finished(after time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodSucceeded
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(born.Add(after))}}}}
	}
}

// began has a Pod begin so long after the others.
func began(after time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(born.Add(after)) }
}

// TestName wants who had an address when something happened, and nobody else.
func TestName(t *testing.T) {
	v6 := func(p *corev1.Pod) { p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: "fd00:0::5"}) }
	a, c := newAPI(t,
		pod("web-0", "node-b", "10.0.0.5", v6),
		pod("proxy", "node-b", "192.168.0.9", hostNetwork), pod("agent", "node-b", "192.168.0.9", hostNetwork),
		pod("job-1", "node-b", "10.0.0.6", finished(10*time.Minute)), pod("job-2", "node-c", "10.0.0.6", began(20*time.Minute), finished(30*time.Minute)),
		pod("web-1", "node-c", "10.0.0.6", began(40*time.Minute)),
		pod("never", "node-c", "10.0.0.7", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
		pod("web-2", "node-c", "203.0.113.7"),
	)
	p := start(t, c)
	for _, row := range []struct {
		name  string
		after time.Duration // since born
		pod   string
		addrs []string
		want  string
	}{
		{"a Pod", time.Hour, "shop/db-0", []string{"10.0.0.5"}, "shop/web-0"},
		{"of its second family", time.Hour, "shop/db-0", []string{"fd00::5"}, "shop/web-0"},
		{"as IPv6 has it", time.Hour, "shop/db-0", []string{"::ffff:10.0.0.5"}, "shop/web-0"},
		{"before it was there", -time.Minute, "shop/db-0", []string{"10.0.0.5"}, ""},
		{"a node", time.Hour, "shop/db-0", []string{"192.168.0.9"}, "node-b"},
		{"the first to have it", 5 * time.Minute, "", []string{"10.0.0.6"}, "shop/job-1"},
		{"nobody, between two", 15 * time.Minute, "", []string{"10.0.0.6"}, ""},
		{"the second", 25 * time.Minute, "", []string{"10.0.0.6"}, "shop/job-2"},
		{"the third", 50 * time.Minute, "", []string{"10.0.0.6"}, "shop/web-1"},
		{"one that never ran", time.Hour, "", []string{"10.0.0.7"}, ""},
		{"not the Pod itself", time.Hour, "shop/web-0", []string{"10.0.0.5"}, ""},
		{"the other end", time.Hour, "shop/web-0", []string{"10.0.0.5", "192.168.0.9"}, "node-b"},
		{"the second address", time.Hour, "", []string{"10.9.9.9", "203.0.113.7"}, "shop/web-2"},
		{"this machine", time.Hour, "", []string{"127.0.0.1", "::1", "169.254.1.1", "224.0.0.1", "0.0.0.0"}, ""},
		{"no address", time.Hour, "", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := who(t, p, born.Add(row.after), row.pod, row.addrs...); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	if n := a.questions(); len(n) != 7 { // 10.0.0.5, .6, .7, the node's, 10.9.9.9 of Pods and of Services, 203.0.113.7
		t.Errorf("asked %q", n)
	}
	if s := p.State(); s != (State{Named: 5, None: 1}) {
		t.Errorf("%+v", s)
	}
	own, err := net.InterfaceAddrs()
	must(t, err)
	for _, x := range own {
		who(t, p, time.Now(), "", x.(*net.IPNet).IP.String())
	}
	if n := a.questions(); n != nil {
		t.Errorf("asked for its own %q", n)
	}
}

// older makes all that is known so much older.
func older(p *Peers, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, known := range p.known {
		known.when = known.when.Add(-d)
		p.known[a] = known
	}
}

// TestHeld wants an address to be asked for once a minute, and a Pod that is still there to be asked for by its name.
func TestHeld(t *testing.T) {
	a, c := newAPI(t, pod("web-0", "node-b", "10.0.0.5"))
	p := start(t, c)
	step := func(name string, asked ...string) {
		t.Helper()
		for range 3 {
			if got := who(t, p, time.Now(), "", "10.0.0.5", "198.51.100.7"); got != name {
				t.Errorf("%q, want %q", got, name)
			}
		}
		if diff := cmp.Diff(asked, a.questions()); diff != "" {
			t.Error(diff)
		}
	}
	step("shop/web-0", "status.podIP=10.0.0.5")
	older(p, held-5*time.Second)
	step("shop/web-0")
	older(p, 10*time.Second)
	step("shop/web-0", "metadata.name=web-0")
	older(p, held)
	a.set(func() { a.pods[0] = pod("web-7", "node-b", "10.0.0.5") })
	step("shop/web-7", "metadata.name=web-0", "status.podIP=10.0.0.5")
	older(p, held)
	a.set(func() { a.pods = nil })
	inside, outside := []string{"status.podIP=10.0.0.5", "spec.clusterIP=10.0.0.5"}, []string{"status.podIP=198.51.100.7", "spec.clusterIP=198.51.100.7"}
	both := slices.Concat(inside, outside)
	step("", append([]string{"metadata.name=web-7"}, both...)...)
	older(p, held) // who is not of the cluster now will not soon be
	step("", inside...)
	older(p, heldPublic)
	step("", both...)
	p.Forget()
	step("", both...)
}

// TestService wants who asks for the address of a Service to be told which, of both its families, and to be asked for it first the next time.
func TestService(t *testing.T) {
	a, c := newAPI(t, pod("web-0", "node-b", "10.0.0.5"))
	a.services = []corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", CreationTimestamp: metav1.NewTime(born)},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.9", ClusterIPs: []string{"10.96.0.9", "fd00:96::9"}},
	}}
	p := start(t, c)
	step := func(at time.Time, addr, name string, asked ...string) {
		t.Helper()
		if got := who(t, p, at, "shop/web-0", addr); got != name {
			t.Errorf("%s: %q, want %q", addr, got, name)
		}
		if diff := cmp.Diff(asked, a.questions()); diff != "" {
			t.Errorf("%s: %s", addr, diff)
		}
	}
	step(time.Now(), "10.96.0.9", "svc/shop/api", "status.podIP=10.96.0.9", "spec.clusterIP=10.96.0.9")
	step(time.Now(), "fd00:96::9", "svc/shop/api")
	step(born.Add(-time.Minute), "10.96.0.9", "")
	older(p, held)
	step(time.Now(), "10.96.0.9", "svc/shop/api", "spec.clusterIP=10.96.0.9")
	if nodes := p.nodes([]string{"svc/shop/api"}); nodes != nil {
		t.Errorf("a Service is on %v", nodes)
	}
	older(p, held)
	a.set(func() { a.services, a.pods = nil, []corev1.Pod{pod("web-1", "node-b", "10.96.0.9")} })
	step(time.Now(), "10.96.0.9", "shop/web-1", "spec.clusterIP=10.96.0.9", "status.podIP=10.96.0.9")
	older(p, held)
	a.set(func() { a.pods = nil })
	step(time.Now(), "10.96.0.9", "", "metadata.name=web-1", "status.podIP=10.96.0.9", "spec.clusterIP=10.96.0.9")
	if s := p.State(); s != (State{Named: 3, None: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestNoServices has the API server not pick Services, since it is too old or may not for this agent: Pods are named, why no Service is
// is said, and it is not asked again soon. That it is away is another matter.
func TestNoServices(t *testing.T) {
	for code, row := range map[int]struct {
		asked int
		why   string
	}{
		http.StatusBadRequest:         {1, "answers 400"},
		http.StatusForbidden:          {1, `resources: ["services"], verbs: ["list"]`},
		http.StatusServiceUnavailable: {1, ""},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			a, c := newAPI(t, pod("web-0", "node-b", "10.0.0.5"))
			a.code = map[string]int{"services": code}
			p := start(t, c)
			for i := range 3 {
				who(t, p, time.Now(), "", fmt.Sprintf("10.96.0.%d", i+1))
			}
			asked := strings.Count(strings.Join(a.questions(), " "), "spec.clusterIP")
			if s := p.State(); asked != row.asked || !strings.Contains(s.Blind, row.why) || (s.Blind != "") != (row.why != "") || (s.Err != "") != (row.why == "") {
				t.Errorf("asked %d times, %+v", asked, s)
			}
			if got := who(t, p, time.Now(), "", "10.0.0.5"); (got == "shop/web-0") != (row.why != "") {
				t.Errorf("a Pod is %q", got)
			}
		})
	}
}

// flood has n events wait, and returns how many were named, and how long the last one waited.
func flood(t *testing.T, p *Peers, n int) (named int, longest time.Duration) {
	t.Helper()
	begin := time.Now()
	told := make(chan string, 2*n)
	for i := range n {
		p.Name(time.Now(), "", []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}, func(name string) { told <- name })
	}
	if d := time.Since(begin); d > waitTime {
		t.Errorf("who told the events waited for %v", d)
	}
	for range n {
		select {
		case name := <-told:
			longest = time.Since(begin)
			if name != "" {
				named++
			}
		case <-time.After(20 * time.Second):
			t.Fatal("an event is lost")
		}
	}
	if len(told) > 0 {
		t.Error("events are told twice")
	}
	return named, longest
}

// TestAway has the API server not answer: no event waits for longer than it may, and it is not asked again soon.
func TestAway(t *testing.T) {
	a, c := newAPI(t)
	a.slow = time.Minute
	p := start(t, c)
	if _, d := flood(t, p, 1000); d < waitTime/2 || d > 5*waitTime {
		t.Errorf("the last event waited for %v", d)
	}
	if _, d := flood(t, p, 1000); d > waitTime {
		t.Errorf("when it is known to be away, the last event waited for %v", d)
	}
	s := p.State()
	if s.Failed != 1 || s.Named+s.None != 0 || s.Unasked < 1000 || s.Err == "" {
		t.Errorf("%+v", s)
	}
	// A minute later.
	a.set(func() { a.slow, a.pods = 0, []corev1.Pod{pod("web-0", "node-b", "10.0.0.5")} })
	p.mu.Lock()
	if p.left > -debt+time.Second/share*10 {
		t.Errorf("it may be asked in %v", -p.left*share)
	}
	p.since = p.since.Add(-61 * time.Second)
	p.mu.Unlock()
	if got := who(t, p, time.Now(), "", "10.0.0.5"); got != "shop/web-0" || p.State().Err != "" {
		t.Errorf("%q, %+v", got, p.State())
	}
}

// TestForbidden has the right be missing: it is said, and a minute passes before the next question.
func TestForbidden(t *testing.T) {
	a, c := newAPI(t)
	a.code = map[string]int{"pods": http.StatusForbidden}
	p := start(t, c)
	for range 10 {
		who(t, p, time.Now(), "", "10.0.0.5")
	}
	if n := a.questions(); len(n) != 1 || !strings.Contains(p.State().Err, `resources: ["pods"], verbs: ["list"]`) {
		t.Errorf("%q, %+v", n, p.State())
	}
}

// TestShare wants the API server to give no more of its time than a share, and clients of the world outside to leave some of it.
func TestShare(t *testing.T) {
	a, c := newAPI(t)
	a.slow = 20 * time.Millisecond
	p := start(t, c)
	for i := range 100 {
		who(t, p, time.Now(), "", fmt.Sprintf("203.0.113.%d", i))
	}
	outside := len(a.questions())
	for i := range 100 {
		who(t, p, time.Now(), "", fmt.Sprintf("10.0.0.%d", i))
	}
	inside := len(a.questions())
	if most := int(burst/a.slow) + 3; outside == 0 || outside > most/2+2 || outside+inside > most {
		t.Errorf("it was asked for %d public addresses and %d others, of %d in all", outside, inside, most)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.since = burst/3, time.Now()
	if p.may(netip.MustParseAddr("203.0.113.1")) || !p.may(netip.MustParseAddr("10.0.0.1")) || !p.may(netip.MustParseAddr("100.64.0.1")) || !p.may(netip.MustParseAddr("fd00::1")) {
		t.Error("what may be anyone's takes the last of it")
	}
}

// TestMany wants no more to be remembered than there is room for.
func TestMany(t *testing.T) {
	p := New(Options{})
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxKnown {
		p.remember(at(i), nil)
	}
	older(p, 2*held)
	p.remember(at(maxKnown), nil)
	if n := len(p.known); n != maxKnown {
		t.Errorf("%d", n)
	}
	for i := range 3 * maxKnown {
		p.remember(at(i), nil)
	}
	if n := len(p.known); n > maxKnown {
		t.Errorf("%d", n)
	}
}

// TestEnd has Peers end while events wait: these are told.
func TestEnd(t *testing.T) {
	a, c := newAPI(t)
	a.slow = time.Minute
	p := New(Options{Kube: c, Log: log.New(io.Discard, "", 0)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	time.AfterFunc(50*time.Millisecond, cancel)
	flood(t, p, 100)
	<-done
	if named, d := flood(t, p, 10); named != 0 || d > waitTime {
		t.Errorf("after its end: %d, %v", named, d)
	}
}

// TestWindow wants the agents of other nodes to be asked for a window, each once and with a token of its own, and those alone of which it is known where they are.
func TestWindow(t *testing.T) {
	a, c := newAPI(t,
		pod("web-0", "node-b", "10.0.0.5", at127), pod("web-1", "node-b", "10.0.0.6", at127), pod("mine", "node-a", "10.0.0.7", at127),
		pod("lost", "node-c", "10.0.0.8", func(p *corev1.Pod) { p.Status.HostIP = "" }),
	)
	forbidden := false
	a.token = func(w http.ResponseWriter, r *http.Request) {
		var in authenticationv1.TokenRequest
		_ = json.NewDecoder(r.Body).Decode(&in)
		if forbidden || r.URL.Path != "/api/v1/namespaces/plumb/serviceaccounts/plumb-peer/token" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		in.Status.Token = "for " + in.Spec.Audiences[0]
		_ = json.NewEncoder(w).Encode(in)
	}
	type request struct{ path, token, body string }
	asked := make(chan request, 10)
	answer := http.StatusOK
	agent := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- request{r.Method + " " + r.URL.Path, r.Header.Get("Authorization"), string(body)}
		w.WriteHeader(answer)
	}))
	defer agent.Close()
	p := start(t, c)
	p.o.Port = uint16(agent.Listener.Addr().(*net.TCPAddr).Port)
	for _, ip := range []string{"10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"} {
		who(t, p, time.Now(), "", ip)
	}
	e := recorder.Episode{
		ID: "20260304T050607Z-node-a", Node: "node-a", From: time.Unix(1e9, 0).UTC(), To: time.Unix(1e9+120, 0).UTC(),
		Reasons: []recorder.Reason{{Metric: "packetloss_packets_total", Pod: "shop/mine", Value: 50, Usual: .5}},
		Peers:   []string{"shop/web-0", "shop/web-1", "shop/mine", "shop/lost", "shop/unknown", "node-z"},
	}
	done := func(kept, refused uint64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); p.State().Windows != kept || p.State().Refused != refused; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v", p.State())
			}
		}
	}
	p.Window(e)
	done(1, 0)
	want := request{"POST /freeze", "Bearer for plumbd/node-b",
		`{"id":"20260304T050607Z-node-a","why":"asked by node-a: packetloss_packets_total of shop/mine was 50, usually 0.5, with shop/web-0","from":"2001-09-09T01:46:40Z","to":"2001-09-09T01:48:40Z"}`}
	if got := <-asked; got != want || len(asked) > 0 {
		t.Errorf("%+v\nwant %+v; and %d more", got, want, len(asked))
	}
	answer = http.StatusTooManyRequests
	p.Window(e)
	done(1, 1)
	a.set(func() { forbidden = true })
	p.Window(e)
	done(1, 2)
	if n := len(asked); n != 1 {
		t.Errorf("%d requests, of which one had a token", n)
	}
}

func at127(p *corev1.Pod) { p.Status.HostIP = "127.0.0.1" }

// happened is an Event that came so long after the Pods began.
func happened(kind, namespace, name, reason string, after time.Duration, change ...func(*corev1.Event)) corev1.Event {
	e := corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{UID: types.UID(name + reason), CreationTimestamp: metav1.NewTime(born.Add(after))},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: name},
		Reason:         reason, Message: "said\n of " + name, Source: corev1.EventSource{Component: "kubelet", Host: "node-b"},
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

// lately has an Event come again.
func lately(n int32, after time.Duration) func(*corev1.Event) {
	return func(e *corev1.Event) { e.Count, e.LastTimestamp = n, metav1.NewTime(born.Add(after)) }
}

// TestNews wants what Kubernetes did to the Pods of an episode, and to its nodes, in its window: each once, and again only what comes again.
func TestNews(t *testing.T) {
	a, c := newAPI(t)
	series := func(e *corev1.Event) {
		e.Source, e.ReportingController = corev1.EventSource{}, "default-scheduler"
		e.Series = &corev1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(born.Add(59 * time.Minute))}
	}
	a.events = []corev1.Event{
		happened("Pod", "shop", "web-0", "Killing", 59*time.Minute),
		happened("Pod", "shop", "web-0", "Pulled", 0),
		happened("Pod", "shop", "web-0", "Later", 2*time.Hour),
		happened("Pod", "shop", "web-0", "Unhealthy", 0, lately(7, 59*time.Minute+time.Second)),
		happened("Pod", "shop", "db-0", "Scheduled", time.Minute, series),
		happened("Pod", "shop", "other-0", "Killing", 59*time.Minute),
		happened("Node", "default", "node-a", "NodeNotReady", 59*time.Minute),
		happened("Node", "default", "node-b", "Rebooted", 59*time.Minute, func(e *corev1.Event) { e.Message = strings.Repeat("é", 200) }),
	}
	p := start(t, c)
	told := make(chan string, 20)
	tell := func(e event.Event) { told <- e.String() }
	next := func(n int) (out []string) {
		t.Helper()
		for range n {
			select {
			case s := <-told:
				_, s, _ = strings.Cut(s, " ")
				out = append(out, s)
			case <-time.After(20 * time.Second):
				t.Fatalf("%q, and nothing more", out)
			}
		}
		return out
	}
	e := recorder.Episode{
		ID: "x", Node: "node-a", From: born.Add(58 * time.Minute), To: time.Now().Add(newsTime + 2*time.Second),
		Reasons: []recorder.Reason{{Pod: "shop/web-0"}, {Pod: "shop/web-0"}, {}, {Pod: "unknown"}},
	}
	p.News(e, tell)
	want := []string{
		" node-a change=kubernetes by=kubelet what=NodeNotReady: said of node-a",
		" node-b shop/web-0 change=kubernetes by=kubelet what=Killing: said of web-0",
		" node-b shop/web-0 change=kubernetes times=7 by=kubelet what=Unhealthy: said of web-0",
	}
	if diff := cmp.Diff(want, next(3)); diff != "" {
		t.Error(diff)
	}
	e.Peers = []string{"shop/db-0", "node-b"} // they are told later, and only these are asked for
	p.News(e, tell)
	want = []string{
		" shop/db-0 change=kubernetes times=3 by=default-scheduler what=Scheduled: said of db-0",
		" node-b change=kubernetes by=kubelet what=Rebooted: " + strings.Repeat("é", 100) + "…",
	}
	if diff := cmp.Diff(want, next(2)); diff != "" {
		t.Error(diff)
	}
	asked := a.questions()
	want = []string{
		"involvedObject.kind=Node,involvedObject.name=node-a", "involvedObject.kind=Pod,involvedObject.name=web-0",
		"involvedObject.kind=Pod,involvedObject.name=db-0", "involvedObject.kind=Node,involvedObject.name=node-b",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	// Before the window ends it is asked once more.
	a.set(func() { lately(8, 59*time.Minute+2*time.Second)(&a.events[3]) })
	if diff := cmp.Diff([]string{" node-b shop/web-0 change=kubernetes times=8 by=kubelet what=Unhealthy: said of web-0"}, next(1)); diff != "" {
		t.Error(diff)
	}
	e.ID, e.Peers = "another", nil // of which all is told
	p.News(e, tell)
	asked = nil
	for end := time.Now().Add(20 * time.Second); len(asked) < 4+2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		asked = append(asked, a.questions()...)
	}
	if diff := cmp.Diff(append(want, want[:2]...), asked); diff != "" {
		t.Error(diff)
	}
	if s := p.State(); s != (State{}) || len(told) > 0 {
		t.Errorf("%+v, %d more", s, len(told))
	}
}

// TestNoNews has the API server not let this agent list Events, which it is not asked for again soon. That it is away is another matter.
func TestNoNews(t *testing.T) {
	for code, want := range map[int]State{
		http.StatusForbidden:          {Deaf: `resources: ["events"], verbs: ["list"]`},
		http.StatusServiceUnavailable: {Err: "answers 503", Failed: 1, Unasked: 1},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			a, c := newAPI(t)
			a.code = map[string]int{"events": code}
			p := New(Options{Node: "node-a", Kube: c, Log: log.New(io.Discard, "", 0)})
			e := recorder.Episode{To: time.Now(), Reasons: []recorder.Reason{{Pod: "shop/web-0"}}}
			p.hear(t.Context(), &news{Episode: e, tell: func(e event.Event) { t.Error(e) }}, p.subjects(e))
			s := p.State()
			if !strings.Contains(s.Deaf, want.Deaf) || !strings.Contains(s.Err, want.Err) {
				t.Errorf("%+v", s)
			}
			s.Deaf, s.Err = want.Deaf, want.Err
			if asked := a.questions(); len(asked) != 1 || s != want {
				t.Errorf("asked %q: %+v", asked, s)
			}
		})
	}
}
