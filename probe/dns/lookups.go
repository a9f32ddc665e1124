//go:build linux

package dns

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe/bpf"
)

const (
	// patience is how long an answer is waited for: as long as most resolvers wait before they ask again.
	patience = 5 * time.Second
	// mostWaiting is how many lookups of a Pod may wait at once. Those beyond are not measured, and counted as lost.
	mostWaiting = 1024
	// mostServers are told apart of a Pod; all others are one.
	mostServers = 8
)

// A sight is a message that a program saw.
type sight struct {
	message
	at    uint64 // in ns, by the kernel's clock
	net   uint64
	owner bpf.Owner // of who asks
	read  bool      // an answer that was not seen to arrive, but to be read
}

// A key tells apart what is counted.
type key struct {
	owner  bpf.Owner
	server netip.Addr // not valid for those beyond mostServers
	typ    uint16     // 0 of one that is not among types
	proto  packet.Proto
}

// A tally is what was counted under a key.
type tally struct {
	took      bpf.Hist
	rcodes    [16]uint64
	truncated uint64
	timeouts  uint64
}

// Plus adds.
func (t tally) Plus(d tally) tally {
	t.took = t.took.Plus(d.took)
	for i := range t.rcodes {
		t.rcodes[i] += d.rcodes[i]
	}
	t.truncated += d.truncated
	t.timeouts += d.timeouts
	return t
}

// Minus subtracts.
func (t tally) Minus(d tally) tally {
	t.took = t.took.Minus(d.took)
	for i := range t.rcodes {
		t.rcodes[i] -= d.rcodes[i]
	}
	t.truncated -= d.truncated
	t.timeouts -= d.timeouts
	return t
}

// An asked is who asks whom, as answers have it the other way round.
type asked struct {
	net            uint64
	client, server netip.AddrPort
	proto          packet.Proto
	id             uint16
}

// A query waits for its answer.
type query struct {
	sight
	missed uint64 // packets that the agent had not been given until shortly before
}

// ofPod says whether who asks has a network of his own.
func (q query) ofPod() bool { return event.Tier(q.owner.By) == event.ByNetNS }

// lookups finds the answer to each query. It knows no clock.
type lookups struct {
	threshold uint64 // in ns
	sums      map[key]tally
	servers   map[bpf.Owner]map[netip.Addr]bool // and whether they ever answered
	waiting   map[asked]query
	of        map[bpf.Owner]int // how many wait
	lost      uint64            // lookups of which nothing is known
	pods      bool              // a Pod has asked
	device    bool              // answers have arrived by a Pod's device
	doubt     bool              // a server never answered, whose answers may not arrive so
	reading   uint64            // since when answers are seen that arrive otherwise
}

// past says whether answers may arrive at Pods past their devices.
func (l *lookups) past() bool { return l.pods && !l.device || l.doubt }

func newLookups(threshold time.Duration) *lookups {
	return &lookups{
		threshold: uint64(threshold), sums: map[key]tally{}, servers: map[bpf.Owner]map[netip.Addr]bool{},
		waiting: map[asked]query{}, of: map[bpf.Owner]int{}, reading: math.MaxUint64,
	}
}

// An outcome is a lookup of which is to be told: its answer, or none.
type outcome struct {
	query
	answered bool
	rcode    uint8
	took     time.Duration
}

// A miss is how many packets the agent had not been given at a time.
type miss struct{ at, packets uint64 }

// misses are some, in the order of time.
type misses []miss

// before returns what had surely been lost before a time, and forgets what is older than that: times that are asked of never fall.
func (l *misses) before(at uint64) uint64 {
	n, found := slices.BinarySearchFunc(*l, at, func(o miss, at uint64) int { return cmp.Compare(o.at, at) })
	if !found {
		n--
	}
	if n < 0 {
		return 0
	}
	*l = slices.Delete(*l, 0, n)
	return (*l)[0].packets
}

