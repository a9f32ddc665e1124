package recorder

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/event"
)

// An Episode is a window that was frozen: a file of its own, which the ring does not overwrite.
type Episode struct {
	ID      string    `json:"id,omitempty"`
	Node    string    `json:"node"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"` // may be yet to come
	Reasons []Reason  `json:"reasons,omitempty"`
	Peers   []string  `json:"peers,omitempty"` // who is at the other end in events of that second and of the rest of the window
	Why     string    `json:"why,omitempty"`   // of one that was asked for
	Bytes   int64     `json:"bytes,omitempty"` // of its file
	Pinned  bool      `json:"pinned,omitempty"`
}

const (
	before      = time.Minute // a window begins so long before what it is for
	after       = time.Minute // and ends so long after
	longest     = time.Hour   // that may be asked for
	maxEpisodes = 20
	maxPending  = 4
	maxReasons  = 8

	ringExt    = ".ring"
	episodeExt = ".episode"
	pinnedExt  = ".pinned" // of an episode that an operator renamed: it stays
)

// id is what an episode may be called: its file is.
var id = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// pending is an episode whose window is not over.
type pending struct {
	Episode
	asked Second        // the last one when it was: its window is by the clock of then
	due   time.Duration // by the clock that nobody sets
}

// Freeze keeps a window as an episode, now as far as it is over, and all of it when it is. Who finds a window
// worth keeping asks the nodes at the other end for one with the same id. One that is there already stays.
func (r *Recorder) Freeze(id, why string, from, to time.Time) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.freeze(Episode{ID: id, Node: r.o.Node, From: from.UTC(), To: to.UTC(), Why: clip(why)})
}

func (r *Recorder) freeze(e Episode) error {
	switch {
	case !id.MatchString(e.ID):
		return fmt.Errorf("recorder: episode %q: want letters, digits, dots and dashes", e.ID)
	case !e.From.Before(e.To) || e.To.Sub(e.From) > longest:
		return fmt.Errorf("recorder: episode %s: want a window of %s at most", e.ID, longest)
	case e.To.After(r.last.Time.Add(longest)):
		return fmt.Errorf("recorder: episode %s: it ends too late: %s", e.ID, e.To)
	case e.Why != "" && strings.HasSuffix(e.ID, "Z-"+r.name()):
		return fmt.Errorf("recorder: episode %s: this node names its own so", e.ID)
	case slices.ContainsFunc(r.pending, func(p *pending) bool { return p.ID == e.ID }):
		return nil
	case len(r.pending) >= maxPending:
		return fmt.Errorf("recorder: episode %s: %d others are not over yet", e.ID, maxPending)
	}
	for _, ext := range []string{episodeExt, pinnedExt} {
		if _, err := os.Stat(filepath.Join(r.o.Dir, e.ID+ext)); err == nil {
			return nil
		}
	}
	left := e.To.Sub(r.last.Time)
	if left > 0 {
		r.pending = append(r.pending, &pending{e, r.last, r.last.Mono + left})
	}
	err := r.keep(e, r.last)
	if left > 0 && errors.Is(err, errNothing) {
		return nil // yet
	}
	return err
}

var errNothing = errors.New("nothing is recorded of its window")

// trigger freezes the window around what is unusual, or adds it to one that is not over. Who is at the other end
// may be in events that come later.
func (r *Recorder) trigger(reasons []Reason, events []event.Event) {
	var e *Episode
	for _, p := range r.pending {
		if p.Why == "" {
			e = &p.Episode
		}
	}
	had, why := 0, 0
	switch {
	case e != nil:
		had, why = len(e.Peers), len(e.Reasons)
		e.Reasons = append(e.Reasons, reasons[:min(len(reasons), maxReasons-len(e.Reasons))]...)
		e.peers(events)
	case len(reasons) == 0:
		return
	default:
		e = r.begin(reasons, events)
	}
	if r.o.Triggered != nil && (len(e.Peers) > had || len(e.Reasons) > why) {
		told := *e
		told.Reasons, told.Peers = slices.Clone(e.Reasons), slices.Clone(e.Peers[had:])
		r.o.Triggered(told)
	}
}

// begin freezes the window around this second.
func (r *Recorder) begin(reasons []Reason, events []event.Event) *Episode {
	at := r.last.Time
	e := Episode{
		ID: at.Format("20060102T150405Z-") + r.name(), Node: r.o.Node,
		From: at.Add(-before), To: at.Add(after), Reasons: slices.Clone(reasons[:min(len(reasons), maxReasons)]),
	}
	e.peers(events)
	if err := r.freeze(e); err != nil {
		r.note(err)
	}
	first := e.Reasons[0]
	r.Event(event.Event{Time: at, Kind: "episode", Node: r.o.Node, Pod: first.Pod, Detail: []event.Field{
		{Key: "id", Value: e.ID}, {Key: "metric", Value: first.Metric},
		{Key: "value", Value: fmt.Sprintf("%.3g", first.Value)}, {Key: "usual", Value: fmt.Sprintf("%.3g", first.Usual)},
	}})
	for _, p := range r.pending {
		if p.ID == e.ID {
			return &p.Episode
		}
	}
	return &e
}

