//go:build linux

// Package dns measures how long lookups take that are sent to name servers, and counts their answers, and those that get none.
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
)

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -type sight dns dns.bpf.c -- -I../bpf/headers -Wall -Werror

var labels = []string{"server", "type", "protocol"}

var (
	took = &probe.Stat{
		Name: "dns_lookup_seconds", Type: probe.Histogram, Labels: labels, Second: true, Alarm: true,
		Help: "From a query leaving the network namespace to its answer arriving there.",
	}
	answers = &probe.Stat{
		Name: "dns_answers_total", Labels: append(slices.Clone(labels), "rcode"), Second: true,
		Help: "Answers to queries, by what the server says (NOERROR, NXDOMAIN, SERVFAIL, ...).",
	}
	timeouts = &probe.Stat{
		Name: "dns_timeouts_total", Labels: labels, Second: true, Alarm: true,
		Help: "Queries that had no answer for 5 s.",
	}
	truncated = &probe.Stat{
		Name: "dns_truncated_total", Labels: labels,
		Help: "Answers that were cut off: who asked has to ask again by TCP.",
	}
)

// Kind is the dns probe.
var Kind = &probe.Kind{
	Name: "dns",
	Doc: `lookups of names: how long they take, and how they end

What a socket of the Pod sends to port 53 and what comes back, by UDP and TCP, is matched by addresses, ports, number and question. Five
seconds are what applications wait before they ask again: a query that is lost, or its answer, is a lookup that takes
so long. NXDOMAIN is usual on the way through a search list; SERVFAIL and REFUSED are not. A query that is sent again
counts once, from the first time. The server is the one that the Pod asks, such as a Service's address; in the node's own network
it is the endpoint behind it, whose port has to be 53 too. Of a TCP segment the first message counts. Beyond 8 servers of a Pod all others
are one, "other". Where packets come to Pods past their devices (macvlan, ipvlan, bpf_redirect_peer), answers are seen as the socket gets them.`,
	Cost:      "80 ns a packet that is sent or arrives, 70 of them the measuring's own; 0.3 to 0.5 µs a query or an answer, and in the agent 0.6 (Linux 6.18, 2 virtual CPUs, busy)",
	Source:    "tp_btf/net_dev_queue, netif_receive_skb, skb_copy_datagram_iovec, sk_data_ready (since Linux 6.3, else consume_skb)",
	Needs:     []probe.Feature{bpf.Tracepoint("net_dev_queue"), bpf.Tracepoint("netif_receive_skb")},
	Stats:     []*probe.Stat{took, answers, timeouts, truncated},
	Events:    "a lookup without answer, answered with an error other than NXDOMAIN, or that took longer than the threshold",
	Threshold: 100 * time.Millisecond,
	Heavy:     true,
	Open:      open,
}

type dns struct {
	*bpf.Set
	env   *probe.Env
	mu    sync.Mutex // over what follows
	seen  *lookups
	table *bpf.Table[key, tally]

	// Of Watch alone. The programs of reading run from a Pod's first query until an answer is seen to arrive by a device, and again
	// from when a server is found that never answered: they are for packets that a program gives to a Pod past its device.
	reading []string
	sights  []sight // not in order, and not older than the last time that they were taken
	expired uint64
	until   uint64 // of which time on the next sights are
	misses  misses
}

func open(env *probe.Env) (probe.Probe, error) {
	p := &dns{env: env, seen: newLookups(env.Threshold), reading: []string{"skb_copy_datagram_iovec", "sk_data_ready"}}
	left := "consume_skb" // which sees each packet that is freed
	if bpf.Tracepoint("sk_data_ready").Have() != nil {
		p.reading[1], left = left, p.reading[1]
	}
	var err error
	if p.Set, err = bpf.Load(env, bpf.Without(loadDns, left), nil); err != nil {
		return nil, err
	}
	if err := p.attach(false); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.table = bpf.NewSums(p.Set, p.seen.sums, func(k key) bpf.Owner { return k.owner }, func(k key) [4]string {
		server := other
		if k.server.IsValid() {
			server = k.server.String()
		}
		return [4]string{server, typeName(k.typ), k.proto.String()}
	})
	return p, nil
}

