//go:build linux

package cluster

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed manifests
var manifestFiles embed.FS

// system are the manifests that make nodes Ready, apps those that run on them.
var (
	system = []string{"kube-flannel", "kube-proxy", "coredns"}
	apps   = []string{"shop", "ingress"}
)

// manifests returns the YAML of manifests, with the cluster's own values in it.
func (c *Cluster) manifests(names []string) (string, error) {
	values := struct {
		Control, PodCIDR, DNS, Backend, KubeImage, AppImage string
		Proxy                                               map[string]string
		Nodes                                               []string
	}{controlIP, podCIDR, dnsIP, c.Backend, kubeImage, appImage, c.Proxy, c.Nodes}
	var out strings.Builder
	for _, n := range names {
		t, err := template.New(n+".yaml").Option("missingkey=error").ParseFS(manifestFiles, "manifests/"+n+".yaml")
		if err != nil {
			return "", err
		}
		out.WriteString("---\n")
		if err := t.Execute(&out, values); err != nil {
			return "", fmt.Errorf("manifest %s: %w", n, err)
		}
	}
	return out.String(), nil
}
