//go:build linux

package pingmesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/snapshot"
)

const (
	mostPeers = 64
	others    = "others" // what was counted of those that were not asked for longest
)

const buckets = 14

var bounds = [buckets - 1]float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1}

// A pair is a peer, and a path to it.
type pair struct{ peer, path string }

// A table has what came of what was sent, by peer and path.
type table struct {
	counts map[pair]*count
	states map[pair]*state
	asked  map[string]time.Time // peers, when they last were
}

func newTable() table {
	return table{map[pair]*count{}, map[pair]*state{}, map[string]time.Time{}}
}

// A count is what was counted of a pair.
type count struct {
	sent [asks]float64
	lost [asks]map[snapshot.ProbeFate]float64
	rtt  [buckets]uint64
	sum  float64
}

func (c *count) add(d *count) {
	for i := range asks {
		c.sent[i] += d.sent[i]
		for fate, n := range d.lost[i] {
			c.lose(i, fate, n)
		}
	}
	for i := range d.rtt {
		c.rtt[i] += d.rtt[i]
	}
	c.sum += d.sum
}

func (c *count) lose(kind int, fate snapshot.ProbeFate, n float64) {
	if c.lost[kind] == nil {
		c.lost[kind] = map[snapshot.ProbeFate]float64{}
	}
	c.lost[kind][fate] += n
}

func (c *count) took(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d.Seconds())
	c.rtt[i]++
	c.sum += d.Seconds()
}

// A state is how a pair fares.
type state struct {
	row  [asks]int // outcomes that differ from bad, one after the other
	bad  [asks]bool
	why  [asks]string // the last one lost
	told [asks]bool
	tell time.Time // when that was
	wait int       // rounds since bad is another than told, and more may follow
}

// add adds what came of a round, and returns what is to be told.
func (t *table) add(now time.Time, node string, tries []try) (out []event.Event) {
	by := map[pair][]*try{}
	for i := range tries {
		x := &tries[i]
		k := pair{x.Node, x.Path}
		by[k] = append(by[k], x)
		t.asked[x.Node] = now
		c := t.of(k)
		c.sent[x.kind]++
		if !x.ok() {
			c.lose(x.kind, x.fate, 1)
		} else if x.kind == echo {
			c.took(x.rtt)
		}
	}
	t.forget()
	for _, k := range slices.SortedFunc(maps.Keys(by), byName) {
		s := t.states[k]
		if s == nil {
			s = &state{tell: now}
			t.states[k] = s
		}
		if e, ok := s.after(now, by[k]); ok {
			e.Kind, e.Node = Kind.Name, node
			out = append(out, e)
		}
	}
	return out
}

func byName(a, b pair) int {
	return cmp.Or(strings.Compare(a.peer, b.peer), strings.Compare(a.path, b.path))
}

func (t *table) of(k pair) *count {
	c := t.counts[k]
	if c == nil {
		c = &count{}
		t.counts[k] = c
	}
	return c
}

// forget makes of peers that are too many others.
func (t *table) forget() {
	if len(t.asked) <= mostPeers {
		return
	}
	list := slices.SortedFunc(maps.Keys(t.asked), func(a, b string) int { return cmp.Or(t.asked[a].Compare(t.asked[b]), strings.Compare(a, b)) })
	for _, peer := range list[:len(list)-mostPeers] {
		delete(t.asked, peer)
		for _, k := range slices.Collect(maps.Keys(t.counts)) {
			if k.peer == peer {
				t.of(pair{others, k.path}).add(t.counts[k])
				delete(t.counts, k)
				delete(t.states, k)
			}
		}
	}
}

// after takes the outcomes of a round, and tells where what is answered, and what is not, has changed.
func (s *state) after(now time.Time, tries []*try) (e event.Event, changed bool) {
	for _, x := range tries {
		if !x.ok() {
			s.why[x.kind] = strings.TrimSpace(x.fate.String() + " " + x.why)
		}
		if x.ok() != s.bad[x.kind] {
			s.row[x.kind] = 0
			continue
		}
		if s.row[x.kind]++; s.row[x.kind] >= after {
			s.bad[x.kind], s.row[x.kind] = !s.bad[x.kind], 0
		}
	}
	if s.bad == s.told {
		s.wait = 0
		return e, false
	}
	if s.row != [asks]int{} && s.wait < after { // what broke at once did so in the middle of a round
		s.wait++
		return e, false
	}
	s.wait = 0
	var lost, passes []string
	why := ""
	for _, x := range tries {
		name := askNames[x.kind]
		if x.kind == full {
			name += fmt.Sprintf("(%d)", x.size)
		}
		if !s.bad[x.kind] {
			passes = append(passes, name)
			continue
		}
		lost = append(lost, name)
		why = cmp.Or(why, s.why[x.kind])
	}
	t := tries[0]
	e = event.Event{Time: now, Detail: []event.Field{{Key: "peer", Value: t.Node}, {Key: "path", Value: t.Path}, {Key: "address", Value: t.Addr.String()}}}
	add := func(key, value string) { e.Detail = append(e.Detail, event.Field{Key: key, Value: value}) }
	add("lost", cmp.Or(strings.Join(lost, ","), "none"))
	add("passes", cmp.Or(strings.Join(passes, ","), "none"))
	if why != "" {
		add("why", why)
	} else {
		add("after", now.Sub(s.tell).Round(time.Second).String())
	}
	s.told, s.tell = s.bad, now
	return e, true
}

// tell tells all counters.
func (t *table) tell(emit func(probe.Sample)) {
	for k, c := range t.counts {
		for i, name := range askNames {
			if c.sent[i] == 0 {
				continue
			}
			emit(probe.Sample{Stat: sent, Labels: []string{k.peer, k.path, name}, Value: c.sent[i]})
			for fate, n := range c.lost[i] {
				emit(probe.Sample{Stat: lost, Labels: []string{k.peer, k.path, name, fate.String()}, Value: n})
			}
		}
		emit(probe.Sample{Stat: rtt, Labels: []string{k.peer, k.path}, Hist: &probe.Hist{Bounds: bounds[:], Counts: c.rtt[:], Sum: c.sum}})
	}
}
