//go:build linux

package node

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxNetNS bounds how many namespaces are collected. A kubelet allows 110 Pods, big nodes 500.
const maxNetNS = 4096

// space is a network namespace to collect.
type space struct {
	name, pod string
	path      string // by which it was opened
	inode     uint64
	file      *os.File // keeps it, and says it to the kernel
	conf      resolv   // of a container in it
}

// spaces are the namespaces of a node.
type spaces struct {
	list []space          // the node's own first
	pids []int            // the processes, by number
	in   map[uint64][]int // by the inode of a namespace: the first processes in it
}

// maxIn is how many processes of a namespace are kept. In a Pod's the first one holds it; one that entered may be another's.
const maxIn = 4

func (s spaces) close() {
	for _, n := range s.list {
		n.file.Close()
	}
}

// find finds the namespaces.
func find(o Options) (spaces, []gap, error) {
	f := finder{o: o, at: map[uint64]int{}}
	byProcess := f.processes()
	if err := f.host(); err != nil {
		return spaces{}, nil, err
	}
	for _, path := range o.Exclude {
		if inode, err := inodeOf(path); err == nil && inode != f.list[0].inode {
			f.at[inode] = -1
		}
	}
	if o.NetNS != nil {
		for _, n := range o.NetNS {
			f.given(n)
		}
		return f.spaces, f.gaps, nil
	}
	if o.Pods != nil {
		f.pods(readRecords(o.Root), append(f.mounts(), byProcess...))
		return f.spaces, f.gaps, nil
	}
	pods, release := podsByNetNS(o.Root)
	defer release()
	for _, m := range f.mounts() {
		f.add(m.inode, m.path, m.name(), pods[m.inode])
	}
	for _, p := range byProcess {
		f.add(p.inode, p.path, p.name(), pods[p.inode])
	}
	return f.spaces, f.gaps, nil
}

type finder struct {
	o Options
	spaces
	gaps []gap
	at   map[uint64]int // by inode: the place in list; -1 for one to leave out
	full bool
}

// found is a namespace and a way to open it.
type found struct {
	inode uint64
	path  string
}

// name names a namespace of which no more is known: as its file, or "net-4026532341" for /proc/17/ns/net.
func (n found) name() string {
	if strings.HasSuffix(n.path, "/ns/net") {
		return fmt.Sprintf("net-%d", n.inode)
	}
	return filepath.Base(n.path)
}

// host opens the node's own namespace.
func (f *finder) host() error {
	path := f.o.Host
	if path == "" {
		path = filepath.Join(f.o.Proc, "1/ns/net")
	}
	file, inode, err := open(path)
	if err != nil && f.o.Host == "" {
		f.gaps = append(f.gaps, gap{"host", fmt.Sprintf("this is the namespace of the collector: %v", err)})
		file, inode, err = open("/proc/self/ns/net")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNoNetNS, err)
	}
	f.at[inode] = 0
	f.list = append(f.list, space{name: "host", path: file.Name(), inode: inode, file: file})
	return nil
}

// given adds a namespace that the caller named.
func (f *finder) given(n NetNS) {
	inode, err := inodeOf(n.Path)
	if err != nil {
		f.gaps = append(f.gaps, gap{pathName(cmp.Or(n.Name, filepath.Base(n.Path))), err.Error()})
		return
	}
	f.add(inode, n.Path, cmp.Or(n.Name, filepath.Base(n.Path)), n.Pod)
}

// add adds a namespace, unless it is there.
func (f *finder) add(inode uint64, path, name, pod string) {
	if _, dup := f.at[inode]; dup || f.full {
		return
	}
	if len(f.list) >= maxNetNS {
		f.full = true
		f.gaps = append(f.gaps, gap{"", fmt.Sprintf("more than %d network namespaces: the others were not collected", maxNetNS)})
		return
	}
	if pod != "" && f.o.NetNS == nil {
		name = "pod-" + strings.ReplaceAll(pod, "/", "-")
	}
	file, now, err := open(path)
	if err != nil {
		return // it ended
	}
	if now != inode {
		file.Close()
		return // it ended; another process may lead there
	}
	f.keep(file, inode, name, pod)
}

