//go:build linux

package changes

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// What the kernel tells nobody of, as it was when it was last read, of the node's own namespace.
type polled struct {
	settings map[string]string // by name
	legacy   map[string]legacy // tables of iptables-legacy: "ip filter"
}

// A legacy is what tells one set of rules of iptables-legacy from another, without reading them.
type legacy struct{ entries, size uint32 }

// follows are settings that the kernel sets along with others.
var follows = map[string][]string{
	"net.ipv4.conf.all.forwarding":       {"net.ipv4.ip_forward"},
	"net.ipv4.conf.default.forwarding":   {"net.ipv4.ip_forward"},
	"net.ipv4.conf.all.accept_redirects": {"net.ipv4.ip_forward"},
	"net.ipv6.conf.default.forwarding":   {"net.ipv6.conf.all.forwarding"},
}

// poll reads what has to be read, and notes what is different.
func (c *changes) poll() error {
	var now polled
	err := c.env.Places.In(c.node, func() (err error) {
		now, err = read(c.env.Proc)
		return err
	})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.polled
	c.polled = now
	if before.settings == nil {
		return nil
	}
	changed := func(name string) bool {
		was, ok := before.settings[name]
		return ok && was != now.settings[name]
	}
	for _, name := range slices.Sorted(maps.Keys(now.settings)) {
		if was := before.settings[name]; changed(name) && !slices.ContainsFunc(follows[name], changed) {
			c.note(c.node, ofSysctl, func() string { return fmt.Sprintf("%s = %s, was %s", name, now.settings[name], was) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.legacy)) {
		was, is := before.legacy[name], now.legacy[name]
		if was != is {
			c.note(c.node, ofIPTables, func() string {
				return fmt.Sprintf("%s of iptables-legacy: %d entries, %d bytes, was %d, %d", name, is.entries, is.size, was.entries, was.size)
			})
		}
	}
	return nil
}

// read reads it in the thread's namespace.
func read(proc string) (p polled, err error) {
	text, err := node.Settings(proc, "all", "default")
	p.settings = map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			p.settings[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	if len(p.settings) == 0 {
		return p, err
	}
	p.legacy = map[string]legacy{}
	// Only tables that are there are asked for: to ask makes one.
	for _, f := range []struct {
		name, file    string
		family, level int
	}{{"ip", "ip_tables_names", unix.AF_INET, unix.SOL_IP}, {"ip6", "ip6_tables_names", unix.AF_INET6, unix.SOL_IPV6}} {
		names, err := os.ReadFile(proc + "/thread-self/net/" + f.file)
		if err != nil || len(names) == 0 {
			continue
		}
		fd, err := unix.Socket(f.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return p, err
		}
		for table := range bytes.FieldsSeq(names) {
			if l, ok := legacyInfo(fd, f.level, string(table)); ok {
				p.legacy[f.name+" "+string(table)] = l
			}
		}
		unix.Close(fd)
	}
	return p, nil
}

// legacyInfo asks how many entries a table has (IPT_SO_GET_INFO of linux/netfilter_ipv4/ip_tables.h, the same number for IPv6).
func legacyInfo(fd, level int, table string) (legacy, bool) {
	const getInfo = 64
	var info [84]byte // struct ipt_getinfo: its name, the hooks, how many entries, their size
	copy(info[:31], table)
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), getInfo, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return legacy{netlink.Native.Uint32(info[76:]), netlink.Native.Uint32(info[80:])}, errno == 0
}
