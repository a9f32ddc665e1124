package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/plumbnet/plumb/event"
)

// A File is the configuration of a file, in which each event is a line of JSON. When it is full it becomes
// PATH.1, what was PATH.1 becomes PATH.2, and the last one goes.
type File struct {
	Path      string `json:"path"`
	Megabytes int    `json:"megabytes,omitempty"` // of each file; 16 where it is left out
	Files     int    `json:"files,omitempty"`     // with the one that is written; 4 where it is left out
}

const (
	defaultMegabytes, defaultFiles = 16, 4
	maxMegabytes, maxFiles         = 4096, 100 // beyond that somebody meant another unit
)

func (c *File) validate() error {
	switch {
	case c.Path == "":
		return errors.New("file.path: want the path of a file")
	case c.Megabytes < 0 || c.Megabytes > maxMegabytes:
		return fmt.Errorf("file.megabytes: %d: want 1 to %d", c.Megabytes, maxMegabytes)
	case c.Files < 0 || c.Files > maxFiles:
		return fmt.Errorf("file.files: %d: want 1 to %d", c.Files, maxFiles)
	}
	return absolute("file.path", c.Path)
}

// rotating is held while a file is written: after a reload the old sink and the new one may have the same.
var rotating sync.Mutex

type file struct {
	path  string
	max   int64
	files int
	f     *os.File
}

func openFile(c File) (*file, error) {
	if c.Megabytes == 0 {
		c.Megabytes = defaultMegabytes
	}
	if c.Files == 0 {
		c.Files = defaultFiles
	}
	f := &file{path: c.Path, max: int64(c.Megabytes) << 20, files: c.Files}
	rotating.Lock()
	defer rotating.Unlock()
	if _, err := f.size(); err != nil {
		return nil, fmt.Errorf("file.path: %w", err)
	}
	return f, nil
}

// Write appends events. What it could write of a part of them when it fails is cut off again: there is never half a line.
func (f *file) Write(_ context.Context, events []event.Event) error {
	all, err := lines(events)
	if err != nil {
		return err
	}
	rotating.Lock()
	defer rotating.Unlock()
	for len(all) > 0 {
		size, err := f.size()
		if err != nil {
			return err
		}
		var part []byte
		for len(all) > 0 && (size+int64(len(part)+len(all[0])) <= f.max || size == 0 && part == nil) {
			part, all = append(part, all[0]...), all[1:]
		}
		if part == nil {
			if err := f.rotate(); err != nil {
				return err
			}
			continue
		}
		if _, err := f.f.Write(part); err != nil {
			return errors.Join(err, f.f.Truncate(size))
		}
	}
	return nil
}

// size returns the size of the file at path, which it opens where somebody took it away, or another is there.
func (f *file) size() (int64, error) {
	if f.f != nil {
		mine, err := f.f.Stat()
		there, err2 := os.Stat(f.path)
		if err == nil && err2 == nil && os.SameFile(mine, there) {
			return mine.Size(), nil
		}
		f.f.Close()
		f.f = nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return 0, err
	}
	// Events tell addresses and names of the cluster: only root reads them.
	o, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	info, err := o.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", f.path)
	}
	if err != nil {
		o.Close()
		return 0, err
	}
	f.f = o
	return info.Size(), nil
}

// rotate renames the files, the oldest first, which goes.
func (f *file) rotate() error {
	name := func(i int) string {
		if i == 0 {
			return f.path
		}
		return fmt.Sprintf("%s.%d", f.path, i)
	}
	if f.files == 1 {
		return f.f.Truncate(0)
	}
	for i := f.files - 1; i > 0; i-- {
		if err := os.Rename(name(i-1), name(i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// Close closes the file.
func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}