// keep adds a namespace that is open, unless it is there.
func (f *finder) keep(file *os.File, inode uint64, name, pod string) {
	if _, dup := f.at[inode]; dup {
		file.Close()
		return
	}
	f.at[inode] = len(f.list)
	f.list = append(f.list, space{name: f.unique(pathName(name)), pod: pod, path: file.Name(), inode: inode, file: file})
}

// unique makes a name differ from the others.
func (f *finder) unique(name string) string {
	taken := func(n string) bool {
		return n == "node.json" || slices.ContainsFunc(f.list, func(s space) bool { return s.name == n })
	}
	out := name
	for i := 2; taken(out); i++ {
		out = fmt.Sprintf("%s-%d", name, i)
	}
	return out
}

// processes reads which namespaces the processes are in, by process number.
func (f *finder) processes() []found {
	var out []found
	for _, name := range readDirNames(f.o.Proc) {
		if pid, err := strconv.Atoi(name); err == nil {
			f.pids = append(f.pids, pid)
		}
	}
	slices.Sort(f.pids)
	f.in = map[uint64][]int{}
	denied := 0
	for _, pid := range f.pids {
		path := filepath.Join(f.o.Proc, strconv.Itoa(pid), "ns/net")
		link, err := os.Readlink(path)
		if errors.Is(err, fs.ErrPermission) {
			denied++
		}
		if err != nil {
			continue // it ended
		}
		inode, ok := nsInode(link)
		if !ok || len(f.in[inode]) == maxIn {
			continue
		}
		f.in[inode] = append(f.in[inode], pid)
		if len(f.in[inode]) <= 2 { // a second one, should the first end before it is used
			out = append(out, found{inode, path})
		}
	}
	if denied > 0 && f.o.NetNS == nil {
		f.gaps = append(f.gaps, gap{"processes", fmt.Sprintf("the network namespaces of %d processes: permission denied", denied)})
	}
	return out
}

// nsInode reads "net:[4026531840]".
func nsInode(s string) (uint64, bool) {
	s, ok := strings.CutPrefix(s, "net:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n, err == nil
}

// mounts finds the namespaces that have a name in the file system: /run/netns of ip and of
// the container runtimes, /run/docker/netns.
func (f *finder) mounts() []found {
	var out []found
	for _, pid := range []string{"1", "self"} {
		text, err := os.ReadFile(filepath.Join(f.o.Proc, pid, "mountinfo"))
		if err != nil {
			continue
		}
		for _, m := range parseMountinfo(string(text)) {
			m.path = filepath.Join(f.o.Proc, pid, "root", m.path)
			out = append(out, m)
		}
	}
	return out
}

// parseMountinfo returns the network namespaces in a /proc/PID/mountinfo (Documentation/filesystems/proc.rst):
//
//	505 480 0:4 net:[4026532341] /run/netns/a rw shared:7 - nsfs nsfs rw
func parseMountinfo(text string) []found {
	var out []found
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if inode, ok := nsInode(f[3]); ok {
			out = append(out, found{inode, unescape(f[4])})
		}
	}
	return out
}

// unescape replaces \040 and its like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// namespace is how one is opened. What stands there instead, such as a pipe that nobody writes to, must not keep it waiting.
const namespace = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC

// open opens a namespace.
func open(path string) (*os.File, uint64, error) {
	file, err := os.OpenFile(path, namespace, 0)
	if err != nil {
		return nil, 0, err
	}
	return stated(file)
}

// stated returns a file with its inode.
func stated(file *os.File) (*os.File, uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		file.Close()
		return nil, 0, &os.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	return file, st.Ino, nil
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// enter moves the thread into a namespace. In its own it stays, which takes no privilege.
func enter(s space) error {
	if inode, err := inodeOf("/proc/thread-self/ns/net"); err == nil && inode == s.inode {
		return nil
	}
	return setns(int(s.file.Fd()))
}

func setns(fd int) error {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the namespace: %w", err)
	}
	return nil
}
