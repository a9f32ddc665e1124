package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/plumbnet/plumb/snapshot"
)

// load reads and merges the snapshots at paths or, where there are none, the
// state of the node that plumb runs on.
func load(paths []string, stderr io.Writer) (*snapshot.Cluster, error) {
	if len(paths) == 0 {
		return local(stderr)
	}
	var parts []*snapshot.Cluster
	for _, p := range paths {
		c, err := open(p)
		if err != nil {
			return nil, fmt.Errorf("--snapshot %s: %w", p, err)
		}
		parts = append(parts, c)
	}
	return snapshot.Merge(parts...), nil
}

// open reads a folder, or a file in any of the forms of a bundle.
func open(name string) (*snapshot.Cluster, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is named already
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return snapshot.ReadBundle(name, f)
	}
	// A root keeps links inside a folder that a stranger sent from leading out of it.
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	c, err := snapshot.Read(root.FS())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it holds neither nodes/ nor objects/: want what \"plumb snapshot\" wrote")
	}
	return c, err
}
