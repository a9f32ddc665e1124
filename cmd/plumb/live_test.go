package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/collect/kube/kubetest"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// running serves a cluster that was recorded in the lab, and returns it and its kubeconfig's name.
func running(t *testing.T) (*kubetest.Server, string) {
	t.Helper()
	return serving(t, kubetest.FromFiles)
}

// serving serves what is made of a cluster that was recorded in the lab.
func serving(t *testing.T, of func(snapshot.Files) (*kubetest.Server, error)) (*kubetest.Server, string) {
	t.Helper()
	const file = "../../check/checktest/testdata/flannel.txtar"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, _, err := snapshot.Unpack(file, f)
	if err != nil {
		t.Fatal(err)
	}
	s, err := of(files)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, s.Start(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, config
}

// plumb runs the command, and returns its exit status and what it printed.
func plumb(args ...string) (status int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	status = run(args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// diagnosis is the part of the JSON report that the tests look at.
type diagnosis struct {
	Verdict  string                             `json:"verdict"`
	Summary  struct{ EN string }                `json:"summary"`
	Observed []struct{ Agreement, Fate string } `json:"observed"`
	Disagree bool                               `json:"disagree"`
	Findings []struct{ Check, Severity string } `json:"findings"`
	Gaps     []gap                              `json:"gaps"`
}

// gap is one of its gaps.
type gap struct {
	Path string
	Why  struct{ EN string }
}

func decode(t *testing.T, out string) (d diagnosis) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return d
}

// TestLiveDiagnose asks a running cluster: two nodes of three, and a real packet.
func TestLiveDiagnose(t *testing.T) {
	s, config := running(t)
	status, out, errOut := plumb("diagnose", "--kubeconfig", config, "-s", "web-0", "-d", "shop/web-1:8080", "--json")
	d := decode(t, out)
	if status != statusFine || d.Verdict != "works" || d.Disagree || len(d.Observed) != 2 || d.Observed[0].Agreement != "agrees" {
		t.Errorf("status %d, %+v\n%s", status, d, errOut)
	}
	want := []string{"node-a probe", "node-a probe", "node-a snapshot shop/web-0", "node-b snapshot shop/web-1"}
	if diff := cmp.Diff(want, s.Asked()); diff != "" {
		t.Errorf("agents were asked (-want +got):\n%s", diff)
	}
	if !strings.Contains(errOut, `(context "lab")`) {
		t.Errorf("stderr does not name the cluster: %s", errOut)
	}
}

func TestLiveNoProbe(t *testing.T) {
	s, config := running(t)
	status, out, _ := plumb("diagnose", "--kubeconfig", config, "-n", "shop", "-s", "web-0", "-d", "svc/db:8080", "--no-probe", "--json")
	if d := decode(t, out); status != statusFine || len(d.Observed) > 0 {
		t.Errorf("status %d, %+v", status, d)
	}
	if slices.ContainsFunc(s.Asked(), func(a string) bool { return strings.HasSuffix(a, " probe") }) {
		t.Errorf("a probe was sent: %q", s.Asked())
	}
}

// TestLiveDisagree: the model says that it works, and the packet is lost.
func TestLiveDisagree(t *testing.T) {
	s, config := running(t)
	s.Probe = func(_ string, ask snapshot.ProbeAsk) snapshot.Probe {
		return snapshot.Probe{Proto: ask.Proto, Dst: ask.Dst, Size: ask.Size, Sent: ask.Count}
	}
	status, out, _ := plumb("diagnose", "--kubeconfig", config, "-s", "shop/web-0", "-d", "shop/web-1:8080", "--json")
	if d := decode(t, out); status != statusWrong || !d.Disagree || d.Verdict != "broken" || !strings.HasPrefix(d.Summary.EN, "prediction and probe disagree: ") {
		t.Errorf("status %d, %+v", status, d)
	}
}

// TestLiveLocate looks where lost probes were seen last, at the places of their way and nowhere else.
func TestLiveLocate(t *testing.T) {
	s, config := running(t)
	var mu sync.Mutex
	sent := map[string]int{} // by device, in packets
	s.Probe = func(_ string, ask snapshot.ProbeAsk) snapshot.Probe {
		mu.Lock()
		defer mu.Unlock()
		sent["eth0"] += ask.Count // the Pod's, and the node's end of its veth does not see them
		return snapshot.Probe{Proto: ask.Proto, Dst: ask.Dst, Size: ask.Size, Sent: ask.Count}
	}
	s.Counters = func(node string, pods []string) snapshot.Files {
		mu.Lock()
		defer mu.Unlock()
		files := snapshot.Files{"nodes/" + node + "/node.json": fmt.Appendf(nil, `{"name":%q}`, node)}
		if node == "node-a" {
			const link = `[{"ifindex":2,"ifname":%q,"stats64":{"rx":{"packets":%d},"tx":{"packets":%d}}}]`
			files["nodes/node-a/pod-shop-web-0/addr.json"] = fmt.Appendf(nil, link, "eth0", 0, sent["eth0"])
			files["nodes/node-a/host/addr.json"] = fmt.Appendf(nil, link, "vethad0f4c26", 7, 0)
		}
		return files
	}
	status, out, errOut := plumb("diagnose", "--kubeconfig", config, "-s", "web-0", "-d", "shop/web-1:8080")
	out = strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"of 5 more probes all were seen at node-a/pod-shop-web-0/eth0 as sent, 0 at node-a/host/vethad0f4c26 as received: they are lost between the two",
		"node-a/host/vethad0f4c26 as received: 0 packets for 5 probes; to see it on node-a: ip -s link show dev vethad0f4c26",
	} {
		if status != statusWrong || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in\n%s\n%s", status, want, out, errOut)
		}
	}
}

