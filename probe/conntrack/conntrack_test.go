//go:build linux

package conntrack

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"github.com/plumbnet/plumb/probe/procnet"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// proc makes a /proc with what the file has, of two CPUs. The columns are those of Linux 6.18.
func proc(t *testing.T, first, second string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "thread-self/net/stat/nf_conntrack", "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"+first+"\n"+second+"\n")
	write(t, dir, "sys/net/netfilter/nf_conntrack_max", "262144\n")
	return dir
}

func write(t *testing.T, dir, name, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644))
}

const none = "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000"

var web = probe.Place{Pod: "shop/web-0", Net: 7}

func TestReadIn(t *testing.T) {
	const first, second = "0000003c 00000000 00000010 00000000 00000002 00000000 00000000 00000001 00000000 00000003 00000004 00000005 00000000  00000000 00000000 00000000 0000000a", "0000003c 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000030 00000000 00000000 00000006  00000000 00000000 00000000 00000000"
	for _, tt := range []struct {
		name, first, second string
		place               probe.Place
		want                string
	}{
		{"a Pod's", first, second, web, `
conntrack_entries{pod="shop/web-0"} 60
conntrack_limit{pod="shop/web-0"} 262144
conntrack_total{pod="shop/web-0",counter="chainlength"} 1
conntrack_total{pod="shop/web-0",counter="drop"} 4
conntrack_total{pod="shop/web-0",counter="early_drop"} 5
conntrack_total{pod="shop/web-0",counter="found"} 17
conntrack_total{pod="shop/web-0",counter="icmp_error"} 6
conntrack_total{pod="shop/web-0",counter="insert_failed"} 51
conntrack_total{pod="shop/web-0",counter="invalid"} 2
conntrack_total{pod="shop/web-0",counter="search_restart"} 10`},
		{"one that tracks nothing", none, none, web, ""},
		{"the node's own tracks nothing yet", none, none, probe.Place{Host: true}, `
conntrack_entries 0
conntrack_limit 262144
conntrack_total{counter="chainlength"} 0
conntrack_total{counter="drop"} 0
conntrack_total{counter="early_drop"} 0
conntrack_total{counter="insert_failed"} 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := probetest.Open(t, Kind, probe.Env{Proc: proc(t, tt.first, tt.second)})
			got := probetest.Collect(t, Kind, func(emit func(probe.Sample)) error { return p.ReadIn(tt.place, emit) })
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFails(t *testing.T) {
	for _, tt := range []struct {
		name, file, data, err string
	}{
		{"not loaded", "none", "", ""},
		{"no number", "thread-self/net/stat/nf_conntrack", "entries found\n1 x\n", `nf_conntrack: line 2: found "x"`},
		{"no CPU", "thread-self/net/stat/nf_conntrack", "entries found\n", "nf_conntrack: no CPU"},
		{"no limit", "thread-self/net/stat/nf_conntrack", "entries found\n1 1\n", "nf_conntrack_max"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tt.file, tt.data)
			p := probetest.Open(t, Kind, probe.Env{Proc: dir})
			err := p.ReadIn(web, func(probe.Sample) {})
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
		})
	}
}

// TestWatch: what rises between two readings is an event, and what was before the first is none.
func TestWatch(t *testing.T) {
	five := strings.Replace(none, "00000000", "00000005", 1)
	dir := proc(t, five, five)
	p := probetest.Open(t, Kind, probe.Env{Proc: dir, Node: "node-a"}).(*conntrack)
	got := make(chan event.Event, 9)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Watch(ctx, func(e event.Event) { got <- e }) }()
	read := func() { must(t, p.ReadIn(web, func(probe.Sample) {})) }
	read()
	f := strings.Fields(none)
	f[0], f[9], f[10], f[2] = "0000003c", "00000007", "00000002", "00000009"
	line := strings.Join(f, " ")
	write(t, dir, "thread-self/net/stat/nf_conntrack", "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error expect_new expect_create expect_delete search_restart\n"+line+"\n"+line+"\n")
	read()
	read()
	for _, want := range []string{
		"conntrack node-a shop/web-0 counter=insert_failed times=14 entries=60 limit=262144",
		"conntrack node-a shop/web-0 counter=drop times=4 entries=60 limit=262144",
	} {
		select {
		case e := <-got:
			if s := e.String(); !strings.HasSuffix(s, want) || e.By != event.ByNetNS {
				t.Errorf("%s, want %s", s, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no event; want %s", want)
		}
	}
	cancel()
	if err := <-done; err != nil || len(got) > 0 {
		t.Errorf("%v; %d events more", err, len(got))
	}
	for range most + 5 {
		p.put(event.Event{})
	}
	if len(p.new) != most {
		t.Errorf("%d events wait, want %d", len(p.new), most)
	}
	p.last[8] = reading{}
	if err := p.Read(nil); err != nil || len(p.last) != 1 {
		t.Errorf("%d namespaces are remembered, %v", len(p.last), err)
	}
}

// TestAgree sends segments that belong to no connection and datagrams that are new, and compares with conntrack.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "tracked")
	p := probetest.Open(t, Kind, probe.Env{})
	for _, argv := range []string{"iptables -A INPUT -m conntrack --ctstate INVALID -j DROP", "sysctl -q -w net.netfilter.nf_conntrack_tcp_loose=0"} {
		if err := ns.Run("", strings.Fields(argv)...); err != nil {
			t.Skip(err)
		}
	}
	const many = 30
	before := probetest.ReadIn(t, Kind, p, ns, place)
	probetest.In(t, ns, func() {
		raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
		must(t, err)
		defer unix.Close(raw)
		udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		must(t, err)
		defer unix.Close(udp)
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
		ack := []byte{4, 0, 5, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0}
		for i := range many {
			must(t, unix.Sendto(raw, ack, 0, to))
			_ = unix.Sendto(udp, []byte("x"), 0, &unix.SockaddrInet4{Port: 2000 + i, Addr: to.Addr})
		}
	})
	p.(*conntrack).idle = procnet.Idle[uint64]{} // as after a minute
	now := probetest.ReadIn(t, Kind, p, ns, place)
	got := now.Since(before)
	if s := `conntrack_total{pod="shop/tracked",counter="invalid"}`; got[s] != 2*many { // on its way out, and in
		t.Errorf("%s rose by %g, want %d", s, got[s], 2*many)
	}
	if s := `conntrack_entries{pod="shop/tracked"}`; now[s] != many {
		t.Errorf("%s is %g, want %d", s, now[s], many)
	}
	out, err := ns.Output("", "conntrack", "-S")
	must(t, err)
	want := map[string]float64{}
	for _, m := range regexp.MustCompile(`(\w+)=(\d+)`).FindAllStringSubmatch(out, -1) {
		v, _ := strconv.ParseFloat(m[2], 64)
		want[m[1]] += v
	}
	delete(want, "cpu")
	for name, v := range maps.All(want) {
		ours := name
		if other, ok := map[string]string{"error": "icmp_error", "clash_resolve": "clashres", "chaintoolong": "chainlength"}[name]; ok {
			ours = other
		}
		if s := fmt.Sprintf(`conntrack_total{pod="shop/tracked",counter=%q}`, ours); now[s] != v {
			t.Errorf("%s is %g, conntrack has %g for %s", s, now[s], v, name)
		}
	}
	count, err := ns.Output("", "conntrack", "-C")
	must(t, err)
	if strings.TrimSpace(count) != fmt.Sprint(many) {
		t.Errorf("conntrack counts %s", count)
	}
	t.Logf("agree: conntrack -S: %d counters", len(want))
}

// TestRaces has two segments of each connection on their way before the first has an entry, held by a queue: the second
// then finds one, and is dropped.
func TestRaces(t *testing.T) {
	const many = 20
	ns, place := probetest.NS(t, "races")
	p := probetest.Open(t, Kind, probe.Env{})
	for _, argv := range []string{
		"iptables -A INPUT -m conntrack --ctstate INVALID -j DROP", // has connections tracked
		"iptables -t mangle -A OUTPUT -p tcp --syn --dport 81 -j NFQUEUE --queue-num 5",
	} {
		if err := ns.Run("", strings.Fields(argv)...); err != nil {
			t.Skip(err)
		}
	}
	probetest.ReadIn(t, Kind, p, ns, place)
	probetest.In(t, ns, func() {
		q := openQueue(t, 5)
		defer unix.Close(q)
		raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
		must(t, err)
		defer unix.Close(raw)
		for i := range 2 * many {
			syn := []byte{4, byte(i / 2), 0, 81, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 1, 0, 0, 0, 0, 0}
			must(t, unix.Sendto(raw, syn, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		}
		var ids []uint32
		for len(ids) < 2*many {
			ids = append(ids, packets(t, q)...)
		}
		for _, id := range ids {
			accept(t, q, 5, id)
		}
	})
	p.(*conntrack).idle = procnet.Idle[uint64]{} // as after a minute
	s := `conntrack_total{pod="shop/races",counter="insert_failed"}`
	got := probetest.ReadIn(t, Kind, p, ns, place)
	out, err := ns.Output("", "conntrack", "-S")
	must(t, err)
	kernel := 0
	for _, m := range regexp.MustCompile(`insert_failed=(\d+)`).FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[1])
		kernel += n
	}
	var u unix.Utsname
	must(t, unix.Uname(&u))
	var major, minor int
	_, err = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	must(t, err)
	if older := major < 6 || major == 6 && minor < 12; older && kernel == 0 && got[s] == 0 {
		t.Skip("this kernel looks for an entry again when it takes a packet from a queue: no race")
	}
	if got[s] != many || kernel != many {
		t.Errorf("%s is %g, conntrack has %d, want %d", s, got[s], kernel, many)
	}
}

// The messages of linux/netfilter/nfnetlink_queue.h.
const (
	nfqPacket, nfqVerdict, nfqConfig = 3 << 8, 3<<8 | 1, 3<<8 | 2
	cfgCommand, cfgParams            = 1, 2
	packetHeader, verdictHeader      = 1, 2
	nfAccept                         = 1
)

// queueMessage is a message about a queue, with one attribute.
func queueMessage(typ uint16, queue uint16, attr uint16, value ...byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr)
	b = append(b, unix.AF_UNSPEC, 0, byte(queue>>8), byte(queue))
	b = netlink.Attr(b, attr, value)
	netlink.Native.PutUint32(b, uint32(len(b)))
	netlink.Native.PutUint16(b[4:], typ)
	netlink.Native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	return b
}

// openQueue has a queue of packets wait for a verdict, in the thread's namespace.
func openQueue(t *testing.T, queue uint16) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	must(t, err)
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}))
	tell(t, fd, queueMessage(nfqConfig, queue, cfgCommand, 1, 0, 0, unix.AF_INET)) // to bind
	tell(t, fd, queueMessage(nfqConfig, queue, cfgParams, 0, 0, 0, 0, 1))          // no bytes of the packets
	return fd
}

func tell(t *testing.T, fd int, b []byte) {
	t.Helper()
	must(t, unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// packets returns the numbers of those that came to a queue.
func packets(t *testing.T, fd int) (ids []uint32) {
	t.Helper()
	b := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(fd, b, 0)
	must(t, err)
	for b = b[:n]; len(b) >= unix.SizeofNlMsghdr; {
		size := int(netlink.Native.Uint32(b))
		if netlink.Native.Uint16(b[4:]) == nfqPacket {
			for attr, v := range netlink.Attrs(b[unix.SizeofNlMsghdr+4 : size]) {
				if attr == packetHeader {
					ids = append(ids, binary.BigEndian.Uint32(v))
				}
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return ids
}

func accept(t *testing.T, fd int, queue uint16, id uint32) {
	t.Helper()
	v := binary.BigEndian.AppendUint32(nil, nfAccept)
	tell(t, fd, queueMessage(nfqVerdict, queue, verdictHeader, binary.BigEndian.AppendUint32(v, id)...))
}
