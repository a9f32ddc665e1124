// Package image makes container images by hand: of files of this machine, or of
// Debian's packages for any architecture. It writes them as an OCI image layout in
// a tar file, which containerd, podman and skopeo read, with the list of contents
// that "docker load" wants. The same files give the same bytes.
//
// It knows no registries and pulls nothing.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// A File is one of an image.
type File struct {
	Path string // in the image, absolute
	From string // the file of this machine to copy; or
	Link string // what a symbolic link points to; or
	Text string // what is in it
	Dir  bool   // or it is a directory
	Mode int64  // permissions; 0755 where none are given
}

// A Layer is a file system of images, or the part of one that lies over another.
type Layer []File

// An Image is one for one architecture. Several of one name are one image for all of theirs.
type Image struct {
	Name       string   // with its tag: plumb.lab/app:1
	Arch       string   // as Go says it: amd64, arm64; "" for that of this machine
	Entrypoint []string // what is run, as the containers' "command" would say
	Env        []string
	Labels     map[string]string
	Created    time.Time
	Gzip       bool // compress: for images that travel
	Layers     []Layer
}

// folders are those that every image has. Programs expect them.
var folders = []string{"/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var"}

// tar returns the layer as a tar file: every file after the folder it is in.
func (l Layer) tar() ([]byte, error) {
	files := slices.Clone(l)
	for _, d := range folders {
		files = append(files, File{Path: d, Dir: true})
	}
	files = append(files, parents(files)...)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	files = slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path })
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	for _, f := range files {
		if err := f.write(out); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// parents returns the directories that files are in.
func parents(files []File) (dirs []File) {
	seen := map[string]bool{"/": true}
	for _, f := range files {
		for d := path.Dir(f.Path); !seen[d]; d = path.Dir(d) {
			seen[d] = true
			dirs = append(dirs, File{Path: d, Dir: true})
		}
	}
	return dirs
}

// write writes the file as one of root's, and as old as can be: a layer whose files
// are the same is the same layer.
func (f File) write(out *tar.Writer) error {
	h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if h.Mode == 0 {
		h.Mode = 0o755
	}
	body := []byte(f.Text)
	switch {
	case f.Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		if f.Path == "/tmp" {
			h.Mode = 0o1777
		}
	case f.Link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	case f.From != "":
		var err error
		if body, err = os.ReadFile(f.From); err != nil {
			return err
		}
	}
	if h.Typeflag == 0 {
		h.Typeflag, h.Size = tar.TypeReg, int64(len(body))
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := out.Write(body)
	return err
}

// compress compresses a layer. Nothing of the time or the machine gets into it.
func compress(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
