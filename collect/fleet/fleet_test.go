package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
)

// recorded is a healthy cluster of three nodes that was recorded in the lab.
const recorded = "../../check/checktest/testdata/flannel.txtar"

// agents answers as the agents of a recorded cluster would, and notes what it is asked.
type agents struct {
	files  snapshot.Files
	mu     sync.Mutex
	asked  []string
	answer map[string]func(ctx context.Context) (io.ReadCloser, error) // of nodes that do otherwise
}

func record(t *testing.T, file string) *agents {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, gaps, err := snapshot.Unpack(file, f)
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	return &agents{files: files, answer: map[string]func(context.Context) (io.ReadCloser, error){}}
}

// objects returns the cluster's objects, without nodes.
func (a *agents) objects(t *testing.T) *snapshot.Cluster {
	t.Helper()
	only := snapshot.Files{}
	for name, data := range a.files {
		if strings.HasPrefix(name, "objects/") {
			only[name] = data
		}
	}
	c, err := snapshot.Read(only)
	if err != nil {
		t.Fatal(err)
	}
	c.Gaps = nil
	return c
}

func (a *agents) Ask(ctx context.Context, node, method, path string, query url.Values, _ io.Reader) (io.ReadCloser, error) {
	a.mu.Lock()
	a.asked = append(a.asked, node+" "+strings.Join(query["pod"], ","))
	a.mu.Unlock()
	if answer := a.answer[node]; answer != nil {
		return answer(ctx)
	}
	part := snapshot.Files{}
	for name, data := range a.files {
		dir, rest, _ := strings.Cut(strings.TrimPrefix(name, "nodes/"), "/")
		ns, _, inNS := strings.Cut(rest, "/")
		pod := bytes.Contains(a.files["nodes/"+node+"/"+ns+"/netns.json"], []byte(`"pod"`))
		wanted := query["netns"] == nil || !inNS || !pod || slices.ContainsFunc(query["pod"], func(p string) bool {
			return bytes.Contains(a.files["nodes/"+node+"/"+ns+"/netns.json"], []byte(p))
		})
		if strings.HasPrefix(name, "nodes/") && dir == node && wanted {
			part[name] = data
		}
	}
	if len(part) == 0 {
		return nil, errors.New("no such node")
	}
	var buf bytes.Buffer
	err := snapshot.Write(&buf, part)
	return io.NopCloser(&buf), err
}

// TestPath asks for the nodes and Pods that a packet touches, and comes to the verdict of the whole cluster.
func TestPath(t *testing.T) {
	for _, tt := range []struct {
		name, src, dst string
		asked          []string
	}{
		{"one node", "shop/web-0", "shop/api-6c9f7d5b8-4xk2p:8080", []string{"node-a shop/web-0,shop/api-6c9f7d5b8-4xk2p"}},
		{"two nodes", "shop/web-0", "shop/web-1:8080", []string{"node-a shop/web-0", "node-b shop/web-1"}},
		{"an address", "10.244.0.2", "10.244.1.2:8080", []string{"node-a shop/web-0", "node-b shop/web-1"}},
		{"a Service with an endpoint on each node", "shop/web-1", "svc/shop/api:80", []string{
			"node-a shop/api-6c9f7d5b8-4xk2p", "node-b shop/web-1", "node-b shop/web-1,shop/api-6c9f7d5b8-9qjtl", "node-c shop/api-6c9f7d5b8-zw7hc",
		}},
		{"a node", "node/node-c", "shop/web-1:8080", []string{"node-b shop/web-1", "node-c "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := record(t, recorded)
			f := &Fleet{Asker: a, Patience: time.Minute}
			ask := diagnose.Ask{Src: tt.src, Dst: tt.dst}
			c, err := f.Path(t.Context(), a.objects(t), ask)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(a.asked)
			if diff := cmp.Diff(tt.asked, a.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			lazy, err := diagnose.Run(c, ask, all.Checks...)
			if err != nil {
				t.Fatal(err)
			}
			if lazy.Verdict != diagnose.Works || len(told(lazy.Gaps)) > 0 {
				t.Errorf("%s, gaps %v, needs %v", lazy.Verdict, told(lazy.Gaps), lazy.Needs)
			}
			for _, f := range lazy.Checks.Findings {
				t.Errorf("a finding on a healthy cluster: %v", f)
			}
		})
	}
}

// told leaves out the files that the recording does not have.
func told(gaps []snapshot.Gap) []snapshot.Gap {
	return slices.DeleteFunc(slices.Clone(gaps), func(g snapshot.Gap) bool { return g.Why == "not collected" })
}

// TestPathDead asks about what does not answer.
func TestPathDead(t *testing.T) {
	a := record(t, recorded)
	a.answer["node-b"] = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("connection refused") }
	f := &Fleet{Asker: a, Patience: time.Minute}
	ask := diagnose.Ask{Src: "shop/web-0", Dst: "shop/web-1:8080"}
	c, err := f.Path(t.Context(), a.objects(t), ask)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]snapshot.Gap{{Path: "nodes/node-b", Why: "connection refused"}}, told(c.Gaps)); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	r, err := diagnose.Run(c, ask, all.Checks...)
	if err != nil || r.Verdict != diagnose.CannotTell || len(r.Needs) == 0 {
		t.Errorf("%v, needs %v, %v", r.Verdict, r.Needs, err)
	}
	if n := len(a.asked); n != 2 {
		t.Errorf("%d requests: %q", n, a.asked)
	}
}

