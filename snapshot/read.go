package snapshot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// notCollected is why a file is missing that nobody says anything about.
const notCollected = "not collected"

// Read reads a snapshot from a tree of files; the package comment describes it. A file
// that is missing, unreadable or not understood becomes a Gap, and what could be
// read of it stays. An error means that fsys holds no snapshot at all.
func Read(fsys fs.FS) (*Cluster, error) {
	if f, ok := fsys.(Files); ok {
		fsys = f.indexed()
	}
	fsys, err := root(fsys)
	if err != nil {
		return nil, err
	}
	r := &reader{fsys: fsys, c: &Cluster{}}
	r.objects() // first, for their files are the biggest, and all are read into the same memory
	for _, dir := range r.dirs("nodes") {
		r.node(dir)
	}
	r.c.finish()
	return r.c, nil
}

// finish puts everything in order, after Read and Merge.
func (c *Cluster) finish() {
	c.Taken = time.Time{}
	for _, n := range c.Nodes {
		if !n.Taken.IsZero() && (c.Taken.IsZero() || n.Taken.Before(c.Taken)) {
			c.Taken = n.Taken
		}
	}
	slices.SortFunc(c.Nodes, func(a, b *Node) int { return cmp.Compare(a.Name, b.Name) })
	c.Objects.sort()
	if !c.Partial {
		c.absentNodes()
	}
	c.addGaps()
}

// addGaps adds gaps and keeps them sorted, each one once.
func (c *Cluster) addGaps(gaps ...Gap) {
	c.Gaps = append(c.Gaps, gaps...)
	slices.SortFunc(c.Gaps, compareGaps)
	c.Gaps = slices.Compact(c.Gaps)
}

func compareGaps(a, b Gap) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Why, b.Why))
}

// root finds the folder that holds "nodes" or "objects": fsys, or the one folder
// in it, as "tar czf x.tar.gz folder" makes.
func root(fsys fs.FS) (fs.FS, error) {
	for range 3 {
		entries, err := fs.ReadDir(fsys, ".")
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		var dirs []string
		for _, e := range entries {
			if e.Name() == "nodes" || e.Name() == "objects" {
				return fsys, nil
			}
			if e.IsDir() {
				dirs = append(dirs, e.Name())
			}
		}
		if len(dirs) != 1 {
			break
		}
		if fsys, err = fs.Sub(fsys, dirs[0]); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	return nil, errors.New("snapshot: neither a folder \"nodes\" nor a folder \"objects\" in it")
}

// reader reads the parts of a snapshot into c.
type reader struct {
	fsys        fs.FS
	c           *Cluster
	objectCount int             // of all files
	dir         string          // the folder that names lists
	names       map[string]bool // what is in dir
	buf         bytes.Buffer    // of the file that was read last
	decoder     decoder
}

func (r *reader) gap(path, format string, args ...any) {
	r.c.Gaps = append(r.c.Gaps, Gap{Path: path, Why: fmt.Sprintf(format, args...)})
}

// dirs returns the folders in a folder.
func (r *reader) dirs(in string) []string {
	entries, err := fs.ReadDir(r.fsys, in)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.gap(in, "%s", reason(err))
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, path.Join(in, e.Name()))
		}
	}
	return out
}

// reason is an error's text without the path, which the Gap has.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// read returns a file's content; where there is none it says why in a Gap, unless the file is optional.
func (r *reader) read(name string, optional bool) ([]byte, bool) {
	failed := r.failed(name)
	data, err := r.readBounded(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !failed && !optional {
			r.gap(name, notCollected)
		}
		return nil, false
	case err != nil:
		r.gap(name, "%s", reason(err))
		return nil, false
	}
	return data, true
}

// failed looks for NAME.error, where a collector writes why it could not collect NAME.
func (r *reader) failed(name string) bool {
	text, err := r.readBounded(name + ".error")
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		r.gap(name, "collecting it failed, and why cannot be read: %s", reason(err))
		return true
	}
	const enough = 500
	if len(text) > enough {
		text = append(bytes.Clone(text[:enough]), "…"...)
	}
	why := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")
	r.gap(name, "%s", cmp.Or(why, "collecting it failed"))
	return true
}

