//go:build linux

package agent

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
)

// record sends what was recorded, as recorder.Decode reads it: of the time, Pod and kinds that the query names.
func (s *Server) record(w http.ResponseWriter, r *http.Request) {
	q, err := recordQuery(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	sent := &counted{w: http.NewResponseController(w), to: w}
	err = s.o.Observer.Recorded(sent, q)
	switch {
	case err != nil && sent.n == 0:
		fail(w, refuse(http.StatusUnprocessableEntity, "%v", err))
	case err != nil:
		panic(http.ErrAbortHandler) // the reader sees that it is not whole
	}
}

// counted writes to a reader who is to take what is written in time.
type counted struct {
	w  *http.ResponseController
	to http.ResponseWriter
	n  int
}

func (c *counted) Write(p []byte) (int, error) {
	_ = c.w.SetWriteDeadline(time.Now().Add(watchDeadline))
	n, err := c.to.Write(p)
	c.n += n
	return n, err
}

// recordQuery reads from, to (RFC 3339) or since (a time ago), pod and kind.
func recordQuery(q url.Values) (out recorder.Query, err error) {
	for name, to := range map[string]*time.Time{"from": &out.From, "to": &out.To} {
		if text := q.Get(name); text != "" {
			if *to, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return out, refuse(http.StatusBadRequest, "%s: %q: want a time, such as 2026-03-04T05:06:07Z", name, text)
			}
		}
	}
	if text := q.Get("since"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return out, refuse(http.StatusBadRequest, "since: %q: want a time, such as 10m", text)
		}
		out.Last = d
	}
	out.Pod = q.Get("pod")
	pod := out.Pod
	if namespace, name, ok := event.SplitService(pod); ok {
		pod = namespace + "/" + name
	}
	if pod != "" && pod != event.Unknown {
		if err := podName(pod); err != nil {
			return out, err
		}
	}
	if k := q.Get("kind"); k != "" {
		out.Kinds = strings.Split(k, ",")
	}
	return out, nil
}

// episodes tells what was frozen.
func (s *Server) episodes(w http.ResponseWriter, _ *http.Request) {
	list, err := s.o.Observer.Episodes()
	if err != nil {
		fail(w, refuse(http.StatusUnprocessableEntity, "%v", err))
		return
	}
	writeJSON(w, list)
}
