//go:build linux

package changes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// What changes are of, as the label of the metric and the first detail of an event have it.
const (
	ofLink     = "link"
	ofAddress  = "address"
	ofRoute    = "route"
	ofRule     = "rule"
	ofNexthop  = "nexthop"
	ofNeigh    = "neigh"
	ofFDB      = "fdb"
	ofNFTables = "nftables"
	ofIPTables = "iptables"
	ofSysctl   = "sysctl"
	ofLost     = "lost"
)

const (
	gather = 100 * time.Millisecond // from the first change to its event: what belongs to it comes with it
	often  = time.Second            // between events of one place and kind
	quotes = 3                      // changes that an event quotes
	widest = 250                    // bytes of them: the recorder keeps 256 of a detail
)

// A key is what changes are counted by.
type key struct {
	place probe.Place
	of    string
}

// A window is what changed since the last event of a key.
type window struct {
	first, told time.Time // told is when the last event was
	times       int
	quotes      []string
}

// note takes down a change. What it says is made only where it is quoted.
func (c *changes) note(p probe.Place, of string, what func() string) {
	k := key{p, of}
	if of != ofLost {
		c.counts[k]++
	}
	w := c.windows[k]
	if w == nil {
		w = &window{}
		c.windows[k] = w
	}
	if w.times == 0 {
		w.first = time.Now()
	}
	w.times++
	if len(w.quotes) < quotes {
		w.quotes = append(w.quotes, what())
	}
}

// ready takes the events whose time has come.
func (c *changes) ready(now time.Time) (out []event.Event) {
	for k, w := range c.windows {
		switch {
		case w.times == 0 && now.Sub(w.told) > often:
			delete(c.windows, k)
		case w.times > 0 && now.Sub(w.first) >= gather && now.Sub(w.told) >= often:
			out = append(out, c.event(k, w))
			*w = window{told: now}
		}
	}
	slices.SortFunc(out, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	return out
}

func (c *changes) event(k key, w *window) event.Event {
	e := event.Event{Time: w.first, Kind: Kind.Name, Node: c.env.Node, Pod: k.place.Pod, Detail: []event.Field{{Key: "change", Value: k.of}}}
	if strings.Contains(k.place.Pod, "/") {
		e.By = event.ByNetNS
	}
	if w.times > 1 {
		e.Detail = append(e.Detail, event.Field{Key: "times", Value: fmt.Sprint(w.times)})
	}
	e.Detail = append(e.Detail, event.Field{Key: "what", Value: joined(w.quotes, w.times)})
	return e
}

// joined makes one line of what is quoted: as many as fit, and that there are more.
func joined(all []string, times int) string {
	line := ""
	for i, q := range all {
		if i > 0 {
			q = "; " + q
		}
		if i > 0 && len(line)+len(q) > widest {
			return line + "; …"
		}
		line += q
	}
	if times > len(all) {
		line += "; …"
	}
	return line
}
