//go:build linux

package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// helm runs Helm itself, which "make test" builds.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := filepath.Abs("../bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("helm"); err != nil {
			t.Skip("there is no Helm: make bin/helm")
		}
	}
	var out, errOut bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "HELM_CONFIG_HOME=", "HELM_CACHE_HOME=", "HELM_DATA_HOME=", "KUBECONFIG=/dev/null")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String() + errOut.String(), err
}

func TestHelmLint(t *testing.T) {
	out, err := helm(t, "lint", "--strict", "--kube-version", "1.30", chart)
	if err != nil || !strings.Contains(out, "1 chart(s) linted, 0 chart(s) failed") || strings.Contains(out, "[WARNING]") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestHelmTemplate wants Helm to render what this package does, and the manifest has.
func TestHelmTemplate(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  []string
		want func(map[string]any)
	}{
		{"as it is", nil, nil},
		{"with an API server", []string{"--set", "apiServer.host=192.0.2.1,image=y:1,namespace=x"}, func(v map[string]any) {
			v["apiServer"].(map[string]any)["host"], v["image"], v["namespace"] = "192.0.2.1", "y:1", "x"
		}},
		{"without peers", []string{"--set", "peers=false"}, lonely},
		{"with a PodMonitor", []string{"--set", "podMonitor.enabled=true"}, monitored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := helm(t, append([]string{"template", "plumb", chart, "--kube-version", "1.36"}, tt.set...)...)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			// Helm has the kinds in an order of its own.
			got := decode(t, strings.TrimPrefix(out, "---\n"))
			if diff := cmp.Diff(decode(t, render(t, tt.want)), got); diff != "" || len(got) == 0 {
				t.Errorf("(-here +Helm):\n%s", diff)
			}
		})
	}
	if out, err := helm(t, "template", "plumb", chart, "--kube-version", "1.29"); err == nil || !strings.Contains(out, "requires kubeVersion") {
		t.Errorf("on a cluster that does not know all fields: %v", err)
	}
}