// see takes messages in the order of time. Missed is how many packets had not been given to the agent before these.
func (l *lookups) see(list []sight, missed uint64, tell func(outcome)) {
	for _, s := range list {
		if s.response {
			l.answer(s, tell)
		} else if s.dst.Port() == port {
			l.ask(query{s, missed}, tell)
		}
	}
}

func (l *lookups) ask(q query, tell func(outcome)) {
	l.pods = l.pods || q.ofPod()
	k := asked{q.net, q.src, q.dst, q.proto, q.id}
	if w, ok := l.waiting[k]; ok {
		if w.name == q.name && w.typ == q.typ {
			return // asked again, or seen at another device: it waits since it was first asked
		}
		l.leave(k, w)
		l.timeout(w, q.at, tell) // nobody waits for its answer any more
	}
	if l.of[q.owner] >= mostWaiting {
		l.lost++
		return
	}
	l.waiting[k] = q
	l.of[q.owner]++
}

func (l *lookups) leave(k asked, q query) {
	delete(l.waiting, k)
	if l.of[q.owner]--; l.of[q.owner] == 0 {
		delete(l.of, q.owner)
	}
}

func (l *lookups) answer(s sight, tell func(outcome)) {
	k := asked{s.net, s.dst, s.src, s.proto, s.id}
	q, ok := l.waiting[k]
	if !ok || s.asks && (s.name != q.name || s.typ != q.typ) {
		return // of nothing that was asked here, or once more
	}
	l.leave(k, q)
	took := s.at - min(q.at, s.at)
	l.device = l.device || !s.read && q.ofPod()
	l.count(q, true, func(t *tally) {
		t.took.Add(took)
		t.rcodes[s.rcode&15]++
		if s.truncated {
			t.truncated++
		}
	})
	if took > l.threshold || s.rcode != noError && s.rcode != nxDomain {
		tell(outcome{q, true, s.rcode, time.Duration(took)})
	}
}

// expire counts the queries as not answered that have waited for too long at a time. Of those whose answer may be among packets
// that the agent was not given, nothing is known.
func (l *lookups) expire(now, missed uint64, tell func(outcome)) {
	var late []query
	for k, q := range l.waiting {
		if q.at+uint64(patience) > now {
			continue
		}
		l.leave(k, q)
		if q.missed != missed {
			l.lost++
			continue
		}
		late = append(late, q)
	}
	slices.SortFunc(late, func(a, b query) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	for _, q := range late {
		l.timeout(q, q.at+uint64(patience), tell)
	}
}

func (l *lookups) timeout(q query, now uint64, tell func(outcome)) {
	if q.ofPod() && !l.device && q.at < l.reading {
		l.lost++ // its answer may have arrived where nobody looked yet
		return
	}
	l.count(q, false, func(t *tally) { t.timeouts++ })
	tell(outcome{query: q, took: time.Duration(now - q.at)})
}

func (l *lookups) count(q query, answered bool, add func(*tally)) {
	k := key{owner: q.owner, server: q.dst.Addr(), proto: q.proto, typ: q.typ}
	if _, ok := types[q.typ]; !ok {
		k.typ = 0
	}
	of := l.servers[q.owner]
	if of == nil {
		of = map[netip.Addr]bool{}
		l.servers[q.owner] = of
	}
	if _, ok := of[k.server]; !ok && len(of) == mostServers {
		k.server = netip.Addr{}
	} else {
		of[k.server] = of[k.server] || answered
		l.doubt = l.doubt || !of[k.server]
	}
	t := l.sums[k]
	add(&t)
	l.sums[k] = t
}

// forget keeps the servers of those only of whom something is counted.
func (l *lookups) forget() {
	of := map[bpf.Owner]bool{}
	for k := range l.sums {
		of[k.owner] = true
	}
	for o := range l.servers {
		if !of[o] {
			delete(l.servers, o)
		}
	}
}
