//go:build linux

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// Places keeps track of the network namespaces of a node, and of whose they are. It holds none of them
// open, so that they end with their Pods. It is a [probe.Places].
type Places struct {
	o       Options
	cookies bool

	refreshing sync.Mutex
	records    map[string]cachedRecord // by file

	mu    sync.RWMutex
	spots []*spot          // that now are, the node's own first
	byNet map[uint64]*spot // those, and those that ended less than remembered ago
	index index
}

// index tells whose something is. It is made anew at each refresh.
type index struct {
	cgroups map[uint64]string
	devices map[int]string
	addrs   map[netip.Addr]string
	former  map[netip.Addr]string // whose Pod ended less than lingering ago
	groups  []probe.Cgroup
}

// remembered is how long after its end it is told whose a namespace was: what happened in it is read a little later.
const remembered = 5 * time.Minute

// lingering is how long after a Pod's end others may still send to its address: until all that led there is taken away.
const lingering = time.Minute

// A spot is a place with what it is found by.
type spot struct {
	probe.Place
	path   string
	record bool // path is from a record: below the node's root
	inode  uint64
	ended  time.Time // not zero for one that ended
	// As they were when it was first seen.
	peers []int // indexes of the other ends of its veths
	addrs []netip.Addr
}

// A cachedRecord is what a container runtime's file said, which is not read again until it changes.
type cachedRecord struct {
	podRecord
	size, mtime int64
	inode       uint64
}

// NewPlaces finds the namespaces that now are.
func NewPlaces(o Options) (*Places, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Places{o: o, records: map[string]cachedRecord{}, byNet: map[uint64]*spot{}}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("places: socket: %w", err)
	}
	_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	p.cookies = err == nil
	unix.Close(fd)
	host := &spot{Place: probe.Place{Host: true}, path: cmp.Or(o.Host, filepath.Join(o.Proc, "1/ns/net"))}
	host.inode, err = inodeOf(host.path)
	if err != nil && o.Host == "" { // not the node's, but that of this process, as Collect says in a gap
		host.path = "/proc/self/ns/net"
		host.inode, err = inodeOf(host.path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoNetNS, err)
	}
	if err := p.first(host); err != nil {
		return nil, err
	}
	p.spots, p.byNet[host.Net] = []*spot{host}, host
	p.Refresh()
	return p, nil
}

// Cookies is that of [probe.Places].
func (p *Places) Cookies() bool { return p.cookies }

// ByNet is that of [probe.Places].
func (p *Places) ByNet(net uint64) (probe.Place, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if s := p.byNet[net]; s != nil {
		return s.Place, true
	}
	return probe.Place{}, false
}

// ByCgroup is that of [probe.Places].
func (p *Places) ByCgroup(id uint64) (string, bool) {
	pod, ok := p.indexed().cgroups[id]
	return pod, ok
}

// ByDevice is that of [probe.Places].
func (p *Places) ByDevice(ifindex int) (string, bool) {
	pod, ok := p.indexed().devices[ifindex]
	return pod, ok
}

// ByAddr is that of [probe.Places].
func (p *Places) ByAddr(a netip.Addr) (string, bool) {
	pod, ok := p.indexed().addrs[a]
	return pod, ok
}

// Former returns the Pod that had an address and ended a minute or so ago. Another may have it since, on another node too.
func (p *Places) Former(a netip.Addr) (string, bool) {
	pod, ok := p.indexed().former[a]
	return pod, ok
}

// Cgroups is that of [probe.Places].
func (p *Places) Cgroups() []probe.Cgroup { return p.indexed().groups }

func (p *Places) indexed() index {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.index
}

// All is that of [probe.Places].
func (p *Places) All() (out []probe.Place) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range p.spots {
		out = append(out, s.Place)
	}
	return out
}

// Each calls visit for each place, from a thread that is in its network namespace. It leaves out those that
// end meanwhile, and returns the first error of one that it could not enter.
func (p *Places) Each(visit func(probe.Place)) error {
	p.mu.RLock()
	spots := slices.Clone(p.spots)
	p.mu.RUnlock()
	return p.walk(func(w *walker) (first error) {
		for _, s := range spots {
			if err := w.enter(s); err == nil {
				visit(s.Place)
			} else if first == nil && !gone(err) {
				first = err
			}
		}
		return first
	})
}

// In is that of [probe.Places].
func (p *Places) In(place probe.Place, f func() error) error {
	p.mu.RLock()
	s := p.byNet[place.Net]
	p.mu.RUnlock()
	if s == nil || !s.ended.IsZero() {
		return errEnded
	}
	return p.walk(func(w *walker) error {
		if err := w.enter(s); err != nil {
			return err
		}
		return f()
	})
}

var errEnded = errors.New("the network namespace has ended")

// gone reports whether an error says that a namespace ended.
func gone(err error) bool { return os.IsNotExist(err) || err == errChanged }

var errChanged = errors.New("another namespace is there now")

