//go:build linux

package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A fakeNFT records what nft is given.
type fakeNFT struct {
	mu     sync.Mutex
	loads  []string
	table  bool
	refuse bool
}

func (f *fakeNFT) run(stdin string, args ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse || stdin == "" && !f.table {
		return errors.New("refused")
	}
	if stdin != "" {
		f.loads = append(f.loads, stdin)
		f.table = stdin != Removal()
	}
	return nil
}

func (f *fakeNFT) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeNFT) last() (string, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.loads) == 0 {
		return "", 0
	}
	return f.loads[len(f.loads)-1], len(f.loads)
}

// serve runs an agent of node a, and returns what ends it.
func serve(t *testing.T, a *api, f *fakeNFT) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	agent := &Agent{Enforcer: Enforcer{Node: "a"}, Server: a.URL + "/", Client: a.Client(), NFT: f.run, Log: t.Output(), guard: 20 * time.Millisecond}
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (f *fakeNFT) loaded(t *testing.T, want string) {
	t.Helper()
	until(t, "the rules are loaded", func() bool { got, _ := f.last(); return got == want })
}

// TestAgent changes what the API server holds, and what is in the agent's way.
func TestAgent(t *testing.T) {
	w := small(t, some)
	a, f := newAPI(t, w), new(fakeNFT)
	stop := serve(t, a, f)
	e := Enforcer{Node: "a"}
	f.loaded(t, e.Ruleset(w))

	w.Policies = append(w.Policies, parsed(t, `shop/all {"podSelector":{}}`)...)
	a.set(t, policiesPath, "shop/all", &w.Policies[1])
	f.loaded(t, e.Ruleset(w)) // an object is new

	w.Pods[0].Labels = map[string]string{"app": "other"}
	a.set(t, podsPath, "shop/web", &w.Pods[0])
	f.loaded(t, e.Ruleset(w)) // one has changed

	a.set(t, policiesPath, "shop/some", nil)
	w.Policies = w.Policies[1:]
	f.loaded(t, e.Ruleset(w)) // one is gone

	w.Policies = parsed(t, `shop/all {"podSelector":{},"policyTypes":["Egress"]}`)
	a.expire(t, policiesPath, "shop/all", &w.Policies[0])
	f.loaded(t, e.Ruleset(w)) // the watch could not tell of a change

	_, n := f.last()
	f.set(func() { f.table = false })
	until(t, "a table that somebody removed is made again", func() bool { _, m := f.last(); return m > n })

	f.set(func() { f.refuse = true })
	w.Policies = nil
	a.set(t, policiesPath, "shop/all", nil)
	f.set(func() { f.refuse = false })
	f.loaded(t, e.Ruleset(w)) // tried again

	stop()
	if last, _ := f.last(); last != Removal() {
		t.Errorf("left behind: %s", last)
	}
}

// TestAgentWaits: before it has heard of everything an agent loads nothing.
func TestAgentWaits(t *testing.T) {
	w := small(t, some)
	a, f := newAPI(t, w), new(fakeNFT)
	a.answer(http.StatusForbidden)
	serve(t, a, f)
	until(t, "it asks", func() bool { return a.asked() > 5 })
	if got, n := f.last(); n > 0 {
		t.Errorf("loaded %s", got)
	}
	a.answer(0)
	f.loaded(t, Enforcer{Node: "a"}.Ruleset(w))
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "none")
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "want --node and --server"},
		{"no such flag", []string{"--nodes", "a"}, "policyd: flag provided but not defined"},
		{"too much", []string{"--node", "a", "--server", "b", "c"}, "want --node"},
		{"no authority", Args(Enforcer{Node: "a"}, "https://x", file+"s", file, file), "no such file"},
		{"no certificate", Args(Enforcer{Node: "a"}, "https://x", file, file, file), "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	got := Args(Enforcer{Node: "b", Own: []string{"b", "c"}}, "https://x:1", "ca", "crt", "key")
	want := strings.Fields("--node b --server https://x:1 --ca ca --cert crt --key key --own b,c")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestClient asks an API server that speaks TLS and wants a certificate, as the files say that Args names.
func TestClient(t *testing.T) {
	seen := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.Path
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	defer srv.Close()
	dir := t.TempDir()
	write := func(name, typ string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := write("crt", "CERTIFICATE", srv.Certificate().Raw)
	a, err := parse(Args(Enforcer{Node: "a"}, srv.URL, cert, cert, write("key", "PRIVATE KEY", key)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := (&server{a.Server, a.Client, a.log}).get(t.Context(), podsPath)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	if got := <-seen; got != podsPath || a.Node != "a" || a.Own != nil {
		t.Errorf("%+v asked for %s", a, got)
	}
}
