//go:build linux

package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Wire is one that is in place.
type Wire struct {
	names
	bridge string // that the port was on
	ends   [2]*os.File
	ways   [2]*way
	done   chan struct{}
	all    sync.WaitGroup
}

// names are those of the devices of a wire.
type names struct{ port, own, near, far string }

// namesOf returns the names for a port, "p-NAME".
func namesOf(port string) (names, error) {
	name := strings.TrimPrefix(port, "p-")
	n := names{port, "w-" + name, "wn-" + name, "wf-" + name}
	if name == "" || len(n.near) >= unix.IFNAMSIZ {
		return n, fmt.Errorf("wire: no names for the devices of a wire at %q", port)
	}
	return n, nil
}

// Open puts a wire between a port and its bridge, in the network namespace of this
// thread. It does not change the port's own settings, nor what is at its other end.
func Open(port string, l Line) (*Wire, error) {
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	n, err := namesOf(port)
	if err != nil {
		return nil, err
	}
	at, err := show(port)
	if err != nil {
		return nil, err
	}
	if at.Master == "" {
		return nil, fmt.Errorf("wire: %s is no port of a bridge", port)
	}
	if at.Master == n.own {
		return nil, fmt.Errorf("wire: there is a wire at %s", port)
	}
	w := &Wire{names: n, bridge: at.Master, done: make(chan struct{})}
	for i, name := range []string{n.near, n.far} {
		if w.ends[i], err = tap(name); err != nil {
			w.closeEnds()
			return nil, err
		}
	}
	if err := ip(w.script(at.MTU)); err != nil {
		w.closeEnds()
		return nil, errors.Join(err, Heal(port, w.bridge))
	}
	w.carry(l)
	return w, nil
}

// script makes the wire's bridge, and moves the port there.
func (w *Wire) script(mtu int) string {
	s := fmt.Sprintf("link add %s type bridge mcast_snooping 0\nlink set %[1]s addrgenmode none up\n", w.own)
	for _, name := range []string{w.near, w.far} {
		s += fmt.Sprintf("link set %s mtu %d addrgenmode none up\n", name, mtu)
	}
	return s + fmt.Sprintf("link set %s master %s\nlink set %s master %s\nlink set %s master %s\n", w.near, w.own, w.far, w.bridge, w.port, w.own)
}

// carry begins to carry frames.
func (w *Wire) carry(l Line) {
	for i := range w.ways {
		v := newWay(newDirection(l, uint64(i)))
		w.ways[i] = v
		w.all.Go(func() { v.read(w.ends[i]) })
		w.all.Go(func() { v.write(w.ends[1-i], w.done) })
	}
}

// Close takes the wire out: the port is on its bridge again. It must be called in the namespace that Open was.
func (w *Wire) Close() error {
	err := Heal(w.port, w.bridge)
	close(w.done)
	w.closeEnds()
	w.all.Wait()
	return err
}

// closeEnds closes the TAP devices, which go with their last file.
func (w *Wire) closeEnds() {
	for _, f := range w.ends {
		if f != nil {
			f.Close()
		}
	}
}

// String says what has been carried: first what came from the port.
func (w *Wire) String() string {
	return fmt.Sprintf("%s: %d frames from it passed, %d were lost; %d frames to it passed, %d were lost",
		w.port, w.ways[0].passed.Load(), w.ways[0].lost.Load(), w.ways[1].passed.Load(), w.ways[1].lost.Load())
}

// Heal puts a port back on its bridge, whatever is left of a wire that was killed.
func Heal(port, bridge string) error {
	n, err := namesOf(port)
	if err != nil {
		return err
	}
	err = ip(fmt.Sprintf("link set %s master %s\n", port, bridge))
	if _, gone := show(n.own); gone == nil {
		err = errors.Join(err, ip("link del "+n.own+"\n"))
	}
	return err
}

// At reports whether the port has a wire, in the network namespace of this thread.
func At(port string) (bool, error) {
	n, err := namesOf(port)
	if err != nil {
		return false, err
	}
	l, err := show(port)
	return l.Master == n.own, err
}

// A link is what ip prints of a device.
type link struct {
	Master string
	MTU    int
}

func show(dev string) (link, error) {
	out, err := exec.Command("ip", "-j", "link", "show", "dev", dev).Output()
	if err != nil {
		return link{}, fmt.Errorf("wire: no device %s: %w", dev, err)
	}
	return parseLink(out)
}

func parseLink(out []byte) (link, error) {
	var all []link
	if err := json.Unmarshal(out, &all); err != nil {
		return link{}, fmt.Errorf("wire: ip link: %w", err)
	}
	if len(all) != 1 {
		return link{}, fmt.Errorf("wire: ip link: %d devices", len(all))
	}
	return all[0], nil
}

func ip(script string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wire: ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// tap makes a TAP device in the network namespace of this thread.
func tap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("wire: /dev/net/tun: %w", err)
	}
	// struct ifreq
	var req struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], name)
	req.flags = unix.IFF_TAP | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
		unix.Close(fd)
		return nil, fmt.Errorf("wire: TAP %s: %w", name, errno)
	}
	return os.NewFile(uintptr(fd), name), nil
}
