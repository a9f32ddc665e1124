//go:build linux

package deploy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/collect/kube"
	rbacv1 "k8s.io/api/rbac/v1"
)

// TestUserRights wants plumb-user to have the rights for what plumb asks of the API server, and no other.
func TestUserRights(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[right(r.URL.Path)] = true
		http.Error(w, "that is all", http.StatusTeapot)
	}))
	defer api.Close()
	config := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"current-context":"x","clusters":[{"name":"x","cluster":{"server":%q}}],"contexts":[{"name":"x","context":{"cluster":"x"}}]}`, api.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(kube.Options{Kubeconfig: config})
	if err != nil {
		t.Fatal(err)
	}
	c.Objects(t.Context())
	for _, resource := range []string{"pods", "nodes", "services", "namespaces"} { // for completion
		if _, err := c.Names(t.Context(), resource, ""); err == nil {
			t.Error("names, of an answer that has none")
		}
	}
	granted := map[string]bool{}
	for _, r := range decode(t, render(t, nil))["ClusterRole plumb-user"].(*rbacv1.ClusterRole).Rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				granted[strings.Join([]string{verb, r.APIGroups[0], resource}, " ")] = true
			}
		}
	}
	if diff := cmp.Diff(sorted(asked), sorted(granted)); diff != "" {
		t.Errorf("plumb asks (-), plumb-user may (+):\n%s", diff)
	}
}

// right returns what is needed for a path: that of a list, or of a ConfigMap that is got by its name.
func right(path string) string {
	p := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	if p[0] == "apis" {
		group, p = p[1], p[1:]
	}
	p = p[2:] // after the version
	if p[0] == "namespaces" && len(p) > 2 {
		p = p[2:]
	}
	verb := "list"
	if len(p) > 1 {
		verb = "get"
	}
	return strings.Join([]string{verb, group, p[0]}, " ")
}

func sorted(set map[string]bool) (out []string) {
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
