//go:build linux

package node

import (
	"cmp"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// records are where container runtimes keep a config.json (the OCI runtime's) for each
// container that runs, below the node's root. They stay the same over versions, and
// need neither a socket nor gRPC.
var records = []string{
	"run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"run/containers/storage/overlay-containers/*/userdata/config.json",
}

// maxConfig bounds one config.json; real ones have 10 kB, up to the size of their environment.
const maxConfig = 4 << 20

// podsByNetNS returns the Pods ("shop/web-0") by the inode of their network namespace. Those
// that it cannot find (other runtimes) are recognized by their addresses later.
func podsByNetNS(root string) map[uint64]string {
	out := map[uint64]string{}
	for _, pattern := range records {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, name := range files {
			pod, path := readConfig(name)
			if pod == "" || path == "" {
				continue
			}
			if inode, err := inodeOf(filepath.Join(root, path)); err == nil {
				out[inode] = pod
			}
		}
	}
	return out
}

// config is the part of an OCI config.json that says whose it is and where it is.
type config struct {
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		Namespaces []struct {
			Type string `json:"type"`
			Path string `json:"path"`
		} `json:"namespaces"`
	} `json:"linux"`
}

// readConfig returns the Pod of a container, and the path of its network namespace on the
// node; none for a Pod on the node's own network.
func readConfig(name string) (pod, netns string) {
	f, err := os.Open(name)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	return parseConfig(io.LimitReader(f, maxConfig))
}

func parseConfig(r io.Reader) (pod, netns string) {
	var c config
	if json.NewDecoder(r).Decode(&c) != nil {
		return "", ""
	}
	a := c.Annotations
	namespace := cmp.Or(a["io.kubernetes.cri.sandbox-namespace"], a["io.kubernetes.pod.namespace"])
	name := cmp.Or(a["io.kubernetes.cri.sandbox-name"], a["io.kubernetes.pod.name"])
	if namespace == "" || name == "" {
		return "", ""
	}
	for _, n := range c.Linux.Namespaces {
		// Of a container in a sandbox it is /proc/PID/ns/net, and PID may be another process by now.
		if n.Type == "network" && !strings.HasPrefix(n.Path, "/proc/") {
			netns = n.Path
		}
	}
	return namespace + "/" + name, netns
}
