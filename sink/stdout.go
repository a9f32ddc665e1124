package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/plumbnet/plumb/event"
)

// lines returns events as lines of JSON.
func lines(events []event.Event) ([][]byte, error) {
	out := make([][]byte, len(events))
	for i := range events {
		data, err := json.Marshal(events[i])
		if err != nil {
			return nil, &refusal{len(events), fmt.Errorf("event: %w", err)}
		}
		out[i] = append(data, '\n')
	}
	return out, nil
}

// A stream writes to what may block for good, as a pipe that nobody reads does.
type stream struct {
	w    io.Writer
	turn chan struct{} // is taken while something is written
}

func newStream(w io.Writer) *stream { return &stream{w: w, turn: make(chan struct{}, 1)} }

// Write writes events as lines of JSON. When ctx ends, what is being written may yet be.
func (s *stream) Write(ctx context.Context, events []event.Event) error {
	all, err := lines(events)
	if err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.w.Write(bytes.Join(all, nil))
		<-s.turn
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close leaves standard output open.
func (s *stream) Close() error { return nil }
