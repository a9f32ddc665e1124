//go:build linux

package agent

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kubelets are where kubelet is told of the API server: by kubeadm, by most clouds, k3s, RKE2, k0s, MicroK8s.
var kubelets = []string{
	"etc/kubernetes/kubelet.conf", "var/lib/kubelet/kubeconfig", "var/lib/rancher/k3s/agent/kubelet.kubeconfig",
	"var/lib/rancher/rke2/agent/kubelet.kubeconfig", "var/lib/k0s/kubelet.conf", "var/snap/microk8s/current/credentials/kubelet.config",
}

// maxKubeconfig bounds how much is read of one, in bytes.
const maxKubeconfig = 1 << 20

// APIServers returns where the kubelet of the node with this root reaches the API server, as
// "host:port". It needs no kube-proxy for that. Nothing else of its configuration is kept.
func APIServers(root string) (out []string) {
	for _, name := range kubelets {
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue
		}
		for _, s := range servers(io.LimitReader(f, maxKubeconfig)) {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		f.Close()
	}
	return out
}

// servers reads the lines of a kubeconfig that name a server.
func servers(r io.Reader) (out []string) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxKubeconfig) // keys are long lines
	for in.Scan() {
		value, ok := strings.CutPrefix(strings.TrimLeft(in.Text(), " -"), "server:")
		if !ok {
			continue
		}
		u, err := url.Parse(strings.Trim(strings.TrimSpace(value), `"'`))
		if err != nil || u.Scheme != "https" || u.Hostname() == "" {
			continue
		}
		port := u.Port()
		if port == "" {
			port = "443"
		}
		out = append(out, net.JoinHostPort(u.Hostname(), port))
	}
	return out
}