// Read tells how lookups ended, and how long they took.
func (p *dns) Read(emit func(probe.Sample)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.seen.forget()
	return p.table.Read(func(s bpf.Series, t tally) {
		emit(probe.Sample{Stat: took, Pod: s.Pod, Labels: s.Labels[:3], Hist: t.took.Seconds()})
		emit(probe.Sample{Stat: timeouts, Pod: s.Pod, Labels: s.Labels[:3], Value: float64(t.timeouts)})
		emit(probe.Sample{Stat: truncated, Pod: s.Pod, Labels: s.Labels[:3], Value: float64(t.truncated)})
		for i, n := range t.rcodes {
			if n > 0 {
				s.Labels[3] = rcodeName(uint8(i))
				emit(probe.Sample{Stat: answers, Pod: s.Pod, Labels: s.Labels[:], Value: float64(n)})
			}
		}
	})
}

// Watch counts lookups, and tells those that failed or were slow.
func (p *dns) Watch(ctx context.Context, emit func(event.Event)) error {
	return bpf.Every(ctx, func() (int, error) {
		until, err := p.Packets(p.take)
		due, found := until-p.expired > uint64(time.Second), len(p.sights)
		if err != nil || found == 0 && !due {
			return 0, err
		}
		now := bpf.Now()
		missed, err := p.Lost()
		if err != nil {
			return 0, err
		}
		slices.SortStableFunc(p.sights, func(a, b sight) int { return cmp.Compare(a.at, b.at) })
		n, _ := slices.BinarySearchFunc(p.sights, until, func(s sight, t uint64) int { return cmp.Compare(s.at, t) })
		var told []outcome
		tell := func(o outcome) { told = append(told, o) }
		p.mu.Lock()
		p.seen.see(p.sights[:n], p.misses.before(p.until), tell)
		if due {
			p.seen.expire(until, missed, tell)
			p.expired = until
		}
		past := p.seen.past()
		p.mu.Unlock()
		if err := p.attach(past); err != nil {
			return found, err
		}
		p.sights = slices.Delete(p.sights, 0, n)
		p.misses, p.until = append(p.misses, miss{now, missed}), until
		for _, o := range told {
			emit(p.event(o))
		}
		return found, nil
	})
}

// attach has the programs of reading run, or not.
func (p *dns) attach(on bool) error {
	for _, name := range p.reading {
		if err := p.Attach(name, on); err != nil {
			return fmt.Errorf("bpf: %w", err)
		}
	}
	if on {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen.reading = min(p.seen.reading, bpf.Now())
	}
	return nil
}

// byDevice is the program's BY_DEVICE.
const byDevice = uint32(event.ByDevice)

// take takes a packet as the program tells of it.
func (p *dns) take(raw []byte) {
	if len(raw) < int(unsafe.Sizeof(dnsSight{})) {
		return
	}
	s := (*dnsSight)(unsafe.Pointer(&raw[0]))
	raw = raw[unsafe.Sizeof(*s):]
	if s.At > s.Len || int(s.Len) > len(raw) {
		return
	}
	m, ok := parse(raw, raw[s.At:s.Len])
	if !ok || m.response != (s.Answer != 0) {
		return
	}
	p.sights = append(p.sights, sight{message: m, at: s.Time, net: s.Net, owner: bpf.Owner{ID: s.Owner.Id, By: s.Owner.By}, read: s.Answer != byDevice})
}

func (p *dns) event(o outcome) event.Event {
	e := event.Event{Kind: Kind.Name, Time: bpf.Time(o.at + uint64(o.took)), Packet: packet.Packet{Src: o.src, Dst: o.dst, Proto: o.proto}}
	e.Pod, e.By, _ = o.owner.Pod(p.env.Places)
	took := o.took.Round(time.Microsecond).String()
	e.Detail = []event.Field{{Key: "name", Value: o.name}, {Key: "type", Value: typeOf(o.typ)}}
	if o.answered {
		e.Detail = append(e.Detail, event.Field{Key: "rcode", Value: rcodeName(o.rcode)}, event.Field{Key: "took", Value: took})
	} else {
		e.Detail = append(e.Detail, event.Field{Key: "unanswered", Value: took})
	}
	return e
}

// typeOf is the name of a type of which there need not be few.
func typeOf(t uint16) string {
	if name := typeName(t); name != other {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t)) // RFC 3597
}

// Account tells what the programs have cost, and what was lost there and here.
func (p *dns) Account() (probe.Account, error) {
	a, err := p.Set.Account()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range a.Lost {
		if a.Lost[i].Stage == "table" {
			a.Lost[i].Events += p.seen.lost
		}
	}
	return a, err
}
