//go:build linux

package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/plumbnet/plumb/lab/machine"
)

const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
`

// kubeletConfig is that of every node. What is unlike a kubelet elsewhere is so
// because nodes share a kernel, a disk and its space: nothing is evicted or collected.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %s}
authorization: {mode: Webhook}
clusterDNS: [` + dnsIP + `]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
failSwapOn: false
evictionHard: {memory.available: 10Mi, nodefs.available: 0%%, imagefs.available: 0%%, nodefs.inodesFree: 0%%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
volumePluginDir: /var/lib/kubelet/volumeplugins
nodeStatusUpdateFrequency: 4s
syncFrequency: 5s
registryPullQPS: 0
shutdownGracePeriod: 0s
`

const outsideCorefile = `. {
    errors
    hosts {
        ` + OutsideIP + ` outside.example
        ` + OfficeIP + ` office.example
    }
}
`

// prepare writes what the machines find when they start.
func (c *Cluster) prepare(seed string) error {
	files := map[string][]byte{
		"conf/containerd.toml": []byte(containerdConfig),
		"conf/kubelet.yaml":    fmt.Appendf(nil, kubeletConfig, c.path("pki/ca.crt")),
		"conf/Corefile":        []byte(outsideCorefile),
	}
	if err := c.writeFiles(files); err != nil {
		return err
	}
	for _, m := range c.rack().Machines {
		etc := filepath.Join(machine.Dir(c.Dir, m.Name), "etc")
		if err := os.MkdirAll(filepath.Join(etc, "cni/net.d"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver "+OutsideIP+"\n"), 0o644); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		if err := c.linkKubeconfig(n); err != nil {
			return err
		}
		if err := clone(seed, filepath.Join(machine.Dir(c.Dir, n), "var/lib/containerd")); err != nil {
			return err
		}
		plug := filepath.Join(machine.Dir(c.Dir, n), "opt/cni/bin")
		if err := os.MkdirAll(plug, 0o755); err != nil {
			return err
		}
		for _, p := range plugins {
			name := filepath.Base(p)
			if err := copyFile(filepath.Join(c.bin, name), filepath.Join(plug, name), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkKubeconfig gives a node's kubelet its kubeconfig where kubeadm has it.
func (c *Cluster) linkKubeconfig(node string) error {
	dir := filepath.Join(machine.Dir(c.Dir, node), "etc/kubernetes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	to, err := filepath.Rel("/etc/kubernetes", c.path("pki", node+".kubeconfig"))
	if err != nil {
		return err
	}
	return os.Symlink(to, filepath.Join(dir, "kubelet.conf"))
}

// program returns one of the programs in hyper, as a machine is to run it.
func (c *Cluster) program(name string, args ...string) machine.Program {
	return machine.Program{
		Name: name,
		Args: append([]string{filepath.Join(c.bin, "hyper"), name}, args...),
		Log:  "/var/log/" + name + ".log",
	}
}

// controlPlane returns the programs of the control plane in two steps: the
// second needs the API server of the first.
func (c *Cluster) controlPlane() (first, second []machine.Program) {
	pki := func(name string) string { return c.path("pki", name) }
	const etcd = "http://127.0.0.1:2379"
	first = []machine.Program{
		c.program("etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
			"--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn"),
		c.program("kube-apiserver", "--etcd-servers="+etcd, "--secure-port=6443", "--advertise-address="+controlIP,
			"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"), "--client-ca-file="+pki("ca.crt"),
			"--kubelet-client-certificate="+pki("kubelet-client.crt"), "--kubelet-client-key="+pki("kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP", // names of nodes cannot be looked up
			"--service-account-key-file="+pki("sa.pub"), "--service-account-signing-key-file="+pki("sa.key"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-cluster-ip-range="+serviceCIDR, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true"),
	}
	second = []machine.Program{
		c.program("kube-controller-manager", "--kubeconfig="+pki("controller-manager.kubeconfig"), "--root-ca-file="+pki("ca.crt"),
			"--service-account-private-key-file="+pki("sa.key"), "--use-service-account-credentials=true",
			"--cluster-cidr="+podCIDR, "--allocate-node-cidrs=true", "--node-cidr-mask-size=24",
			"--node-monitor-grace-period=20s", "--leader-elect=false"),
		c.program("kube-scheduler", "--kubeconfig="+pki("scheduler.kubeconfig"), "--leader-elect=false"),
	}
	return first, second
}

// containerd and kubelet are the programs of a node that are not Pods.
func containerd(c *Cluster) machine.Program {
	return machine.Program{Name: "containerd", Args: []string{"/usr/bin/containerd", "-c", c.path("conf/containerd.toml")}, Log: "/var/log/containerd.log"}
}

func kubelet(c *Cluster, i int) machine.Program {
	return c.program("kubelet", "--config="+c.path("conf/kubelet.yaml"), "--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--node-ip="+nodeIP(i).String(), "--hostname-override="+c.Nodes[i])
}
