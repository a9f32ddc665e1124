package policy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// row is what both files have of a cluster: lists of objects, without their kinds.
type row struct {
	Namespaces, Pods, Nodes, Policies, CNPs []json.RawMessage
	Protocol                                string
	ToPort                                  uint16
}

var protos = map[string]packet.Proto{"TCP": packet.TCP, "UDP": packet.UDP, "SCTP": packet.SCTP}

func (r *row) port(t *testing.T) intent.Port {
	p, ok := protos[strings.ToUpper(r.Protocol)]
	if !ok {
		t.Fatalf("protocol %q", r.Protocol)
	}
	return intent.Port{Proto: p, Number: r.ToPort}
}

// engine reads the objects as those of a snapshot are read.
func (r *row) engine(t *testing.T) *intent.Engine {
	t.Helper()
	files := snapshot.Files{}
	for _, l := range []struct {
		file, version, kind string
		items               []json.RawMessage
	}{
		{"namespaces", "v1", "Namespace", r.Namespaces}, {"pods", "v1", "Pod", r.Pods}, {"nodes", "v1", "Node", r.Nodes},
		{"networkpolicies", "networking.k8s.io/v1", "NetworkPolicy", r.Policies},
		{"clusternetworkpolicies", "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", r.CNPs},
	} {
		if l.items == nil {
			l.items = []json.RawMessage{}
		}
		data, err := json.Marshal(map[string]any{"apiVersion": l.version, "kind": l.kind + "List", "items": l.items})
		if err != nil {
			t.Fatal(err)
		}
		files["objects/"+l.file+".json"] = data
	}
	c, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.Gaps {
		if strings.HasPrefix(g.Path, "objects/") {
			t.Fatal(g)
		}
	}
	return intent.New(&c.Objects)
}

func peer(t *testing.T, e *intent.Engine, name string) intent.Peer {
	t.Helper()
	ns, name, _ := strings.Cut(name, "/")
	p, ok := e.Pod(ns, name)
	if !ok {
		t.Fatalf("no Pod %s/%s", ns, name)
	}
	return p
}

func want(allowed bool) intent.Answer {
	if allowed {
		return intent.Allowed
	}
	return intent.Denied
}

// TestReachability compares every cell of the tables of the end-to-end tests. What a Pod sends
// itself they do not judge.
func TestReachability(t *testing.T) {
	tables, cells, wrong := 0, 0, 0
	each(t, "e2e_netpol.jsonl.gz", func(line []byte) {
		var r struct {
			row
			Expected map[string]map[string]bool
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		tables++
		e := r.engine(t)
		all := e.AllPairs(r.port(t), false)
		for from, row := range r.Expected {
			for to, allowed := range row {
				if from == to {
					continue
				}
				cells++
				f, to := peer(t, e, from), peer(t, e, to)
				if got := e.Answer(f, to, r.port(t)); got != want(allowed) || all.Answer(f, to) != got {
					wrong++
					t.Errorf("table %d: %s > %v: %v, all pairs %v, want %v", tables, from, to, got, all.Answer(f, to), want(allowed))
				}
			}
		}
	})
	fmt.Printf("agree: Kubernetes NetworkPolicy tables: %d tables, %d comparisons, %d disagreements, 0 explained\n", tables, cells, wrong)
}

// TestConformance compares every connection of the network policy API's conformance tests.
func TestConformance(t *testing.T) {
	n, wrong := 0, 0
	each(t, "cnp_conformance.jsonl.gz", func(line []byte) {
		var r struct {
			row
			Test, FromNS, FromPod, ToHost string
			Expected                      bool
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		n++
		e := r.engine(t)
		from, to := peer(t, e, r.FromNS+"/"+r.FromPod), e.Addr(netip.MustParseAddr(r.ToHost))
		if got := e.Answer(from, to, r.port(t)); got != want(r.Expected) {
			wrong++
			t.Errorf("%s: %s/%s > %s:%d: %v, want %v", r.Test, r.FromNS, r.FromPod, r.ToHost, r.ToPort, got, want(r.Expected))
		}
	})
	fmt.Printf("agree: network policy API conformance: %d comparisons, %d disagreements, 0 explained\n", n, wrong)
}

// each calls f for each line of a file of the oracles, which lie beside the repository.
func each(t *testing.T, name string, f func(line []byte)) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "oracles", name))
	if err != nil {
		t.Skipf("the tables are not here: %v", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		f(line)
	}
}
