package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNames reads tables, those too that a server may send but should not.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		name, resource, namespace, answer, path string
		want                                    []Name
		fails                                   bool
	}{
		{"Pods", "pods", "shop", `{"kind":"Table","columnDefinitions":[{"name":"Name"},{"name":"Ready"},{"name":"Status"}],"rows":[{"cells":["web-0","1/1","Running"]},{"cells":["web-1",1,"Pending"]}]}`,
			"/api/v1/namespaces/shop/pods", []Name{{"web-0", "Running"}, {"web-1", "Pending"}}, false},
		{"Services", "services", "shop", `{"columnDefinitions":[{"name":"Name"},{"name":"Port(s)"}],"rows":[{"cells":["api","80/TCP"]}]}`, "/api/v1/namespaces/shop/services", []Name{{"api", "80/TCP"}}, false},
		{"nodes", "nodes", "", `{"columnDefinitions":[{"name":"Name"}],"rows":[{"cells":["node-a"]},{"cells":[]},{}]}`, "/api/v1/nodes", []Name{{"node-a", ""}}, false},
		{"none", "namespaces", "", `{"columnDefinitions":[{"name":"Name"}]}`, "/api/v1/namespaces", nil, false},
		{"not a table", "nodes", "", `{"kind":"NodeList","items":[]}`, "/api/v1/nodes", nil, true},
		{"not JSON", "nodes", "", `k8s`, "/api/v1/nodes", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != tt.path || r.Header.Get("Accept") != typeTable || r.URL.RawQuery != "includeObject=None&limit=500" {
					t.Errorf("%s %s", r.URL, r.Header.Get("Accept"))
				}
				fmt.Fprint(w, tt.answer)
			}))
			defer s.Close()
			config := filepath.Join(t.TempDir(), "config")
			text := fmt.Sprintf(`{"current-context":"x","clusters":[{"name":"x","cluster":{"server":%q}}],"contexts":[{"name":"x","context":{"cluster":"x"}},{"name":"a","context":{"cluster":"x"}}]}`, s.URL)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Connect(Options{Kubeconfig: config})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Names(t.Context(), tt.resource, tt.namespace)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.fails {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if contexts, err := Contexts(config); err != nil || !cmp.Equal(contexts, []string{"a", "x"}) {
				t.Errorf("contexts %q, %v", contexts, err)
			}
		})
	}
	if _, err := Contexts("/does/not/exist"); err == nil {
		t.Error("contexts of no file")
	}
}
