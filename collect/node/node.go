//go:build linux

package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// Options say what to collect. The zero Options collect this machine.
type Options struct {
	Node    string   // the node's name; "" for the host name
	Proc    string   // where the node's proc is mounted; "" for /proc
	Root    string   // where the node's root is, for the records of containerd and CRI-O; "" for /proc/1/root, or /
	Host    string   // the node's own network namespace; "" for that of process 1
	NetNS   []NetNS  // where not nil: only these, beside Host, instead of all that can be found
	Pods    []string // where not nil, and NetNS is: only those of these Pods ("shop/web-0"), beside Host
	Exclude []string // network namespaces to leave out, as paths
	// Counters has devices and rules say how many packets they have met, and nothing else is collected.
	Counters bool
}

// A NetNS is a network namespace to collect.
type NetNS struct {
	Name string // in the snapshot, unique on the node; "" for one made from Pod or Path
	Pod  string // "shop/web-0", where it is known
	Path string // that can be opened: "/run/netns/a", "/proc/17/ns/net"
}

// workers is how many namespaces are collected at once. Most of the time goes to the
// kernel's own locks, so more do not help.
const workers = 4

// Collect collects the state of the node. What could not be collected is said in
// the files. An error means that there is nothing: ctx ended, or no namespace could be found.
func Collect(ctx context.Context, o Options) (snapshot.Files, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	taken := time.Now().UTC().Truncate(time.Second)
	s, gaps, err := find(o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	users, all := users{}, true
	if !o.Counters {
		users, all = findUsers(o.Proc, s.pids)
		s.resolvConfs(o.Proc)
	}
	if !all {
		gaps = append(gaps, gap{"", fmt.Sprintf("more than %d open files: not all sockets have the name of their process", maxOpenFiles)})
	}
	results := collectAll(ctx, o, s.list, users)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir := "nodes/" + pathName(o.Node) + "/"
	files := snapshot.Files{}
	for i, r := range results {
		for _, g := range r.gaps {
			gaps = append(gaps, gap{strings.TrimSuffix(s.list[i].name+"/"+g.Path, "/"), g.Why})
		}
		for name, data := range r.files {
			files[dir+s.list[i].name+"/"+name] = data
		}
	}
	files[dir+"node.json"] = nodeJSON(o, taken, gaps)
	return files, nil
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() (Options, error) {
	o.Proc = cmp.Or(o.Proc, "/proc")
	if o.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("node: the node's name: %w", err)
		}
		o.Node = name
	}
	if o.Root == "" {
		o.Root = "/"
		if one := filepath.Join(o.Proc, "1/root"); exists(one + "/.") {
			o.Root = one
		}
	}
	return o, nil
}

// pathName makes a name fit to be a folder's.
func pathName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '\\' || r == 0x7f || r == '\uFFFD' {
			return '_'
		}
		return r
	}, s)
	if s == "" || s == "." || s == ".." {
		return "_"
	}
	return s
}

// gap is a snapshot.Gap in node.json, its path relative to the node's folder.
type gap struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

func nodeJSON(o Options, taken time.Time, gaps []gap) []byte {
	kernel, _ := os.ReadFile(filepath.Join(o.Proc, "sys/kernel/osrelease"))
	out, err := json.Marshal(struct {
		Name   string    `json:"name"`
		Kernel string    `json:"kernel,omitempty"`
		Taken  time.Time `json:"taken"`
		Gaps   []gap     `json:"gaps,omitempty"`
	}{o.Node, string(bytes.TrimSpace(kernel)), taken, gaps})
	if err != nil {
		panic(err) // strings and a time
	}
	return append(out, '\n')
}

// result is what was collected of one namespace.
type result struct {
	files map[string][]byte
	gaps  []gap
}

// collectAll collects the namespaces, a few at a time, each worker on an OS thread of its own.
func collectAll(ctx context.Context, o Options, list []space, u users) []result {
	results := make([]result, len(list))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, runtime.GOMAXPROCS(0), len(list)) {
		wg.Go(func() {
			runtime.LockOSThread()
			home, _, err := open("/proc/thread-self/ns/net")
			w := &worker{ctx: ctx, proc: o.Proc, root: o.Root, users: u, spaces: list, counters: o.Counters}
			for i := range next {
				results[i] = w.collect(list[i])
			}
			if err != nil {
				return
			}
			defer home.Close()
			// A thread that cannot go back stays locked, and ends with this goroutine.
			if enter(space{file: home}) == nil {
				runtime.UnlockOSThread()
			}
		})
	}
	for i := range list {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// worker collects namespaces on one thread, one after the other.
type worker struct {
	ctx      context.Context
	proc     string
	root     string // of the node
	users    users
	spaces   []space
	counters bool
	programs programs
	scratch  [4096]byte
	route    *netlink.Conn // NETLINK_ROUTE of the current namespace
	result
}

// collect collects one namespace.
func (w *worker) collect(s space) result {
	w.result = result{files: map[string][]byte{}}
	if err := enter(s); err != nil {
		w.gaps = append(w.gaps, gap{"", err.Error()})
		return w.result
	}
	route, err := netlink.Dial(0) // NETLINK_ROUTE
	if err != nil {
		w.gaps = append(w.gaps, gap{"", err.Error()})
		return w.result
	}
	defer route.Close()
	w.route = route
	if w.counters {
		w.counts()
		return w.result
	}
	w.netlink(s)
	w.netfilter()
	text, err := w.sysctlText()
	w.put("sysctl", text, err)
	text, err = w.stat()
	w.put("stat", text, err)
	w.resolvConf(s)
	return w.result
}

// counts collects how many packets devices and rules have met.
func (w *worker) counts() {
	links := []snapshot.CountedLink{}
	err := w.route.Dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func() { links = links[:0] }, func(b []byte) {
		if l, ok := decodeLink(b); ok {
			links = append(links, snapshot.CountedLink{Index: l.Index, Name: l.Name, Stats: l.stats})
		}
	})
	text, jsonErr := json.Marshal(links)
	w.put("addr.json", text, errors.Join(err, jsonErr))
	w.firewall()
}

// put keeps a file, and why it is not complete. No data and no error is a file that says there is nothing.
func (w *worker) put(file string, data []byte, err error) {
	if len(data) > 0 || err == nil {
		w.files[file] = data
	}
	if err != nil {
		w.files[file+".error"] = []byte(strings.TrimSpace(err.Error()) + "\n")
	}
}

// seenAs returns a path as the node's own processes have it.
func (w *worker) seenAs(path string) string {
	for _, root := range []string{filepath.Join(w.proc, "1/root"), filepath.Join(w.proc, "self/root"), w.root} {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/")+"/"); ok {
			return "/" + rest
		}
	}
	return path
}

// netnsJSON writes netns.json.
func (w *worker) netnsJSON(s space, links []snapshot.Link) {
	nsids, err := w.nsids(s, links)
	if err != nil {
		w.gaps = append(w.gaps, gap{"netns.json", err.Error()})
	}
	w.files["netns.json"] = snapshot.EncodeNetNS(s.inode, s.pod, w.seenAs(s.path), nsids)
}

var errNoNetNS = errors.New("node: no network namespace can be read: is /proc mounted, and is this root?")
