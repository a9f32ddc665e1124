package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A reading is what an agent told at a time: the values of its series, by the series as it is written.
type reading struct {
	at     time.Time
	values map[string]float64
}

// metricPrefix is that of all metrics of the agent.
const metricPrefix = "plumb_"

// readMetrics reads of the agent's metrics those that the table is made of, in Prometheus' text format, which has a series a line.
func readMetrics(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if !strings.HasPrefix(line, metricPrefix) {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if i < 0 || err != nil {
			return nil, fmt.Errorf("metrics: line %d: want a series and its value: %.80q", n, line)
		}
		if used(line[:i]) {
			out[line[:i]] = v
		}
	}
	return out, lines.Err()
}

// used reports whether the table is made of a series: of all nodes' together there are too many to keep them all.
func used(series string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(series, metricPrefix), "{")
	return strings.HasSuffix(name, stageSuffix) || slices.ContainsFunc(topColumns[:], func(names []string) bool { return slices.Contains(names, name) })
}

// stageSuffix ends the names of the histograms' series that say how long a stage took.
const stageSuffix = "_seconds_bucket"

// splitSeries splits a series into its name without the prefix, and its labels.
func splitSeries(s string) (name string, labels map[string]string) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(s, metricPrefix), "{")
	labels = map[string]string{}
	for rest != "" && rest != "}" {
		key, quoted, ok := strings.Cut(rest, "=")
		end, err := strconv.QuotedPrefix(quoted)
		if !ok || err != nil {
			break
		}
		labels[key], _ = strconv.Unquote(end)
		rest = strings.TrimPrefix(quoted[len(end):], ",")
	}
	return name, labels
}

// The columns of rates, each with the counters that it sums. The first of them that the agent has is taken: the
// second tells less, and is there where the kernel lacks what the first needs.
var topColumns = [...][]string{
	{"packetloss_packets_total", "netdev_dropped_total"},
	{"tcpretransmit_segments_total"},
	{"tcpreset_resets_total"},
}

// A fare is how a Pod fared between two readings.
type fare struct {
	node, pod string
	rates     [len(topColumns)]float64 // a second; NaN where no probe tells
	slow      time.Duration            // what 9 of 10 measurements of its slowest stage are within
	stage     string
}

// fewSlow are the measurements of which nine of ten say something.
const fewSlow = 10

// worst returns the Pods of a namespace, or of all, the worst first.
func worst(before, now map[string]reading, namespace string) (out []fare) {
	for node, after := range now {
		if prev, ok := before[node]; ok && after.at.After(prev.at) {
			out = append(out, worstOf(node, prev, after, namespace)...)
		}
	}
	slices.SortFunc(out, func(a, b fare) int {
		for i := range a.rates {
			if c := cmp.Compare(b.rates[i], a.rates[i]); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(b.slow, a.slow), cmp.Compare(a.pod, b.pod), cmp.Compare(a.node, b.node))
	})
	return out
}

// stageKey is a Pod's series of a stage, all other labels together.
type stageKey struct{ pod, stage string }

func worstOf(node string, before, now reading, namespace string) (out []fare) {
	passed := now.at.Sub(before.at).Seconds()
	pods, told := map[string]*fare{}, map[string]bool{}
	sums := map[string]map[string]float64{} // by counter and Pod
	stages := map[stageKey]map[float64]float64{}
	for series, v := range now.values {
		name, labels := splitSeries(series)
		pod, ok := labels["pod"]
		if !ok || namespace != "" && labels["namespace"] != namespace {
			told[name] = true
			continue
		}
		pod = strings.TrimPrefix(labels["namespace"]+"/"+pod, "/")
		told[name] = true
		if pods[pod] == nil {
			pods[pod] = &fare{node: node, pod: pod}
		}
		rose := v - before.values[series]
		if rose < 0 {
			rose = v
		}
		if stage, ok := strings.CutSuffix(name, stageSuffix); ok {
			le, err := strconv.ParseFloat(labels["le"], 64)
			if key := (stageKey{pod, stage}); err == nil && stages[key] == nil {
				stages[key] = map[float64]float64{le: rose}
			} else if err == nil {
				stages[key][le] += rose
			}
			continue
		}
		if sums[name] == nil {
			sums[name] = map[string]float64{}
		}
		sums[name][pod] += rose
	}
	for _, u := range pods {
		for i, names := range topColumns {
			u.rates[i] = math.NaN()
			if at := slices.IndexFunc(names, func(n string) bool { return told[n] }); at >= 0 {
				u.rates[i] = sums[names[at]][u.pod] / passed
			}
		}
	}
	for key, buckets := range stages {
		u := pods[key.pod]
		if slow, n := slowOf(buckets); n >= fewSlow && (slow > u.slow || slow == u.slow && key.stage < u.stage) {
			u.slow, u.stage = slow, key.stage
		}
	}
	for _, u := range pods {
		out = append(out, *u)
	}
	return out
}

// slowOf returns what nine of ten measurements are within, by the cumulative buckets of a histogram; beyond the
// last bound it is that.
func slowOf(buckets map[float64]float64) (time.Duration, float64) {
	var bounds []float64
	for le := range buckets {
		bounds = append(bounds, le)
	}
	slices.Sort(bounds)
	n := buckets[math.Inf(1)]
	last := 0.
	for _, le := range bounds {
		if !math.IsInf(le, 1) {
			last = le
		}
		if buckets[le] >= .9*n {
			break
		}
	}
	return time.Duration(last * 1e9), n
}