// inThread runs f on a thread of its own, which may go to other namespaces: it ends with f. The program's first thread
// cannot end, so its main locks that (runtime.LockOSThread in an init).
func inThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// A walker is a thread that goes from place to place.
type walker struct {
	root string
	dir  int    // root, open; -1 until it is needed
	at   uint64 // the inode of the namespace that it is in
}

// walk runs f on a thread of its own.
func (p *Places) walk(f func(*walker) error) error {
	return inThread(func() error {
		w := &walker{root: p.o.Root, dir: -1}
		w.at, _ = inodeOf("/proc/thread-self/ns/net") // where it does not know, it goes there
		defer func() { unix.Close(w.dir) }()
		return f(w)
	})
}

// enter moves the thread into a place. Where it is, it stays, which takes no privilege.
func (w *walker) enter(s *spot) error {
	if w.at == s.inode {
		return nil
	}
	fd, err := w.open(s)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: s.path, Err: err}
	}
	if st.Ino != s.inode {
		return errChanged
	}
	if err := setns(fd); err != nil {
		return err
	}
	w.at = s.inode
	return nil
}

func (w *walker) open(s *spot) (fd int, err error) {
	if !s.record {
		if fd, err = unix.Open(s.path, namespace, 0); err != nil {
			err = &os.PathError{Op: "open", Path: s.path, Err: err}
		}
		return fd, err
	}
	if w.dir < 0 {
		if w.dir, err = openRoot(w.root); err != nil {
			return -1, err
		}
	}
	return openBelow(w.dir, w.root, s.path)
}

// first learns of a place what stays: its cookie, the other ends of its veths, its addresses.
func (p *Places) first(s *spot) error {
	return p.walk(func(w *walker) error {
		if err := w.enter(s); err != nil {
			return err
		}
		s.Net = s.inode
		if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil && p.cookies {
			s.Net, _ = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
			unix.Close(fd)
		}
		c, err := netlink.Dial(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer c.Close()
		err = c.Dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func() { s.peers = nil }, func(b []byte) {
			if l, ok := decodeLink(b); ok && l.lower > 0 && !s.Host {
				s.peers = append(s.peers, l.lower)
			}
		})
		if err != nil {
			return err
		}
		return c.Dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() { s.addrs = nil }, func(b []byte) {
			if _, a, ok := decodeAddr(b); ok && a.Local.IsGlobalUnicast() {
				s.addrs = append(s.addrs, a.Local)
			}
		})
	})
}

// Refresh finds out what has come and gone.
func (p *Places) Refresh() {
	p.refreshing.Lock()
	defer p.refreshing.Unlock()
	records := p.readRecords()
	found := p.find(records)
	p.mu.RLock()
	old := map[string]*spot{}
	for _, s := range p.spots {
		old[s.path] = s
	}
	p.mu.RUnlock()
	now := []*spot{p.spots[0]} // only Refresh writes it
	have := map[uint64]bool{p.spots[0].inode: true}
	for _, s := range found {
		if have[s.inode] {
			continue // by another path
		}
		if before := old[s.path]; before != nil && before.inode == s.inode {
			if before.Pod != s.Pod { // its record came after its name
				next := *before
				next.Pod = s.Pod
				before = &next
			}
			now, have[s.inode] = append(now, before), true
		} else if p.first(s) == nil {
			now, have[s.inode] = append(now, s), true
		}
	}
	ix := p.indexOf(now, records)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spots, p.index = now, ix
	p.remember()
}

// remember keeps those that ended for a while, and for less their addresses.
func (p *Places) remember() {
	at, now := time.Now(), map[uint64]*spot{}
	for _, s := range p.spots {
		now[s.Net] = s
	}
	for net, s := range p.byNet {
		if now[net] != nil {
			continue
		}
		if s.ended.IsZero() {
			ended := *s
			ended.ended = at
			s = &ended
		}
		if at.Sub(s.ended) < remembered {
			now[net] = s
		}
		if at.Sub(s.ended) < lingering {
			for _, a := range s.addrs {
				p.index.former[a] = s.Pod
			}
		}
	}
	p.byNet = now
}

// readRecords reads the records that are new or changed, and forgets those that are gone.
func (p *Places) readRecords() []podRecord {
	next := map[string]cachedRecord{}
	for _, pattern := range records {
		files, _ := filepath.Glob(filepath.Join(p.o.Root, pattern))
		for _, name := range files {
			var st unix.Stat_t
			if unix.Stat(name, &st) != nil {
				continue
			}
			c, ok := p.records[name]
			if !ok || c.size != st.Size || c.mtime != st.Mtim.Nano() || c.inode != st.Ino {
				c = cachedRecord{readRecord(name), st.Size, st.Mtim.Nano(), st.Ino}
			}
			next[name] = c
		}
	}
	p.records = next
	var out []podRecord
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if r := next[name].podRecord; r.pod != "" {
			out = append(out, r)
		}
	}
	return out
}

