//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/recorder"
	"golang.org/x/sys/unix"
)

// clockPart is for a machine whose clock nobody else goes by: Run has it where it is named.
var clockPart = Part{"clock", "the clock is set by an hour, back by that and by two, and by ten seconds, while Pods' connections are refused and name servers are slow", true, clock}

// steps are by how much the clock is set.
var steps = []time.Duration{time.Hour, -time.Hour, -2 * time.Hour, 10 * time.Second}

const (
	learnt  = 70               // seconds recorded, after which what is unusual would be kept
	answers = time.Second      // that a name server takes
	near    = 20 * time.Second // of a time that is right, on a machine that is emulated
)

// ownClock reports whether the machine's clock is nobody else's: lab/kernels has booted it.
func ownClock() bool {
	line, err := os.ReadFile("/proc/cmdline")
	return err == nil && strings.Contains(string(line), " plumb.run=")
}

// A wall is a clock as it would be, had nobody set it.
type wall struct{ real, mono time.Duration }

func clockNow(id int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(id, &t) // which is there always
	return time.Duration(t.Nano())
}

func newWall() wall { return wall{clockNow(unix.CLOCK_REALTIME), clockNow(unix.CLOCK_MONOTONIC)} }

// set has the clock be off by so much.
func (w wall) set(off time.Duration) error {
	t := unix.NsecToTimespec(int64(w.real + clockNow(unix.CLOCK_MONOTONIC) - w.mono + off))
	return unix.ClockSettime(unix.CLOCK_REALTIME, &t)
}

// stepping is a plumbd whose clock is set.
type stepping struct {
	*plumbd
	ask   func(path, token string) (*http.Response, error)
	seen  *sights
	began metrics // when the clock was last set
}

func (s *stepping) get(path string, into func(io.Reader) error) error {
	resp, err := s.ask(path, "soak")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return errors.Join(want(resp.StatusCode == http.StatusOK, "%s is answered with %s", path, resp.Status), into(resp.Body))
}

// more wants a counter to have risen by so much since the clock was set.
func (s *stepping) more(by float64, name string, labels ...string) error {
	was, is := s.began.sum(name, labels...), s.now().sum(name, labels...)
	return want(is >= was+by, "%s %q is %g, and was %g", name, labels, is, was)
}

// most returns what it has at most in ten seconds: while there is so much to do, that does not settle.
func (s *stepping) most(ctx context.Context) holding {
	h := s.holds()
	for i := 0; i < 10 && pause(ctx, time.Second); i++ {
		now := s.holds()
		if now.files-now.links > h.files-h.links {
			h.files, h.links = now.files, now.links
		}
		h.namespaces, h.goroutines = max(h.namespaces, now.namespaces), max(h.goroutines, now.goroutines)
	}
	return h
}

// goesOn waits until all has gone on since the clock was set.
func (s *stepping) goesOn(ctx context.Context) error {
	return until(ctx, startTime, func() error {
		return errors.Join(s.more(6, "plumb_agent_recorder_seconds_total"), s.more(20, "plumb_tcpreset_resets_total", `pod="web"`), s.more(6, "plumb_dns_answers_total", `pod="web"`),
			s.more(1, "plumb_agent_sink_events_total", `sink="file"`, `result="written"`), s.more(1, "plumb_agent_sink_events_total", `sink="loki"`, `result="written"`),
			want(s.seen.pod("soak/web") >= 20, "%d events have been told", s.seen.pod("soak/web")))
	})
}

// clock: see [Parts].
func clock(ctx context.Context, b *bench) (said string, err error) {
	if !ownClock() {
		return "", errors.New("others go by this machine's clock: \"make kernels\" runs this on machines of its own")
	}
	api := &onOff{addr: "127.0.0.1:0", handler: http.HandlerFunc(cluster), tls: true}
	loki := &onOff{addr: "127.0.0.1:0", handler: &pushed{have: map[[2]string]bool{}}}
	if err := errors.Join(api.on(), loki.on()); err != nil {
		return "", err
	}
	defer func() { api.off(); loki.off() }()
	in, ask, err := b.inCluster(api.s)
	if err != nil {
		return "", err
	}
	ns, end, err := newPod("soak/web", "soak-web")
	if err != nil {
		return "", err
	}
	defer end()
	dir, rec := b.recorder()
	a, err := b.start(ctx, rec+"sinks: [{loki: {url: \"http://"+loki.addr+"\"}}, {file: {path: "+filepath.Join(b.dir, "events.json")+"}}]\n", in)
	if err != nil {
		return "", err
	}
	traffic, rest := context.WithCancel(ctx)
	var work sync.WaitGroup
	var errs [2]error
	defer func() { rest(); work.Wait(); err = errors.Join(err, errs[0], errs[1]) }()
	work.Go(func() { errs[0] = refuse(traffic, ns, 250*time.Millisecond) })
	work.Go(func() { errs[1] = lookups(traffic, ns) })
	var stream *http.Response
	err = until(ctx, startTime, func() (err error) { // it may be scraped before it serves this
		stream, err = ask("/events?kind=tcpreset", "soak")
		return err
	})
	if err != nil {
		return "", err
	}
	defer stream.Body.Close()
	w := newWall()
	defer func() { err = errors.Join(err, w.set(0)) }()
	s := &stepping{plumbd: a, ask: ask, seen: &sights{wall: w}}
	s.seen.begin(0)
	work.Go(func() { s.seen.read(stream.Body) })
	if err := until(ctx, 3*startTime, func() error { return s.more(learnt, "plumb_agent_recorder_seconds_total") }); err != nil {
		return "", err
	}
	before := s.most(ctx)
	first, off := a.now(), time.Duration(0)
	for i, d := range steps {
		if i == 1 { // Loki is tried again over this one
			loki.off()
			pause(ctx, 2*time.Second)
		}
		off += d
		s.began = a.now()
		s.seen.begin(off)
		if err := w.set(off); err != nil {
			return "", err
		}
		if i == 1 {
			pause(ctx, 3*time.Second)
			err = loki.on()
		}
		if err = errors.Join(err, s.goesOn(ctx), s.served(steps[:i+1])); err != nil {
			return "", fmt.Errorf("after %s: %w", d, err)
		}
	}
	s.began = first
	said, err = s.quiet()
	if err = errors.Join(err, a.back(ctx, before)); err != nil {
		return said, err
	}
	n, err := s.fault(ctx, ns, dir)
	_, seconds, readErr := b.readable(dir)
	return fmt.Sprintf("set %d times; %s; then a fault froze its window, with the %d seconds before it; before and after: %v; %d seconds can be read", len(steps), said, n, before, seconds), errors.Join(err, readErr)
}