func TestPathErrors(t *testing.T) {
	a := record(t, recorded)
	f := &Fleet{Asker: a, Patience: time.Minute}
	if _, err := f.Path(t.Context(), a.objects(t), diagnose.Ask{Src: "shop/nobody", Dst: "shop/web-1:80"}); err == nil || len(a.asked) != 0 {
		t.Errorf("no such Pod: %v, asked %q", err, a.asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a.answer["node-a"] = func(context.Context) (io.ReadCloser, error) { cancel(); return nil, ctx.Err() }
	if _, err := f.Path(ctx, a.objects(t), diagnose.Ask{Src: "shop/web-0", Dst: "shop/web-1:80"}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// endless never ends, and gives what looks like the begin of a bundle.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e.n)
		e.n = e.n*1103515245 + 12345
	}
	return len(p), nil
}

// TestHostile asks agents that answer with what they should not.
func TestHostile(t *testing.T) {
	bundle := func(files snapshot.Files) io.ReadCloser {
		var buf bytes.Buffer
		if err := snapshot.Write(&buf, files); err != nil {
			t.Fatal(err)
		}
		return io.NopCloser(&buf)
	}
	whole := record(t, recorded)
	for _, tt := range []struct {
		name   string
		answer func(ctx context.Context) (io.ReadCloser, error)
		why    string // part of the Gap
		nodes  int
	}{
		{"nothing", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }, "empty", 0},
		{"a page", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("<html>")), nil }, "not a snapshot", 0},
		{"another node", func(context.Context) (io.ReadCloser, error) {
			return bundle(snapshot.Files{"nodes/node-b/host/sockets": nil}), nil
		}, "does not hold its node", 0},
		{"all nodes and objects", func(context.Context) (io.ReadCloser, error) { return bundle(whole.files), nil }, "told of other nodes too", 1},
		{"a false name", func(context.Context) (io.ReadCloser, error) {
			return bundle(snapshot.Files{"nodes/node-a/host/sockets": nil, "nodes/node-a/node.json": []byte(`{"name":"node-b"}`)}), nil
		}, "on another node", 1},
		{"broken off", func(context.Context) (io.ReadCloser, error) {
			data, _ := io.ReadAll(bundle(whole.files))
			return io.NopCloser(bytes.NewReader(data[:len(data)/2])), nil
		}, "", 1},
		{"slow", func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() }, "no answer within 50ms", 0},
		{"silent and slow", func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() }, "no answer within 50ms, and the node's status is unknown", 0},
		{"never ends", func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(`{"kind":"List","items":["`), &endless{n: 1})), nil
		}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := record(t, recorded)
			a.answer["node-a"] = tt.answer
			f := &Fleet{Asker: a, Patience: time.Minute}
			if strings.HasSuffix(tt.name, "slow") {
				f.Patience, f.Silent = 50*time.Millisecond, map[string]bool{"node-a": tt.name != "slow"}
			}
			c := f.Node(t.Context(), "node-a", nil)
			if len(c.Nodes) != tt.nodes || tt.nodes > 0 && c.Nodes[0].Name != "node-a" || len(c.Objects.Pods) > 0 {
				t.Errorf("%d nodes, %d Pods", len(c.Nodes), len(c.Objects.Pods))
			}
			if len(c.Gaps) == 0 || !slices.ContainsFunc(c.Gaps, func(g snapshot.Gap) bool { return strings.Contains(g.Why, tt.why) }) {
				t.Errorf("gaps %v, want one that says %q", c.Gaps, tt.why)
			}
		})
	}
}

