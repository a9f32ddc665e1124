package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// TestTokens wants each agent to get a token of its own: the test's agents take no other.
func TestTokens(t *testing.T) {
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
	defer server.Close()
	client, err := kube.Connect(kube.Options{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	installed, err := Connect(context.Background(), client, "plumb")
	if err != nil {
		t.Fatal(err)
	}
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
