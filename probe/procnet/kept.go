//go:build linux

package procnet

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Kept reads files that stay open from one turn to the next: to open one and to close it takes the kernel longer than to read it. It is for
// files of one record that keep nothing else, as those of cgroups, which end though one is open; a file of a network namespace keeps that.
type Kept struct {
	files map[string]*kept
	buf   []byte
}

type kept struct {
	fd   int
	read bool // in this turn
}

// mostKept bounds how many are open. The others are opened for each reading.
const mostKept = 4096

// Read returns what is in a file, until the next call.
func (k *Kept) Read(file string) ([]byte, error) {
	f := k.files[file]
	if f == nil {
		return k.first(file)
	}
	f.read = true
	err := k.slurp(f.fd, file)
	if errors.Is(err, unix.ENODEV) { // its cgroup has ended; there may be another
		k.drop(file)
		return k.first(file)
	}
	return k.buf, err
}

func (k *Kept) first(file string) ([]byte, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: file, Err: err}
	}
	err = k.slurp(fd, file)
	if err != nil || len(k.files) == mostKept {
		unix.Close(fd)
		return k.buf, err
	}
	if k.files == nil {
		k.files = map[string]*kept{}
	}
	k.files[file] = &kept{fd, true}
	return k.buf, nil
}

// slurp reads a file from its beginning into k.buf.
func (k *Kept) slurp(fd int, file string) (err error) {
	k.buf, err = readAll(k.buf, file, true, func(b []byte, at int) (int, error) { return unix.Pread(fd, b, int64(at)) })
	return err
}

// Forget closes the files that were not read since it was last called.
func (k *Kept) Forget() {
	for file, f := range k.files {
		if !f.read {
			k.drop(file)
		}
		f.read = false
	}
}

func (k *Kept) drop(file string) {
	unix.Close(k.files[file].fd)
	delete(k.files, file)
}

// Close closes all of them.
func (k *Kept) Close() {
	for file := range k.files {
		k.drop(file)
	}
}