// peers adds those at the other end in events of Pods that the episode is for; no Services, which are on no node.
func (e *Episode) peers(events []event.Event) {
	for _, v := range events {
		of := func(x Reason) bool { return x.Pod == v.Pod }
		_, _, service := event.SplitService(v.Peer)
		if v.Peer != "" && !service && len(e.Peers) < maxReasons && slices.ContainsFunc(e.Reasons, of) && !slices.Contains(e.Peers, v.Peer) {
			e.Peers = append(e.Peers, v.Peer)
		}
	}
}

// name returns the node's name as an id may have it.
func (r *Recorder) name() string {
	name := strings.Map(func(c rune) rune {
		if c < 0x80 && id.MatchString(string(c)) || strings.ContainsRune(".-", c) {
			return c
		}
		return '_'
	}, cmp.Or(r.o.Node, "node"))
	return name[:min(len(name), 60)]
}

// over keeps the episodes whose window is over.
func (r *Recorder) over() {
	r.pending = slices.DeleteFunc(r.pending, func(p *pending) bool {
		if r.last.Mono < p.due {
			return false
		}
		if err := r.keep(p.Episode, p.asked); err != nil {
			r.note(err)
		}
		return true
	})
}

// keep writes an episode's file, in the place of one of the same id. Where the disk is full, older ones go for it.
func (r *Recorder) keep(e Episode, asked Second) error {
	if r.lock == nil {
		return fmt.Errorf("recorder: episode %s: there is no disk to keep it on", e.ID)
	}
	for {
		err := r.write(e, asked)
		if err == nil || !errors.Is(err, syscall.ENOSPC) || !r.drop(e.ID) {
			return err
		}
	}
}

func (r *Recorder) write(e Episode, asked Second) error {
	name := filepath.Join(r.o.Dir, e.ID+episodeExt)
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(name + ".tmp")
	w := bufio.NewWriterSize(f, 64<<10)
	err = errors.Join(copyRings(w, []*ring{r.seconds, r.events}, held{}, Query{From: e.From, To: e.To, now: asked}, e), w.Flush())
	info, err2 := f.Stat()
	if err = errors.Join(err, err2, f.Close()); err == nil && info.Size() == 0 {
		err = errNothing
	}
	if err != nil {
		return fmt.Errorf("recorder: episode %s: %w", e.ID, err)
	}
	for r.tooMuch(e.ID, info.Size()) {
		if !r.drop(e.ID) {
			return fmt.Errorf("recorder: episode %s of %d bytes: those that are pinned leave no room", e.ID, info.Size())
		}
	}
	return os.Rename(name+".tmp", name)
}

// tooMuch reports whether there is no room for an episode of that size beside the others.
func (r *Recorder) tooMuch(id string, size int64) bool {
	all, _ := List(r.o.Dir) // what cannot be read takes room too, and goes first
	n := 1
	for _, e := range all {
		if e.ID != id {
			n++
			size += e.Bytes
		}
	}
	return n > maxEpisodes || size > r.o.Disk*episodeShare/shares
}

// drop removes the oldest episode that is not pinned, and not id; first those that were asked for: another
// has them too. It reports false where there is none.
func (r *Recorder) drop(id string) bool {
	all, _ := List(r.o.Dir)
	for _, asked := range []bool{true, false} {
		for _, e := range all {
			if !e.Pinned && e.ID != id && asked == (e.Why != "") {
				return os.Remove(filepath.Join(r.o.Dir, e.ID+episodeExt)) == nil
			}
		}
	}
	return false
}

// Episodes returns what was frozen, the oldest first.
func (r *Recorder) Episodes() ([]Episode, error) { return List(r.o.Dir) }

// List returns the episodes of a folder, the oldest first. Of one that cannot be read it tells the name and the size.
func List(dir string) (out []Episode, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	buf := make([]byte, metaSize)
	for _, d := range entries {
		ext := filepath.Ext(d.Name())
		if ext != episodeExt && ext != pinnedExt {
			continue
		}
		info, err := d.Info()
		if err != nil {
			continue // it went
		}
		e := readMeta(filepath.Join(dir, d.Name()), buf)
		e.ID, e.Bytes, e.Pinned = strings.TrimSuffix(d.Name(), ext), info.Size(), ext == pinnedExt
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Episode) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// metaSize is what of a file is read to know what it is: more than its first frame, which says it, mostly has.
const metaSize = 256 << 10

// readMeta reads what the first frame of a file says of it.
func readMeta(name string, buf []byte) (e Episode) {
	f, err := os.Open(name)
	if err != nil {
		return e
	}
	defer f.Close()
	n, err := io.ReadFull(f, buf)
	if err != nil && err != io.ErrUnexpectedEOF {
		return e
	}
	if _, payload, ok := newScanner(buf[:n]).next(); ok {
		c := cursor{b: payload}
		if c.byte() == recordMeta {
			_ = json.Unmarshal(c.bytes(c.uint()), &e) // an episode that cannot be read has its name
		}
	} else if n == len(buf) && n < maxPayload {
		return readMeta(name, make([]byte, maxPayload))
	}
	return e
}
