package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/event"
)

// A Loki is the configuration of a Loki, by its push API: http://loki:3100, to which /loki/api/v1/push is
// added where the URL has no path.
type Loki struct {
	HTTP
	Tenant string `json:"tenant,omitempty"` // X-Scope-OrgID, for one of several tenants
}

func (c *Loki) validate() error {
	if strings.ContainsFunc(c.Tenant, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("loki.tenant: want letters, digits and marks, without spaces")
	}
	return c.HTTP.validate("loki")
}

type loki struct{ *poster }

func openLoki(c Loki) (*loki, error) {
	p, err := newPoster("loki", c.HTTP, "/loki/api/v1/push", func(status int) bool {
		return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
	})
	if err == nil && c.Tenant != "" {
		p.header.Set("X-Scope-OrgID", c.Tenant)
	}
	return &loki{p}, err
}

// A lokiLabels is what tells streams apart. It has few values: what has many is in the line.
type lokiLabels struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Node      string `json:"node,omitempty"`
}

func (a lokiLabels) compare(b lokiLabels) int {
	return slices.Compare([]string{a.Kind, a.Namespace, a.Node}, []string{b.Kind, b.Namespace, b.Node})
}

type lokiStream struct {
	Stream lokiLabels  `json:"stream"`
	Values [][2]string `json:"values"` // ns since 1970, line
}

// Write pushes events. Loki takes what it can of a batch, and refuses the rest of it: what is too old, above all.
// It does not say how much, so that all are counted as lost then.
func (l *loki) Write(ctx context.Context, events []event.Event) error {
	body, err := lokiBody(events)
	if err != nil {
		return &refusal{len(events), err}
	}
	_, err = l.post(ctx, body, len(events))
	return err
}

// lokiBody returns the streams of events in order, each with its lines in the order of time.
func lokiBody(events []event.Event) ([]byte, error) {
	ordered := slices.Clone(events)
	slices.SortStableFunc(ordered, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	at := map[lokiLabels]int{}
	var streams []lokiStream
	for i := range ordered {
		e := &ordered[i]
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
		namespace, _ := event.Split(e.Pod)
		labels := lokiLabels{e.Kind, namespace, e.Node}
		j, ok := at[labels]
		if !ok {
			j = len(streams)
			at[labels] = j
			streams = append(streams, lokiStream{Stream: labels})
		}
		streams[j].Values = append(streams[j].Values, [2]string{strconv.FormatInt(e.Time.UnixNano(), 10), string(line)})
	}
	slices.SortFunc(streams, func(a, b lokiStream) int { return a.Stream.compare(b.Stream) })
	return json.Marshal(struct {
		Streams []lokiStream `json:"streams"`
	}{streams})
}
