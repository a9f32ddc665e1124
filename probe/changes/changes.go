//go:build linux

// Package changes tells what is changed on a node's network, in the node's own namespace and in those of its Pods: devices,
// addresses, routes, rules, neighbours, nftables and settings. That is what is asked for first when something broke just now.
package changes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

var total = &probe.Stat{
	Name: "changes_total", Help: "Changes: link, address, route, nexthop, rule, neigh, fdb, nftables (transactions), iptables, sysctl.", Labels: []string{"change"}, Second: true,
}

// Kind is the changes probe.
var Kind = &probe.Kind{
	Name: "changes",
	Doc: `what is changed: devices, addresses, routes, rules, neighbours, forwarding entries, nftables, settings, Kubernetes' Events

An event has what changed within a tenth of a second, and the next of that place and kind comes after a second: "times" is how many changes it
has, of which three are quoted, as ip prints them, with what was before where that is known. A neighbour has changed when an address has
another MAC address, when one that answered does not, and when one that was there for good has come or gone; that the kernel
asked again is no change, nor is what a bridge learnt ("fdb" is what was set of a VXLAN device). Of nftables there is one for each transaction, with the process that made it. A Pod's changes are
told from when the Pod is known, a second after its start. Not told are: routes of IPv4 that go with a device that is down; of what
iptables-legacy changes on the node more than that a table has more or fewer bytes, and nothing of that in Pods; settings of
the node later than 5 s, and of a device or of a Pod others than forwarding, rp_filter, proxy_arp, proxy_ndp and
ignore_routes_with_linkdown. Where the kernel had no room for what it had to tell, an event says "lost".

What Kubernetes did ("kubernetes": a container was killed, or is not ready) is asked for when a window is frozen, of the Pods at both ends and of the nodes, within
that window, and told once; plumbd needs --peers for it. It is no change that the metric counts.`,
	Source: "netlink multicast of rtnetlink and nftables, of all namespaces (NETLINK_LISTEN_ALL_NSID); /proc/sys/net",
	Cost:   "1.5 ms a second with 100 Pods, and 20 µs a change (Linux 6.18)",
	Stats:  []*probe.Stat{total},
	Events: "what changed in a place, by its kind, and how often",
	Open:   open,
}

const (
	turn      = 100 * time.Millisecond // events are told at the next
	lookAgain = time.Second            // at the places that there are, and at what was lost
	pollTime  = 5 * time.Second
)

type changes struct {
	env      *probe.Env
	node     probe.Place   // its own namespace
	asks     *netlink.Conn // in the node's namespace, whose numbers of others it asks for
	rt, nft  *netlink.Listener
	without  string // what this process cannot hear, "" for nothing
	pollSoon chan struct{}

	mu      sync.Mutex
	spaces  map[int]*space // by the number of the namespace
	windows map[key]*window
	counts  map[key]float64
	polled  polled
	lost    uint64
	stale   bool // what is known may be wrong, since something was lost
}

// groups are those of rtnetlink.
var groups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, unix.RTNLGRP_NSID, unix.RTNLGRP_NEXTHOP,
}

