//go:build linux

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
)

// Kubeconfig returns the file by which kubectl and plumb reach the cluster from this machine.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// client returns one that is an administrator of the cluster.
func (c *Cluster) client() (*http.Client, error) {
	ca, err := os.ReadFile(c.path("pki/ca.crt"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(c.path("pki/admin.crt"), c.path("pki/admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		DisableKeepAlives: true,
	}}, nil
}

// Get asks the API server for a path, and decodes the answer where out is not nil.
func (c *Cluster) Get(ctx context.Context, path string, out any) error {
	h, err := c.client()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.Server+path, nil)
	if err != nil {
		return err
	}
	r, err := h.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, r.Status, lastLines(string(b), 5))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// KubectlCommand returns a run of kubectl as the cluster's administrator.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "hyper"), append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+c.Dir) // kubectl keeps a cache there
	return cmd
}

// Kubectl runs kubectl as the cluster's administrator, and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := c.KubectlCommand(ctx, args...)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return string(out), nil
}

// Apply applies manifests.
func (c *Cluster) Apply(ctx context.Context, yaml string) error {
	cmd := c.KubectlCommand(ctx, "apply", "--validate=false", "-f", "-")
	cmd.Stdin = strings.NewReader(yaml)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, lastLines(string(out), 10))
	}
	return nil
}

// Exec runs a program in a Pod, by kubectl exec, and returns what it printed.
func (c *Cluster) Exec(ctx context.Context, namespace, pod string, argv ...string) (string, error) {
	return c.Kubectl(ctx, append([]string{"exec", "-n", namespace, pod, "--"}, argv...)...)
}

// Run runs a command on a machine of the cluster: a node, Control, Outside, Office, or Fabric.
func (c *Cluster) Run(name string, argv ...string) (string, error) {
	return machine.Output(c.Dir, name, argv...)
}

// Binary returns the path of one of the lab's programs, which is the same on every
// machine: "hyper" is all of Kubernetes, "app" what runs in the Pods.
func (c *Cluster) Binary(name string) string { return filepath.Join(c.bin, name) }

// SetProxy has kube-proxy run in other modes on some nodes, and waits until it does. What
// it wrote in the old mode it clears away itself.
func (c *Cluster) SetProxy(ctx context.Context, modes map[string]string) error {
	for n, mode := range modes {
		if c.Proxy[n] == "" || !oneOf(mode, ProxyModes) {
			return fmt.Errorf("kube-proxy's mode on %s: %q", n, mode)
		}
		c.Proxy[n] = mode
	}
	text, err := c.manifests([]string{"kube-proxy"})
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, text); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	for n := range modes {
		if _, err := c.Kubectl(ctx, "delete", "pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy", "--field-selector", "spec.nodeName="+n); err != nil {
			return err
		}
	}
	_, err = c.Kubectl(ctx, "rollout", "status", "-n", "kube-system", "daemonset/kube-proxy", "--timeout=90s")
	return err
}

// Addr returns the address of a node's uplink.
func (c *Cluster) Addr(node string) netip.Addr { return nodeIP(slices.Index(c.Nodes, node)) }

// Stop ends a program of a machine: "kubelet" or "containerd" on a node, "kube-apiserver" on Control.
func (c *Cluster) Stop(name, program string) error {
	return machine.StopProgram(c.Dir, name, program, 5*time.Second)
}

// Start starts a program again that [Cluster.Stop] ended.
func (c *Cluster) Start(name, program string) error {
	for _, p := range c.programs(name) {
		if p.Name == program {
			return machine.StartProgram(c.Dir, name, p)
		}
	}
	return errors.New(name + " has no program " + program)
}

// programs returns what is to run on a machine.
func (c *Cluster) programs(name string) []machine.Program {
	app := machine.Program{Name: "app", Args: []string{filepath.Join(c.bin, "app"), "serve", ":80", ":443"}, Log: "/var/log/app.log"}
	switch name {
	case Control:
		first, second := c.controlPlane()
		return append(first, second...)
	case Outside:
		return []machine.Program{app, c.program("coredns", "-conf", c.path("conf/Corefile"))}
	case Office:
		return []machine.Program{app}
	}
	for i, n := range c.Nodes {
		if n == name {
			return []machine.Program{containerd(c), kubelet(c, i)}
		}
	}
	return nil
}