// quiet wants nothing to be late or unusual for the clock's sake.
func (s *stepping) quiet() (said string, err error) {
	frozen, err := s.episodes()
	m := s.now()
	told, wrong := s.seen.told()
	late, took, lookups := m.sum("plumb_dns_timeouts_total"), m.sum("plumb_dns_lookup_seconds_sum", `pod="web"`), m.sum("plumb_dns_lookup_seconds_count", `pod="web"`)
	return fmt.Sprintf("%g seconds recorded, %d events told, %d of them with the time of no clock; %g lookups of %.1f s, %g of them without an answer; %d windows frozen",
			m.sum("plumb_agent_recorder_seconds_total")-s.began.sum("plumb_agent_recorder_seconds_total"), told, len(wrong), lookups, took/lookups, late, len(frozen)),
		errors.Join(err, want(len(frozen) == 0, "frozen: %v", frozen), want(late == 0, "%g lookups are said to have no answer", late), want(took < 4*answers.Seconds()*lookups, "%g lookups took %g s", lookups, took),
			want(len(wrong) == 0, "events of other times: %q", wrong))
}

func (s *stepping) episodes() (list []recorder.Episode, err error) {
	err = s.get("/episodes", func(r io.Reader) error { return json.NewDecoder(r).Decode(&list) })
	return list, err
}

// fault has a Pod come, and then far more go wrong in the one that was there than is usual for it. It returns how many seconds are kept of the time before.
func (s *stepping) fault(ctx context.Context, web *sandbox.NS, dir string) (seconds int, err error) {
	late, end, err := newPod("soak/late", "soak-late")
	if err != nil {
		return 0, err
	}
	defer end()
	loud, enough := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer enough()
	work.Go(func() { _ = refuse(loud, late, 250*time.Millisecond) })
	err = until(ctx, startTime, func() error { return want(s.seen.pod("soak/late") > 0, "a Pod that came later has no name") })
	if err != nil {
		return 0, err
	}
	work.Go(func() { _ = refuse(loud, web, 0) })
	var frozen []recorder.Episode
	err = until(ctx, startTime, func() (err error) {
		frozen, err = s.episodes()
		return errors.Join(err, want(len(frozen) > 0, "no window is frozen for what is unusual"))
	})
	if err != nil {
		return 0, err
	}
	line, err := recorder.Read(filepath.Join(dir, frozen[0].ID+".episode"), recorder.Query{})
	if err != nil {
		return 0, err
	}
	return len(line.Seconds), want(len(line.Seconds) >= 50, "of the time before a fault %d seconds are kept", len(line.Seconds))
}

// served asks for all that is served after these steps, and wants the record of the last ten minutes to have each once, in its place.
func (s *stepping) served(done []time.Duration) error {
	var status struct {
		Probes []struct {
			Name, Why string
			Up        bool
		}
		Recorder struct{ Error string }
	}
	err := s.get("/status", func(r io.Reader) error { return json.NewDecoder(r).Decode(&status) })
	for _, p := range status.Probes {
		err = errors.Join(err, want(p.Up || p.Why == "off" || strings.HasPrefix(p.Why, "needs "), "probe %s: %s", p.Name, p.Why))
	}
	var line *recorder.Timeline
	err = errors.Join(err, want(len(status.Probes) > 10 && status.Recorder.Error == "", "/status: %+v", status),
		s.get("/record?since=10m", func(r io.Reader) (err error) { line, err = recorder.Decode(r, recorder.Query{}); return err }))
	if err != nil {
		return err
	}
	if len(line.Seconds) == 0 {
		return errors.New("nothing is recorded")
	}
	var found []time.Duration
	for _, x := range line.Seconds {
		if k := x.Break.Step; k != 0 {
			found = append(found, k.Round(time.Second))
		}
	}
	n := len(line.Seconds)
	first, newest := line.Seconds[0], line.Seconds[n-1]
	return errors.Join(want(fmt.Sprint(found) == fmt.Sprint(done), "the record tells of steps by %v, want %v", found, done),
		want(line.Damaged == 0 && n >= learnt && newest.Seq-first.Seq == uint64(n-1), "the record has %d seconds, from %d to %d, and %d damaged places", n, first.Seq, newest.Seq, line.Damaged),
		want(time.Until(newest.Time).Abs() < near, "the last second that is recorded is of %s", newest.Time))
}
