//go:build linux

package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/net/dns/dnsmessage"
)

// at returns a message of one Pod, in ms: "q 7 web" asks for web by number 7, "a 7 web 2" is an answer with code 2, of
// which "a 7" has no question.
func at(t *testing.T, ms uint64, what string) sight {
	t.Helper()
	client, server := netip.MustParseAddrPort("10.1.0.2:40000"), netip.MustParseAddrPort("10.96.0.10:53")
	var rcode int
	f := strings.Fields(what)
	m := message{src: client, dst: server, proto: packet.UDP, typ: 1}
	if _, err := fmt.Sscan(f[1], &m.id); err != nil {
		t.Fatal(err)
	}
	if m.asks = len(f) > 2; m.asks {
		m.name = f[2]
	}
	if len(f) > 3 {
		if _, err := fmt.Sscan(f[3], &rcode); err != nil {
			t.Fatal(err)
		}
	}
	if m.rcode = uint8(rcode); f[0] == "a" {
		m.src, m.dst, m.response = server, client, true
	}
	return sight{message: m, at: ms * 1e6, net: 2, owner: bpf.Owner{ID: 2, By: 2}}
}

// TestMatch: what becomes of queries in order, with 100 ms as the threshold, when it has become 6 s.
func TestMatch(t *testing.T) {
	type line struct {
		ms   uint64
		what string
	}
	for _, tt := range []struct {
		name string
		in   []line
		want []string
		left int // that wait
	}{
		{"answered", []line{{1000, "q 7 web"}, {1001, "a 7 web"}}, []string{"NOERROR 1"}, 0},
		{"two of one socket", []line{{1000, "q 7 web"}, {1000, "q 8 web"}, {1001, "a 8 web"}, {1002, "a 7 web"}}, []string{"NOERROR 2"}, 0},
		{"late", []line{{1000, "q 7 web"}, {1200, "a 7 web"}}, []string{"told web NOERROR 200ms", "NOERROR 1"}, 0},
		{"no such name", []line{{1000, "q 7 web"}, {1001, "a 7 web 3"}}, []string{"NXDOMAIN 1"}, 0},
		{"refused", []line{{1000, "q 7 web"}, {1001, "a 7 web 5"}}, []string{"told web REFUSED 1ms", "REFUSED 1"}, 0},
		{"an error without the question", []line{{1000, "q 7 web"}, {1001, "a 7"}}, []string{"NOERROR 1"}, 0},
		{"of another name", []line{{1000, "q 7 web"}, {1001, "a 7 evil"}}, []string{"told web none 5s", "timeouts 1"}, 0},
		{"of another number", []line{{1000, "q 7 web"}, {1001, "a 8 web"}}, []string{"told web none 5s", "timeouts 1"}, 0},
		{"never asked", []line{{1000, "a 7 web"}}, nil, 0},
		{"asked again", []line{{1000, "q 7 web"}, {3000, "q 7 web"}, {3001, "a 7 web"}}, []string{"told web NOERROR 2.001s", "NOERROR 1"}, 0},
		{"answered twice", []line{{1000, "q 7 web"}, {1001, "a 7 web"}, {1002, "a 7 web"}}, []string{"NOERROR 1"}, 0},
		{"the number taken for another", []line{{1000, "q 7 web"}, {1500, "q 7 api"}, {1501, "a 7 api"}}, []string{"told web none 500ms", "NOERROR 1", "timeouts 1"}, 0},
		{"in the order of time", []line{{900, "q 9 b"}, {800, "q 8 a"}}, []string{"told a none 5s", "told b none 5s", "timeouts 2"}, 0},
		{"not yet", []line{{1001, "q 7 web"}}, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLookups(100 * time.Millisecond)
			l.device = true
			var list []sight
			for _, x := range tt.in {
				list = append(list, at(t, x.ms, x.what))
			}
			var got []string
			tell := func(o outcome) {
				rcode := "none"
				if o.answered {
					rcode = rcodeName(o.rcode)
				}
				got = append(got, fmt.Sprintf("told %s %s %v", o.name, rcode, o.took))
			}
			l.see(list, 0, tell)
			l.expire(6000*1e6, 0, tell)
			for _, v := range l.sums {
				answers := uint64(0)
				for i, n := range v.rcodes {
					if n > 0 {
						got = append(got, fmt.Sprintf("%s %d", rcodeName(uint8(i)), n))
					}
					answers += n
				}
				for _, n := range v.took.Slot {
					answers -= n
				}
				if answers != 0 {
					t.Errorf("the histogram and the answers differ by %d", answers)
				}
				if v.timeouts > 0 {
					got = append(got, fmt.Sprintf("timeouts %d", v.timeouts))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(l.waiting) != tt.left || len(l.of) != tt.left || l.lost != 0 {
				t.Errorf("%d wait, of %v; %d lost", len(l.waiting), l.of, l.lost)
			}
		})
	}
}

// TestBounds: a Pod has so many servers and waiting queries, and what is beyond is told; another Pod is not touched by that.
func TestBounds(t *testing.T) {
	l := newLookups(time.Minute)
	one, two := at(t, 1, "q 1 web"), at(t, 1, "q 1 web")
	two.owner.ID, two.net = 3, 3
	for i := range 2 * mostWaiting {
		one.id = uint16(i)
		l.see([]sight{one}, 0, nil)
	}
	l.see([]sight{two}, 0, nil)
	if len(l.waiting) != mostWaiting+1 || l.lost != mostWaiting {
		t.Errorf("%d wait, %d lost", len(l.waiting), l.lost)
	}
	clear(l.waiting)
	clear(l.of)
	for i := range 100 {
		q := at(t, 1, "q 1 web")
		q.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), port)
		a := at(t, 2, "a 1 web")
		a.src = q.dst
		l.see([]sight{q, a}, 0, nil)
	}
	if len(l.sums) != mostServers+1 {
		t.Errorf("%d servers", len(l.sums))
	}
	clear(l.sums)
	if l.forget(); len(l.servers) != 0 {
		t.Errorf("servers of those that have ended: %v", l.servers)
	}
}

