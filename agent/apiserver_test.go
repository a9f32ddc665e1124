//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPIServers(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/kubernetes/kubelet.conf": "clusters:\n- cluster:\n    certificate-authority-data: " + strings.Repeat("A", 1<<17) + "\n    server: https://192.0.2.1:6443\n",
		"var/lib/kubelet/kubeconfig":  "- cluster:\n    server: \"https://api.example\"\n- cluster:\n    server: https://192.0.2.1:6443\n- {server: x}\n    server: http://192.0.2.2\n    server: https://:1\n",
		"var/lib/k0s/kubelet.conf":    "server: https://[2001:db8::1]:6443",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"192.0.2.1:6443", "api.example:443", "[2001:db8::1]:6443"}
	if diff := cmp.Diff(want, APIServers(root)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := APIServers(t.TempDir()); got != nil {
		t.Errorf("without a kubelet: %v", got)
	}
}
