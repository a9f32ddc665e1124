//go:build linux

// Package tcpinfo tells how the worst TCP connections of each network namespace fare: round trips, losses, rate.
package tcpinfo

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/sockdiag"
)

var (
	srtt    = gauge("srtt_seconds", "Smoothed round trip time.")
	rttvar  = gauge("rttvar_seconds", "How much the round trip time varies.")
	unacked = gauge("unacked_segments", "Segments sent and not acknowledged.")
	lost    = gauge("lost_segments", "Segments thought lost, and not sent again or not acknowledged yet.")
	pacing  = gauge("pacing_bytes_per_second", "The rate that the connection limits itself to; not told where it does not.")
	again   = &probe.Stat{Name: "tcpinfo_retransmits_total", Help: "Segments of the connection that were sent again.", Labels: labels}
)

var labels = []string{"local", "remote"}

func gauge(name, help string) *probe.Stat {
	return &probe.Stat{Name: "tcpinfo_" + name, Type: probe.Gauge, Help: help, Labels: labels}
}

// Kind is the tcpinfo probe.
var Kind = &probe.Kind{
	Name: "tcpinfo",
	Doc: `how the worst TCP connections fare: round trips, losses, rate

Of each namespace the 5 connections are told that have lost most of what is under way, then of the longest round trip. It is
off, since its series come and go with the connections. The kernel walks its table of all connections for each namespace; so that
this takes no more than 5 ms a scrape, they take turns where there are many, and what is told may be some scrapes old.`,
	Source: "sock_diag (INET_DIAG_INFO)",
	Cost:   "at most 5 ms a scrape, for the turns (Linux 6.18)",
	Off:    true,
	Stats:  []*probe.Stat{srtt, rttvar, unacked, lost, again, pacing},
	Open:   func(*probe.Env) (probe.Probe, error) { return &tcpinfo{last: map[uint64]turn{}}, nil },
}

type tcpinfo struct {
	probe.Quiet
	turns sockdiag.Turns
	last  map[uint64]turn // by Net
}

// A turn is what the last turn of a namespace found.
type turn struct {
	at    time.Time
	worst []connection // the worst first
}

// Read begins a round of turns, and forgets namespaces that have ended.
func (t *tcpinfo) Read(func(probe.Sample)) error {
	t.turns.Next()
	for net, s := range t.last {
		if time.Since(s.at) > time.Hour {
			delete(t.last, net)
		}
	}
	return nil
}

func (t *tcpinfo) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if t.turns.Take(p.Net) {
		began := sockdiag.CPU()
		worst, err := find()
		t.turns.Took(sockdiag.CPU() - began)
		if err != nil {
			return fmt.Errorf("connections: %w", err)
		}
		t.last[p.Net] = turn{time.Now(), worst}
	}
	for _, c := range t.last[p.Net].worst {
		c.tell(p.Pod, emit)
	}
	return nil
}

// most is how many connections of a namespace are told.
const most = 5

// states are those in which data may be under way.
const states = sockdiag.Connections &^ (1<<sockdiag.SynRecv | 1<<12)

func find() (worst []connection, err error) {
	err = sockdiag.TCP(states, true, func() { worst = nil }, func(s sockdiag.Socket) {
		if c, ok := decode(s.Info); ok {
			c.local, c.remote = s.Local, s.Remote
			worst = insert(worst, c)
		}
	})
	return worst, err
}

// insert keeps the worst, sorted.
func insert(worst []connection, c connection) []connection {
	i, _ := slices.BinarySearchFunc(worst, c, connection.compare)
	if i == most {
		return worst
	}
	worst = slices.Insert(worst, i, c)
	return worst[:min(len(worst), most)]
}

// A connection is what the kernel tells of one.
type connection struct {
	local, remote              netip.AddrPort
	unacked, lost, again       uint32
	roundTrip, roundTripVaries uint32 // in microseconds
	pacing                     uint64 // bytes a second
}

// compare says that the worse comes first.
func (c connection) compare(o connection) int {
	return cmp.Or(cmp.Compare(o.lost, c.lost), cmp.Compare(o.roundTrip, c.roundTrip), c.local.Compare(o.local), c.remote.Compare(o.remote))
}

// sizeofInfo is as much of struct tcp_info (linux/tcp.h) as is read, which Linux has since 3.15.
const sizeofInfo = 112

func decode(info []byte) (connection, bool) {
	if len(info) < sizeofInfo {
		return connection{}, false
	}
	n := func(at int) uint32 { return netlink.Native.Uint32(info[at:]) }
	return connection{unacked: n(24), lost: n(32), roundTrip: n(68), roundTripVaries: n(72), again: n(100), pacing: netlink.Native.Uint64(info[104:])}, true
}

func (c connection) tell(pod string, emit func(probe.Sample)) {
	labels := []string{c.local.String(), c.remote.String()}
	tell := func(stat *probe.Stat, v float64) {
		emit(probe.Sample{Stat: stat, Pod: pod, Labels: labels, Value: v})
	}
	tell(srtt, float64(c.roundTrip)/1e6)
	tell(rttvar, float64(c.roundTripVaries)/1e6)
	tell(unacked, float64(c.unacked))
	tell(lost, float64(c.lost))
	tell(again, float64(c.again))
	if c.pacing != ^uint64(0) {
		tell(pacing, float64(c.pacing))
	}
}
