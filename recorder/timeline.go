package recorder

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// A Timeline is what was recorded, in the order in which it was.
type Timeline struct {
	Node    string
	Episode *Episode // where it is one
	Seconds []Second
	Damaged int // places where what was written cannot be read: a flipped bit, a torn frame that more follows
}

// A Second is what one second of a recorder has. Counters are by how much they rose in it, gauges as they were,
// and what was as in the second before, or did not happen, is not there.
type Second struct {
	Seq    uint64        // rises by one with each second, over restarts too
	Run    time.Time     // when the recorder was started, by the node's clock then
	Time   time.Time     // its end, by the node's clock, which may be set meanwhile
	Mono   time.Duration // since the recorder's first second, by a clock that nobody sets
	Break  Break         // between the second before and this one
	Values []Value
	Events []event.Event // that were told in it
	Lost   []Loss
	Unread int // values of it whose names cannot be read
}

// A Break is what lies between two seconds, if anything does.
type Break struct {
	Restart bool          // of the recorder: what counters rose by meanwhile is not known
	Missing time.Duration // nothing is recorded of it, or cannot be read
	Step    time.Duration // by how much the node's clock was set, back or forth
}

// A Series is what a value is of.
type Series struct {
	Name   string // of the metric, without the common prefix
	Type   probe.Type
	Pod    string // "" for the node itself
	Labels []event.Field
	Bounds []float64 // of a histogram
	Alarm  bool      // as its metric's
}

// A Value is that of a series in one second.
type Value struct {
	*Series
	Value float64     // of counters and gauges
	Hist  *probe.Hist // of a histogram: what came in that second
}

// A Loss is how many events of a kind there was no room for.
type Loss struct {
	Kind  string
	Count uint64
}

// A Query says what of a timeline is wanted. The zero Query wants all.
type Query struct {
	From, To time.Time     // either may be zero
	Last     time.Duration // so much up to the last second that was recorded, in place of From
	Pod      string        // "shop/web-0": its values, and the events that have it at either end
	Kinds    []string      // events of these kinds, and values whose names begin with one

	now Second // if not zero, the times above are by the node's clock as it is then, whatever it was set by before
}

// until has Last be up to a second.
func (q *Query) until(now Second) { q.From, q.now = now.Time.Add(-q.Last), now }

// time returns when a second was, as the query's times are meant.
func (q *Query) time(s *Second) time.Time {
	if s.Run.Equal(q.now.Run) {
		return q.now.Time.Add(s.Mono - q.now.Mono)
	}
	return s.Time
}

// past reports whether all that a segment has is of before the wanted time.
func (q *Query) past(e *extent) bool {
	return e.latest.Before(q.From) && q.time(&e.last).Before(q.From)
}

func (q *Query) during(s *Second) bool {
	t := q.time(s)
	return (q.From.IsZero() || !t.Before(q.From)) && (q.To.IsZero() || !t.After(q.To))
}

func (q *Query) series(s *Series) bool {
	return (q.Pod == "" || s.Pod == q.Pod) && (len(q.Kinds) == 0 ||
		slices.ContainsFunc(q.Kinds, func(k string) bool { return s.Name == k || strings.HasPrefix(s.Name, k+"_") }))
}

func (q *Query) event(e *event.Event) bool {
	return (q.Pod == "" || e.Pod == q.Pod || e.Peer == q.Pod) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind))
}

// filter takes out of a second what is not wanted.
func (q *Query) filter(s *Second) {
	s.Values = slices.DeleteFunc(s.Values, func(v Value) bool { return !q.series(v.Series) })
	s.Events = slices.DeleteFunc(s.Events, func(e event.Event) bool { return !q.event(&e) })
	s.Lost = slices.DeleteFunc(s.Lost, func(l Loss) bool { return len(q.Kinds) > 0 && !slices.Contains(q.Kinds, l.Kind) })
}

// order brings seconds into order, and makes one of the parts of each.
func order(all []Second) (out []Second) {
	slices.SortStableFunc(all, func(a, b Second) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), a.Run.Compare(b.Run)) })
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].Seq == s.Seq && out[n-1].Run.Equal(s.Run) {
			last := &out[n-1]
			last.Values, last.Events, last.Lost = append(last.Values, s.Values...), append(last.Events, s.Events...), append(last.Lost, s.Lost...)
			last.Unread += s.Unread
			continue
		}
		out = append(out, s)
	}
	return out
}

// Settle moves events that were told later into the second of their own time, as far back as the clock was not set.
func (t *Timeline) Settle() {
	all := t.Seconds
	for i := range all {
		all[i].Events = slices.DeleteFunc(all[i].Events, func(e event.Event) bool {
			to := i
			for to > 0 && all[to].Break.Step == 0 && !all[to].Break.Restart && !e.Time.After(all[to-1].Time) {
				to--
			}
			if to == i {
				return false
			}
			all[to].Events = append(all[to].Events, e)
			slices.SortStableFunc(all[to].Events, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
			return true
		})
	}
}

const (
	late = 500 * time.Millisecond // a second that comes so much later than it should misses something
	step = 500 * time.Millisecond // NTP slews by less; what differs by more was set
)

// between returns what lies between two seconds.
func between(a, b *Second) (k Break) {
	wall := b.Time.Sub(a.Time)
	if !a.Run.Equal(b.Run) {
		return Break{Restart: true, Missing: max(0, wall-time.Second).Round(time.Millisecond)}
	}
	mono := b.Mono - a.Mono
	if over := mono - time.Second; over > late {
		k.Missing = over.Round(time.Millisecond)
	}
	if by := wall - mono; by > step || by < -step {
		k.Step = by.Round(time.Millisecond)
	}
	return k
}
