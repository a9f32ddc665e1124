package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
	"github.com/plumbnet/plumb/report"
)

// told is what the probes of a node tell after n seconds.
func told(n int) []probe.Sample {
	counter := func(name, pod string, value int, labels ...string) probe.Sample {
		return probe.Sample{Stat: counters[name], Pod: pod, Value: float64(value), Labels: labels}
	}
	hist := func(name, pod string, counts ...uint64) probe.Sample {
		for i := range counts {
			counts[i] *= uint64(n)
		}
		return probe.Sample{Stat: counters[name], Pod: pod, Hist: &probe.Hist{Bounds: []float64{.001, .25}, Counts: counts}}
	}
	return []probe.Sample{
		counter("packetloss_packets_total", "shop/web-0", 50*n, "NO_SOCKET"), counter("packetloss_packets_total", "shop/web-0", 10*n, `a "b", {c}`),
		counter("packetloss_packets_total", "shop/api-1", 7, "NO_SOCKET"), counter("packetloss_packets_total", "", n/2, "NO_SOCKET"),
		counter("tcpreset_resets_total", "db/pg-0", 2*n), counter("ip_forwarded_total", "db/pg-1", n),
		hist("dns_lookup_seconds", "db/pg-0", 4, 6, 0), hist("tcpconnect_seconds", "db/pg-0", 10, 0, 0), hist("tcpconnect_seconds", "shop/api-1", 1, 0, 0),
	}
}

// counters are metrics of the agent.
var counters = map[string]*probe.Stat{
	"packetloss_packets_total": {Name: "packetloss_packets_total", Labels: []string{"reason"}, Second: true, Alarm: true},
	"tcpreset_resets_total":    {Name: "tcpreset_resets_total", Second: true},
	"ip_forwarded_total":       {Name: "ip_forwarded_total", Second: true},
	"dns_lookup_seconds":       {Name: "dns_lookup_seconds", Type: probe.Histogram, Second: true},
	"tcpconnect_seconds":       {Name: "tcpconnect_seconds", Type: probe.Histogram, Second: true},
}

