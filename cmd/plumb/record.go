package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
	"github.com/spf13/pflag"
)

// What record is asked for.
const recordShow, recordEpisodes = "show", "episodes"

// recordFlags are what the flags say.
type recordFlags struct {
	dir, pod, kind, lang string
	node                 string
	since                time.Duration
	json                 bool
	cluster              live
}

func (f *recordFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.dir, "dir", "", "the `path` of a recorder's folder, or of the file of an episode, instead of the agents of a cluster")
	fs.DurationVar(&f.since, "since", 0, "the last `time` that was recorded: 10m; without it, all")
	fs.StringVar(&f.pod, "pod", "", "what is of this `Pod`, all of it: web-0 with -n, or shop/web-0; unknown for what is of none that was found")
	fs.StringVar(&f.kind, "kind", "", "events of these `kinds`, and all counters of their probes: packetloss,dns")
	fs.BoolVar(&f.json, "json", false, "a second a line, as JSON (schema: recorder/README.md)")
	fs.StringVar(&f.lang, "lang", "en", "en or zh")
	fs.StringVar(&f.node, "node", "", "of this `node` alone")
	f.cluster.flags(fs)
	fs.Lookup("namespace").Usage = "the `namespace` of a Pod that is named without one"
	for _, name := range []string{"ephemeral", "image", "local"} {
		_ = fs.MarkHidden(name) // it asks agents that watch
	}
}

// query is what is wanted of the timeline.
func (f *recordFlags) query() (q recorder.Query, err error) {
	if f.pod, err = f.cluster.pod(f.pod); err != nil {
		return q, err
	}
	if f.since < 0 {
		return q, fmt.Errorf("--since %s: want a time such as 10m", f.since)
	}
	q = recorder.Query{Last: f.since, Pod: f.pod}
	if f.kind != "" {
		q.Kinds = strings.Split(f.kind, ",")
	}
	return q, checkLang(f.lang)
}

func recordVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("record", "show | episodes [flags]", stderr)
	var f recordFlags
	f.add(fs)
	rest, status, ok := parse(fs, args, 1, stderr)
	if !ok {
		return status
	}
	err := errors.New("want plumb record show, or plumb record episodes")
	if len(rest) == 1 && rest[0] == recordShow {
		status, err = f.show(stdout, stderr)
	} else if len(rest) == 1 && rest[0] == recordEpisodes {
		status, err = f.episodes(stdout, stderr)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return status
}

// show prints the timeline. Where there is none of what was asked for, that could not be found out.
func (f *recordFlags) show(stdout, stderr io.Writer) (int, error) {
	q, err := f.query()
	if err != nil {
		return 0, err
	}
	if f.dir == "" {
		return f.showLive(q, stdout, stderr)
	}
	t, err := recorder.Read(f.dir, q)
	if err != nil {
		return 0, fmt.Errorf("--dir: %w", err)
	}
	return f.write(stdout, t, q)
}

// write writes one timeline.
func (f *recordFlags) write(stdout io.Writer, t *recorder.Timeline, q recorder.Query) (status int, err error) {
	t.Settle()
	if f.json {
		err = writeTimeline(stdout, t)
	} else {
		err = timelineText(stdout, t, q, options(stdout, f.lang))
	}
	if len(t.Seconds) == 0 {
		return statusUnsure, err
	}
	return statusFine, err
}

// episodes lists what was frozen.
func (f *recordFlags) episodes(stdout, stderr io.Writer) (int, error) {
	if err := checkLang(f.lang); err != nil {
		return 0, err
	}
	if f.dir == "" {
		return f.episodesLive(stdout, stderr)
	}
	list, err := recorder.List(f.dir)
	if err == nil && len(list) == 0 {
		_, err = recorder.Read(f.dir, recorder.Query{}) // there are none only where there is a recorder
	}
	if err != nil {
		return 0, fmt.Errorf("--dir: %w", err)
	}
	return statusFine, f.list(stdout, list)
}

func (f *recordFlags) list(stdout io.Writer, list []recorder.Episode) error {
	if !f.json {
		return episodesText(stdout, list, options(stdout, f.lang))
	}
	out := json.NewEncoder(stdout)
	for _, e := range list {
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// The stable form of a timeline: a second a line. Fields are added, never changed.
type (
	secondJSON struct {
		Node    string            `json:"node,omitempty"`
		Time    time.Time         `json:"time"`
		Seq     uint64            `json:"seq"`
		Restart bool              `json:"restart,omitempty"`
		Missing float64           `json:"missing,omitempty"` // seconds
		Step    float64           `json:"step,omitempty"`    // seconds
		Values  []valueJSON       `json:"values,omitempty"`
		Events  []event.Event     `json:"events,omitempty"`
		Lost    map[string]uint64 `json:"lost,omitempty"`
		Unread  int               `json:"unread,omitempty"`
	}
	valueJSON struct {
		Name   string            `json:"name"`
		Pod    string            `json:"pod,omitempty"`
		Labels map[string]string `json:"labels,omitempty"`
		Value  *float64          `json:"value,omitempty"`
		Hist   *histJSON         `json:"hist,omitempty"`
	}
	histJSON struct {
		Bounds []float64 `json:"bounds"`
		Counts []uint64  `json:"counts"` // in each bucket alone, and beyond the last bound
		Sum    float64   `json:"sum"`
	}
)

// writeTimeline writes the seconds that have something as lines of JSON.
func writeTimeline(w io.Writer, t *recorder.Timeline) error {
	out := json.NewEncoder(w)
	for i := range t.Seconds {
		s := &t.Seconds[i]
		if idle(s) {
			continue
		}
		v := secondJSON{
			Node: t.Node, Time: s.Time, Seq: s.Seq, Restart: s.Break.Restart, Missing: s.Break.Missing.Seconds(), Step: s.Break.Step.Seconds(),
			Events: s.Events, Unread: s.Unread,
		}
		for _, x := range s.Values {
			v.Values = append(v.Values, newValueJSON(x))
		}
		for _, l := range s.Lost {
			if v.Lost == nil {
				v.Lost = map[string]uint64{}
			}
			v.Lost[l.Kind] += l.Count
		}
		if err := out.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func newValueJSON(x recorder.Value) valueJSON {
	v := valueJSON{Name: x.Name, Pod: x.Pod}
	for _, l := range x.Labels {
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		v.Labels[l.Key] = l.Value
	}
	if x.Hist != nil {
		v.Hist = &histJSON{x.Hist.Bounds, x.Hist.Counts, x.Hist.Sum}
	} else {
		v.Value = &x.Value
	}
	return v
}

// idle reports whether a second has nothing.
func idle(s *recorder.Second) bool {
	return len(s.Values)+len(s.Events)+len(s.Lost)+s.Unread == 0 && s.Break == recorder.Break{}
}
