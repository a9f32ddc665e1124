//go:build linux

// Package tcpsummary counts the TCP connections of each network namespace by state, the bytes that they hold, and those that
// wait for the application to accept them.
package tcpsummary

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
	"github.com/plumbnet/plumb/probe/sockdiag"
)

var (
	connections = &probe.Stat{Name: "tcpsummary_connections", Type: probe.Gauge, Help: "TCP connections by state, as ss names it; a state that none is in is not told.", Labels: []string{"state"}}
	receive     = &probe.Stat{Name: "tcpsummary_receive_queue_bytes", Type: probe.Gauge, Help: "Bytes that were received and that the application has not read."}
	send        = &probe.Stat{Name: "tcpsummary_send_queue_bytes", Type: probe.Gauge, Help: "Bytes that the application has sent and the other side not acknowledged."}
	waiting     = &probe.Stat{Name: "tcpsummary_listen_queue", Type: probe.Gauge, Help: "Connections that wait to be accepted.", Labels: []string{"port"}}
	backlog     = &probe.Stat{Name: "tcpsummary_listen_backlog", Type: probe.Gauge, Help: "How many connections may wait to be accepted, beyond which they are dropped.", Labels: []string{"port"}}
)

// Kind is the tcpsummary probe.
var Kind = &probe.Kind{
	Name: "tcpsummary",
	Doc: `TCP connections by state, the bytes that they hold, and those that wait to be accepted

A listen_queue near its listen_backlog says that the application accepts too slowly; a receive queue that stays, that it does not
read; a send queue that stays, that the other side or the way to it is too slow; many in CLOSE_WAIT, that the
application does not close; in SYN_SENT, that nothing answers. Of the ports that listen, the 20 fullest are told.

The kernel has one table of connections for all namespaces, and walks it for each of them. So that this takes no more
than 5 ms a scrape, namespaces take turns where there are many: what is told may then be some scrapes old, and of a new namespace
it is not told at once. What is in TIME_WAIT is of now, and tcpext counts what a full queue dropped. A namespace without TCP sockets is not
asked about; one whose connections are all established and hold nothing is where there is another socket or its TCP has sent or received something, and at each sixteenth scrape.`,
	Source: "sock_diag; /proc/thread-self/net/{sockstat,sockstat6,snmp}",
	Cost:   "at most 5 ms a scrape for the turns (Linux 6.18)",
	Stats:  []*probe.Stat{connections, receive, send, waiting, backlog},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return &tcpsummary{files: procnet.Of(e), last: map[uint64]summary{}}, nil
	},
}

type tcpsummary struct {
	probe.Quiet
	files *procnet.Files
	turns sockdiag.Turns
	last  map[uint64]summary // by Net
}

// A summary is that of a namespace's connections, in their last turn.
type summary struct {
	at            time.Time
	states        [len(sockdiag.States)]int
	receive, send uint64
	ports         []listener
	mark          uint64 // what its TCP had counted by then
	told          int    // how often it was told
}

// mostTold is how often a summary is told while nothing changes it: a port that is closed and another that is opened do not show.
const mostTold = 16

// stands reports whether it is that of now still. Without a segment or another socket, only what is queued can change, as it is read,
// and connections that are being made or closed.
func (s *summary) stands(mark uint64) bool {
	queued := s.receive > 0 || s.send > 0 || slices.ContainsFunc(s.ports, func(l listener) bool { return l.used > 0 })
	for state, n := range s.states {
		if state != sockdiag.Established && n > 0 {
			return false
		}
	}
	return s.mark == mark && !queued && s.told < mostTold
}

// Read begins a round of turns, and forgets namespaces that have ended.
func (t *tcpsummary) Read(func(probe.Sample)) error {
	t.turns.Next()
	for net, s := range t.last {
		if time.Since(s.at) > time.Hour {
			delete(t.last, net)
		}
	}
	return nil
}