func open(env *probe.Env) (probe.Probe, error) {
	c := &changes{
		env: env, pollSoon: make(chan struct{}, 1), spaces: map[int]*space{}, windows: map[key]*window{}, counts: map[key]float64{},
	}
	places := env.Places.All()
	if len(places) == 0 || !places[0].Host {
		return nil, errors.New("the node's own namespace is not known")
	}
	c.node = places[0]
	err := env.Places.In(c.node, func() (err error) {
		if c.asks, err = netlink.Dial(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if err = c.listen(true); errors.Is(err, unix.EPERM) {
			c.without = "the Pods' namespaces (needs CAP_NET_BROADCAST)"
			err = c.listen(false)
		}
		return err
	})
	if err == nil {
		_ = c.poll()
		if err = c.look(); c.spaces[netlink.Own] != nil {
			return c, nil // a Pod may have ended meanwhile
		}
	}
	return nil, errors.Join(err, c.Close())
}

// listen opens the sockets in the thread's namespace.
func (c *changes) listen(all bool) (err error) {
	if c.rt, err = netlink.Listen(unix.NETLINK_ROUTE, all, groups...); err != nil {
		return err
	}
	c.nft, err = netlink.Listen(unix.NETLINK_NETFILTER, all, nftGroup)
	return err
}

// Close closes the sockets.
func (c *changes) Close() (err error) {
	if c.asks != nil {
		c.asks.Close()
	}
	for _, l := range []*netlink.Listener{c.rt, c.nft} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// look learns of places that are new, and forgets those that have ended.
func (c *changes) look() (err error) {
	now := map[uint64]probe.Place{}
	all := c.env.Places.All()
	for _, p := range all {
		now[p.Net] = p
	}
	c.mu.Lock()
	defer c.mu.Unlock()          // what is heard meanwhile waits
	if c.stale && c.rt.Heard() { // else what is heard later would be of what is known already
		clear(c.spaces)
		c.stale = false
	}
	for id, s := range c.spaces {
		p, ok := now[s.Net]
		if !ok {
			delete(c.spaces, id)
			continue
		}
		s.Place = p // its name may come later than it
		delete(now, s.Net)
	}
	c.forget(all)
	for _, p := range all {
		if _, ok := now[p.Net]; !ok || c.without != "" && !p.Host {
			continue
		}
		s, id, e := c.learn(p)
		if e != nil {
			err = e // it may have ended
			continue
		}
		c.spaces[id] = s
		if p.Host { // it may have a number for itself
			c.spaces[netlink.Own] = s
		}
	}
	return err
}

// forget forgets what was counted of places that have ended.
func (c *changes) forget(all []probe.Place) {
	is := map[probe.Place]bool{}
	for _, p := range all {
		is[p] = true
	}
	for k := range c.counts {
		if !is[k.place] {
			delete(c.counts, k)
		}
	}
}

// Read tells how many changes there were.
func (c *changes) Read(emit func(probe.Sample)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums := map[[2]string]float64{}
	for k, n := range c.counts {
		sums[[2]string{k.place.Pod, k.of}] += n
	}
	for k, n := range sums {
		emit(probe.Sample{Stat: total, Pod: k[0], Labels: []string{k[1]}, Value: n})
	}
	return nil
}

// ReadIn tells nothing.
func (c *changes) ReadIn(probe.Place, func(probe.Sample)) error { return nil }

// Account tells what was lost, and what cannot be heard.
func (c *changes) Account() (probe.Account, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := probe.Account{Lost: []probe.Loss{{Stage: "ring", Events: c.lost}}}
	if c.without != "" {
		a.Missing = []string{c.without}
	}
	return a, nil
}

// Watch tells what changes.
func (c *changes) Watch(ctx context.Context, emit func(event.Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- c.rt.Receive(ctx, c.heard) }()
	go func() { done <- c.nft.Receive(ctx, c.heardNFT) }()
	err := c.turns(ctx, emit, done)
	cancel()
	return errors.Join(err, <-done)
}

// turns tells events until ctx is done, or one of those that hear has ended.
func (c *changes) turns(ctx context.Context, emit func(event.Event), done <-chan error) error {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	looked, polled := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return <-done
		case err := <-done:
			return err
		case <-c.pollSoon:
			polled = time.Time{}
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(polled) >= pollTime {
			polled = now
			_ = c.poll() // what cannot be read now may be later
		}
		if now.Sub(looked) >= lookAgain {
			looked = now
			c.missed()
			_ = c.look() // a place may end meanwhile
		}
		c.mu.Lock()
		events := c.ready(now)
		c.mu.Unlock()
		for _, e := range events {
			emit(e)
		}
	}
}

// missed notes what the sockets have lost.
func (c *changes) missed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.rt.Lost() + c.nft.Lost()
	if n == c.lost {
		return
	}
	more := n - c.lost
	c.lost = n
	c.note(c.node, ofLost, func() string {
		return fmt.Sprintf("%d messages of the kernel, of any namespace: what they said is told nowhere", more)
	})
	c.stale = true
}

// heard takes a message of rtnetlink.
func (c *changes) heard(m netlink.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Type == unix.RTM_DELNSID {
		c.ended(m)
		return
	}
	s := c.spaces[m.NSID]
	if s == nil {
		return // of no place
	}
	note := func(of string, what func() string) { c.note(s.Place, of, what) }
	switch m.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		s.link(m, note)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		s.addr(m, note)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		s.route(m, note)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		s.rule(m, note)
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		s.nexthop(m, note)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		s.neigh(m, note)
		s.forward(m, note)
	case unix.RTM_NEWNETCONF:
		if s.conf(m, note) {
			select {
			case c.pollSoon <- struct{}{}:
			default:
			}
		}
	}
}

// ended forgets a namespace whose number is free again.
func (c *changes) ended(m netlink.Message) {
	const sizeofRtgenmsg, nsid = 4, 1
	if m.NSID != netlink.Own || len(m.Body) < sizeofRtgenmsg {
		return
	}
	for t, v := range netlink.Attrs(m.Body[sizeofRtgenmsg:]) {
		if t == nsid && len(v) == 4 {
			delete(c.spaces, int(int32(netlink.Native.Uint32(v))))
		}
	}
}

// heardNFT takes a message of nftables.
func (c *changes) heardNFT(m netlink.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.spaces[m.NSID]; s != nil {
		s.nft(m.Type, m.Body, func(of string, what func() string) { c.note(s.Place, of, what) })
	}
}
