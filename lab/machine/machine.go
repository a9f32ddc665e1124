//go:build linux

// Package machine runs machines that are namespaces: each has a network, mount,
// PID, UTS, IPC and cgroup namespace of its own, a root file system that it can
// write to without the real machine noticing, and a process 1 that starts and
// stops programs on request. All of them live in one outer set of namespaces,
// the rack, with the switch that joins them:
//
//	rack: br0 (the router) ─┬─ p-node-a ── eth0 of node-a
//	                        ├─ p-node-b ── eth0 of node-b
//	                        └─ p-cp     ── eth0 of cp
//
// When process 1 of the rack ends, however it ends, the kernel ends every
// process, mount and network device in it. What is left is a directory and cgroups;
// [Remove] removes both.
package machine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// A Rack describes machines that are to run together.
type Rack struct {
	Dir      string    // where everything of it is kept; absolute
	Router   string    // the address of the switch itself with its prefix length, 192.168.10.1/24
	Machines []Machine // in the order in which they start
	Forward  string    // host:port inside the rack to which connections to the machine's loopback are handed
	Share    []string  // directories and files of the real machine that the machines see, read-only, at their own paths
}

// A Machine is one of a rack.
type Machine struct {
	Name    string
	Addr    netip.Prefix // of eth0
	Gateway netip.Addr   // of the default route. Where it is not in the rack's own network, the router gets it on that port
	Forward bool         // forwards packets, and shows bridged ones to iptables, as a node of a cluster does
	Cgroups bool         // runs containers: its cgroups are its own to change
}

// Paths of a rack, below its directory.
func (r *Rack) path(elem ...string) string { return filepath.Join(append([]string{r.Dir}, elem...)...) }

// Dir returns the directory that holds what a machine writes; "var" in it is the machine's /var.
func Dir(rack, name string) string { return filepath.Join(rack, "machines", name) }

// socket returns where process 1 of a machine listens; that of the rack has no name.
func socket(rack, name string) string {
	if name == "" {
		name = "rack"
	}
	return filepath.Join(rack, name+".sock")
}

func (r *Rack) write() error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(r.path("rack.json"), b, 0o600)
}

func readRack(dir string) (*Rack, error) {
	b, err := os.ReadFile(filepath.Join(dir, "rack.json"))
	if err != nil {
		return nil, err
	}
	r := new(Rack)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "rack.json"), err)
	}
	return r, nil
}

func (r *Rack) machine(name string) (Machine, error) {
	for _, m := range r.Machines {
		if m.Name == name {
			return m, nil
		}
	}
	return Machine{}, fmt.Errorf("no machine is named %q", name)
}

// Declare writes down what the rack is, so that [Remove] takes its directory for one of a rack.
func (r *Rack) Declare() error { return r.write() }