// TestLiveGaps: a node whose agent is gone, and a kind that may not be listed.
func TestLiveGaps(t *testing.T) {
	s, config := running(t)
	answer := s.Node
	s.Node = func(node string, whole bool, pods []string) snapshot.Files {
		if node == "node-b" {
			return nil
		}
		return answer(node, whole, pods)
	}
	s.Forbid = []string{"/apis/apps/v1/daemonsets"}
	status, out, _ := plumb("diagnose", "--kubeconfig", config, "-s", "shop/web-0", "-d", "shop/web-1:8080", "--no-probe", "--json")
	d := decode(t, out)
	if status != statusUnsure || d.Verdict != "cannot-tell" {
		t.Errorf("status %d, %+v", status, d)
	}
	for _, want := range []struct{ path, why string }{
		{"nodes/node-b", "connection refused"},
		{"objects/daemonsets.json", `forbidden: needs apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["list"]`},
	} {
		if !slices.ContainsFunc(d.Gaps, func(g gap) bool { return g.Path == want.path && strings.Contains(g.Why.EN, want.why) }) {
			t.Errorf("no gap of %s that says %q: %v", want.path, want.why, d.Gaps)
		}
	}
}

func TestLiveErrors(t *testing.T) {
	_, config := running(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a Pod that is not there", []string{"diagnose", "--kubeconfig", config, "-s", "nobody", "-d", "shop/web-1:80"}, "no Pod of that name"},
		{"a context that is not there", []string{"diagnose", "--kubeconfig", config, "--context", "other", "-s", "a/b", "-d", "c/d:1"}, `context "other" does not exist`},
		{"a kubeconfig that is not there", []string{"check", "--kubeconfig", "/does/not/exist"}, "no such file"},
		{"a snapshot and a cluster", []string{"check", "--kubeconfig", config, "--snapshot", "x"}, "choose one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, errOut := plumb(tt.args...)
			if status != statusUnsure || !strings.Contains(errOut, tt.want) {
				t.Errorf("status %d, stderr %s, want %q", status, errOut, tt.want)
			}
		})
	}
}

func TestLiveCheck(t *testing.T) {
	s, config := running(t)
	status, out, errOut := plumb("check", "--kubeconfig", config, "--json")
	d := decode(t, out)
	for _, f := range d.Findings {
		if f.Severity != "info" {
			t.Errorf("a finding on a healthy cluster: %+v", f)
		}
	}
	if status == statusWrong {
		t.Errorf("status %d: %s", status, errOut)
	}
	if diff := cmp.Diff([]string{"node-a snapshot", "node-b snapshot", "node-c snapshot"}, s.Asked()); diff != "" {
		t.Errorf("agents were asked (-want +got):\n%s", diff)
	}
}

// TestLiveCheckInParts checks more nodes than are held at once, and says so.
func TestLiveCheckInParts(t *testing.T) {
	const nodes = maxNodes + 6
	s, config := serving(t, func(files snapshot.Files) (*kubetest.Server, error) { return kubetest.Grow(files, nodes, 1) })
	_, out, errOut := plumb("check", "--kubeconfig", config, "--json")
	d := decode(t, out)
	for _, f := range d.Findings {
		if f.Severity != "info" {
			t.Errorf("a finding on a healthy cluster: %+v", f)
		}
	}
	const want = "70 nodes were checked in 2 parts: what concerns two nodes of different parts is not seen"
	if !slices.ContainsFunc(d.Gaps, func(g gap) bool { return g.Path == "nodes" && g.Why.EN == want }) {
		t.Errorf("no gap says %q: %s", want, errOut)
	}
	if got := s.Asked(); len(got) != nodes {
		t.Errorf("%d agents were asked: %v", len(got), got)
	}
}

// TestLiveSnapshot writes a whole cluster, one node of which does not answer, and reads it back; redacted too.
func TestLiveSnapshot(t *testing.T) {
	s, config := running(t)
	answer := s.Node
	s.Node = func(node string, whole bool, pods []string) snapshot.Files {
		if node == "node-c" {
			return nil
		}
		return answer(node, whole, pods)
	}
	dir := t.TempDir()
	bundle, hidden := filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, "r.tar.gz")
	if status, _, errOut := plumb("snapshot", "--kubeconfig", config, "-o", bundle); status != statusFine || !strings.Contains(errOut, "node node-c: ") {
		t.Fatalf("status %d: %s", status, errOut)
	}
	f, err := os.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := snapshot.ReadBundle(bundle, f)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := c.GapAt("nodes/node-c"); !ok || !strings.Contains(g.Why, "connection refused") || c.Node("node-a") == nil || !c.Objects.Have["Pod"] {
		t.Errorf("gaps %v", c.Gaps)
	}
	status, out, _ := plumb("diagnose", "--snapshot", bundle, "-s", "shop/web-0", "-d", "shop/web-1:8080", "--json")
	if d := decode(t, out); status != statusFine || d.Verdict != "works" {
		t.Errorf("from the bundle: status %d, %s", status, d.Verdict)
	}
	if status, _, errOut := plumb("snapshot", "--kubeconfig", config, "-o", hidden, "--redact"); status != statusFine {
		t.Fatalf("status %d: %s", status, errOut)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "r.map.json")); err != nil || !bytes.Contains(data, []byte(`"shop"`)) {
		t.Errorf("the map: %v", err)
	}
}

// TestSilent: of a node that calls itself not ready the control plane does hear.
func TestSilent(t *testing.T) {
	var nodes []corev1.Node
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown} {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: string(status)}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: status}}
		nodes = append(nodes, n)
	}
	if diff := cmp.Diff(map[string]bool{"Unknown": true}, silent(nodes)); diff != "" {
		t.Error(diff)
	}
}
