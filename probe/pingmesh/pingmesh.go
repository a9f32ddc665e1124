//go:build linux

// Package pingmesh asks other nodes, second by second, whether they answer: over each path, by ICMP, TCP and UDP, with small
// packets and with such as fill the path's MTU.
package pingmesh

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

var (
	sent = &probe.Stat{
		Name: "pingmesh_sent_total", Help: "Packets, or connections, that another node was to answer.", Labels: []string{"peer", "path", "ask"}, Node: true, Second: true,
	}
	lost = &probe.Stat{
		Name: "pingmesh_lost_total", Help: "Those that it did not answer, and what came of them.", Labels: []string{"peer", "path", "ask", "fate"}, Node: true, Second: true, Alarm: true,
	}
	rtt = &probe.Stat{
		Name: "pingmesh_rtt_seconds", Type: probe.Histogram, Help: "How long answers to small pings took.", Labels: []string{"peer", "path"}, Node: true, Second: true, Alarm: true,
	}
)

// Kind is the pingmesh probe.
var Kind = &probe.Kind{
	Name: "pingmesh",
	Doc: `whether other nodes answer, by each path: packets sent, lost, and their round trips

It asks the nodes of the configuration's probes.targets, eight of them a minute and then the next: each node is asked by as many as
it asks, and all pairs have had their turn after as many minutes as there are nodes, over eight. Each second it sends each a ping of 64
bytes ("echo"), one that fills the MTU of the route and may not be fragmented ("full"), opens a TCP connection to the agent's port
("tcp") and sends a datagram there ("udp"). A connection that is refused is an answer too. What is lost of "full" alone says that a link on the way is
smaller than the route says, and whether the sender was told: fate "too-big" if so, "silent" if not. Peers have series of their own, 64 of
them; those that were not asked for longest are summed up in "others". The datagram is answered by the other node's pingmesh, on UDP port
10270 of the addresses that the configuration has for it, to the addresses that it has for others and with what they sent, 64 times a second at the most.`,
	Source: "ICMP echo; TCP and UDP port 10270 of other nodes",
	Cost:   "4 ms a second for eight peers of two paths each (Linux 6.18)",
	Off:    true,
	Stats:  []*probe.Stat{sent, lost, rtt},
	Events: "a peer, or what fills the MTU, or one protocol, that has no answer for three seconds, or has again",
	Open:   open,
}

const (
	degree   = 8                      // peers at a time
	turnTime = time.Minute            // and for how long
	every    = time.Second            // between two of a kind to a peer
	timeout  = 900 * time.Millisecond // of an answer
	spread   = every / 2              // of a round's beginnings: its own packets do not wait for each other
	port     = 10270                  // the agent's
	small    = 64                     // bytes
	largest  = 9216                   // of "full", whatever lo has
	after    = 3                      // equal outcomes in a row are a change
)

// asks are what is sent.
const (
	echo = iota
	full
	tcp
	udp
	asks
)

var askNames = [asks]string{"echo", "full", "tcp", "udp"}

type mesh struct {
	env     *probe.Env
	host    probe.Place
	netns   *os.File // nil where this process is in it
	routes  *netlink.Conn
	answers answers

	mu    sync.Mutex
	table table
}

func open(env *probe.Env) (probe.Probe, error) {
	all := env.Places.All()
	if len(all) == 0 || !all[0].Host {
		return nil, fmt.Errorf("the node's own namespace is not known")
	}
	m := &mesh{env: env, host: all[0], table: newTable()}
	err := env.Places.In(m.host, func() (err error) {
		m.routes, err = netlink.Dial(unix.NETLINK_ROUTE)
		if err == nil {
			m.netns, err = os.Open("/proc/thread-self/ns/net")
		}
		return err
	})
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	there, err := m.netns.Stat()
	own, err2 := os.Stat("/proc/thread-self/ns/net") // the first thread may be elsewhere
	if err == nil && err2 == nil && os.SameFile(there, own) {
		m.netns.Close()
		m.netns = nil // no thread has to go there
	}
	return m, nil
}