// readBounded returns the content of a file, which holds until the next one is read and is
// not to be written to.
func (r *reader) readBounded(name string) ([]byte, error) {
	if m, ok := r.fsys.(indexedFiles); ok && len(m.Files[name]) <= maxFile && m.Files[name] != nil {
		return m.Files[name], nil
	}
	if !r.listed(name) {
		return nil, fs.ErrNotExist
	}
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := &r.buf
	data.Reset()
	if st, err := f.Stat(); err == nil && st.Size() <= maxFile {
		data.Grow(int(max(st.Size(), 0)) + bytes.MinRead)
	}
	_, err = data.ReadFrom(io.LimitReader(f, maxFile+1))
	if err == nil && data.Len() > maxFile {
		err = fmt.Errorf("more than %d MiB", maxFile>>20)
	}
	return data.Bytes(), err
}

// listed reports whether a file is in its folder's list, which is quicker than to open it
// where most are not there.
func (r *reader) listed(name string) bool {
	dir := path.Dir(name)
	if r.dir != dir || r.names == nil {
		entries, err := fs.ReadDir(r.fsys, dir)
		if err != nil {
			return true // for Open to say why
		}
		r.dir, r.names = dir, map[string]bool{}
		for _, e := range entries {
			r.names[e.Name()] = true
		}
	}
	return r.names[path.Base(name)]
}

// parse gives a file to a parser, whose error becomes a Gap.
func (r *reader) parse(name string, parser func(io.Reader) error) {
	data, ok := r.read(name, false)
	if !ok || len(bytes.TrimSpace(data)) == 0 {
		return // an empty file is a collector's word that there is nothing
	}
	if err := parser(bytes.NewReader(data)); err != nil {
		r.gap(name, "%s", err)
	}
}

// nodeFile is node.json.
type nodeFile struct {
	Name   string    `json:"name"`
	Kernel string    `json:"kernel,omitempty"`
	Taken  time.Time `json:"taken,omitzero"`
	Gaps   []gapFile `json:"gaps,omitempty"`
}

// gapFile is a Gap in node.json, its path relative to the node's folder.
type gapFile struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// node reads the folder of one node.
func (r *reader) node(dir string) {
	n := &Node{Name: path.Base(dir)}
	file := path.Join(dir, "node.json")
	if data, ok := r.read(file, true); ok {
		var f nodeFile
		if err := json.Unmarshal(data, &f); err != nil {
			r.gap(file, "%s", err)
		}
		n.Name, n.Kernel, n.Taken = cmp.Or(f.Name, n.Name), f.Kernel, f.Taken.UTC()
		for _, g := range f.Gaps {
			r.gap(path.Join(dir, path.Clean("/"+g.Path)), "%s", g.Why)
		}
	}
	for _, d := range r.dirs(dir) {
		n.NetNS = append(n.NetNS, r.netns(d))
	}
	entries, _ := fs.ReadDir(r.fsys, dir)
	for _, e := range entries { // of a namespace that could not be entered: NETNS.error
		if ns, ok := strings.CutSuffix(e.Name(), ".error"); ok {
			r.failed(path.Join(dir, ns))
		}
	}
	slices.SortFunc(n.NetNS, compareNetNS)
	if len(n.NetNS) == 0 || n.NetNS[0].Name != hostName {
		r.gap(path.Join(dir, hostName), notCollected)
	}
	r.c.Nodes = append(r.c.Nodes, n)
}

// hostName is the name of a node's own namespace.
const hostName = "host"

// compareNetNS puts "host" first.
func compareNetNS(a, b *NetNS) int {
	if (a.Name == hostName) != (b.Name == hostName) {
		if a.Name == hostName {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Name, b.Name)
}
