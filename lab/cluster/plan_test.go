//go:build linux

package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name string
		Options
		want string
	}{
		{"defaults", Options{}, ""},
		{"mixed", Options{ProxyMode: "nftables", Proxy: map[string]string{"node-a": "iptables"}, Backend: "host-gw"}, ""},
		{"too many nodes", Options{Nodes: 27}, "want 1 to 26"},
		{"no such mode", Options{ProxyMode: "ipvs"}, "no mode"},
		{"no such mode on a node", Options{Proxy: map[string]string{"node-a": "ipvs"}}, "no mode"},
		{"no such node", Options{Proxy: map[string]string{"node-z": "iptables"}}, "no such node"},
		{"no such back end", Options{Backend: "ipip"}, "no back end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := plan(c.Options)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil || len(got.Nodes) != 3 || len(got.Proxy) != 3 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	c, err := plan(Options{ProxyMode: "nftables", Proxy: map[string]string{"node-a": "iptables"}})
	if err != nil || c.Proxy["node-a"] != "iptables" || c.Proxy["node-b"] != "nftables" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestManifests wants every manifest to be YAML of the kinds it should be.
func TestManifests(t *testing.T) {
	c, err := plan(Options{Backend: "host-gw"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.manifests(append(system, apps...))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		if o.Kind == "" || o.Metadata.Name == "" {
			t.Errorf("no object: %s", doc)
		}
		kinds[o.Kind]++
	}
	if kinds["DaemonSet"] != 2 || kinds["Deployment"] != 3 || kinds["StatefulSet"] != 1 || kinds["Service"] != 4 || kinds["IngressClass"] != 1 {
		t.Errorf("%v", kinds)
	}
	if !strings.Contains(text, `{"Type": "host-gw"}`) || strings.Contains(text, "{{") {
		t.Error("the values are not in it")
	}
	if _, err := c.manifests([]string{"no-such"}); err == nil {
		t.Error("found what is not there")
	}
}

// TestPKI wants keys that their authority vouches for.
func TestPKI(t *testing.T) {
	c, err := plan(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writePKI("127.0.0.1:6443"); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(c.path("pki/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, s := range []struct{ file, name, group string }{
		{"apiserver", "127.0.0.1", ""}, {"apiserver", "kubernetes.default.svc", ""}, {"apiserver", controlIP, ""},
		{"kubelet-client", "", "system:masters"}, {"admin", "", "system:masters"},
	} {
		pair, err := tls.LoadX509KeyPair(c.path("pki", s.file+".crt"), c.path("pki", s.file+".key"))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: s.name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", s.file, err)
		}
		if s.group != "" && (len(leaf.Subject.Organization) != 1 || leaf.Subject.Organization[0] != s.group) {
			t.Errorf("%s: groups %v", s.file, leaf.Subject.Organization)
		}
	}
	for _, f := range []string{"kubeconfig", "pki/node-a.kubeconfig", "pki/scheduler.kubeconfig"} {
		b, err := os.ReadFile(c.path(f))
		var o map[string]any
		if err != nil || yaml.Unmarshal(b, &o) != nil || o["current-context"] != "plumb-lab" {
			t.Errorf("%s: %v: %s", f, err, b)
		}
	}
}

func TestClone(t *testing.T) {
	seed, dir := t.TempDir(), filepath.Join(t.TempDir(), "to")
	for name, text := range map[string]string{"meta.db": "table", "snapshots/1/fs/app": "program", "blobs/sha256/x": "blob"} {
		p := filepath.Join(seed, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("app", filepath.Join(seed, "snapshots/1/fs/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(seed, "snapshots/1/fs/tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(seed, "snapshots/1/fs/tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := clone(seed, dir); err != nil {
		t.Fatal(err)
	}
	same := func(name string) bool {
		a, errA := os.Stat(filepath.Join(seed, name))
		b, errB := os.Stat(filepath.Join(dir, name))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		return os.SameFile(a, b)
	}
	if same("meta.db") || !same("snapshots/1/fs/app") || !same("blobs/sha256/x") {
		t.Error("tables are shared, or contents are not")
	}
	if to, err := os.Readlink(filepath.Join(dir, "snapshots/1/fs/link")); to != "app" {
		t.Error(to, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "snapshots/1/fs/tmp")); err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Error(info.Mode(), err)
	}
}

func TestHashSources(t *testing.T) {
	root, err := moduleRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	a, err := hashSources(root)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := hashSources(root); a != b || len(a) != 16 || err != nil {
		t.Errorf("%s, then %s (%v)", a, b, err)
	}
	if _, err := moduleRoot("/"); err == nil {
		t.Error("found plumb's sources in /")
	}
}
