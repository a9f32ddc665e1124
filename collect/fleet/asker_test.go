package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/kube/kubetest"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// installed returns the agents of a cluster of two nodes, and its server.
func installed(t *testing.T) (*Installed, *kubetest.Server) {
	t.Helper()
	server := &kubetest.Server{Node: func(node string, _ bool, _ []string) snapshot.Files {
		return snapshot.Files{"nodes/" + node + "/node.json": []byte(`{"name":"` + node + `"}`)}
	}}
	for _, name := range []string{"a", "b"} {
		server.Objects.Nodes = append(server.Objects.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, server.Start(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client, err := kube.Connect(kube.Options{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	installed, err := Connect(context.Background(), client, "plumb")
	if err != nil {
		t.Fatal(err)
	}
	return installed, server
}

// TestReplaced wants the Pod to be asked that is in the place of one that is no more, and nodes that came to be known after Renew.
func TestReplaced(t *testing.T) {
	i, server := installed(t)
	ask := func(node string) error {
		body, err := i.Ask(context.Background(), node, "GET", "snapshot", nil, nil)
		if err == nil {
			body.Close()
		}
		return err
	}
	for range 3 {
		if err := ask("a"); err != nil {
			t.Fatal(err)
		}
		server.Replace()
	}
	probe := func() error {
		body, err := i.Ask(context.Background(), "a", "POST", "snapshot", nil, strings.NewReader("x"))
		if err == nil {
			body.Close()
		}
		return err
	}
	if err := probe(); !kube.Gone(err) {
		t.Errorf("what may have been read in part was sent again: %v", err)
	}
	if err := probe(); err != nil {
		t.Error(err)
	}
	server.Objects.Nodes[0].Name = "c"
	server.Replace()
	if err := ask("a"); err != ErrNoAgent {
		t.Errorf("of a node that has none any more: %v", err)
	}
	if err := ask("c"); err != ErrNoAgent {
		t.Errorf("of a node that is not known: %v", err)
	}
	if err := i.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ask("b"), ask("c")); err != nil || strings.Join(i.Nodes(), " ") != "b c" {
		t.Errorf("%v, of %q", err, i.Nodes())
	}
	server.Objects.Nodes = nil
	if err := i.Renew(context.Background()); err != ErrNoAgents || len(i.Nodes()) != 2 {
		t.Errorf("%v, of %q", err, i.Nodes())
	}
}

// TestTokens wants each agent to get a token of its own: the test's agents take no other.
func TestTokens(t *testing.T) {
	installed, _ := installed(t)
	for _, node := range []string{"a", "b", "a"} {
		body, err := installed.Ask(context.Background(), node, "GET", "snapshot", nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", node, err)
		}
		body.Close()
	}
	if len(installed.tokens) != 2 || installed.tokens["a"] == installed.tokens["b"] {
		t.Errorf("tokens %q", installed.tokens)
	}
	installed.tokens["b"] = installed.tokens["a"]
	if _, err := installed.Ask(context.Background(), "b", "GET", "snapshot", nil, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("the agent of b took the token for a: %v", err)
	}
}

// TestEphemeralTokens wants agents that are run for one question to have tokens of their own, by which no other's can be told.
func TestEphemeralTokens(t *testing.T) {
	e, other := NewEphemeral(nil, "plumb", "plumbd"), NewEphemeral(nil, "plumb", "plumbd")
	a, sum := e.token("a")
	again, _ := e.token("a")
	b, _ := e.token("b")
	elsewhere, _ := other.token("a")
	want := sha256.Sum256([]byte(a))
	if a != again || a == b || a == elsewhere || sum != hex.EncodeToString(want[:]) || len(a) != 64 {
		t.Errorf("%s %s %s %s, sum %s", a, again, b, elsewhere, sum)
	}
}