// lastSeconds returns what a recorder sends of the last seconds.
func lastSeconds(t *testing.T) []byte {
	t.Helper()
	r, err := recorder.Open(recorder.Options{Node: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, i := range []int{0, 1, 2, 3, 4, 5, 7, 8} { // one is missing, which what comes next has
		r.Second(time.Unix(int64(i), 0), told(i))
	}
	var b bytes.Buffer
	if err := r.Copy(&b, recorder.Query{Last: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var without = map[string]bool{"packetloss": true, "tcpreset": true, "dns": true, "tcpconnect": true} // tcpretransmit

func TestStanding(t *testing.T) {
	tl, err := recorder.Decode(bytes.NewReader(lastSeconds(t)), recorder.Query{})
	if err != nil || len(tl.Seconds) != 3 {
		t.Fatalf("%v: %d seconds", err, len(tl.Seconds))
	}
	none := math.NaN()
	want := standing{pods: 4, nodes: 1, mute: [3]int{0, 1, 0}, worst: []fare{
		{node: "node-a", pod: "shop/web-0", rates: [3]float64{60, none, 0}},
		{node: "node-a", rates: [3]float64{.5, none, 0}},
		{node: "node-a", pod: "db/pg-0", rates: [3]float64{0, none, 2}, slow: 250 * time.Millisecond, stage: "dns_lookup"},
		{node: "node-a", pod: "shop/api-1", rates: [3]float64{0, none, 0}},
	}}
	got := standingOf("node-a", tl, without, "")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fare{}, standing{}), cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
	if got := standingOf("node-a", tl, without, "db"); len(got.worst) != 1 || got.worst[0].pod != "db/pg-0" {
		t.Errorf("%+v", got)
	}
	got.worst[0].rates[0], got.worst[1].rates[0] = 60, .5
	const mute = "? the probe tcpretransmit does not run on 1 of 1 nodes\n"
	for lang, want := range map[string]string{
		"en": mute + "lost/s  resent/s  resets/s  slowest stage, 9 of 10 within  Pod              node\n" +
			"    60         ?         0  -                              shop/web-0       node-a\n" +
			"   0.5         ?         0  -                              the node itself  node-a\n" +
			"     0         ?       2.0  250ms dns_lookup               db/pg-0          node-a\n" +
			"     0         ?         0  -                              shop/api-1       node-a\n",
		"zh": "? 1 个节点中有 1 个未运行探针 tcpretransmit\n丢包/秒  重传/秒  重置/秒  最慢阶段，十分之九不超过  Pod         节点\n" +
			"     60        ?        0  -                         shop/web-0  node-a\n" +
			"    0.5        ?        0  -                         节点本身    node-a\n" +
			"      0        ?      2.0  250ms dns_lookup          db/pg-0     node-a\n" +
			"      0        ?        0  -                         shop/api-1  node-a\n",
	} {
		var b bytes.Buffer
		if err := topText(&b, got, report.Options{Lang: lang}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s: %s", lang, diff)
		}
	}
	var b bytes.Buffer
	long := standing{pods: 1, nodes: 1, worst: []fare{{pod: "ingress-nginx/ingress-nginx-controller-5c698bb56f-pcvjf", node: "node-a", stage: "dns_lookup", slow: 4194304}}}
	if err := topText(&b, long, report.Options{Width: 80}); err != nil {
		t.Fatal(err)
	}
	const narrow = "lost/s  resent/s  resets/s  slowest stage, 9 of 10 within  Pod            node\n" +
		"     0         0         0  4.2ms dns_lookup               ingr…6f-pcvjf  node-a\n"
	if diff := cmp.Diff(narrow, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	var all standing
	for i := range topRows + 3 {
		all.add(standing{pods: 1, nodes: 1, worst: []fare{{pod: fmt.Sprint("shop/web-", i), rates: [3]float64{float64(i)}}}})
	}
	if err := topText(&b, all, report.Options{}); err != nil || !strings.HasSuffix(b.String(), "\nand 3 others\n") || !strings.Contains(b.String(), "\n    22 ") || strings.Contains(b.String(), "web-2\n") {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	if err := topText(&b, standing{nodes: 3}, report.Options{}); err != nil || b.String() != "in the last 5s on 3 nodes nothing was lost, sent again, reset or measured\n" {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestTopVerb(t *testing.T) {
	topPause = time.Millisecond
	s, config := running(t)
	status, _, errOut := plumb("top", "--kubeconfig", config)
	if status != statusUnsure || !strings.Contains(errOut, "no agent answers") || !strings.Contains(errOut, "does not watch its node") {
		t.Errorf("status %d: %s", status, errOut)
	}
	stream := lastSeconds(t)
	var mu sync.Mutex
	asked := map[string]bool{}
	s.Recorded = func(node, what string, query url.Values) []byte {
		mu.Lock()
		defer mu.Unlock()
		asked[what+" "+query.Encode()] = true
		switch {
		case what == "status":
			age := map[string]float64{"node-b": 60}[node] // it records no more
			data, _ := json.Marshal(map[string]any{"probes": []map[string]any{{"name": "packetloss", "up": true}, {"name": "tcpreset", "up": false}}, "recorder": map[string]any{"ageSeconds": age}})
			return data
		case node == "node-c":
			return []byte("x")
		}
		return stream
	}
	status, out, errOut := plumb("top", "--kubeconfig", config, "-n", "shop")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); status != statusFine || len(lines) != 5 || !strings.HasSuffix(lines[3], "shop/web-0  node-a") || strings.Contains(out, "db/") ||
		lines[0] != "? the probe tcpretransmit does not run on 1 of 1 nodes" || !strings.HasPrefix(lines[3], "    60         ?         ?") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if want := "plumb: node-b: nothing has been recorded of the last seconds\nplumb: node-c: recorder: nothing that a recorder wrote\n"; !strings.HasSuffix(errOut, want) {
		t.Errorf("%s, want %s", errOut, want)
	}
	if !asked["record since=5s"] || !asked["status "] || len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	for _, row := range []struct{ arg, want string }{{"--kubeconfig=/does/not/exist", "no such file"}, {"--lang=fr", "want en or zh"}, {"x", "unexpected argument"}} {
		if status, _, errOut := plumb("top", row.arg); status != statusUnsure || !strings.Contains(errOut, row.want) {
			t.Errorf("%s: status %d: %s", row.arg, status, errOut)
		}
	}
}
