//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An object is something of the kernel's BPF.
type object struct {
	kind string // "map_id:", as in /proc/PID/fdinfo
	id   uint32
}

// get are the commands of bpf(2) that open an object by its id.
var get = map[string]uintptr{"prog_id:": unix.BPF_PROG_GET_FD_BY_ID, "map_id:": unix.BPF_MAP_GET_FD_BY_ID, "link_id:": unix.BPF_LINK_GET_FD_BY_ID}

// exists reports whether it is in the kernel.
func (o object) exists() bool {
	attr := struct{ id, next, flags uint32 }{id: o.id}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, get[o.kind], uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == 0 {
		unix.Close(int(fd))
	}
	return errno != unix.ENOENT
}

// holding is what a process has.
type holding struct {
	files, maps, programs, links, namespaces int
	goroutines                               float64
}

func (h holding) String() string {
	return fmt.Sprintf("%d files, %d maps, %d programs, %d links, %d network namespaces, %g goroutines", h.files, h.maps, h.programs, h.links, h.namespaces, h.goroutines)
}

// holds returns what it has now: by its open files, and the namespaces of its threads. What of that is the kernel's is kept for gone.
func (a *plumbd) holds() (h holding) {
	pid := a.cmd.Process.Pid
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	spaces := map[string]bool{}
	count := map[string]*int{"prog_id:": &h.programs, "map_id:": &h.maps, "link_id:": &h.links}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		h.files++
		if strings.HasPrefix(to, "net:") {
			spaces[to] = true
		}
		info, _ := os.ReadFile(strings.Replace(fd, "/fd/", "/fdinfo/", 1))
		for _, kind := range []string{"link_id:", "map_id:", "prog_id:"} { // a link tells its program too
			if _, rest, ok := strings.Cut(string(info), kind); ok {
				o := object{kind: kind}
				_, _ = fmt.Sscan(rest, &o.id)
				a.mu.Lock()
				a.used[o] = true
				a.mu.Unlock()
				*count[kind]++
				break
			}
		}
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/net", pid))
	for _, t := range tasks {
		if to, err := os.Readlink(t); err == nil {
			spaces[to] = true
		}
	}
	h.namespaces = len(spaces)
	h.goroutines = a.now().sum("plumb_agent_goroutines")
	return h
}

// settled waits until what it has does not change any more.
func (a *plumbd) settled(ctx context.Context) (holding, error) {
	var h holding
	err := until(ctx, settleTime, func() error {
		before := a.holds()
		if !pause(ctx, 2500*time.Millisecond) {
			return ctx.Err()
		}
		h = a.holds()
		return want(h == before && h.files > 0 && h.goroutines > 0, "it does not settle: %v, then %v", before, h)
	})
	return h, err
}

// back waits until it has no more than it had.
func (a *plumbd) back(ctx context.Context, before holding) error {
	return until(ctx, settleTime, func() error {
		h := a.holds()
		// A probe may have programs that run only at times, as that of dns has: they have a link then, which is a file.
		more := h.files-h.links > before.files-before.links || h.maps != before.maps || h.programs != before.programs || h.links > h.programs ||
			h.namespaces > before.namespaces || h.goroutines > before.goroutines
		return want(!more, "it had %v, and has %v", before, h)
	})
}

// gone wants nothing that it had to be in the kernel. Programs end a moment after their process.
func (a *plumbd) gone() error {
	if len(a.used) == 0 {
		return errors.New("nothing of the kernel's was seen that it had: what it leaves cannot be told")
	}
	return until(context.Background(), settleTime, func() error {
		var errs []error
		for o := range a.used {
			if o.exists() {
				errs = append(errs, fmt.Errorf("%s %d is left in the kernel", strings.TrimSuffix(o.kind, "_id:"), o.id))
			}
		}
		return errors.Join(errs...)
	})
}
