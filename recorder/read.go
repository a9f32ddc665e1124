package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// maxStream is what Decode reads of a stream: more than a recorder has on disk by default.
const maxStream = 256 << 20

// A reader collects what is wanted of frames.
type reader struct {
	q       Query
	known   map[string]*Series
	wanted  []Second
	all     []Second // those of counters, without what they hold: to tell what lies between them
	frames  int
	meta    *Episode
	damaged int
}

// read reads what a file or a stream holds.
func (r *reader) read(data []byte) {
	r.damaged += frames(data, r.known, &r.q, false, func(s Second, d *decoder) bool {
		if !d.events { // one of counters, of which there is one each second
			r.all = append(r.all, Second{Seq: s.Seq, Run: s.Run, Time: s.Time, Mono: s.Mono})
		}
		r.frames++
		if d.meta != nil && (r.meta == nil || d.meta.ID != "") {
			r.meta = d.meta
		}
		if r.q.during(&s) {
			r.q.filter(&s)
			r.wanted = append(r.wanted, s)
		}
		return true
	})
}

func (r *reader) timeline() *Timeline {
	t := &Timeline{Seconds: order(r.wanted), Damaged: r.damaged}
	if r.meta != nil {
		t.Node = r.meta.Node
		if r.meta.ID != "" {
			t.Episode = r.meta
		}
	}
	type key struct {
		seq uint64
		run time.Time
	}
	breaks := map[key]Break{}
	whole := order(r.all)
	for i := 1; i < len(whole); i++ {
		if k := between(&whole[i-1], &whole[i]); k != (Break{}) {
			breaks[key{whole[i].Seq, whole[i].Run}] = k
		}
	}
	for i := range t.Seconds {
		t.Seconds[i].Break = breaks[key{t.Seconds[i].Seq, t.Seconds[i].Run}]
	}
	return t
}

// Decode reads a timeline from a stream: of an episode's file, or of [Recorder.Copy].
func Decode(in io.Reader, q Query) (*Timeline, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxStream+1))
	if err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	if len(data) > maxStream {
		return nil, fmt.Errorf("recorder: more than %d MiB", maxStream>>20)
	}
	t, ok := read([][]byte{data}, q)
	if len(data) > 0 && !ok {
		return nil, errors.New("recorder: nothing that a recorder wrote")
	}
	return t, nil
}

// read reads a timeline from what files hold. It reports whether there is any.
func read(files [][]byte, q Query) (*Timeline, bool) {
	if q.Last > 0 {
		q.until(newest(files))
	}
	r := reader{q: q, known: map[string]*Series{}}
	for _, data := range files {
		r.read(data)
	}
	return r.timeline(), r.frames > 0
}

// newest returns the last second.
func newest(files [][]byte) (last Second) {
	for _, data := range files {
		s := newScanner(data)
		for h, _, ok := s.next(); ok; h, _, ok = s.next() {
			if h.seq >= last.Seq {
				last = h.second()
			}
		}
	}
	return last
}

// Read reads a timeline from a recorder's folder, whether one writes to it or not, or from an episode's file.
func Read(path string, q Query) (*Timeline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return Decode(f, q)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files [][]byte
	for _, d := range entries {
		if !strings.HasSuffix(d.Name(), ringExt) || !d.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(path, d.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, data)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no files of a recorder are in it", path)
	}
	t, _ := read(files, q)
	return t, nil
}

// Copy writes what is wanted of the timeline until now, in the form that Decode reads. A slow writer holds up nothing.
func (r *Recorder) Copy(w io.Writer, q Query) error {
	r.writing.Lock()
	rings, now := []*ring{r.seconds, r.events}, r.last
	r.writing.Unlock()
	if now.Time.IsZero() { // of this run nothing is recorded yet
		now.Time = time.Now()
	}
	if q.Last > 0 {
		q.until(now)
	}
	return copyRings(w, rings, &r.writing, q, Episode{Node: r.o.Node})
}

// copyRings writes a stream with meta. It holds one segment in memory at a time, and reads none whose seconds are all before the wanted ones.
func copyRings(w io.Writer, rings []*ring, lock sync.Locker, q Query, meta Episode) (err error) {
	enc, known := newEncoder(1, meta), map[string]*Series{}
	write := func(s Second, _ *decoder) bool {
		if q.during(&s) {
			q.filter(&s)
			_, err = w.Write(enc.encode(&s))
		}
		return err == nil
	}
	for _, ring := range rings {
		bad := ring.each(lock, &q, func(data []byte) {
			if err == nil {
				frames(data, known, &q, true, write)
			}
		})
		if err = cmp.Or(err, bad); err != nil {
			return err
		}
	}
	return nil
}

// String returns a series as Prometheus writes one, without the labels of its Pod.
func (s *Series) String() string {
	if len(s.Labels) == 0 {
		return s.Name
	}
	var list []string
	for _, l := range s.Labels {
		list = append(list, fmt.Sprintf("%s=%q", l.Key, l.Value))
	}
	return s.Name + "{" + strings.Join(list, ",") + "}"
}
