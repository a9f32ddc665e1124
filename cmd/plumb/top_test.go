package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/report"
)

// metrics are those of an agent, n readings on.
func metrics(n int) string {
	return fmt.Sprintf(`# HELP plumb_packetloss_packets_total Packets.
# TYPE plumb_packetloss_packets_total counter
plumb_packetloss_packets_total{namespace="shop",pod="web-0",reason="NO_SOCKET"} %d
plumb_packetloss_packets_total{namespace="shop",pod="web-0",reason="a \\"b\\", {c}"} %d
plumb_packetloss_packets_total{namespace="shop",pod="api-1",reason="NO_SOCKET"} 7
plumb_packetloss_packets_total{namespace="",pod="",reason="NO_SOCKET"} %d
plumb_netdev_dropped_total{namespace="db",pod="pg-0",device="eth0"} %d
plumb_tcpreset_resets_total{namespace="db",pod="pg-0"} %d
plumb_softnet_dropped_total{cpu="0"} 3
plumb_dns_lookup_seconds_bucket{namespace="db",pod="pg-0",le="0.001"} %d
plumb_dns_lookup_seconds_bucket{namespace="db",pod="pg-0",le="0.25"} %d
plumb_dns_lookup_seconds_bucket{namespace="db",pod="pg-0",le="+Inf"} %d
plumb_tcpconnect_seconds_bucket{namespace="db",pod="pg-0",le="0.001"} %d
plumb_tcpconnect_seconds_bucket{namespace="db",pod="pg-0",le="+Inf"} %d
go_goroutines 5
`, 100*n, 20*n, n, 1000*n, 4*n, 10*n, 18*n, 20*n, 20*n, 20*n)
}

func at(t *testing.T, n int) reading {
	t.Helper()
	v, err := readMetrics(strings.NewReader(metrics(n)))
	if err != nil {
		t.Fatal(err)
	}
	return reading{time.Unix(int64(2*n), 0), v}
}

func TestWorst(t *testing.T) {
	none := math.NaN()
	before, now := map[string]reading{"node-a": at(t, 1), "gone": at(t, 1)}, map[string]reading{"node-a": at(t, 2), "new": at(t, 2)}
	want := []fare{
		{node: "node-a", pod: "shop/web-0", rates: [3]float64{60, none, 0}},
		{node: "node-a", rates: [3]float64{.5, none, 0}},
		{node: "node-a", pod: "db/pg-0", rates: [3]float64{0, none, 2}, slow: 250 * time.Millisecond, stage: "dns_lookup"},
		{node: "node-a", pod: "shop/api-1", rates: [3]float64{0, none, 0}},
	}
	got := worst(before, now, "")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fare{}), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
	if got := worst(before, now, "db"); len(got) != 1 || got[0].pod != "db/pg-0" {
		t.Errorf("%+v", got)
	}
	if got := worst(now, map[string]reading{"node-a": {time.Unix(9, 0), at(t, 1).values}}, "shop"); got[0].rates[0] != 24 { // the agent began anew
		t.Errorf("%+v", got)
	}
	for lang, want := range map[string]string{
		"en": "lost/s  resent/s  resets/s  slowest stage, 9 of 10 within  Pod              node\n" +
			"    60         ?         0  -                              shop/web-0       node-a\n" +
			"   0.5         ?         0  -                              the node itself  node-a\n" +
			"     0         ?       2.0  250ms dns_lookup               db/pg-0          node-a\n" +
			"     0         ?         0  -                              shop/api-1       node-a\n",
		"zh": "丢包/秒  重传/秒  重置/秒  最慢阶段，十分之九不超过  Pod         节点\n" +
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
	if err := topText(&b, []fare{{pod: "ingress-nginx/ingress-nginx-controller-5c698bb56f-pcvjf", node: "node-a", stage: "dns_lookup", slow: 4194304}}, report.Options{Width: 80}); err != nil {
		t.Fatal(err)
	}
	const narrow = "lost/s  resent/s  resets/s  slowest stage, 9 of 10 within  Pod            node\n" +
		"     0         0         0  4.2ms dns_lookup               ingr…6f-pcvjf  node-a\n"
	if diff := cmp.Diff(narrow, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := topText(&b, make([]fare, topRows+3), report.Options{}); err != nil || !strings.HasSuffix(b.String(), "\nand 3 others\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestReadMetrics(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "# TYPE plumb_x counter\n": "", "plumb_x 5\n": "", "plumb_x{a=\"b c\"} NaN\n": "", "other stuff\n": "",
		"plumb_x\n": "line 1: want a series and its value", "plumb_x 1\nplumb_x{} five\n": "line 2: ",
	} {
		if _, err := readMetrics(strings.NewReader(in)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
	kept, err := readMetrics(strings.NewReader("plumb_netdev_bytes_total{pod=\"a\"} 1\nplumb_netdev_dropped_total{pod=\"a\"} 2\nplumb_dns_lookup_seconds_sum{pod=\"a\"} 3\nplumb_dns_lookup_seconds_bucket{le=\"1\"} 4\n"))
	if want := (map[string]float64{`plumb_netdev_dropped_total{pod="a"}`: 2, `plumb_dns_lookup_seconds_bucket{le="1"}`: 4}); err != nil || !cmp.Equal(kept, want) {
		t.Errorf("%v, %v, want %v", kept, err, want)
	}
	name, labels := splitSeries(`plumb_x{a="1",b="a \"q\", {c}",d=""}`)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": `a "q", {c}`, "d": ""}, labels); diff != "" || name != "x" {
		t.Error(name, diff)
	}
	if name, labels := splitSeries(`plumb_y{a=b}`); name != "y" || len(labels) != 0 {
		t.Error(name, labels)
	}
}

func TestTopVerb(t *testing.T) {
	topPause = time.Millisecond
	s, config := running(t)
	status, _, errOut := plumb("top", "--kubeconfig", config)
	if status != statusUnsure || !strings.Contains(errOut, "no agent answers") || !strings.Contains(errOut, "does not watch its node") {
		t.Errorf("status %d: %s", status, errOut)
	}
	var mu sync.Mutex
	asked := map[string]int{}
	s.Metrics = func(node string) string {
		mu.Lock()
		defer mu.Unlock()
		asked[node]++
		if node == "node-c" {
			return "plumb_x"
		}
		return metrics(asked[node])
	}
	status, out, errOut := plumb("top", "--kubeconfig", config, "-n", "shop")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); status != statusFine || len(lines) != 5 || !strings.Contains(lines[1], "shop/web-0  node-") || strings.Contains(out, "db/") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if !strings.Contains(errOut, "plumb: node-c: metrics: line 1") {
		t.Error(errOut)
	}
	for _, row := range []struct{ arg, want string }{{"--kubeconfig=/does/not/exist", "no such file"}, {"--lang=fr", "want en or zh"}, {"x", "unexpected argument"}} {
		if status, _, errOut := plumb("top", row.arg); status != statusUnsure || !strings.Contains(errOut, row.want) {
			t.Errorf("%s: status %d: %s", row.arg, status, errOut)
		}
	}
}

func FuzzReadMetrics(f *testing.F) {
	f.Add(metrics(3))
	f.Fuzz(func(t *testing.T, in string) {
		v, err := readMetrics(strings.NewReader(in))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := topText(&b, worst(map[string]reading{"n": {}}, map[string]reading{"n": {time.Unix(1, 0), v}}, ""), report.Options{}); err != nil {
			t.Error(err)
		}
	})
}
