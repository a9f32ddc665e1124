//go:build linux

package changes

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// known bounds what is remembered of a namespace, of each kind: of what is beyond it is not known how it was before.
const known = 4096

// A space is a namespace as it was last heard of.
type space struct {
	probe.Place
	devices map[int]string // names by index
	links   map[int]link
	addrs   map[addrKey]bool // by whether it is that of another, too (dadfailed)
	routes  map[routeKey]string
	neighs  map[neighKey]neigh
	fdb     map[fdbKey]netip.Addr // the host that each is behind
	commit  commit
	pod     func(device int) (string, bool) // that is at the other end of one of the node's
	routing time.Time                       // when forwarding was last set for all devices
}

type link struct {
	flags       uint32
	mtu, master int
	mac         packet.MAC
}

type addrKey struct {
	device int
	local  netip.Addr
	peer   netip.Addr
	len    int
}

type routeKey struct {
	dst    netip.Prefix
	table  uint32
	metric uint32
	tos    uint8
}

type neighKey struct {
	device int
	dst    netip.Addr
}

// A fdbKey is an address as a VXLAN device has it. For what it does not know it may have several hosts.
type fdbKey struct {
	device, vni int
	mac         packet.MAC
	dst         netip.Addr // of several
}

type neigh struct {
	mac               packet.MAC
	failed, permanent bool
}

func newSpace(p probe.Place) *space {
	return &space{Place: p, devices: map[int]string{}, links: map[int]link{}, addrs: map[addrKey]bool{}, routes: map[routeKey]string{}, neighs: map[neighKey]neigh{}, fdb: map[fdbKey]netip.Addr{}}
}

// learn finds out how a namespace is, and which number it has in that of the probe.
func (c *changes) learn(p probe.Place) (s *space, id int, err error) {
	s = newSpace(p)
	if p.Host {
		s.pod = c.env.Places.ByDevice
	}
	err = c.env.Places.In(p, func() error {
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer ns.Close()
		if id, err = c.asks.NSID(ns, !p.Host); err != nil {
			return fmt.Errorf("the number of its namespace: %w", err)
		}
		return s.dump()
	})
	return s, id, err
}

// dump reads how the thread's namespace is.
func (s *space) dump() error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer conn.Close()
	quiet := func(string, func() string) {}
	for _, d := range []struct {
		typ    uint16
		family byte
		size   int
		take   func(netlink.Message, noter)
	}{
		{unix.RTM_GETLINK, 0, unix.SizeofIfInfomsg, s.link},
		{unix.RTM_GETADDR, 0, unix.SizeofIfAddrmsg, s.addr},
		{unix.RTM_GETROUTE, 0, unix.SizeofRtMsg, s.route},
		{unix.RTM_GETNEIGH, 0, sizeofNdmsg, s.neigh},
		{unix.RTM_GETNEIGH, unix.AF_BRIDGE, sizeofNdmsg, s.forward},
	} {
		if d.family == unix.AF_BRIDGE && !s.Host {
			continue // Pods have no bridges
		}
		req := make([]byte, d.size)
		req[0] = d.family

		// What a dump says of RTM_GETLINK is RTM_NEWLINK: two less.
		err := conn.Dump(d.typ, req, func() {}, func(b []byte) { d.take(netlink.Message{Type: d.typ - 2, Body: b}, quiet) })
		if err != nil && !errors.Is(err, netlink.ErrInterrupted) { // what changes meanwhile is heard
			return err
		}
	}
	return nil
}

// sizeofNdmsg is that of struct ndmsg (linux/neighbour.h).
const sizeofNdmsg = 12

// A noter takes down a change.
type noter func(of string, what func() string)

func (s *space) device(i int) string {
	if name := s.devices[i]; name != "" {
		return name
	}
	return fmt.Sprintf("if%d", i)
}

// owned returns the name of a device, and for which Pod it is there.
func (s *space) owned(i int, name string) string {
	if s.pod != nil {
		if pod, ok := s.pod(i); ok {
			return name + " (" + pod + ")"
		}
	}
	return name
}

// addr takes a message about an address. One that is told of again is not new: of IPv6 each advertisement of a router does that.
func (s *space) addr(m netlink.Message, note noter) {
	dev, a, ok := node.DecodeAddr(m.Body)
	if !ok {
		return
	}
	k := addrKey{dev, a.Local, a.Peer, a.Len}
	failed, had := s.addrs[k]
	text := func() string { return fmt.Sprintf("%s/%d dev %s", a.Local, a.Len, s.device(dev)) }
	switch {
	case m.Type == unix.RTM_DELADDR:
		delete(s.addrs, k)
		note(ofAddress, func() string { return text() + " deleted" })
		return
	case !had:
		note(ofAddress, func() string { return text() + " added" })
	case a.DADFailed && !failed:
		note(ofAddress, func() string { return text() + " dadfailed" })
	}
	if had || len(s.addrs) < known {
		s.addrs[k] = a.DADFailed
	}
}

