//go:build linux

// Package lab builds small clusters out of network namespaces: three nodes,
// their Pods with servers that really listen, a fabric that joins them, a
// router, and hosts outside. Devices, routes, sysctls and iptables rules are as
// the CNI plugins and kube-proxy leave them; there is no API server, the
// Kubernetes objects are values that the lab can write as files.
//
//	pod --veth-- cni0 --- node-a --eth0--+
//	                      node-b --eth0--+-- fabric --- router --- outside (203.0.113.10)
//	                      node-c --eth0--+                    \--- office  (10.20.0.50)
//
// A lab lives in a sandbox (package sandbox) and ends with its process.
package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sync/errgroup"
)

// A Lab is a cluster that runs.
type Lab struct {
	Topology Topology
	Legacy   bool // rules are held by iptables-legacy, not by nf_tables
	Nodes    []*Node
	Fabric   *sandbox.NS // the switch between the nodes; its port of node-a is "p-node-a"
	Router   *sandbox.NS
	Outside  *sandbox.NS
	Office   *sandbox.NS
	OfficeAt netip.Addr       // the address of the office's host; a fault may move it
	Objects  snapshot.Objects // what "kubectl get" would print; faults change them too

	mu       sync.Mutex
	servers  map[string]*server
	resolver atomic.Pointer[resolver]
	sniff    *sniffer
}

// A Node is a machine of the cluster.
type Node struct {
	Name              string
	NS                *sandbox.NS
	IP, IP6           netip.Addr // of eth0; IP6 is invalid in a cluster of one family
	PodCIDR, PodCIDR6 netip.Prefix
	MAC               string // of eth0
	VTEP, VTEP6       string // the MAC addresses of flannel.1 and flannel-v6.1
	Pods              []*Pod
	index             int
}

// A Pod is a network namespace on a node.
type Pod struct {
	Namespace, Name string
	App             string
	NS              *sandbox.NS
	Node            *Node
	IP, IP6         netip.Addr
	Veth            string // the node's end of its eth0
	MAC             string
}

// Key returns "namespace/name".
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

// Up builds a cluster and waits for nothing: when it returns, servers listen and
// rules are loaded. The caller must be in a sandbox, which holds one lab at a time.
func Up(t Topology) (*Lab, error) { return up(t, false) }

// UpLegacy is Up with iptables-legacy rules.
func UpLegacy(t Topology) (*Lab, error) { return up(t, true) }

func up(t Topology, legacy bool) (*Lab, error) {
	if !sandbox.Inside() {
		return nil, errors.New("lab: must run in a sandbox")
	}
	l := &Lab{Topology: t, Legacy: legacy, OfficeAt: OfficeIP, servers: map[string]*server{}}
	l.plan()
	for _, step := range []func() error{
		l.makeNamespaces, l.wireFabric, l.wireNodes, l.listenAll,
	} {
		if err := step(); err != nil {
			l.Close()
			return nil, fmt.Errorf("lab: %s: %w", t.Name, err)
		}
	}
	l.Objects = l.makeObjects()
	l.SyncEndpoints()
	if err := errors.Join(l.LoadCorefile(), l.SyncRules()); err != nil {
		l.Close()
		return nil, fmt.Errorf("lab: %s: %w", t.Name, err)
	}
	return l, nil
}

// Close takes the cluster down: it closes its sockets and deletes its namespaces.
func (l *Lab) Close() error {
	if l.sniff != nil {
		l.sniff.close()
	}
	l.mu.Lock()
	for _, s := range l.servers {
		s.close()
	}
	l.servers = map[string]*server{}
	l.mu.Unlock()
	var errs []error
	for _, ns := range l.namespaces() {
		if ns == nil {
			continue
		}
		errs = append(errs, ns.Delete())
	}
	return errors.Join(errs...)
}

// namespaces returns all namespaces of the lab; those not made yet are nil.
func (l *Lab) namespaces() []*sandbox.NS {
	out := []*sandbox.NS{l.Fabric, l.Router, l.Outside, l.Office}
	for _, n := range l.Nodes {
		out = append(out, n.NS)
		for _, p := range n.Pods {
			out = append(out, p.NS)
		}
	}
	return out
}

func (l *Lab) makeNamespaces() error {
	if err := sandbox.Setup(); err != nil {
		return err
	}
	slots := map[string]**sandbox.NS{"fabric": &l.Fabric, "router": &l.Router, "outside": &l.Outside, "office": &l.Office}
	for _, n := range l.Nodes {
		slots[n.Name] = &n.NS
		for _, p := range n.Pods {
			slots[p.netns()] = &p.NS
		}
	}
	var g errgroup.Group
	g.SetLimit(4)
	for name, slot := range slots {
		g.Go(func() (err error) {
			if *slot, err = sandbox.NewNS(name); err != nil {
				return err
			}
			return l.Sysctl(*slot, map[string]string{
				"net.ipv6.conf.all.accept_dad":               "0",
				"net.ipv6.conf.default.accept_dad":           "0",
				"net.ipv6.conf.default.router_solicitations": "0",
				"net.ipv4.conf.all.rp_filter":                "0",
				"net.ipv4.conf.default.rp_filter":            "0",
				"net.ipv4.icmp_ratelimit":                    "0", // each of many probes is to get its ICMP error
				"net.ipv6.icmp.ratelimit":                    "0",
			})
		})
	}
	return g.Wait()
}

// netns returns the name of the Pod's namespace, for "ip netns".
func (p *Pod) netns() string { return "pod-" + p.Namespace + "-" + p.Name }

// Sysctl sets sysctls of a namespace, by the names that sysctl prints.
func (l *Lab) Sysctl(ns *sandbox.NS, values map[string]string) error {
	return ns.Do(func() error {
		for name, v := range values {
			path := filepath.Join("/proc/sys", strings.Map(func(r rune) rune {
				switch r {
				case '.':
					return '/'
				case '/':
					return '.'
				}
				return r
			}, name))
			if err := os.WriteFile(path, []byte(v), 0o644); err != nil {
				return fmt.Errorf("%s: sysctl %s=%s: %w", ns.Name, name, v, err)
			}
		}
		return nil
	})
}

// Node returns a node by its name, or nil.
func (l *Lab) Node(name string) *Node {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Pod returns a Pod by "namespace/name", or nil.
func (l *Lab) Pod(key string) *Pod {
	for _, n := range l.Nodes {
		for _, p := range n.Pods {
			if p.Key() == key {
				return p
			}
		}
	}
	return nil
}

// IPBatch runs the lines of a script for "ip -batch" in a namespace. The script may begin lines with tabs.
func IPBatch(ns *sandbox.NS, script string) error {
	return ns.Run(script, "ip", "-batch", "-")
}

// BridgeBatch runs the lines of a script for "bridge -batch" in a namespace.
func BridgeBatch(ns *sandbox.NS, script string) error {
	return ns.Run(script, "bridge", "-batch", "-")
}
