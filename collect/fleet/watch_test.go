package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/event"
)

// streams answers for the agents of nodes, one answer a time that they are asked; the last holds.
type streams struct {
	mu      sync.Mutex
	answers map[string][]func(context.Context) (io.ReadCloser, error)
	asked   map[string]int
	query   url.Values
}

func (s *streams) Ask(ctx context.Context, node, _, path string, query url.Values, _ io.Reader) (io.ReadCloser, error) {
	s.mu.Lock()
	if path != "events" {
		return nil, fmt.Errorf("asked for %s", path)
	}
	s.query = query
	list := s.answers[node]
	f := list[min(s.asked[node], len(list)-1)]
	s.asked[node]++
	s.mu.Unlock()
	return f(ctx)
}

func lines(s string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func refused(err error) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return nil, err }
}

// wait is a stream that has nothing until it is ended.
func wait(ctx context.Context) (io.ReadCloser, error) {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return r, nil
}

// beat is a stream that has nothing but the empty lines that an agent sends, until it is ended.
func beat(ctx context.Context) (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() {
		for tick := time.NewTicker(15 * time.Second); ctx.Err() == nil; {
			w.Write([]byte("\n"))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		w.CloseWithError(ctx.Err())
	}()
	return r, nil
}

// TestWatch: a node that ends its stream, or cannot be asked, is asked again; one that does not watch is not.
func TestWatch(t *testing.T) {
	line := func(node, pod string) string {
		return fmt.Sprintf("{\"kind\":\"x\",\"node\":%q,\"pod\":%q}\n", node, pod)
	}
	s := &streams{asked: map[string]int{}, answers: map[string][]func(context.Context) (io.ReadCloser, error){
		"a": {lines("\n" + line("a", "1") + "\n" + line("elsewhere", "2")), lines(line("a", "3")), wait},
		"b": {refused(errors.New("connection refused")), lines(line("b", "4")), wait},
		"c": {refused(&kube.StatusError{Code: http.StatusNotFound, Message: "no such thing", Agent: true})},
		"e": {refused(&kube.StatusError{Code: http.StatusBadRequest, Message: "no such kind", Agent: true}), lines(line("e", "5"))},
		"d": {lines("\nno event\n"), wait},
	}}
	f := Fleet{Asker: s}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var told, said []string
	f.Watch(ctx, []string{"a", "b", "c", "d", "e"}, &Watch{Query: url.Values{"kind": {"x"}}, Tell: func(e event.Event) {
		told = append(told, e.Node+" "+e.Pod)
		if len(told) == 4 {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
	}, State: func(node string, err error) { said = append(said, fmt.Sprint(node, " ", err)) }})
	slices.Sort(told)
	if want := []string{"a 1", "a 2", "a 3", "b 4"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
	for _, want := range []string{"a <nil>", "a unexpected EOF", "b connection refused", "b <nil>", "c " + ErrNoWatch.Error(), "d <nil>", "d invalid character"} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("it is not said that %q: %q", want, said)
		}
	}
	if s.asked["e"] != 1 {
		t.Errorf("e was asked %d times for what it refused", s.asked["e"])
	}
	if s.asked["c"] != 1 || s.query.Get("kind") != "x" {
		t.Errorf("c was asked %d times, with %v", s.asked["c"], s.query)
	}
}

// TestWatchNobody ends by itself where no agent watches.
func TestWatchNobody(t *testing.T) {
	s := &streams{asked: map[string]int{}, answers: map[string][]func(context.Context) (io.ReadCloser, error){
		"a": {refused(&kube.StatusError{Code: http.StatusNotFound, Agent: true})},
	}}
	f, n := Fleet{Asker: s}, 0
	f.Watch(context.Background(), []string{"a"}, &Watch{State: func(string, error) { n++ }})
	if n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestWatchNodes: a node that comes is watched, of one that goes it is said once, and when it is back it is watched again; one
// that does not watch is not asked twice.
func TestWatchNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := refused(fmt.Errorf("plumbd is not ready: %w", ErrNoAgent))
		s := &streams{asked: map[string]int{}, answers: map[string][]func(context.Context) (io.ReadCloser, error){
			"a": {beat},
			"b": {lines("\n"), none, none, none, none, none, beat},
			"c": {beat},
			"d": {refused(&kube.StatusError{Code: http.StatusNotFound, Agent: true})},
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		var said []string
		renewed := 0
		(&Fleet{Asker: s}).Watch(ctx, []string{"a", "b", "d"}, &Watch{
			State: func(node string, err error) { said = append(said, fmt.Sprint(node, " ", err)) },
			Renew: func(context.Context) []string {
				renewed++
				return [][]string{{"a", "c", "d"}, {"a", "b", "c", "d"}}[renewed-1]
			},
		})
		slices.Sort(said)
		want := []string{"a <nil>", "b <nil>", "b <nil>", "b plumbd is not ready: " + ErrNoAgent.Error(), "b " + io.ErrUnexpectedEOF.Error(), "c <nil>", "d " + ErrNoWatch.Error()}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Error(diff)
		}
		if want := map[string]int{"a": 1, "b": 7, "c": 1, "d": 1}; !maps.Equal(s.asked, want) {
			t.Errorf("asked %v, want %v", s.asked, want)
		}
	})
}

// TestAway: of a node that takes the question and is heard no more, whether before or in the middle of its answer, that is said.
func TestAway(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		ask        func(context.Context) (io.ReadCloser, error)
	}{
		{"before", "", func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() }},
		{"in the middle", "half", func(ctx context.Context) (io.ReadCloser, error) {
			r, _ := wait(ctx)
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), r)), nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := Fleet{Asker: asks(tt.ask)}
				began := time.Now()
				body, err := f.Recorded(t.Context(), "a", "record", nil)
				var data []byte
				if err == nil {
					data, err = io.ReadAll(body)
					body.Close()
				}
				if string(data) != tt.want || err == nil || err.Error() != "nothing was heard for 40s" || time.Since(began) != silence {
					t.Errorf("%q, %v after %v", data, err, time.Since(began))
				}
			})
		})
	}
}

type asks func(context.Context) (io.ReadCloser, error)

func (f asks) Ask(ctx context.Context, _, _, _ string, _ url.Values, _ io.Reader) (io.ReadCloser, error) {
	return f(ctx)
}