// TestMissed: where packets were missed since a query was seen, its answer may have been among them.
func TestMissed(t *testing.T) {
	l := newLookups(time.Minute)
	l.device = true
	l.see([]sight{at(t, 0, "q 1 web")}, 7, nil)
	l.see([]sight{at(t, 1, "q 2 web")}, 8, nil)
	told := 0
	l.expire(6e9, 8, func(o outcome) { told += int(o.id) })
	if told != 2 || l.lost != 1 || len(l.waiting) != 0 {
		t.Errorf("told of %d, %d lost, %d wait", told, l.lost, len(l.waiting))
	}
}

// TestWays: whether answers may have to be looked for where they are read.
func TestWays(t *testing.T) {
	l := newLookups(time.Minute)
	l.reading = 0
	q, a := at(t, 1, "q 1 web"), at(t, 2, "a 1 web")
	node, pod := uint32(event.BySocket), uint32(event.ByNetNS)
	for _, step := range []struct {
		name   string
		change func()
		past   bool
	}{
		{"of the node, which has a device of its own", func() { q.owner.By = node }, false},
		{"read", func() { q.owner.By, a.read = pod, true }, true},
		{"of the node, where a Pod has asked", func() { q.owner.By, a.read = node, false }, true},
		{"by a Pod's device", func() { q.owner.By = pod }, false},
		{"of one that has answered before", func() { a.id = 2 }, false},
		{"of one that never has", func() { q.src, q.dst = a.dst, netip.MustParseAddrPort("10.9.9.9:53") }, true},
	} {
		step.change()
		l.see([]sight{q, a}, 0, nil)
		l.expire(q.at+6e9, 0, func(outcome) {})
		if l.past() != step.past {
			t.Errorf("%s: %v", step.name, l.past())
		}
	}
}

// TestNobodyLooked: a Pod's first query may have been answered past its device before somebody looked there: nothing is known of it.
func TestNobodyLooked(t *testing.T) {
	l := newLookups(time.Minute)
	l.see([]sight{at(t, 1, "q 1 web")}, 0, nil)
	l.reading = 2e6
	l.see([]sight{at(t, 3, "q 2 web")}, 0, nil)
	var told []uint16
	l.expire(6e9, 0, func(o outcome) { told = append(told, o.id) })
	if diff := cmp.Diff([]uint16{2}, told); diff != "" || l.lost != 1 {
		t.Error(diff, l.lost)
	}
}

