//go:build linux

package neigh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

var moves = &probe.Stat{
	Name: "neigh_fdb_moves_total", Help: "MAC addresses that a bridge saw at another port, or a VXLAN device behind another host, than before.", Labels: []string{"device"}, Node: true, Second: true,
}

const (
	flaps     = 3                // moves of one MAC address in flapTime are an event: one that moves for good does so once
	flapTime  = 10 * time.Second // and how long after it the next one is
	knownMACs = 8192             // addresses of which it is known where they are; others are not watched
)

// A macKey is an address as one device has it.
type macKey struct {
	device int // index of the bridge, or of the VXLAN device
	mac    packet.MAC
	group  int // VLAN or VNI, where there are any
}

// A macState is where an address was last seen: a port's index, or another host's address.
type macState struct {
	at, before string
	port       [2]int // the indexes of both, 0 where it is a host
	moves      int    // since began
	began      time.Time
}

// fdb follows where bridges and VXLAN devices of the node saw MAC addresses.
type fdb struct {
	env    *probe.Env
	host   probe.Place
	listen *netlink.Listener
	asks   *netlink.Conn

	mu    sync.Mutex
	macs  map[macKey]macState
	moved map[int]float64 // by device
	names map[int]string
	lost  uint64
}

// open begins to hear of the node's own namespace.
func (f *fdb) open() error {
	err := f.env.Places.In(f.host, func() (err error) {
		if f.asks, err = netlink.Dial(unix.NETLINK_ROUTE); err == nil {
			f.listen, err = netlink.Listen(unix.NETLINK_ROUTE, false, unix.RTNLGRP_NEIGH)
		}
		return err
	})
	if err == nil {
		err = f.learn()
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

func (f *fdb) close() error {
	if f.asks != nil {
		f.asks.Close()
	}
	if f.listen != nil {
		return f.listen.Close()
	}
	return nil
}

// learn finds out where all addresses now are.
func (f *fdb) learn() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.macs = map[macKey]macState{}
	req := make([]byte, sizeofNdmsg)
	req[0] = unix.AF_BRIDGE
	err := f.asks.Dump(unix.RTM_GETNEIGH, req, func() {}, func(b []byte) { f.entry(unix.RTM_NEWNEIGH, b, time.Time{}) })
	if errors.Is(err, netlink.ErrInterrupted) {
		return nil // what changes meanwhile is heard
	}
	return err
}

// decodeMAC returns an address that was learnt or set, and where it is. Those of the bridge's own ports are none.
func decodeMAC(b []byte) (k macKey, s macState, ok bool) {
	e, ok := node.DecodeFDB(b, nil)
	if !ok || e.MAC.IsZero() || e.MAC[0]&1 != 0 || e.State == "permanent" && e.Master != "" {
		return k, s, false
	}
	index := int(netlink.Native.Uint32(b[4:]))
	k = macKey{device: index, mac: e.MAC, group: e.VNI}
	if e.Dst.IsValid() {
		s.at = e.Dst.String()
		return k, s, true
	}
	for t, v := range netlink.Attrs(b[sizeofNdmsg:]) {
		if t == unix.NDA_MASTER && len(v) == 4 {
			k.device, k.group = int(netlink.Native.Uint32(v)), e.VLAN
			s.at, s.port[0] = fmt.Sprint(index), index
			return k, s, true
		}
	}
	return k, s, false
}

// entry takes a message about an address, and returns what to tell of it, if anything.
func (f *fdb) entry(typ uint16, b []byte, now time.Time) (e event.Event, flap bool) {
	k, is, ok := decodeMAC(b)
	if !ok {
		return e, false
	}
	was, had := f.macs[k]
	switch {
	case typ == unix.RTM_DELNEIGH:
		if was.at == is.at { // else it has moved, and is deleted where it was
			delete(f.macs, k)
		}
		return e, false
	case !had && len(f.macs) >= knownMACs || had && was.at == is.at:
		return e, false
	case !had:
		f.macs[k] = is
		return e, false
	}
	f.moved[k.device]++
	is.before, is.port[1] = was.at, was.port[0]
	is.began, is.moves = was.began, was.moves+1
	if now.Sub(was.began) > flapTime {
		is.began, is.moves = now, 1
	}
	f.macs[k] = is
	if is.moves != flaps {
		return e, false
	}
	e = event.Event{Time: now, Detail: []event.Field{
		{Key: "mac", Value: k.mac.String()}, {Key: "device", Value: f.name(k.device)},
		{Key: "at", Value: f.place(is.at, is.port[0])}, {Key: "before", Value: f.place(is.before, is.port[1])},
		{Key: "moves", Value: fmt.Sprint(is.moves)}, {Key: "within", Value: now.Sub(is.began).Round(time.Millisecond).String()},
	}}
	if k.group != 0 {
		e.Detail = append(e.Detail, event.Field{Key: "group", Value: fmt.Sprint(k.group)})
	}
	return e, true
}

// place names a port, and the Pod at its other end.
func (f *fdb) place(at string, port int) string {
	if port == 0 {
		return at
	}
	name := f.name(port)
	if pod, ok := f.env.Places.ByDevice(port); ok {
		name += " (" + pod + ")"
	}
	return name
}

// name returns that of a device.
func (f *fdb) name(index int) string {
	req := make([]byte, unix.SizeofIfInfomsg)
	netlink.Native.PutUint32(req[4:], uint32(index))
	_ = f.asks.Ask(unix.RTM_GETLINK, unix.NLM_F_REQUEST, req, func(b []byte) {
		for t, v := range netlink.Attrs(b[min(len(b), unix.SizeofIfInfomsg):]) {
			if t == unix.IFLA_IFNAME {
				f.names[index], _, _ = strings.Cut(string(v), "\x00")
			}
		}
	})
	if name := f.names[index]; name != "" {
		return name
	}
	return fmt.Sprintf("if%d", index)
}

// watch tells of addresses that move to and fro.
func (f *fdb) watch(ctx context.Context, emit func(event.Event)) error {
	return f.listen.Receive(ctx, func(m netlink.Message) {
		if m.Type != unix.RTM_NEWNEIGH && m.Type != unix.RTM_DELNEIGH || len(m.Body) == 0 || m.Body[0] != unix.AF_BRIDGE {
			return
		}
		f.mu.Lock()
		e, flap := f.entry(m.Type, m.Body, time.Now())
		f.mu.Unlock()
		if flap {
			e.Kind, e.Node = Kind.Name, f.env.Node
			emit(e)
		}
	})
}

// read tells how often addresses moved. What was lost meanwhile is learnt.
func (f *fdb) read(emit func(probe.Sample)) error {
	f.mu.Lock()
	sums := map[string]float64{}
	for device, n := range f.moved {
		sums[f.name(device)] += n
	}
	lost := f.listen.Lost()
	more := lost != f.lost
	f.lost = lost
	f.mu.Unlock()
	for device, n := range sums {
		emit(probe.Sample{Stat: moves, Labels: []string{device}, Value: n})
	}
	if more {
		return f.learn()
	}
	return nil
}
