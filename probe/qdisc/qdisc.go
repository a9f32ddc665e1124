//go:build linux

// Package qdisc counts what the queues of the network devices hold and drop.
package qdisc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
	"golang.org/x/sys/unix"
)

var (
	octets     = counter("bytes", "Bytes of packets that it let through.")
	packets    = counter("packets", "Packets that it let through.")
	drops      = counter("drops", "Packets that it dropped, for want of room or to slow their senders down.")
	overlimits = counter("overlimits", "Times that a packet had to wait for its rate, or was over it.")
	requeues   = counter("requeues", "Times that the device did not take a packet, which went back.")
	backlog    = gauge("backlog_bytes", "Bytes of the packets that wait.")
	queued     = gauge("queue_packets", "Packets that wait.")
)

func counter(name, help string) *probe.Stat {
	return &probe.Stat{Name: "qdisc_" + name + "_total", Help: help, Labels: labels}
}

func gauge(name, help string) *probe.Stat {
	return &probe.Stat{Name: "qdisc_" + name, Type: probe.Gauge, Help: help, Labels: labels}
}

// labels: a device has one queue below each parent. The counters of "mq" at the root are the sum of those below it.
var labels = []string{"device", "kind", "parent"}

// Kind is the qdisc probe.
var Kind = &probe.Kind{
	Name: "qdisc",
	Doc: `what the queues of the network devices hold and drop

A rise of drops says that packets were lost on their way out since the device, or the rate that it was given, is too slow
for them; of backlog_bytes, that they wait. parent is "root", "ingress", or the class that the queue hangs on. The
queues below an mq are told beside it, which is their sum. A device without a queue (noqueue, as most of Pods are) is not told; a Pod without any is
looked at again after a minute.`,
	Source: "rtnetlink RTM_GETQDISC",
	Cost:   "1.5 ms a scrape of 100 Pods that have queues, 0.1 ms of those that have none (Linux 6.18)",
	Stats:  []*probe.Stat{octets, packets, drops, overlimits, requeues, backlog, queued},
	Open:   func(*probe.Env) (probe.Probe, error) { return &qdisc{}, nil },
}

type qdisc struct {
	probe.Quiet
	idle procnet.Idle[uint64] // by Net
}

// Read forgets namespaces that have ended.
func (q *qdisc) Read(func(probe.Sample)) error {
	q.idle.Forget()
	return nil
}

// The attributes of linux/rtnetlink.h and linux/gen_stats.h.
const (
	sizeofTcmsg   = 20
	tcaKind       = 1
	tcaStats2     = 7
	statsBasic    = 1 // bytes, packets: u64, u32
	statsQueue    = 3 // qlen, backlog, drops, requeues, overlimits: u32
	statsPackets  = 8 // u64, since Linux 5.5
	parentRoot    = 0xffffffff
	parentIngress = 0xfffffff1
)

func (q *qdisc) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if q.idle.Skip(p.Net) {
		return nil
	}
	c, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer c.Close()
	var list []queue
	err = c.Dump(unix.RTM_GETQDISC, make([]byte, sizeofTcmsg), func() { list = nil }, func(b []byte) {
		if q, ok := decode(b); ok && q.kind != "noqueue" {
			list = append(list, q)
		}
	})
	q.idle.Note(p.Net, err == nil && len(list) == 0 && !p.Host)
	names := map[int32]string{}
	for _, x := range list {
		if names[x.device] == "" {
			names[x.device] = deviceName(c, x.device)
		}
		x.tell(p.Pod, names[x.device], emit)
	}
	if errors.Is(err, netlink.ErrInterrupted) {
		err = nil // a device came or went
	}
	return err
}

// A queue is what the kernel says of one.
type queue struct {
	device         int32
	parent         uint32
	kind           string
	bytes, packets uint64
	queue          [5]uint32
}

// decode reads a struct tcmsg with its attributes.
func decode(b []byte) (q queue, ok bool) {
	if len(b) < sizeofTcmsg {
		return q, false
	}
	q.device, q.parent = int32(netlink.Native.Uint32(b[4:])), netlink.Native.Uint32(b[12:])
	for t, v := range netlink.Attrs(b[sizeofTcmsg:]) {
		switch t {
		case tcaKind:
			q.kind = strings.TrimRight(string(v), "\x00")
		case tcaStats2:
			q.stats(v)
		}
	}
	return q, q.kind != ""
}

func (q *queue) stats(b []byte) {
	for t, v := range netlink.Attrs(b) {
		switch {
		case t == statsBasic && len(v) >= 12:
			q.bytes, q.packets = netlink.Native.Uint64(v), max(q.packets, uint64(netlink.Native.Uint32(v[8:])))
		case t == statsPackets && len(v) >= 8:
			q.packets = netlink.Native.Uint64(v)
		case t == statsQueue && len(v) >= 20:
			for i := range q.queue {
				q.queue[i] = netlink.Native.Uint32(v[4*i:])
			}
		}
	}
}

func (q *queue) tell(pod, device string, emit func(probe.Sample)) {
	labels := []string{device, q.kind, parent(q.parent)}
	for _, v := range []struct {
		stat  *probe.Stat
		value uint64
	}{
		{octets, q.bytes}, {packets, q.packets},
		{queued, uint64(q.queue[0])}, {backlog, uint64(q.queue[1])}, {drops, uint64(q.queue[2])}, {requeues, uint64(q.queue[3])}, {overlimits, uint64(q.queue[4])},
	} {
		emit(probe.Sample{Stat: v.stat, Pod: pod, Labels: labels, Value: float64(v.value)})
	}
}

// parent returns what a queue hangs on, as tc has it.
func parent(id uint32) string {
	switch id {
	case parentRoot:
		return "root"
	case parentIngress:
		return "ingress"
	}
	if major := id >> 16; major != 0 {
		return fmt.Sprintf("%x:%x", major, id&0xffff)
	}
	return fmt.Sprintf(":%x", id&0xffff)
}

// deviceName returns the name of a device, or its number where it has gone.
func deviceName(c *netlink.Conn, index int32) string {
	req := make([]byte, unix.SizeofIfInfomsg)
	netlink.Native.PutUint32(req[4:], uint32(index))
	name := fmt.Sprint(index)
	_ = c.Ask(unix.RTM_GETLINK, unix.NLM_F_REQUEST, req, func(b []byte) {
		if len(b) < unix.SizeofIfInfomsg {
			return
		}
		for t, v := range netlink.Attrs(b[unix.SizeofIfInfomsg:]) {
			if t == unix.IFLA_IFNAME {
				name = strings.TrimRight(string(v), "\x00")
			}
		}
	})
	return name
}