func (t *tcpsummary) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	inuse, timewait, err := t.sockstat(p)
	if err != nil {
		return err
	}
	if inuse == 0 {
		delete(t.last, p.Net)
		new(summary).tell(p.Pod, timewait, emit)
		return nil
	}
	mark, err := t.mark(p, inuse)
	if err != nil {
		return err
	}
	s, ok := t.last[p.Net]
	switch {
	case ok && s.stands(mark):
		t.turns.Pass(p.Net)
	case t.turns.Take(p.Net):
		began := sockdiag.CPU()
		s, err = summarize(time.Now())
		t.turns.Took(sockdiag.CPU() - began)
		if err != nil {
			return fmt.Errorf("list the sockets: %w", err)
		}
		s.mark, ok = mark, true
	}
	if ok {
		s.tell(p.Pod, timewait, emit)
		s.told++
		t.last[p.Net] = s
	}
	return nil
}

var seed = maphash.MakeSeed()

// mark returns what changes with how many TCP sockets there are and with each segment that TCP sends or receives.
func (t *tcpsummary) mark(p probe.Place, inuse int) (uint64, error) {
	sum := uint64(inuse)
	err := t.files.Read(p, "snmp", func(data []byte) error {
		return procnet.Rows(data, "Tcp", func(_, values []byte) error {
			sum ^= maphash.Bytes(seed, values)
			return nil
		})
	})
	return sum, err
}

// sockstat returns how many TCP sockets there are, and how many connections in TIME_WAIT.
func (t *tcpsummary) sockstat(p probe.Place) (inuse, timewait int, err error) {
	use := func(data []byte) error {
		return procnet.Sockstat(data, func(protocol, name []byte, v float64) {
			switch {
			case string(name) == "tw":
				timewait = int(v)
			case string(name) == "inuse" && (string(protocol) == "TCP" || string(protocol) == "TCP6"):
				inuse += int(v)
			}
		})
	}
	if err = t.files.Read(p, "sockstat", use); err != nil {
		return 0, 0, err
	}
	return inuse, timewait, procnet.Optional(t.files.Read(p, "sockstat6", use))
}

// summarize lists the sockets of the thread's namespace.
func summarize(now time.Time) (s summary, err error) {
	var ports map[uint16]listener
	begin := func() { s, ports = summary{at: now}, map[uint16]listener{} }
	err = sockdiag.TCP(sockdiag.Connections|1<<sockdiag.Listen, false, begin, func(c sockdiag.Socket) {
		if c.State == sockdiag.Listen {
			l := listener{c.Local.Port(), c.Receive, c.Send}
			if old, ok := ports[l.port]; !ok || l.use() > old.use() {
				ports[l.port] = l
			}
			return
		}
		s.states[c.State]++
		s.receive += uint64(c.Receive)
		s.send += uint64(c.Send)
	})
	s.ports = fullest(ports)
	return s, err
}

func (s *summary) tell(pod string, timewait int, emit func(probe.Sample)) {
	states := s.states
	states[sockdiag.TimeWait] = timewait
	for state, n := range states {
		if n > 0 || state == sockdiag.Established {
			emit(probe.Sample{Stat: connections, Pod: pod, Labels: []string{sockdiag.States[state]}, Value: float64(n)})
		}
	}
	emit(probe.Sample{Stat: receive, Pod: pod, Value: float64(s.receive)})
	emit(probe.Sample{Stat: send, Pod: pod, Value: float64(s.send)})
	for _, l := range s.ports {
		port := []string{strconv.Itoa(int(l.port))}
		emit(probe.Sample{Stat: waiting, Pod: pod, Labels: port, Value: float64(l.used)})
		emit(probe.Sample{Stat: backlog, Pod: pod, Labels: port, Value: float64(l.backlog)})
	}
}

// mostPorts bounds the ports that are told of one namespace.
const mostPorts = 20

// A listener is a port that listens: of several sockets the fullest.
type listener struct {
	port          uint16
	used, backlog uint32
}

func (l listener) use() float64 { return float64(l.used) / float64(max(l.backlog, 1)) }

func fullest(ports map[uint16]listener) []listener {
	var list []listener
	for _, l := range ports {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b listener) int {
		return cmp.Or(cmp.Compare(b.use(), a.use()), cmp.Compare(b.backlog, a.backlog), cmp.Compare(a.port, b.port))
	})
	return list[:min(len(list), mostPorts)]
}
