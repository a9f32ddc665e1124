// Package image makes container images by hand: one layer of files of this
// machine, in the tar archive that "docker save" writes and containerd imports.
// The same files give the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
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

// A Layer is the file system of one or more images.
type Layer []File

// An Image is one that is made from a layer.
type Image struct {
	Name       string   // with its tag: plumb.lab/app:1
	Entrypoint []string // what is run, as the containers' "command" would say
	Env        []string
}

// folders are those that every image has. Programs expect them.
var folders = []string{"/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var"}

// Write writes an archive with images that share a layer.
func Write(w io.Writer, l Layer, images ...Image) error {
	blob, err := l.tar()
	if err != nil {
		return err
	}
	diff := fmt.Sprintf("%x", sha256.Sum256(blob))
	out := tar.NewWriter(w)
	if err := add(out, diff+"/layer.tar", blob); err != nil {
		return err
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []entry
	for _, i := range images {
		config, err := i.config(diff)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%x.json", sha256.Sum256(config))
		if err := add(out, name, config); err != nil {
			return err
		}
		manifest = append(manifest, entry{name, []string{i.Name}, []string{diff + "/layer.tar"}})
	}
	b, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := add(out, "manifest.json", b); err != nil {
		return err
	}
	return out.Close()
}

// config returns the image's configuration (Docker Image Specification v1.2).
func (i Image) config(diff string) ([]byte, error) {
	type object = map[string]any
	return json.Marshal(object{
		"architecture": architecture, "os": "linux",
		"config":  object{"Entrypoint": i.Entrypoint, "Env": i.Env, "WorkingDir": "/"},
		"rootfs":  object{"type": "layers", "diff_ids": []string{"sha256:" + diff}},
		"history": []object{{"created_by": "plumb-lab"}},
	})
}

// tar returns the layer as a tar file: folders first, files in the order of their paths.
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

func add(out *tar.Writer, name string, body []byte) error {
	err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg})
	if err != nil {
		return err
	}
	_, err = out.Write(body)
	return err
}
