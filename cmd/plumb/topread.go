package main

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
)

// The columns of rates, each with the probe that tells it and the counter.
var topColumns = [...]struct{ probe, metric string }{
	{"packetloss", "packetloss_packets_total"},
	{"tcpretransmit", "tcpretransmit_segments_total"},
	{"tcpreset", "tcpreset_resets_total"},
}

// stageSuffix ends the names of the histograms that say how long a stage took.
const stageSuffix = "_seconds"

// A fare is how a Pod fared in the last seconds.
type fare struct {
	node, pod string
	rates     [len(topColumns)]float64 // a second; NaN where no probe tells
	slow      time.Duration            // what 9 of 10 measurements of its slowest stage are within
	stage     string
}

// A standing is how the Pods of some nodes fared.
type standing struct {
	worst []fare // the worst first, topRows at most
	pods  int    // of which there was something to tell
	nodes int
	mute  [len(topColumns)]int // nodes on which a column's probe does not run
}

// add adds other nodes.
func (s *standing) add(o standing) {
	s.pods += o.pods
	s.nodes += o.nodes
	for i, n := range o.mute {
		s.mute[i] += n
	}
	s.worst = append(s.worst, o.worst...)
	slices.SortFunc(s.worst, func(a, b fare) int {
		for i := range a.rates {
			if c := cmp.Compare(b.rates[i], a.rates[i]); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(b.slow, a.slow), cmp.Compare(a.pod, b.pod), cmp.Compare(a.node, b.node))
	})
	s.worst = s.worst[:min(len(s.worst), topRows)]
}

// fewSlow are the measurements of which nine of ten say something.
const fewSlow = 10

// stageKey is a Pod's series of a stage, all other labels together.
type stageKey struct{ pod, stage string }

// standingOf returns how the Pods of a node fared, those of a namespace or all, by what is recorded of some seconds and which probes run.
func standingOf(node string, t *recorder.Timeline, up map[string]bool, namespace string) standing {
	pods, stages := map[string]*fare{}, map[stageKey]*probe.Hist{}
	out := standing{nodes: 1}
	var none [len(topColumns)]float64
	for i, c := range topColumns {
		if !up[c.probe] {
			none[i], out.mute[i] = math.NaN(), 1
		}
	}
	of := func(pod string) *fare {
		if pods[pod] == nil {
			pods[pod] = &fare{node: node, pod: pod, rates: none}
		}
		return pods[pod]
	}
	passed := time.Duration(0)
	for _, s := range t.Seconds {
		passed += time.Second
		if !s.Break.Restart { // what counters rose by while no recorder ran is not in it
			passed += s.Break.Missing
		}
	}
	for _, s := range t.Seconds {
		for _, v := range s.Values {
			if space, _ := event.Split(v.Pod); namespace != "" && space != namespace {
				continue
			}
			for i, c := range topColumns {
				if v.Name == c.metric {
					of(v.Pod).rates[i] += v.Value / passed.Seconds()
				}
			}
			if stage, ok := strings.CutSuffix(v.Name, stageSuffix); ok && v.Hist != nil {
				of(v.Pod)
				addHist(stages, stageKey{v.Pod, stage}, v.Hist)
			}
		}
	}
	for key, h := range stages {
		f := pods[key.pod]
		seconds, n := recorder.Slow(h)
		slow := time.Duration(seconds * 1e9)
		if n >= fewSlow && (slow > f.slow || slow == f.slow && key.stage < f.stage) {
			f.slow, f.stage = slow, key.stage
		}
	}
	out.pods = len(pods)
	all := standing{}
	for _, f := range pods {
		all.worst = append(all.worst, *f)
	}
	out.add(all)
	return out
}

// addHist adds measurements to those of a stage, whose buckets are always the same ones.
func addHist(stages map[stageKey]*probe.Hist, key stageKey, h *probe.Hist) {
	have := stages[key]
	if have == nil {
		have = &probe.Hist{Bounds: h.Bounds, Counts: make([]uint64, len(h.Counts))}
		stages[key] = have
	}
	for i := range min(len(have.Counts), len(h.Counts)) {
		have.Counts[i] += h.Counts[i]
	}
}