// TestAll asks many nodes, never more of them at once than it may, and gets their answers in order.
func TestAll(t *testing.T) {
	var nodes []string
	for i := range 200 {
		nodes = append(nodes, fmt.Sprintf("n%d", i))
	}
	c := &crowd{}
	f := &Fleet{Asker: c, Patience: time.Minute}
	reported := 0
	var seen []string
	f.Progress = func(string, time.Duration, error) { reported++ }
	f.All(t.Context(), nodes, func(node string, files snapshot.Files, gaps []snapshot.Gap) {
		seen = append(seen, node)
		if failed := node == "n7"; (len(files) == 0) != failed || (len(gaps) > 0) != failed {
			t.Errorf("%s: %v", node, gaps)
		}
	})
	if !slices.Equal(seen, nodes) || reported != len(nodes) || c.most > atOnce {
		t.Errorf("%d nodes, %d reported, %d at once", len(seen), reported, c.most)
	}
}

// A crowd answers for any node, and notes how many it is asked for at once.
type crowd struct {
	mu        sync.Mutex
	now, most int
}

func (c *crowd) Ask(_ context.Context, node, _, _ string, _ url.Values, _ io.Reader) (io.ReadCloser, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	if node == "n7" {
		return nil, errors.New("not ready")
	}
	var buf bytes.Buffer
	err := snapshot.Write(&buf, snapshot.Files{"nodes/" + node + "/host/sockets": nil})
	return io.NopCloser(&buf), err
}

// TestCounters asks for the counts of the places of a way, and of no others; who does not answer counts nothing.
func TestCounters(t *testing.T) {
	a := &agents{files: snapshot.Files{}, answer: map[string]func(context.Context) (io.ReadCloser, error){}}
	for _, node := range []string{"a", "b"} {
		a.files["nodes/"+node+"/node.json"] = []byte(`{"name":"` + node + `"}`)
		a.files["nodes/"+node+"/host/addr.json"] = []byte(`[{"ifindex":2,"ifname":"eth0","stats64":{"rx":{"packets":7},"tx":{"packets":8}}}]`)
	}
	a.answer["b"] = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("is down") }
	var queries []string
	f := &Fleet{Patience: time.Minute, Asker: asker(func(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
		a.mu.Lock()
		queries = append(queries, node+" "+path+"?"+query.Encode())
		a.mu.Unlock()
		return a.Ask(ctx, node, method, path, query, body)
	})}
	c := f.Counters(t.Context(), []diagnose.Want{{Node: "a", Pods: []string{"shop/web-0"}}, {Node: "b"}})
	slices.Sort(queries)
	if diff := cmp.Diff([]string{"a snapshot?counters=1&netns=host&pod=shop%2Fweb-0", "b snapshot?counters=1&netns=host"}, queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s, ok := c.Link("nodes/a/host", "eth0"); !ok || s.RX.Packets != 7 || s.TX.Packets != 8 {
		t.Errorf("a: %+v %v", s, ok)
	}
	if _, ok := c.Link("nodes/b/host", "eth0"); ok {
		t.Error("b counts, which is down")
	}
}

// asker is an Asker that is a function.
type asker func(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error)

func (f asker) Ask(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	return f(ctx, node, method, path, query, body)
}

// TestPatience waits less for a node of which the control plane hears nothing, and no longer than for any.
func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		node     string
		patience time.Duration
		want     time.Duration
	}{
		{"well", time.Minute, time.Minute},
		{"silent", time.Minute, silentPatience},
		{"silent", time.Second, time.Second},
	} {
		f := &Fleet{Patience: tt.patience, Silent: map[string]bool{"silent": true}}
		before := time.Now()
		ctx, cancel := f.Within(t.Context(), tt.node)
		end, _ := ctx.Deadline()
		cancel()
		if end.Before(before.Add(tt.want)) || end.After(time.Now().Add(tt.want)) {
			t.Errorf("%s: waits %s, want %s", tt.node, end.Sub(before), tt.want)
		}
	}
}
