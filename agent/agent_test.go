//go:build linux

package agent

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/sandbox"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestMain(m *testing.M) {
	if scene := os.Getenv(sceneVar); scene != "" {
		os.Exit(playScene(scene))
	}
	if sandbox.Inside() { // whose loopback device is down
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			panic(err)
		}
	}
	sandbox.Main(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// api is an API server that knows some tokens.
type api struct {
	*httptest.Server
	pods    []corev1.Pod // "status.podIP" picks them
	broken  atomic.Bool
	reviews atomic.Int32
}

// The tokens that it knows, and what it says of them.
const (
	good  = "good"  // may everything
	watch = "watch" // may get the status
	other = "other" // is for another audience
)

func newAPI(t *testing.T) (*api, *kube.Client) {
	t.Helper()
	a := &api{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", a.review)
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", a.access)
	mux.HandleFunc("POST /api/v1/namespaces/default/serviceaccounts/plumb-peer/token", a.peerToken)
	mux.HandleFunc("GET /api/v1/pods", a.list)
	mux.HandleFunc("GET /api/v1/services", a.list) // none
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/events", a.list)
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.broken.Load() {
			http.Error(w, "etcd is away", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	file := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"x","clusters":[{"name":"x","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"users":[{"name":"x","user":{"token":"t"}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`, a.URL, base64.StdEncoding.EncodeToString(ca)), 0o600))
	c, err := kube.Connect(kube.Options{Kubeconfig: file})
	must(t, err)
	return a, c
}

func (a *api) review(w http.ResponseWriter, r *http.Request) {
	a.reviews.Add(1)
	var in authenticationv1.TokenReview
	_ = json.NewDecoder(r.Body).Decode(&in)
	in.Status.Authenticated = slices.Contains([]string{good, watch, other}, in.Spec.Token)
	in.Status.User.Username = "user-" + in.Spec.Token
	audience := kube.Audience("n")
	if in.Spec.Token == "scraper" { // good for the API server alone
		audience = "https://kubernetes.default.svc"
		in.Status.Authenticated = true
		if in.Spec.Audiences == nil {
			in.Spec.Audiences = []string{audience}
		}
	}
	if of, ok := strings.CutPrefix(in.Spec.Token, peerOf); ok {
		audience, in.Status.Authenticated, in.Status.User.Username = of, true, "user-peer"
	}
	switch {
	case in.Spec.Token == other:
		audience = "https://kubernetes.default.svc"
	case in.Spec.Token == watch+kube.Audience("m"):
		audience, in.Status.Authenticated = kube.Audience("m"), true
	}
	// As the server does it: of what the token is for, that which was asked about.
	in.Status.Audiences = slices.DeleteFunc(in.Spec.Audiences, func(s string) bool { return s != audience })
	in.Status.Authenticated = in.Status.Authenticated && len(in.Status.Audiences) > 0
	_ = json.NewEncoder(w).Encode(in)
}

func (a *api) access(w http.ResponseWriter, r *http.Request) {
	var in authorizationv1.SubjectAccessReview
	_ = json.NewDecoder(r.Body).Decode(&in)
	at := in.Spec.ResourceAttributes
	in.Status.Allowed = at.Group == "plumbnet.github.io" && at.Resource == "nodes" && (at.Name == "n" || at.Name == "m") &&
		(in.Spec.User == "user-"+good || in.Spec.User == "user-"+watch+kube.Audience("m") || in.Spec.User == "user-"+watch && at.Verb == "get" && at.Subresource == "status" ||
			in.Spec.User == "user-scraper" && at.Verb == "get" && at.Subresource == "metrics" ||
			in.Spec.User == "user-peer" && at.Verb == "create" && at.Subresource == "episodes")
	in.Status.Reason = "says the test"
	_ = json.NewEncoder(w).Encode(in)
}

// peerOf begins the tokens that agents show to each other; the audience follows.
const peerOf = "peer:"

func (a *api) peerToken(w http.ResponseWriter, r *http.Request) {
	var in authenticationv1.TokenRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	in.Status.Token = peerOf + in.Spec.Audiences[0]
	_ = json.NewEncoder(w).Encode(in)
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	var list corev1.PodList
	for _, p := range a.pods {
		if r.URL.Query().Get("fieldSelector") == "status.podIP="+p.Status.PodIP {
			list.Items = append(list.Items, p)
		}
	}
	raw, _ := list.Marshal()
	raw, _ = (&runtime.Unknown{Raw: raw}).Marshal()
	_, _ = w.Write(append([]byte("k8s\x00"), raw...))
}

// here are the options of an agent for a namespace as its node, with records of a runtime below root.
func here(host *sandbox.NS, root string) node.Options {
	o := node.Options{Node: "n", Root: root}
	if host != nil {
		o.Host = host.Path
	}
	return o
}

// start has an agent answer over TLS.
func start(t *testing.T, o Options) (*Server, *httptest.Server) {
	t.Helper()
	o.Log = log.New(io.Discard, "", 0)
	s := New(o)
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	return s, h
}

// ask sends one request; header is "Name: value".
func ask(t testing.TB, h *httptest.Server, method, path, header, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	must(t, err)
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	resp, err := h.Client().Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

const withGood = "Plumb-Authorization: Bearer " + good

// TestRequests wants each request that is not in order to be refused, with a reason, before anything is done.
func TestRequests(t *testing.T) {
	_, client := newAPI(t)
	_, h := start(t, Options{Version: "v1", Collect: here(nil, t.TempDir()), Kube: client})
	big := `{"dst":"` + strings.Repeat("1", maxBody) + `"}`
	for _, tt := range []struct {
		name, method, path, header, body string
		code                             int
		says                             string
	}{
		{"no token", "GET", "/snapshot", "", "", 401, "no bearer token"},
		{"no token, how it is", "GET", "/healthz", "", "", 401, "no bearer token"},
		{"no token, nowhere", "GET", "/etc/passwd", "", "", 401, "no bearer token"},
		{"another scheme", "GET", "/snapshot", "Authorization: Basic " + good, "", 401, "no bearer token"},
		{"a wrong token", "GET", "/snapshot", "Authorization: Bearer wrong", "", 401, "not valid for audience plumbd/n"},
		{"a token for another audience", "GET", "/snapshot", "Authorization: Bearer " + other, "", 401, "not valid for audience plumbd/n"},
		{"a token without the right", "GET", "/snapshot", "Authorization: Bearer " + watch, "", 403, `user-watch may not: needs apiGroups: ["plumbnet.github.io"], resources: ["nodes/snapshot"], verbs: ["get"]`},
		{"a token without the right to send", "POST", "/probe", "Authorization: Bearer " + watch, "{}", 403, `resources: ["nodes/probe"], verbs: ["create"]`},
		{"a token with one right", "GET", "/status", "Authorization: Bearer " + watch, "", 200, `"node":"n"`},
		{"healthy", "GET", "/healthz", withGood, "", 200, "ok"},
		{"in the usual header", "GET", "/healthz", "Authorization: bearer " + good, "", 200, "ok"},
		{"nowhere", "GET", "/metrics", withGood, "", 404, "no such thing"},
		{"a path that climbs", "GET", "/x/../snapshot", withGood, "", 404, "no such thing"},
		{"posted", "POST", "/snapshot", withGood, "", 405, "use GET"},
		{"got", "GET", "/probe", withGood, "", 405, "use POST"},
		{"a Pod for a shell", "GET", "/snapshot?pod=shop/$(reboot)", withGood, "", 400, "want NAMESPACE/NAME"},
		{"a Pod for a shell, escaped", "GET", "/snapshot?pod=shop%2Fa%3Brm%20-rf", withGood, "", 400, "want NAMESPACE/NAME"},
		{"a Pod that climbs", "GET", "/snapshot?pod=../../etc", withGood, "", 400, "want NAMESPACE/NAME"},
		{"a Pod without a namespace", "GET", "/snapshot?pod=web-0", withGood, "", 400, "want NAMESPACE/NAME"},
		{"a Pod with a NUL", "GET", "/snapshot?pod=shop/a%00b", withGood, "", 400, "want NAMESPACE/NAME"},
		{"a Pod with an end of line", "GET", "/snapshot?pod=shop/a%0a", withGood, "", 400, "want NAMESPACE/NAME"},
		{"too many Pods", "GET", "/snapshot?" + strings.Repeat("pod=a/b&", maxPods+1), withGood, "", 400, "more than 512 Pods"},
		{"a namespace by path", "GET", "/snapshot?netns=/proc/1/ns/net", withGood, "", 400, "want host"},
		{"counters of something", "GET", "/snapshot?netns=host&counters=eth0", withGood, "", 400, "want 1"},
		{"an unknown query", "GET", "/snapshot?path=/etc/shadow", withGood, "", 400, `"path" is not known`},
		{"a malformed query", "GET", "/snapshot?pod=%zz", withGood, "", 400, "query: "},
		{"no body", "POST", "/probe", withGood, "", 400, "body: EOF"},
		{"a malformed body", "POST", "/probe", withGood, `{"dst":`, 400, "body: unexpected EOF"},
		{"no object", "POST", "/probe", withGood, `[1]`, 400, "body: "},
		{"an unknown field", "POST", "/probe", withGood, `{"exec":"sh"}`, 400, `unknown field "exec"`},
		{"two objects", "POST", "/probe", withGood, `{} {}`, 400, "more than one JSON value"},
		{"too big a body", "POST", "/probe", withGood, big, 413, "more than 65536 bytes"},
		{"a probe from a Pod for a shell", "POST", "/probe", withGood, "{\"pod\":\"shop/`id`\"}", 400, "want NAMESPACE/NAME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body, header := ask(t, h, tt.method, tt.path, tt.header, tt.body)
			if code != tt.code || !strings.Contains(body, tt.says) {
				t.Errorf("%d %q; want %d, %q", code, body, tt.code, tt.says)
			}
			if header.Get(kube.AgentHeader) != "v1" {
				t.Error("the answer does not say that it is an agent's")
			}
			if code == 401 && header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

// TestPlainHTTP wants neither a listener nor the handler to take what is not encrypted, nor old TLS to be spoken.
func TestPlainHTTP(t *testing.T) {
	_, client := newAPI(t)
	s, h := start(t, Options{Collect: here(nil, ""), Kube: client})
	req := httptest.NewRequest("GET", "/healthz", nil)
	req.Header.Set("Authorization", "Bearer "+good)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "HTTPS only") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	resp, err := http.Get("http://" + h.Listener.Addr().String() + "/healthz")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("status %s", resp.Status)
	}
}

// TestAPIServerAway wants no request to pass that cannot be judged, and the reason told.
func TestAPIServerAway(t *testing.T) {
	a, client := newAPI(t)
	s, h := start(t, Options{Collect: here(nil, ""), Kube: client})
	if code, body, _ := ask(t, h, "GET", "/healthz", withGood, ""); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	a.broken.Store(true)
	if code, body, _ := ask(t, h, "GET", "/healthz", "Authorization: Bearer "+watch, ""); code != 503 || !strings.Contains(body, "etcd is away") {
		t.Errorf("%d %s", code, body)
	}
	a.Close()
	code, body, header := ask(t, h, "GET", "/snapshot", withGood, "") // a right that was not asked for before
	if code != 503 || !strings.Contains(body, "cannot be asked") || header.Get("Retry-After") == "" {
		t.Errorf("%d %s", code, body)
	}
	code, body, _ = ask(t, h, "GET", "/status", withGood, "")
	if code != 200 || !strings.Contains(body, "cannot be asked") {
		t.Errorf("what is remembered for %v: %d %s", remembered, code, body)
	}
	s.guard.mu.Lock()
	for k, d := range s.guard.known {
		d.until = d.until.Add(-remembered)
		s.guard.known[k] = d
	}
	s.guard.mu.Unlock()
	if code, _, _ := ask(t, h, "GET", "/healthz", withGood, ""); code != 503 {
		t.Errorf("after %v: %d", remembered, code)
	}
}

// TestReviews counts what the API server is asked.
func TestReviews(t *testing.T) {
	a, client := newAPI(t)
	g := newGuard("n", client, nil)
	ctx := context.Background()
	done := make(chan error)
	for range 100 {
		go func() { _, err := g.check(ctx, good, right{"get", "status"}); done <- err }()
	}
	for range 100 {
		must(t, <-done)
	}
	if n := a.reviews.Load(); n != 1 {
		t.Errorf("%d reviews of one token for one right", n)
	}
	codes := map[int]int{}
	for i := range 3 * reviewRate {
		_, err := g.check(ctx, fmt.Sprint("guess-", i), right{"get", "status"})
		codes[err.(*refusal).code]++
	}
	if codes[401] == 0 || codes[429] == 0 || codes[401]+codes[429] != 3*reviewRate {
		t.Errorf("a flood of tokens: %v", codes)
	}
	for i := range 5 * maxRemembered {
		g.limit.SetBurst(1 << 20)
		g.limit.SetLimit(1 << 20)
		if i%100 == 0 { // the others by hand: they would take long
			_, _ = g.check(ctx, fmt.Sprint("more-", i), right{"get", "status"})
			continue
		}
		g.mu.Lock()
		if len(g.known) < maxRemembered {
			g.known[sha256.Sum256(fmt.Append(nil, i))] = decision{until: g.known[sha256.Sum256([]byte("get status "+good))].until}
		}
		g.mu.Unlock()
	}
	if len(g.known) > maxRemembered {
		t.Errorf("%d are remembered", len(g.known))
	}
}

// TestReplay shows the token that one node's agent was sent to another node's.
func TestReplay(t *testing.T) {
	a, k := newAPI(t)
	_, n := start(t, Options{Collect: here(nil, t.TempDir()), Kube: k})
	_, m := start(t, Options{Collect: node.Options{Node: "m", Root: t.TempDir()}, Kube: k})
	sent := "Plumb-Authorization: Bearer " + watch + kube.Audience("m")
	if code, body, _ := ask(t, m, "GET", "/status", sent, ""); code != 200 || !strings.Contains(body, `"node":"m"`) {
		t.Fatalf("at the node that it is for: %d %s", code, body)
	}
	for _, what := range []struct{ method, path string }{{"GET", "/snapshot"}, {"POST", "/probe"}, {"GET", "/status"}} {
		if code, body, _ := ask(t, n, what.method, what.path, sent, "{}"); code != 401 || !strings.Contains(body, "not valid for audience plumbd/n") {
			t.Errorf("%s shown to another node: %d %s", what.path, code, body)
		}
	}
	if a.reviews.Load() != 4 {
		t.Errorf("%d reviews", a.reviews.Load())
	}
}

// TestRunToken wants one token to do everything, and no other anything.
func TestRunToken(t *testing.T) {
	sum := sha256.Sum256([]byte("the token"))
	_, h := start(t, Options{Collect: here(nil, ""), RunToken: sum[:]})
	for _, tt := range []struct {
		name, header string
		code         int
	}{
		{"the token", "Plumb-Authorization: Bearer the token", 200},
		{"in the usual header", "Authorization: Bearer the token", 200},
		{"another", "Authorization: Bearer the tokem", 401},
		{"its beginning", "Authorization: Bearer the toke", 401},
		{"its hash", fmt.Sprintf("Authorization: Bearer %x", sum), 401},
		{"none", "", 401},
		{"an empty one", "Authorization: Bearer ", 401},
		{"one of the cluster", withGood, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if code, body, _ := ask(t, h, "GET", "/status", tt.header, ""); code != tt.code {
				t.Errorf("%d %s, want %d", code, body, tt.code)
			}
		})
	}
	_, h = start(t, Options{Collect: here(nil, "")})
	if code, body, _ := ask(t, h, "GET", "/healthz", withGood, ""); code != 503 {
		t.Errorf("with neither an API server nor a token of its own: %d %s", code, body)
	}
}

func TestCertificate(t *testing.T) {
	cert, err := newCertificate("node-a.example")
	must(t, err)
	leaf, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), keyPEM(t, cert))
	must(t, err)
	for _, name := range []string{"node-a.example", "localhost", "127.0.0.1", "::1"} {
		if err := leaf.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if leaf.Leaf.PublicKeyAlgorithm.String() != "ECDSA" || leaf.Leaf.IsCA {
		t.Errorf("%v, CA %v", leaf.Leaf.PublicKeyAlgorithm, leaf.Leaf.IsCA)
	}
}
