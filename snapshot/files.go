package snapshot

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Files is a snapshot as files in memory, by path ("nodes/a/host/addr.json"). It is an
// [fs.FS]: what a collector or [Unpack] makes, [Read] reads and [Write] packs.
type Files map[string][]byte

// Names returns the paths, sorted.
func (f Files) Names() []string { return slices.Sorted(maps.Keys(f)) }

// Size returns the bytes of all files together.
func (f Files) Size() (n int) {
	for _, data := range f {
		n += len(data)
	}
	return n
}

// Open opens a file or a folder.
func (f Files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if data, ok := f[name]; ok {
		return &openFile{bytes.NewReader(data), entry{name: path.Base(name), size: int64(len(data))}}, nil
	}
	entries := f.list(name)
	if len(entries) == 0 && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openDir{entry: entry{name: path.Base(name), dir: true}, left: entries}, nil
}

// ReadFile returns a copy of the content of a file.
func (f Files) ReadFile(name string) ([]byte, error) {
	data, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(data), nil
}

// indexed returns the same tree with its folders listed once, for a reader that
// visits them all.
func (f Files) indexed() fs.FS {
	x := indexedFiles{Files: f, dirs: map[string][]fs.DirEntry{}}
	for _, name := range f.Names() {
		e := entry{name: path.Base(name), size: int64(len(f[name]))}
		for name != "." {
			dir := path.Dir(name)
			list, known := x.dirs[dir]
			x.dirs[dir] = append(list, e)
			if known {
				break
			}
			name, e = dir, entry{name: path.Base(dir), dir: true}
		}
	}
	for _, list := range x.dirs {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return x
}

type indexedFiles struct {
	Files
	dirs map[string][]fs.DirEntry
}

// Open opens a file or a folder.
func (x indexedFiles) Open(name string) (fs.File, error) {
	if _, ok := x.Files[name]; !ok && x.dirs[name] == nil && name != "." && fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} // without a look at all files
	}
	return x.Files.Open(name)
}

// ReadDir returns what is in a folder, sorted by name.
func (x indexedFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	list, ok := x.dirs[name]
	if !ok && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return list, nil
}

// list returns what is in a folder, sorted by name.
func (f Files) list(dir string) []fs.DirEntry {
	prefix := dir + "/"
	if dir == "." {
		prefix = ""
	}
	seen := map[string]entry{}
	for name, data := range f {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || rest == "" {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		e := entry{name: first, size: int64(len(data)), dir: deeper}
		if deeper {
			e.size = 0
		}
		if old, dup := seen[first]; !dup || !old.dir {
			seen[first] = e
		}
	}
	var out []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[name])
	}
	return out
}

// entry is the fs.FileInfo and fs.DirEntry of a file or folder in memory.
type entry struct {
	name string
	size int64
	dir  bool
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) ModTime() time.Time         { return time.Time{} }
func (e entry) IsDir() bool                { return e.dir }
func (e entry) Sys() any                   { return nil }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }
func (e entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

type openFile struct {
	*bytes.Reader
	entry
}

func (f *openFile) Size() int64                { return f.entry.size }
func (f *openFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	entry
	left []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.left) {
		if n > 0 && len(d.left) == 0 {
			return nil, io.EOF
		}
		n = len(d.left)
	}
	out := d.left[:n]
	d.left = d.left[n:]
	return out, nil
}