// TestMisses: what was lost after a query was sent is not taken for what was lost before it, however late the query is read.
func TestMisses(t *testing.T) {
	var known misses
	for _, tt := range []struct{ look, lost, from, want uint64 }{
		{100, 0, 0, 0},
		{200, 5, 100, 0}, // 5 were lost since 100: maybe answers to what was asked since
		{300, 5, 150, 0},
		{400, 7, 200, 5},
		{500, 7, 399, 5},
		{600, 7, 400, 7},
	} {
		known = append(known, miss{tt.look, tt.lost})
		if got := known.before(tt.from); got != tt.want {
			t.Errorf("before %d: %d, want %d", tt.from, got, tt.want)
		}
	}
	if len(known) > 3 {
		t.Errorf("%d are kept", len(known))
	}
}

// packetOf makes the headers and the body of a message's packet.
func packetOf(v6, tcp bool, body []byte) (head [56]uint8, _ []byte) {
	b := head[:]
	b[0], b[9] = 0x45, 17
	copy(b[12:], []byte{10, 1, 0, 2, 10, 96, 0, 10, 0x9c, 0x40, 0, 53})
	if v6 {
		b[0], b[6] = 0x60, 17
		clear(b[7:])
		b[8], b[23], b[24], b[39] = 0xfd, 2, 0xfd, 10
		copy(b[40:], []byte{0x9c, 0x40, 0, 53})
	}
	if tcp {
		b[map[bool]int{false: 9, true: 6}[v6]] = 6
		body = append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
	}
	return head, body
}

func TestParse(t *testing.T) {
	query := pack(t, dnsmessage.Header{ID: 7}, "Web.Shop.", dnsmessage.TypeAAAA)
	client, server := netip.MustParseAddrPort("10.1.0.2:40000"), netip.MustParseAddrPort("10.96.0.10:53")
	m := message{src: client, dst: server, proto: packet.UDP, id: 7, asks: true, name: "web.shop", typ: 28}
	tcp, v6, cut, odd, bare := m, m, m, m, m
	tcp.proto = packet.TCP
	v6.src, v6.dst = netip.MustParseAddrPort("[fd00::2]:40000"), netip.MustParseAddrPort("[fd00::a]:53")
	cut.response, cut.truncated, cut.rcode = true, true, 2
	odd.name = "a?b?.shop"
	bare.asks, bare.name, bare.typ, bare.response, bare.rcode = false, "", 0, true, 1
	for _, tt := range []struct {
		name    string
		v6, tcp bool
		body    []byte
		want    message
		ok      bool
	}{
		{"a query", false, false, query, m, true},
		{"by TCP", false, true, query, tcp, true},
		{"by IPv6", true, false, query, v6, true},
		{"an answer that was cut off", false, false, pack(t, dnsmessage.Header{ID: 7, Response: true, Truncated: true, RCode: 2}, "web.shop.", dnsmessage.TypeAAAA), cut, true},
		{"with more behind the question", false, false, append(query[:len(query):len(query)], 1, 2, 3), m, true},
		{"bytes that are no text", false, false, pack(t, dnsmessage.Header{ID: 7}, "a\x00b\xff.shop.", dnsmessage.TypeAAAA), odd, true},
		{"an error without a question", false, false, []byte{0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0}, bare, true},
		{"a query without a question", false, false, []byte{0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, message{}, false},
		{"cut off in the name", false, false, query[:15], message{}, false},
		{"a name that points to itself", false, false, []byte{0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, message{}, false},
		{"an update", false, false, append([]byte{0, 7, 0x28}, query[3:]...), message{}, false},
		{"nothing", false, true, nil, message{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, body := packetOf(tt.v6, tt.tcp, tt.body)
			got, ok := parse(head[:], body)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, ok, tt.want)
			}
		})
	}
}

// FuzzParse: no packet takes more than its own size, and what is told of it can be shown.
func FuzzParse(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		head, body := packetOf(v6, !v6, pack(f, dnsmessage.Header{ID: 7}, "web.shop.", dnsmessage.TypeA))
		f.Add(append(head[:], body...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var head [56]uint8
		m, ok := parse(head[:], b[copy(head[:], b):])
		if len(m.name) > 255 || strings.ContainsFunc(m.name, func(r rune) bool { return r <= ' ' || r > '~' || r >= 'A' && r <= 'Z' }) || ok && !m.asks && !m.response {
			t.Errorf("%+v", m)
		}
	})
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		typeName(28): "AAAA", typeName(9999): "other", typeOf(9999): "TYPE9999", typeOf(1): "A", rcodeName(3): "NXDOMAIN", rcodeName(9): "RCODE9",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
