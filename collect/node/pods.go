//go:build linux

package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// records are where container runtimes keep a JSON file (the OCI runtime's config.json, or
// Docker's) for each container that runs, below the node's root. They stay the same over
// versions, and need neither a socket nor gRPC. The second is that of k3s and k0s.
var records = []string{
	"run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"run/*/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"run/containers/storage/overlay-containers/*/userdata/config.json",
	"var/lib/docker/containers/*/config.v2.json",
}

// maxConfig bounds one of them; real ones have 10 kB, up to the size of their environment.
const maxConfig = 4 << 20

// A podRecord is what a container runtime says of one container.
type podRecord struct {
	file string // that says so
	pod  string // "shop/web-0"
	path string // of its network namespace on the node; "" where that is for the record of its sandbox to say
	host bool   // it is on the node's own network
	// Where its cgroup is below the unified hierarchy; "" where that is not told.
	cgroup string
}

// readRecords reads what the container runtimes say.
func readRecords(root string) (out []podRecord) {
	for _, pattern := range records {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, name := range files {
			if r := readRecord(name); r.pod != "" {
				out = append(out, r)
			}
		}
	}
	return out
}

// podsByNetNS returns the Pods by the inode of their network namespace, which stays theirs
// until release. Those that it cannot find (other runtimes) are recognized by their addresses later.
func podsByNetNS(root string) (pods map[uint64]string, release func()) {
	pods = map[uint64]string{}
	var held []*os.File
	for _, r := range readRecords(root) {
		if r.path == "" {
			continue
		}
		if file, inode, err := openIn(root, r.path); err == nil {
			pods[inode] = r.pod
			held = append(held, file)
		}
	}
	return pods, func() {
		for _, f := range held {
			f.Close()
		}
	}
}

// open opens the network namespace of a Pod. The record is the same file from before to after that, and so the path
// was the Pod's in between; what is open stays, whatever comes to stand there.
func (r podRecord) open(root string) (*os.File, uint64, error) {
	f, before, err := openRecord(r)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() // until then no other file has its inode
	return r.openSince(before, root)
}

// openSince opens the namespace, if the record is still the file that it was before.
func (r podRecord) openSince(before os.FileInfo, root string) (*os.File, uint64, error) {
	file, inode, err := openIn(root, r.path)
	if err != nil {
		return nil, 0, err
	}
	after, err := os.Stat(r.file)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		err = fmt.Errorf("%s: changed while it was opened", r.path)
	} else if kind, e := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE); e != nil || kind != unix.CLONE_NEWNET {
		err = fmt.Errorf("%s is not a network namespace", r.path)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, inode, nil
}

// openRecord opens the file of a record, if it still says the same.
func openRecord(r podRecord) (*os.File, os.FileInfo, error) {
	f, err := os.Open(r.file)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	now := parseRecord(io.LimitReader(f, maxConfig))
	now.file = r.file
	if err == nil && now != r {
		err = fmt.Errorf("%s: changed", r.file)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// openIn opens a path of the node as its own processes do: a symbolic link on the way,
// which /var/run often is, leads below root.
func openIn(root, path string) (*os.File, uint64, error) {
	dir, err := openRoot(root)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(dir)
	fd, err := openBelow(dir, root, path)
	if err != nil {
		return nil, 0, err
	}
	return stated(os.NewFile(uintptr(fd), path))
}

func openRoot(root string) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: root, Err: err}
	}
	return dir, nil
}

// openBelow opens a path below root, which is dir.
func openBelow(dir int, root, path string) (int, error) {
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: namespace, Resolve: unix.RESOLVE_IN_ROOT})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.6
		if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
			path = "/run/" + rest
		}
		path = filepath.Join(root, path)
		fd, err = unix.Open(path, namespace, 0)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// config is the part of a runtime's file that says whose container it is and where it is.
type config struct {
	Annotations map[string]string `json:"annotations"`
	Linux       *struct {
		CgroupsPath string `json:"cgroupsPath"`
		Namespaces  []struct {
			Type string `json:"type"`
			Path string `json:"path"`
		} `json:"namespaces"`
	} `json:"linux"`
	Config struct { // of Docker, as the rest
		Labels map[string]string
	}
	NetworkSettings struct {
		SandboxKey string
	}
}

