package recorder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A segment is a file, all of whose blocks it has from the start, or memory.
type segment interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

// memory is a segment that is lost with the process.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error)  { return copy(p, m[at:]), nil }
func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }
func (m memory) Close() error                            { return nil }

// A ring is segments that are written one after the other, and then again.
type ring struct {
	segments []segment
	extents  []extent // of the segments
	size     int64    // of each
	at       int      // the one that is written
	end      int64    // of what is written in it
	enc      *encoder
	meta     Episode
	last     uint64 // the number of the last segment
	seq      uint64 // of the last second that it had when it was opened
}

// An extent is until when a segment has something; zero where it has nothing.
type extent struct {
	last   Second    // without its content
	latest time.Time // that one of its seconds has, which is another one where the clock was set back
}

func (e *extent) add(s *Second) {
	e.last = Second{Seq: s.Seq, Run: s.Run, Time: s.Time, Mono: s.Mono}
	if s.Time.After(e.latest) {
		e.latest = s.Time
	}
}

// memoryRing makes a ring in memory.
func memoryRing(n int, size int64, meta Episode) *ring {
	r := &ring{size: size, meta: meta}
	for range n {
		r.segments = append(r.segments, make(memory, size))
	}
	r.extents = make([]extent, n)
	return r
}

// fileRing opens the files of a ring, and makes those that are not there or have another size.
func fileRing(dir, name string, n int, size int64, meta Episode) (_ *ring, err error) {
	r := &ring{size: size, meta: meta, extents: make([]extent, n)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for i := range n {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%02d%s", name, i, ringExt)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		r.segments = append(r.segments, f)
		if err := allocate(f, size); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return r, r.find()
}

// find goes to the end of what was written last.
func (r *ring) find() error {
	i := 0
	return r.each(held{}, &Query{}, func(data []byte) {
		s := newScanner(data)
		for h, _, ok := s.next(); ok; h, _, ok = s.next() {
			second := h.second()
			r.extents[i].add(&second)
			r.seq = max(r.seq, h.seq)
			if h.segment >= r.last {
				r.at, r.end, r.last = i, int64(s.end), h.segment
			}
		}
		i++
	})
}

// begin begins a segment. Its number is of this time, so that it is larger than those that cannot be read any more.
func (r *ring) begin(now int64) {
	r.last = max(r.last+1, uint64(max(now, 0)))
	r.enc = newEncoder(r.last, r.meta)
}

// put writes a second.
func (r *ring) put(s *Second) error {
	if r.enc == nil {
		r.begin(s.Time.UnixNano())
	}
	frame := r.enc.encode(s)
	if r.end+int64(len(frame)) > r.size {
		r.at, r.end = (r.at+1)%len(r.segments), 0
		r.begin(s.Time.UnixNano())
		frame = r.enc.encode(s)
	}
	if int64(len(frame)) > min(r.size, maxPayload) {
		return r.split(s)
	}
	if _, err := r.segments[r.at].WriteAt(frame, r.end); err != nil {
		r.enc = nil // what it defines may not be there
		return err
	}
	if r.end == 0 {
		r.extents[r.at] = extent{}
	}
	r.end += int64(len(frame))
	r.extents[r.at].add(s)
	return nil
}

// split writes a second that is too large for a frame as two of them, which readers put together.
func (r *ring) split(s *Second) error {
	r.enc = nil // the frame defined what is not written
	a, b := *s, *s
	if n := len(s.Values); n > 1 {
		a.Values, b.Values = s.Values[:n/2], s.Values[n/2:]
		b.Events, b.Lost = nil, nil
	} else if n := len(s.Events); n > 1 {
		a.Events, b.Events = s.Events[:n/2], s.Events[n/2:]
		b.Values, b.Lost = nil, nil
	} else {
		return errLarge
	}
	return errors.Join(r.put(&a), r.put(&b))
}

var errLarge = errors.New("a second that is too large for a segment")

// number returns that of the segment that is written; 0 before the first.
func (r *ring) number() uint64 {
	if r.enc == nil {
		return 0
	}
	return r.last
}

// each calls visit with the content of each segment that may have what is wanted, which is valid until visit returns. It holds the lock while
// it reads, and not while it visits: who is told may be slow.
func (r *ring) each(lock sync.Locker, q *Query, visit func([]byte)) error {
	data, free := scratch(int(r.size))
	defer free()
	for i, f := range r.segments {
		lock.Lock()
		if q.past(&r.extents[i]) {
			lock.Unlock()
			continue
		}
		n, err := f.ReadAt(data, 0)
		lock.Unlock()
		if err != nil && err != io.EOF {
			return err
		}
		visit(data[:n])
	}
	return nil
}

// held is the lock of who holds it already.
type held struct{}

func (held) Lock()   {}
func (held) Unlock() {}

func (r *ring) close() (err error) {
	for _, f := range r.segments {
		err = errors.Join(err, f.Close())
	}
	return err
}
