package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// The bounds of a bundle. The biggest real file is the iptables-save of a node with
// 10,000 Services (15 MB); a cluster of 1,000 nodes with 100 Pods each, in one
// bundle, has 100,000 namespaces, few files of which say anything.
const (
	maxUnpacked  = 512 << 20 // bytes in all, so that a bomb cannot fill the memory
	maxFile      = 256 << 20 // bytes a file: half of it, so that one file never crowds out the rest
	maxFileCount = 200_000
)

// Unpack reads a bundle: a tar, gzipped or not; a txtar; or one file of Kubernetes
// objects, as "kubectl get -o json" prints it. The name (of the file, "" where it
// has none) only serves to name the objects' file. The content tells the format.
//
// Entries that cannot be part of a snapshot (links, devices, paths that lead out
// of the folder, names that come twice) and what is beyond the bounds are left
// out, each with a Gap. A bundle that ends too early gives what could be read, and a Gap.
// An error means that r is no bundle at all.
func Unpack(name string, r io.Reader) (Files, []Gap, error) {
	return limits{maxUnpacked, maxFile, maxFileCount}.unpack(name, r)
}

type limits struct {
	unpacked, file int64
	count          int
}

func (l limits) unpack(name string, r io.Reader) (Files, []Gap, error) {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	br := bufio.NewReader(r)
	if magic, _ := br.Peek(2); string(magic) == "\x1f\x8b" {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: gzip: %w", name, err)
		}
		name = strings.TrimSuffix(name, ".gz")
		br = bufio.NewReader(zr)
	}
	// One byte more than allowed tells "too much" from "just enough".
	u := &unpacker{limits: l, files: Files{}, name: name, in: io.LimitedReader{R: br, N: l.unpacked + 1}}
	head, _ := br.Peek(512)
	switch text := bytes.TrimSpace(head); {
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return u.done(u.tar())
	case len(text) == 0:
		return nil, nil, fmt.Errorf("%s: empty", name)
	case text[0] == '{' || text[0] == '[':
		return u.done(u.json())
	case bytes.HasPrefix(head, []byte("-- ")) || bytes.Contains(head, []byte("\n-- ")) || strings.HasSuffix(name, ".txtar"):
		return u.done(u.txtar())
	case len(head) == 512 && bytes.IndexByte(head, 0) >= 0:
		return u.done(u.tar()) // of before POSIX
	}
	return nil, nil, fmt.Errorf("%s: not a snapshot: want a tar, tar.gz or txtar, or Kubernetes objects as JSON", name)
}

type unpacker struct {
	limits
	name  string
	in    io.LimitedReader
	files Files
	gaps  []Gap
}

func (u *unpacker) done(err error) (Files, []Gap, error) {
	if err != nil {
		return nil, nil, err
	}
	return u.files, u.gaps, nil
}

func (u *unpacker) gap(entry, format string, args ...any) {
	u.gaps = append(u.gaps, Gap{Path: entry, Why: fmt.Sprintf(format, args...)})
}

// tooMuch says whether the bound of all bytes was met.
func (u *unpacker) tooMuch() bool { return u.in.N <= 0 }

func (u *unpacker) tar() error {
	end := &endMark{r: &u.in}
	tr := tar.NewReader(end)
	for n := 0; ; n++ {
		h, err := tr.Next()
		switch {
		case err == io.EOF && end.zeros < endOfTar && !u.tooMuch():
			u.gap(u.name, "the archive ends without its end mark, after %d entries: it may have been cut short", n)
			return nil
		case err == io.EOF && !u.tooMuch():
			return nil
		case u.tooMuch():
			u.gap(u.name, "more than %d MiB unpacked: the rest was not read", u.unpacked>>20)
			return nil
		case err != nil && n == 0:
			return fmt.Errorf("%s: %w", u.name, err)
		case err != nil:
			u.gap(u.name, "the archive is damaged after %d entries: %v: the rest was not read", n, err)
			return nil
		case n >= u.count:
			u.gap(u.name, "more than %d entries: the rest was not read", u.count)
			return nil
		}
		u.entry(h, tr)
	}
}

// endOfTar is how many zero bytes end a tar. Package tar also takes the mere end of the
// text, which a download that broke off between two entries has.
const endOfTar = 1024

// endMark counts the zero bytes at the end of what was read.
type endMark struct {
	r     io.Reader
	zeros int
}