// readRecord returns the zero record for a file that is no Pod's.
func readRecord(name string) podRecord {
	f, err := os.Open(name)
	if err != nil {
		return podRecord{}
	}
	defer f.Close()
	r := parseRecord(io.LimitReader(f, maxConfig))
	r.file = name
	return r
}

func parseRecord(in io.Reader) (r podRecord) {
	var c config
	if json.NewDecoder(in).Decode(&c) != nil {
		return r
	}
	a, l := c.Annotations, c.Config.Labels
	namespace := cmp.Or(a["io.kubernetes.cri.sandbox-namespace"], a["io.kubernetes.pod.namespace"], l["io.kubernetes.pod.namespace"])
	name := cmp.Or(a["io.kubernetes.cri.sandbox-name"], a["io.kubernetes.pod.name"], l["io.kubernetes.pod.name"])
	if namespace == "" || name == "" {
		return r
	}
	r.pod, r.host = namespace+"/"+name, c.Linux != nil
	if c.Linux == nil {
		r.path = named(c.NetworkSettings.SandboxKey)
		return r
	}
	r.cgroup = cgroupPath(c.Linux.CgroupsPath)
	for _, n := range c.Linux.Namespaces {
		if n.Type == "network" {
			r.path, r.host = named(n.Path), false
		}
	}
	return r
}

// named passes over the path of a namespace that has no name in the file system: of a container in a sandbox
// it is /proc/PID/ns/net, and PID may be another process by now.
func named(path string) string {
	if strings.HasPrefix(path, "/proc/") {
		return ""
	}
	return path
}

// OpenPod opens the network namespace of a Pod ("shop/web-0") that runs on this node, for
// packets to be sent from; "" for the node's own.
func OpenPod(o Options, pod string) (*os.File, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	f := finder{o: o, at: map[uint64]int{}}
	if err := f.host(); err != nil {
		return nil, err
	}
	if len(f.gaps) > 0 {
		f.close()
		return nil, errors.New("host: " + f.gaps[0].Why)
	}
	host := f.list[0].file
	if pod == "" {
		return host, nil
	}
	file, _, err := openRecorded(o.Root, readRecords(o.Root), pod)
	if err == nil && file == nil {
		return host, nil
	}
	host.Close()
	return file, err
}

// errNoRecord means that no container runtime tells of a Pod.
var errNoRecord = errors.New("no container runtime on this node has a record of it")

// openRecorded opens the network namespace of a Pod; none for one on the node's own network.
func openRecorded(root string, all []podRecord, pod string) (*os.File, uint64, error) {
	err := errNoRecord
	for _, r := range all {
		switch {
		case r.pod != pod:
		case r.host:
			return nil, 0, nil
		case r.path != "":
			file, inode, openErr := r.open(root)
			if openErr == nil {
				return file, inode, nil
			}
			err = openErr
		}
	}
	return nil, 0, fmt.Errorf("pod %s: %w", pod, err)
}

// pods adds the namespaces of the Pods that the caller named. One of which there is no
// record may be in any namespace that no record names, so these are added too.
func (f *finder) pods(all []podRecord, others []found) {
	unknown := false
	for _, pod := range slices.Compact(slices.Sorted(slices.Values(f.o.Pods))) {
		file, inode, err := openRecorded(f.o.Root, all, pod)
		switch {
		case err != nil:
			f.gaps = append(f.gaps, gap{"", err.Error()})
			unknown = unknown || errors.Is(err, errNoRecord)
		case file != nil:
			f.keep(file, inode, "pod-"+strings.ReplaceAll(pod, "/", "-"), pod)
		}
	}
	if !unknown {
		return
	}
	named, release := podsByNetNS(f.o.Root)
	defer release()
	for _, n := range others {
		if _, ok := named[n.inode]; !ok {
			f.add(n.inode, n.path, n.name(), "")
		}
	}
}

// cgroupPath returns the folder that an OCI runtime makes of a cgroupsPath: itself, or, of systemd's form
// "kubepods-pod1.slice:cri-containerd:id", the scope in its slices.
func cgroupPath(s string) string {
	part := strings.Split(s, ":")
	if len(part) != 3 {
		return s
	}
	out, name := "", strings.TrimSuffix(part[0], ".slice")
	for i := range name {
		if name[i] == '-' {
			out = filepath.Join(out, name[:i]+".slice")
		}
	}
	return filepath.Join(out, part[0], part[1]+"-"+part[2]+".scope")
}
