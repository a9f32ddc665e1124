//go:build linux

package peers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
	corev1 "k8s.io/api/core/v1"
)

const (
	maxNews   = 8               // episodes that wait for their turn, or whose window is not over
	maxTold   = 1024            // Events that are known to be told
	newsTime  = 5 * time.Second // for one answer; and before the end of a window, when it is asked for again
	maxQuoted = 200             // bytes of what an Event says
)

// news is what is to be asked of an episode.
type news struct {
	recorder.Episode
	tell  func(event.Event)
	again time.Time
	about []subject // those that were asked for
}

// A subject is what Events are about.
type subject struct{ kind, namespace, name string }

// News tells what Kubernetes did to the Pods of an episode and to its nodes in its window: at once, and before the window ends. It
// does not wait for that.
func (p *Peers) News(e recorder.Episode, tell func(event.Event)) {
	n := news{Episode: e, tell: tell, again: time.Now().Add(time.Until(e.To) - newsTime)}
	select {
	case p.news <- n:
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.state.Unasked++
	}
}

// tellNews asks for Events until ctx ends.
func (p *Peers) tellNews(ctx context.Context) {
	var open []*news
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-p.news:
			i := slices.IndexFunc(open, func(o *news) bool { return o.ID == n.ID })
			if i < 0 && len(open) < maxNews {
				i, open = len(open), append(open, &n)
			}
			if i >= 0 {
				p.hear(ctx, open[i], p.subjects(n.Episode))
			}
		case now := <-tick.C:
			open = slices.DeleteFunc(open, func(n *news) bool {
				if now.Before(n.again) {
					return false
				}
				about := n.about
				n.about = nil
				p.hear(ctx, n, about)
				return true
			})
		}
	}
}

// subjects returns this node, and the Pods and the nodes of an episode.
func (p *Peers) subjects(e recorder.Episode) []subject {
	out := []subject{{"Node", "default", p.o.Node}} // where Events of what has no namespace are
	for _, r := range e.Reasons {
		if namespace, name := event.Split(r.Pod); namespace != "" {
			out = append(out, subject{"Pod", namespace, name})
		}
	}
	for _, peer := range e.Peers {
		if namespace, name := event.Split(peer); namespace != "" {
			out = append(out, subject{"Pod", namespace, name})
		} else {
			out = append(out, subject{"Node", "default", name})
		}
	}
	return out
}

// hear tells the Events of subjects that were not asked for yet.
func (p *Peers) hear(ctx context.Context, n *news, about []subject) {
	for _, s := range about {
		if slices.Contains(n.about, s) {
			continue
		}
		n.about = append(n.about, s)
		for _, e := range p.events(ctx, s) {
			if at := when(&e); at.Before(n.From.Add(-skew)) || at.After(n.To.Add(skew)) || !p.first(&e) {
				continue
			}
			n.tell(said(&e))
		}
	}
}

// events asks for the Events of one subject, if there is time for that.
func (p *Peers) events(ctx context.Context, s subject) []corev1.Event {
	p.mu.Lock()
	may := p.budget() > 0
	if !may {
		p.state.Unasked++
	}
	p.mu.Unlock()
	if !may || time.Now().Before(p.deaf) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, newsTime)
	defer cancel()
	start := time.Now()
	list, err := p.o.Kube.EventsBy(ctx, s.namespace, "involvedObject.kind="+s.kind+",involvedObject.name="+s.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	why := ""
	if refused(err) {
		p.deaf = time.Now().Add(unservable)
		why, err = err.Error(), nil
	}
	if why != "" && why != p.state.Deaf {
		p.o.Log.Printf("what Kubernetes does is not told: %v", why)
	}
	p.state.Deaf = why
	p.spent(start, err)
	return list
}

// first reports whether an Event was not told yet as it is now: those that come again count up.
func (p *Peers) first(e *corev1.Event) bool {
	key := fmt.Sprint(e.UID, times(e), when(e).Unix())
	if p.told[key] {
		return false
	}
	if len(p.told) >= maxTold {
		clear(p.told)
	}
	p.told[key] = true
	return true
}

// when returns when an Event came last, by the clock of who told it.
func when(e *corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	for _, t := range []time.Time{e.EventTime.Time, e.LastTimestamp.Time} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// times returns how often an Event came.
func times(e *corev1.Event) int32 {
	n := max(e.Count, 1)
	if e.Series != nil {
		n = max(n, e.Series.Count)
	}
	return n
}

// said is an Event as the probe of changes tells what was changed.
func said(e *corev1.Event) event.Event {
	out := event.Event{Time: when(e), Node: e.Source.Host, Detail: []event.Field{{Key: "change", Value: "kubernetes"}}}
	if o := e.InvolvedObject; o.Kind == "Pod" {
		out.Pod = o.Namespace + "/" + o.Name
	} else {
		out.Node = o.Name
	}
	if n := times(e); n > 1 {
		out.Detail = append(out.Detail, event.Field{Key: "times", Value: fmt.Sprint(n)})
	}
	if by := cmp.Or(e.ReportingController, e.Source.Component); by != "" {
		out.Detail = append(out.Detail, event.Field{Key: "by", Value: by})
	}
	message := strings.Join(strings.Fields(e.Message), " ")
	if len(message) > maxQuoted {
		message = strings.ToValidUTF8(message[:maxQuoted], "") + "…"
	}
	out.Detail = append(out.Detail, event.Field{Key: "what", Value: e.Reason + ": " + message})
	return out
}