// Close closes what was opened.
func (m *mesh) Close() error {
	m.answers.close()
	if m.routes != nil {
		m.routes.Close()
	}
	if m.netns != nil {
		return m.netns.Close()
	}
	return nil
}

// Read tells what came of all that was sent.
func (m *mesh) Read(emit func(probe.Sample)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.tell(emit)
	return nil
}

// ReadIn tells nothing.
func (m *mesh) ReadIn(probe.Place, func(probe.Sample)) error { return nil }

// Watch asks, round by round, and tells what changes. A round in which a peer is silent ends after the next has begun.
func (m *mesh) Watch(ctx context.Context, emit func(event.Event)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	turn, telling := make(chan struct{}, 2), sync.Mutex{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			select {
			case turn <- struct{}{}:
			default:
				continue // this machine is too slow
			}
			tries := m.plan(now)
			running.Go(func() {
				defer func() { <-turn }()
				events := m.round(ctx, now, tries)
				telling.Lock()
				defer telling.Unlock()
				for _, e := range events {
					emit(e)
				}
			})
		}
	}
}

// A try is one thing that is sent, and what came of it.
type try struct {
	probe.Target
	src  netip.Addr
	kind int
	size int

	fate snapshot.ProbeFate
	why  string
	rtt  time.Duration
}

// ok reports whether it was answered, if only by a refusal.
func (t *try) ok() bool { return t.fate == snapshot.ProbeAnswered || t.fate == snapshot.ProbeRefused }

// plan returns what is to be sent in a round, and sees to it that others are answered.
func (m *mesh) plan(now time.Time) (out []try) {
	if m.env.Targets == nil {
		return nil
	}
	targets := m.env.Targets()
	m.answers.serve(m.env, m.host, targets)
	var nodes []string
	own := map[string]netip.Addr{}
	for _, t := range targets {
		if t.Node == m.env.Node {
			own[t.Path] = t.Addr
		}
		if len(nodes) == 0 || nodes[len(nodes)-1] != t.Node { // they are sorted
			nodes = append(nodes, t.Node)
		}
	}
	peers := peersOf(nodes, m.env.Node, degree, int(now.Unix()/int64(turnTime/time.Second)))
	for _, t := range targets {
		if !slices.Contains(peers, t.Node) {
			continue
		}
		src := own[t.Path]
		if src.Is4() != t.Addr.Is4() {
			src = netip.Addr{}
		}
		mtu := m.mtu(t.Addr, src)
		for kind := range asks {
			size := map[int]int{echo: small, udp: small, full: mtu}[kind]
			if kind == full && mtu <= small {
				continue // no route
			}
			out = append(out, try{Target: t, src: src, kind: kind, size: size})
		}
	}
	return out
}

// round sends what is planned, and returns what has changed.
func (m *mesh) round(ctx context.Context, now time.Time, tries []try) []event.Event {
	var all sync.WaitGroup
	for i := range tries {
		all.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(spread * time.Duration(i) / time.Duration(len(tries))):
				m.send(ctx, &tries[i])
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil // what was not sent is not lost
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.add(now, m.env.Node, tries)
}

// send sends one, and waits for what comes of it.
func (m *mesh) send(ctx context.Context, t *try) {
	a := active.Ask{Proto: packet.ICMP, Src: t.src, Dst: netip.AddrPortFrom(t.Addr, port), Size: t.size, DF: true, Timeout: timeout}
	switch t.kind {
	case tcp:
		a.Proto = packet.TCP
	case udp:
		a.Proto = packet.UDP
	}
	p, err := active.Run(ctx, m.netns, a)
	t.fate, t.why = p.Fate, p.Why
	if err != nil {
		t.fate, t.why = snapshot.ProbeNotSent, strings.TrimPrefix(err.Error(), "probe: ")
	}
	if p.ICMP != nil {
		t.why = fmt.Sprintf("%s said %s", p.ICMP.From, p.Why)
		if p.ICMP.MTU > 0 {
			t.why += fmt.Sprintf(", it takes %d", p.ICMP.MTU)
		}
	}
	if len(p.RTT) > 0 {
		t.rtt = p.RTT[0]
	}
}