// has reports whether a namespace has an address.
func (s *space) has(a netip.Addr) bool {
	for k := range s.addrs {
		if k.local == a {
			return true
		}
	}
	return false
}

// route takes a message about a route. Those that the kernel has for each address, beside the one that leads to the
// address's network, come and go with it.
func (s *space) route(m netlink.Message, note noter) {
	r, ok := node.DecodeRoute(m.Body, s.devices)
	if !ok {
		return
	}
	is6 := r.Dst.Addr().Is6()
	if r.Protocol == "kernel" && (r.Table == fib.TableLocal || r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast()) {
		if m.Type == unix.RTM_DELROUTE && r.Type == fib.Local && !is6 && s.has(r.Dst.Addr()) {
			note(ofRoute, func() string { return r.String() + " deleted" })
		}
		return
	}
	k := routeKey{r.Dst, r.Table, r.Metric, r.TOS}
	before, had := s.routes[k]
	if m.Type == unix.RTM_DELROUTE {
		delete(s.routes, k)
		note(ofRoute, func() string { return r.String() + " deleted" })
		return
	}
	text := ""
	if had || len(s.routes) < known {
		text = r.String()
		s.routes[k] = text
	}
	if had && before == text {
		return
	}
	note(ofRoute, func() string {
		switch {
		case had && m.Flags&unix.NLM_F_REPLACE != 0:
			return r.String() + ", was " + before
		case m.Flags&unix.NLM_F_REPLACE != 0:
			return r.String() + " in the place of another"
		}
		return r.String() + " added"
	})
}

// neigh takes a message about a neighbour: another MAC address, one that does not answer any more or again, and those
// that were there for good. How it is asked whether it is still there is no change.
func (s *space) neigh(m netlink.Message, note noter) {
	dev, n, ok := node.DecodeNeigh(m.Body, s.devices)
	if !ok || n.Proxy {
		return
	}
	k := neighKey{dev, n.Dst}
	before, had := s.neighs[k]
	n.Flags = nil
	if m.Type == unix.RTM_DELNEIGH || n.State == "FAILED" && m.Port != 0 { // the latter is how one that is asked to goes
		delete(s.neighs, k)
		if before.permanent {
			note(ofNeigh, func() string { return fmt.Sprintf("%s dev %s lladdr %s PERMANENT deleted", n.Dst, n.Dev, before.mac) })
		}
		return
	}
	now := neigh{mac: n.MAC, permanent: n.State == "PERMANENT"}
	switch {
	case n.State == "FAILED":
		if !had || before.failed {
			return
		}
		now = neigh{mac: before.mac, failed: true}
		note(ofNeigh, func() string { return fmt.Sprintf("%s dev %s FAILED, was lladdr %s", n.Dst, n.Dev, before.mac) })
	case n.MAC.IsZero() || n.State == "INCOMPLETE":
		return
	case !had && now.permanent:
		note(ofNeigh, func() string { return n.String() + " added" })
	case had && before.mac != n.MAC:
		note(ofNeigh, func() string { return fmt.Sprintf("%s, was lladdr %s", n, before.mac) })
	case before.failed && n.State == "REACHABLE":
		note(ofNeigh, func() string { return n.String() + ", was FAILED" })
	case before.failed: // it is not known to answer yet
		now.failed = true
	}
	if had || len(s.neighs) < known {
		s.neighs[k] = now
	}
}

// forward takes a message about a forwarding entry of a VXLAN device: those that were set. What bridges and such devices
// learn by themselves is no change.
func (s *space) forward(m netlink.Message, note noter) {
	e, ok := node.DecodeFDB(m.Body, s.devices)
	if !ok || !e.Dst.IsValid() || e.State != "permanent" {
		return
	}
	k := fdbKey{device: int(netlink.Native.Uint32(m.Body[4:])), vni: e.VNI, mac: e.MAC}
	if e.MAC.IsZero() {
		k.dst = e.Dst
	}
	before, had := s.fdb[k]
	switch {
	case m.Type == unix.RTM_DELNEIGH:
		delete(s.fdb, k)
		note(ofFDB, func() string { return e.String() + " deleted" })
		return
	case !had:
		note(ofFDB, func() string { return e.String() + " added" })
	case before != e.Dst:
		note(ofFDB, func() string { return fmt.Sprintf("%s, was dst %s", e, before) })
	}
	if had || len(s.fdb) < known {
		s.fdb[k] = e.Dst
	}
}

// nexthop takes a message about a nexthop object, which routes refer to by its number.
func (s *space) nexthop(m netlink.Message, note noter) {
	n, ok := node.DecodeNextHop(m.Body, s.devices)
	if !ok {
		return
	}
	verb := " added"
	switch {
	case m.Type == unix.RTM_DELNEXTHOP:
		verb = " deleted"
	case m.Flags&unix.NLM_F_REPLACE != 0:
		verb = " in the place of another"
	}
	note(ofNexthop, func() string { return n.String() + verb })
}
