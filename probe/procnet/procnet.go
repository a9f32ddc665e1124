//go:build linux

// Package procnet reads the counters that the kernel keeps for each network namespace in /proc/PID/net: each file
// once for all probes that want something of it. It knows the files' forms, and not what the counters mean.
package procnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// Files reads the files of the namespace that the thread is in, for one probe.
type Files struct {
	dir  string
	told map[string]uint64 // the reading of each that the probe has had
}

// Of returns the files of the machine that e is of.
func Of(e *probe.Env) *Files {
	return &Files{filepath.Join(e.Proc, "thread-self/net"), map[string]uint64{}}
}

// A reading is what was in a file.
type reading struct {
	dir  string
	net  uint64
	at   time.Time
	n    uint64 // a new one for each
	data []byte
	err  error
}

// last holds the last reading of each file, until another namespace's takes its place, and the folder that it was in.
var last = struct {
	sync.Mutex
	n      uint64
	by     map[string]*reading
	folder folder
}{by: map[string]*reading{}}

// A folder is an open one: to open a file in it takes the kernel half as long as by its whole path. That of a thread
// has the files of the namespace that the thread is in by then, and keeps none.
type folder struct {
	fd  int
	dir string
	tid int
}

// open opens a file of dir.
func (f *folder) open(dir, name string) (int, error) {
	if tid := unix.Gettid(); f.dir != dir || f.tid != tid {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fd, err
		}
		if f.dir != "" {
			unix.Close(f.fd)
		}
		*f = folder{fd, dir, tid}
	}
	return unix.Openat(f.fd, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// fresh is how old what a probe is told may be: the probes read one namespace one after the other, within 1 ms.
const fresh = 5 * time.Millisecond

// oneRecord are the files that the kernel writes by one call (single_open). What it has written is told whole where there
// is room; of others, a reading may end between two records.
var oneRecord = map[string]bool{"snmp": true, "snmp6": true, "netstat": true, "sockstat": true, "sockstat6": true}

// Read calls use with what is in a file of a place. It is not read again where another probe just has; to read it twice is
// to read it anew. No file is left open, since that would keep the namespace.
func (f *Files) Read(p probe.Place, name string, use func(data []byte) error) error {
	last.Lock()
	defer last.Unlock()
	r := last.by[name]
	if r == nil {
		r = &reading{}
		last.by[name] = r
	}
	if r.n == 0 || r.n == f.told[name] || r.dir != f.dir || r.net != p.Net || time.Since(r.at) > fresh {
		last.n++
		r.dir, r.net, r.at, r.n = f.dir, p.Net, time.Now(), last.n
		fd, err := last.folder.open(f.dir, name)
		r.data, r.err = slurp(r.data, fd, err, f.dir+"/"+name, oneRecord[name])
	}
	f.told[name] = r.n
	if r.err != nil {
		return r.err
	}
	return use(r.data)
}

// Optional is nil for an error that says that a file is not there: that of a protocol that the kernel lacks.
func Optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// most bounds a file: /proc/net/dev of 30,000 devices.
const most = 4 << 20

// Slurp reads a file of /proc or /sys into buf, which it makes longer where it must, and returns what it read.
func Slurp(buf []byte, file string) ([]byte, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return slurp(buf, fd, err, file, false)
}

// slurp reads what was opened, and closes it.
func slurp(buf []byte, fd int, err error, file string, one bool) ([]byte, error) {
	if err != nil {
		return buf[:0], &os.PathError{Op: "open", Path: file, Err: err}
	}
	defer unix.Close(fd)
	return readAll(buf, file, one, func(b []byte, _ int) (int, error) { return unix.Read(fd, b) })
}

// readAll reads a file into buf by read, which is told how much there is already. What leaves room is all of a file of one record.
func readAll(buf []byte, file string, one bool, read func(b []byte, at int) (int, error)) ([]byte, error) {
	if buf = buf[:0]; cap(buf) == 0 {
		buf = make([]byte, 0, 8<<10)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		room := cap(buf) - len(buf)
		n, err := read(buf[len(buf):cap(buf)], len(buf))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return buf, &os.PathError{Op: "read", Path: file, Err: err}
		case n == 0:
			return buf, nil
		case len(buf)+n > most:
			return buf, fmt.Errorf("%s: more than %d bytes", file, most)
		default:
			if buf = buf[:len(buf)+n]; one && n < room {
				return buf, nil
			}
		}
	}
}