// Read reads, and counts.
func (e *endMark) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	rest := bytes.TrimRight(b[:n], "\x00")
	if len(rest) > 0 {
		e.zeros = 0
	}
	e.zeros += n - len(rest)
	return n, err
}

// entry takes one entry of a tar.
func (u *unpacker) entry(h *tar.Header, r io.Reader) {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return
	case tar.TypeReg:
	default:
		u.gap(safeName(h.Name), "left out: neither a file nor a folder (tar type %q)", h.Typeflag)
		return
	}
	if h.Size > u.file {
		u.gap(safeName(h.Name), "left out: %d bytes are more than the %d MiB that a file may have", h.Size, u.file>>20)
		return
	}
	var data bytes.Buffer // grows with what is there, not with what the header claims
	_, err := data.ReadFrom(r)
	if err != nil {
		u.gap(safeName(h.Name), "only the first %d of %d bytes could be read: %v", data.Len(), h.Size, err)
	}
	u.put(h.Name, data.Bytes())
}

// put keeps a file, if its name is a plain path within the snapshot and new.
func (u *unpacker) put(name string, data []byte) {
	clean := name
	for strings.HasPrefix(clean, "./") {
		clean = clean[2:]
	}
	if !fs.ValidPath(clean) || strings.ContainsAny(clean, "\\\x00") {
		u.gap(safeName(name), "left out: the name leads out of the folder, or is no plain path")
		return
	}
	if _, dup := u.files[clean]; dup {
		u.gap(clean, "comes twice in the archive: the first was taken")
		return
	}
	u.files[clean] = data
}

// safeName makes a name from an archive fit to be printed.
func safeName(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

func (u *unpacker) json() error {
	data, err := u.all()
	if err != nil {
		return err
	}
	base := u.name
	if base == "." || base == "/" || base == "-" {
		base = "objects.json"
	}
	u.files["objects/"+strings.TrimSuffix(base, ".json")+".json"] = data
	return nil
}

func (u *unpacker) txtar() error {
	data, err := u.all()
	if err != nil {
		return err
	}
	for i, f := range txtar.Parse(data).Files {
		if i >= u.count {
			u.gap(u.name, "more than %d entries: the rest was not read", u.count)
			break
		}
		u.put(f.Name, f.Data)
	}
	if len(u.files) == 0 && len(u.gaps) == 0 {
		return fmt.Errorf("%s: a txtar without files", u.name)
	}
	return nil
}

// all reads everything, within the bound of one file.
func (u *unpacker) all() ([]byte, error) {
	u.in.N = min(u.in.N, u.file+1)
	data, err := io.ReadAll(&u.in)
	if u.tooMuch() {
		return nil, fmt.Errorf("%s: more than %d MiB", u.name, u.file>>20)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && len(data) > 0 {
		u.gap(u.name, "ends too early, after %d bytes unpacked", len(data))
		return data, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.name, err)
	}
	return data, nil
}

// ReadBundle unpacks and reads a bundle; see [Unpack] and [Read].
func ReadBundle(name string, r io.Reader) (*Cluster, error) {
	files, gaps, err := Unpack(name, r)
	if err != nil {
		return nil, err
	}
	c, err := Read(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.addGaps(gaps...)
	return c, nil
}

// Write packs files as a gzipped tar. The same files give the same bytes.
func Write(w io.Writer, files Files) error {
	b := NewWriter(w)
	if err := b.Add(files); err != nil {
		return err
	}
	return b.Close()
}

// A Writer packs files as they come, so that a bundle need not fit into memory.
type Writer struct {
	zw *gzip.Writer
	tw *tar.Writer
}

// NewWriter begins a bundle. It has no end until it is closed.
func NewWriter(w io.Writer) *Writer {
	zw := gzip.NewWriter(w)
	return &Writer{zw, tar.NewWriter(zw)}
}

// Add packs files, sorted. No name may come twice.
func (b *Writer) Add(files Files) error {
	for _, name := range files.Names() {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := b.tw.WriteHeader(h); err != nil {
			return fmt.Errorf("bundle: %s: %w", name, err)
		}
		if _, err := b.tw.Write(files[name]); err != nil {
			return fmt.Errorf("bundle: %s: %w", name, err)
		}
	}
	return nil
}

// Close ends the bundle; it does not close what it is written to.
func (b *Writer) Close() error {
	if err := b.tw.Close(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := b.zw.Close(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}
