//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sync/errgroup"
)

// NodeFiles collects one node as plumb itself does, from within the lab's process.
func (l *Lab) NodeFiles(n *Node) (snapshot.Files, error) {
	o := node.Options{Node: n.Name, Host: n.NS.Path, NetNS: []node.NetNS{}}
	for _, p := range n.Pods {
		o.NetNS = append(o.NetNS, node.NetNS{Name: p.netns(), Pod: p.Key(), Path: p.NS.Path})
	}
	return node.Collect(context.Background(), o)
}

// ObjectFiles returns the objects as files of a snapshot.
func (l *Lab) ObjectFiles() (snapshot.Files, error) {
	files := snapshot.Files{}
	for name, items := range l.lists() {
		b, err := encodeList(items)
		if err != nil {
			return nil, err
		}
		files["objects/"+name+".json"] = b
	}
	return files, nil
}

// Files collects the whole cluster.
func (l *Lab) Files() (snapshot.Files, error) {
	files, err := l.ObjectFiles()
	if err != nil {
		return nil, err
	}
	parts := make([]snapshot.Files, len(l.Nodes))
	var g errgroup.Group
	g.SetLimit(2)
	for i, n := range l.Nodes {
		g.Go(func() (err error) {
			parts[i], err = l.NodeFiles(n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, p := range parts {
		maps.Copy(files, p)
	}
	return files, nil
}

// Snapshot collects the whole cluster and reads it, as a user's bundle is read.
func (l *Lab) Snapshot() (*snapshot.Cluster, error) {
	files, err := l.Files()
	if err != nil {
		return nil, err
	}
	return snapshot.Read(files)
}

// encodeList writes a v1 List of items, a slice, as kubectl prints it.
func encodeList(items any) ([]byte, error) {
	b, err := json.Marshal(items)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(b, []byte("null")) {
		b = []byte("[]")
	}
	var out bytes.Buffer
	if err := json.Indent(&out, fmt.Appendf(nil, `{"apiVersion":"v1","items":%s,"kind":"List","metadata":{"resourceVersion":""}}`, b), "", "    "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// WriteObjects writes the objects as "kubectl get KIND -A -o json" prints them, a file a kind.
func (l *Lab) WriteObjects(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, items := range l.lists() {
		b, err := encodeList(items)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/"+name+".json", b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lists returns the objects by the name of their file.
func (l *Lab) lists() map[string]any {
	o := l.Objects
	return map[string]any{
		"configmaps": o.ConfigMaps, "daemonsets": o.DaemonSets, "deployments": o.Deployments,
		"endpointslices": o.EndpointSlices, "namespaces": o.Namespaces, "networkpolicies": o.NetworkPolicies,
		"nodes": o.Nodes, "pods": o.Pods, "services": o.Services,
		"ingresses": o.Ingresses, "ingressclasses": o.IngressClasses,
	}
}
