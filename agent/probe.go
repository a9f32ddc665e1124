//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/collect/node"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// probe sends what the body asks for, and answers with a snapshot.Probe.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	ask, err := readAsk(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	select {
	case s.probes <- struct{}{}:
		defer func() { <-s.probes }()
	default:
		fail(w, refuse(http.StatusTooManyRequests, "%d probes are being sent", maxProbes))
		return
	}
	s.probing.Add(1)
	defer s.probing.Add(-1)
	netns, err := node.OpenPod(s.o.Collect, ask.Pod)
	if err != nil {
		fail(w, refuse(http.StatusNotFound, "%v", err))
		return
	}
	defer netns.Close()
	p, err := active.Run(r.Context(), netns, ask)
	if err != nil {
		fail(w, refuse(http.StatusUnprocessableEntity, "%v", err))
		return
	}
	p.Node, p.Pod = s.o.Collect.Node, ask.Pod
	writeJSON(w, p)
}

// readAsk reads the body of a request for a probe.
func readAsk(w http.ResponseWriter, r *http.Request) (ask active.Ask, err error) {
	err = readBody(w, r, &ask)
	if err == nil && ask.Pod != "" {
		err = podName(ask.Pod)
	}
	return ask, err
}

// readBody reads the one JSON value that is the body of a request.
func readBody(w http.ResponseWriter, r *http.Request, to any) error {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	in.DisallowUnknownFields()
	err := in.Decode(to)
	if err == nil {
		if _, more := in.Token(); more != io.EOF {
			err = errors.Join(more, errors.New("more than one JSON value"))
		}
	}
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return refuse(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", maxBody)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "body: %v", err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // all is read; what is left is the reader's going away
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}