// find finds the namespaces that have a path, those of which a record tells first. One may come by several paths, of
// which not all can be opened.
func (p *Places) find(all []podRecord) (out []*spot) {
	if p.o.NetNS != nil {
		for _, n := range p.o.NetNS {
			if inode, err := inodeOf(n.Path); err == nil {
				out = append(out, &spot{Place: probe.Place{Pod: cmp.Or(n.Pod, n.Name, filepath.Base(n.Path))}, path: n.Path, inode: inode})
			}
		}
		return out
	}
	for _, r := range all {
		if r.path == "" {
			continue
		}
		file, inode, err := openIn(p.o.Root, r.path)
		if err != nil {
			continue
		}
		file.Close()
		out = append(out, &spot{Place: probe.Place{Pod: r.pod}, path: r.path, record: true, inode: inode})
	}
	f := finder{o: p.o}
	for _, m := range f.mounts() {
		out = append(out, &spot{Place: probe.Place{Pod: filepath.Base(m.path)}, path: m.path, inode: m.inode})
	}
	return out
}

func (p *Places) indexOf(spots []*spot, all []podRecord) index {
	ix := index{map[uint64]string{}, map[int]string{}, map[netip.Addr]string{}, map[netip.Addr]string{}, groupsOf(all)}
	for _, s := range spots[1:] {
		for _, i := range s.peers {
			ix.devices[i] = s.Pod
		}
		for _, a := range s.addrs {
			ix.addrs[a] = s.Pod
		}
	}
	root := unified(filepath.Join(p.o.Root, "sys/fs/cgroup"))
	for _, r := range all {
		if r.cgroup != "" && root != "" {
			if id, err := inodeOf(filepath.Join(root, r.cgroup)); err == nil {
				ix.cgroups[id] = r.pod
			}
		}
	}
	return ix
}

// groupsOf returns the cgroup of each Pod: the one around those of its containers, which kubelet names for the Pod's UID.
func groupsOf(all []podRecord) (out []probe.Cgroup) {
	seen := map[string]bool{}
	for _, r := range all {
		if r.cgroup == "" || seen[r.pod] {
			continue
		}
		seen[r.pod] = true
		path := strings.Trim(r.cgroup, "/")
		if dir := filepath.Dir(path); strings.Contains(filepath.Base(dir), "pod") && filepath.Base(dir) != "kubepods" {
			path = dir
		}
		out = append(out, probe.Cgroup{Pod: r.pod, Path: path})
	}
	slices.SortFunc(out, func(a, b probe.Cgroup) int { return cmp.Compare(a.Pod, b.Pod) })
	return out
}

// unified returns where the unified hierarchy of cgroups is mounted: at the usual place, or, beside version 1, below it.
func unified(dir string) string {
	for _, d := range []string{dir, filepath.Join(dir, "unified")} {
		var fs unix.Statfs_t
		if unix.Statfs(d, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return d
		}
	}
	return ""
}

const (
	quiet     = 50 * time.Millisecond  // from the first sign that something came or went until it is looked for; more come meanwhile
	lookAgain = 100 * time.Millisecond // then once more, and each time after twice as long: a folder is there before the record in it is
	stale     = 30 * time.Second       // the longest
)

// Run keeps them up to date until ctx ends: by inotify on the folders where the runtimes' records and the names
// of namespaces come and go, so that a Pod of two seconds has its name, and every 30 s whatever was told.
func (p *Places) Run(ctx context.Context) {
	signs := p.watch(ctx)
	p.Refresh() // what came before the watch, of which there may be no more than its folder yet
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	for next := lookAgain; ; {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			next = min(2*next, stale)
		case <-signs:
			next = lookAgain
			select {
			case <-ctx.Done():
				return
			case <-time.After(quiet):
			}
			select {
			case <-signs:
			default:
			}
		}
		p.Refresh()
		again.Reset(next)
	}
}

// folders are where something new says that there may be a new namespace.
func (p *Places) folders() (out []string) {
	for _, pattern := range records {
		dir := pattern[:strings.LastIndex(pattern, "/*/")]
		found, _ := filepath.Glob(filepath.Join(p.o.Root, dir))
		out = append(out, found...)
	}
	for _, dir := range []string{"run/netns", "run/docker/netns"} {
		out = append(out, filepath.Join(p.o.Root, dir))
	}
	return out
}

// watch returns a channel that has something in it when there was a sign.
func (p *Places) watch(ctx context.Context) <-chan struct{} {
	signs := make(chan struct{}, 1)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return signs // there is the 30 s turn
	}
	file := os.NewFile(uintptr(fd), "inotify")
	context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) })
	add := func() {
		for _, dir := range p.folders() {
			_, _ = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_ONLYDIR) // it may not be there yet
		}
	}
	add()
	go func() {
		defer file.Close()
		buf := make([]byte, 64<<10)
		for ctx.Err() == nil {
			_ = file.SetReadDeadline(time.Now().Add(time.Second)) // and folders that have come are seen
			_, err := file.Read(buf)
			add() // those that are watched stay as they are
			if err != nil {
				continue
			}
			select {
			case signs <- struct{}{}:
			default:
			}
		}
	}()
	return signs
}
