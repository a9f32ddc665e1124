package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// protobuf writes an object as the API server does.
func protobuf(t *testing.T, w io.Writer, o interface{ Marshal() ([]byte, error) }) {
	t.Helper()
	raw, err := o.Marshal()
	if err != nil {
		t.Error(err)
	}
	data, err := (&runtime.Unknown{Raw: raw}).Marshal()
	if err != nil {
		t.Error(err)
	}
	w.Write(append([]byte("k8s\x00"), data...))
}

// refuse answers with a Status.
func refuse(w http.ResponseWriter, code int, s metav1.Status) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(s)
}

// connect writes a kubeconfig for a server that answers with h, and connects.
func connect(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewTLSServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	file := filepath.Join(t.TempDir(), "config")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"lab",
		"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"users":[{"name":"u","user":{"token":"secret"}}],
		"contexts":[{"name":"lab","context":{"cluster":"c","user":"u","namespace":"shop"}}]}`, s.URL+"/behind/a/path", base64.StdEncoding.EncodeToString(ca))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Options{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	if c.Context != "lab" || c.Namespace != "shop" {
		t.Fatalf("context %q, namespace %q", c.Context, c.Namespace)
	}
	return c
}

// serve answers requests for paths below the server's own; the rest is not found.
func serve(t *testing.T, routes map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s: Authorization %q", r.URL, r.Header.Get("Authorization"))
		}
		path, ok := strings.CutPrefix(r.URL.Path, "/behind/a/path")
		if h := routes[r.Method+" "+path]; ok && h != nil {
			h(w, r)
			return
		}
		refuse(w, http.StatusNotFound, metav1.Status{Message: "not found"})
	})
}

func pod(name string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{"note": "secret", "cni.projectcalico.org/podIP": "10.0.0.1"}},
		Spec: corev1.PodSpec{NodeName: "a", Containers: []corev1.Container{{
			Name: "web", Command: []string{"run", "--password=secret"}, Env: []corev1.EnvVar{{Name: "KEY", Value: "secret"}},
			Ports: []corev1.ContainerPort{{ContainerPort: 80}},
		}}},
	}
}

func TestObjects(t *testing.T) {
	var asked []string
	c := connect(t, serve(t, map[string]http.HandlerFunc{
		"GET /api/v1/pods": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			asked = append(asked, q.Get("limit")+" "+q.Get("continue"))
			switch q.Get("continue") {
			case "":
				protobuf(t, w, &corev1.PodList{ListMeta: metav1.ListMeta{Continue: "old"}, Items: []corev1.Pod{pod("b")}})
			case "old":
				refuse(w, http.StatusGone, metav1.Status{Message: "too old", ListMeta: metav1.ListMeta{Continue: "new"}})
			case "new":
				protobuf(t, w, &corev1.PodList{Items: []corev1.Pod{pod("a")}})
			}
		},
		"GET /apis/apps/v1/daemonsets": func(w http.ResponseWriter, r *http.Request) {
			refuse(w, http.StatusForbidden, metav1.Status{Message: "no"})
		},
		"GET /api/v1/services": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") },
		"GET /api/v1/namespaces/kube-system/configmaps/coredns": func(w http.ResponseWriter, r *http.Request) {
			protobuf(t, w, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": "."}})
		},
	}))
	o, gaps := c.Objects(context.Background())
	if diff := cmp.Diff([]string{"500 ", "500 old", "500 new"}, asked); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if len(o.Pods) != 2 || o.Pods[0].Name != "a" || !o.Have["Pod"] || o.Source["Pod/shop/a"] != "objects/pods.json" {
		t.Errorf("Pods %v, have %v, source %v", o.Pods, o.Have, o.Source)
	}
	if !o.Have["ConfigMap"] || len(o.ConfigMaps) != 1 {
		t.Errorf("ConfigMaps: %v", o.ConfigMaps)
	}
	files, err := snapshot.EncodeObjects(&o)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(files["objects/pods.json"]); strings.Contains(text, "secret") || !strings.Contains(text, "podIP") {
		t.Errorf("a bundle would hold %s", text)
	}
	why := map[string]string{}
	for _, g := range gaps {
		why[g.Path] = g.Why
	}
	for file, want := range map[string]string{
		"objects/daemonsets.json": `forbidden: needs apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["list"]`,
		"objects/services.json":   "the API server does not answer in protobuf",
		"objects/nodes.json":      "the API server answers 404: not found",
	} {
		if why[file] != want {
			t.Errorf("%s: %q, want %q", file, why[file], want)
		}
	}
	if o.Have["Service"] || o.Have["DaemonSet"] {
		t.Errorf("what failed counts as had: %v", o.Have)
	}
}

func TestObjectsWithoutServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close() // its port is free now
	c := connect(t, http.NotFoundHandler())
	c.base.Host = strings.TrimPrefix(s.URL, "http://")
	o, gaps := c.Objects(context.Background())
	if len(gaps) == 0 || len(o.Have) > 0 || !strings.Contains(gaps[0].Why, "the API server cannot be asked: ") || strings.Contains(gaps[0].Why, "/api/v1") {
		t.Errorf("%v, have %v", gaps, o.Have)
	}
}

func TestAgents(t *testing.T) {
	agent := func(node, pod string, ready corev1.ConditionStatus, why string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "plumb", Name: pod},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 10270}}}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, Message: why}}},
		}
	}
	c := connect(t, serve(t, map[string]http.HandlerFunc{
		"GET /api/v1/namespaces/plumb/pods": func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("labelSelector"); got != AgentSelector {
				t.Errorf("labelSelector %q", got)
			}
			gone := agent("c", "plumbd-c", corev1.ConditionTrue, "")
			gone.DeletionTimestamp = &metav1.Time{}
			protobuf(t, w, &corev1.PodList{Items: []corev1.Pod{gone, agent("b", "plumbd-b", corev1.ConditionFalse, "no image"), agent("a", "plumbd-a", corev1.ConditionTrue, "")}})
		},
	}))
	got, err := c.Agents(context.Background(), "plumb", "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Agent{
		{Node: "a", Namespace: "plumb", Pod: "plumbd-a", Port: 10270, Ready: true},
		{Node: "b", Namespace: "plumb", Pod: "plumbd-b", Port: 10270, Why: "Running: no image"},
		{Node: "c", Namespace: "plumb", Pod: "plumbd-c", Port: 10270, Why: "being deleted"},
	}
	if !slices.Equal(want, got) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestTokenAndProxy(t *testing.T) {
	c := connect(t, serve(t, map[string]http.HandlerFunc{
		"POST /api/v1/namespaces/plumb/serviceaccounts/plumb-cli/token": func(w http.ResponseWriter, r *http.Request) {
			var in authenticationv1.TokenRequest
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Spec.Audiences) != 1 || in.Spec.Audiences[0] != "plumbd/a" {
				t.Errorf("%v: %v", in, err)
			}
			in.Status.Token = "for-agents"
			json.NewEncoder(w).Encode(in)
		},
		"GET /api/v1/namespaces/plumb/pods/https:plumbd-a:10270/proxy/snapshot": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Plumb-Authorization") != "Bearer for-agents" || r.URL.RawQuery != "pod=shop%2Fweb" {
				t.Errorf("%q %q", r.Header, r.URL.RawQuery)
			}
			io.WriteString(w, "data")
		},
		"POST /api/v1/namespaces/plumb/pods/https:plumbd-a:10270/proxy/probe": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "too many", http.StatusTooManyRequests)
		},
	}))
	ctx := context.Background()
	token, err := c.Token(ctx, "plumb", ClientAccount, "a")
	if err != nil {
		t.Fatal(err)
	}
	a := Agent{Namespace: "plumb", Pod: "plumbd-a", Port: 10270}
	body, err := c.Proxy(ctx, a, token, http.MethodGet, "snapshot", map[string][]string{"pod": {"shop/web"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if data, _ := io.ReadAll(body); string(data) != "data" {
		t.Errorf("%q", data)
	}
	_, err = c.Proxy(ctx, a, token, http.MethodPost, "probe", nil, strings.NewReader("{}"))
	var status *StatusError
	if !errors.As(err, &status) || status.Code != http.StatusTooManyRequests || status.Message != "too many" {
		t.Errorf("%v", err)
	}
}

func TestTokenForbidden(t *testing.T) {
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusForbidden, metav1.Status{Message: "no"})
	}))
	_, err := c.Token(context.Background(), "plumb", ClientAccount, "a")
	want := `a token for the agents: forbidden: needs apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"], resourceNames: ["plumb-cli"] in namespace plumb`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestReview(t *testing.T) {
	answers := map[string]authenticationv1.TokenReviewStatus{
		"good":           {Authenticated: true, Audiences: []string{"plumbd/a"}, User: authenticationv1.UserInfo{Username: "ann", Groups: []string{"ops"}}},
		"unknown":        {},
		"other-node":     {Authenticated: true, Audiences: []string{"plumbd/b", "plumbd"}, User: authenticationv1.UserInfo{Username: "ann"}},
		"other-audience": {Authenticated: true, User: authenticationv1.UserInfo{Username: "ann"}},
		"scraper":        {Authenticated: true, Audiences: []string{"https://kubernetes.default.svc"}, User: authenticationv1.UserInfo{Username: "prometheus"}},
	}
	c := connect(t, serve(t, map[string]http.HandlerFunc{
		"POST /apis/authentication.k8s.io/v1/tokenreviews": func(w http.ResponseWriter, r *http.Request) {
			var in authenticationv1.TokenReview
			json.NewDecoder(r.Body).Decode(&in)
			if in.Spec.Token == "scraper" {
				if in.Spec.Audiences != nil {
					t.Errorf("audiences %q, want none", in.Spec.Audiences)
				}
			} else if len(in.Spec.Audiences) != 1 || in.Spec.Audiences[0] != "plumbd/a" {
				t.Errorf("audiences %q", in.Spec.Audiences)
			}
			in.Status = answers[in.Spec.Token]
			json.NewEncoder(w).Encode(in)
		},
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews": func(w http.ResponseWriter, r *http.Request) {
			var in authorizationv1.SubjectAccessReview
			json.NewDecoder(r.Body).Decode(&in)
			a := in.Spec.ResourceAttributes
			in.Status.Allowed = in.Spec.User == "ann" && *a == authorizationv1.ResourceAttributes{Verb: "get", Group: "plumbnet.github.io", Resource: "nodes", Subresource: "snapshot", Name: "a"}
			in.Status.Denied = in.Spec.Groups[0] == "banned"
			json.NewEncoder(w).Encode(in)
		},
	}))
	ctx := context.Background()
	u, err := c.Review(ctx, "good", Audience("a"))
	if err != nil || u.Name != "ann" || u.Groups[0] != "ops" {
		t.Errorf("%v, %v", u, err)
	}
	if u, err := c.Review(ctx, "scraper", ""); err != nil || u.Name != "prometheus" {
		t.Errorf("by a token of the API server: %v, %v", u, err)
	}
	for _, token := range []string{"unknown", "other-audience", "other-node"} {
		if _, err := c.Review(ctx, token, Audience("a")); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", token, err)
		}
	}
	for _, tt := range []struct {
		verb, sub, node string
		user            User
		want            bool
	}{
		{"get", "snapshot", "a", u, true},
		{"get", "snapshot", "b", u, false},
		{"create", "snapshot", "a", u, false},
		{"get", "snapshot", "a", User{Name: "bob", Groups: []string{"ops"}}, false},
		{"get", "snapshot", "a", User{Name: "ann", Groups: []string{"banned"}}, false},
	} {
		if got, _, err := c.Allowed(ctx, tt.user, tt.verb, tt.sub, tt.node); got != tt.want || err != nil {
			t.Errorf("%v: %v, %v", tt, got, err)
		}
	}
}

func TestConnect(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	if _, err := Connect(Options{}); !errors.Is(err, ErrNoConfig) {
		t.Errorf("without a kubeconfig: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	os.WriteFile(bad, []byte("{"), 0o600)
	for name, o := range map[string]Options{
		"no such file":    {Kubeconfig: "/does/not/exist"},
		"not a config":    {Kubeconfig: bad},
		"no such context": {Kubeconfig: bad, Context: "other"},
	} {
		if _, err := Connect(o); err == nil || errors.Is(err, ErrNoConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
