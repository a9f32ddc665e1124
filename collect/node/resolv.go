//go:build linux

package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

const (
	maxResolv      = 64 << 10        // of a resolv.conf, in bytes
	resolvPatience = 5 * time.Second // for those of all Pods together
)

// heed are the lines of a resolv.conf that resolvers heed. Others are not collected: a Pod may have put
// anything there. collect.sh has the same list.
var heed = []string{"nameserver", "domain", "search", "options"}

// hostResolv are the files that say how a node looks names up, and kubelets give to Pods, by their names in a snapshot.
var hostResolv = []struct{ file, path string }{
	{snapshot.ResolvConf, "/etc/resolv.conf"},
	{snapshot.SystemdResolvConf, "/run/systemd/resolve/resolv.conf"},
}

// resolvConf writes what a namespace's programs look names up by.
func (w *worker) resolvConf(s space) {
	if s.conf.tried {
		w.put(snapshot.ResolvConf, s.conf.text, s.conf.err)
	}
	if s.name != "host" {
		return
	}
	for _, h := range hostResolv {
		var text []byte
		file, _, err := openIn(w.root, h.path)
		if err == nil {
			text, err = readResolv(file)
			file.Close()
		} else if h.file != snapshot.ResolvConf && errors.Is(err, unix.ENOENT) {
			continue
		}
		w.put(h.file, text, err)
	}
}

// A resolv is the resolv.conf of a container.
type resolv struct {
	tried bool // there is a container
	text  []byte
	err   error
}

// reading is held by whoever reads in the root folders of containers. A file system that a Pod serves by itself
// may never answer: then one thread is lost, and those that come after wait no longer than it may take.
var reading = make(chan struct{}, 1)

// resolvConfs collects the resolv.conf of each namespace but the node's own, by the root folder of a
// process in it; those that have no process, or none of a container, have none.
func (s spaces) resolvConfs(proc string) {
	end := make(chan struct{})
	defer time.AfterFunc(resolvPatience, func() { close(end) }).Stop()
	got := make(chan resolv, len(s.list))
	select {
	case reading <- struct{}{}:
		go func(list []space) {
			defer func() { <-reading }()
			for _, ns := range list {
				got <- resolvOf(proc, ns.inode, s.in[ns.inode])
			}
		}(slices.Clone(s.list[1:]))
	case <-end:
	}
	for i := range s.list[1:] {
		ns := &s.list[i+1]
		select {
		case ns.conf = <-got:
		case <-end:
			ns.conf = resolv{tried: len(s.in[ns.inode]) > 0, err: fmt.Errorf("the root folders of containers do not answer within %s", resolvPatience)}
		}
	}
}

// resolvOf returns what the first process tells that can.
func resolvOf(proc string, inode uint64, pids []int) (out resolv) {
	for _, pid := range pids {
		file, err := openAs(proc, pid, inode, "/etc/resolv.conf")
		if errors.Is(err, errNoContainer) {
			continue
		}
		out.tried = true
		if err == nil {
			out.text, err = readResolv(file)
			file.Close()
		}
		if out.err = err; err == nil {
			break
		}
	}
	return out
}

// errNoContainer is why a process is passed over: it has ended, or shares the files of the node.
var errNoContainer = errors.New("no process of a container")

// openAs opens a path for a look at what it is (O_PATH), as a process of a container has it, if that is still in a network namespace.
// No link leads out of its root folder.
func openAs(proc string, pid int, inode uint64, path string) (*os.File, error) {
	p := filepath.Join(proc, strconv.Itoa(pid))
	dir, err := unix.Open(p, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // stays this process's, whoever has its number next
	if err != nil {
		return nil, errNoContainer
	}
	defer unix.Close(dir)
	var net, mnt, own unix.Stat_t
	if unix.Fstatat(dir, "ns/net", &net, 0) != nil || net.Ino != inode || unix.Fstatat(dir, "ns/mnt", &mnt, 0) != nil {
		return nil, errNoContainer
	}
	for _, other := range []string{"1", "self"} {
		if unix.Stat(filepath.Join(proc, other, "ns/mnt"), &own) == nil && own.Ino == mnt.Ino {
			return nil, errNoContainer
		}
	}
	root, err := unix.Openat(dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p + "/root", Err: err}
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOSYS) {
		err = errors.New("a kernel before Linux 5.6 cannot open it without leaving the container")
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p + "/root" + path, Err: err}
	}
	return os.NewFile(uintptr(fd), p+"/root"+path), nil
}

// readResolv reads an open file, or one of O_PATH, if it is a regular one and no larger than such a file is.
func readResolv(file *os.File) ([]byte, error) {
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file.Name())
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxResolv+1))
	if err == nil && len(text) > maxResolv {
		return nil, fmt.Errorf("%s: more than %d KiB", file.Name(), maxResolv>>10)
	}
	return heeded(text), err
}

// heeded returns the lines that resolvers heed, which start with their word.
func heeded(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		word := string(line[:max(0, bytes.IndexAny(line, " \t"))])
		if slices.Contains(heed, word) && !bytes.ContainsRune(line, 0) {
			out.WriteString(strings.TrimRight(string(line), " \t\r\n") + "\n")
		}
	}
	return out.Bytes()
}
