//go:build linux

package bpf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// places is a node with one Pod in a namespace of its own, and one in the node's, as long as they are there.
type places struct {
	probe.Places
	ended bool
}

func (p places) ByNet(n uint64) (probe.Place, bool) {
	switch {
	case n == 1:
		return probe.Place{Net: 1, Host: true}, true
	case n == 2 && !p.ended:
		return probe.Place{Net: 2, Pod: "shop/web"}, true
	}
	return probe.Place{}, false
}
func (p places) ByCgroup(id uint64) (string, bool) { return "kube/proxy", id == 7 && !p.ended }
func (p places) ByDevice(i int) (string, bool)     { return "shop/web", i == 9 && !p.ended }
func (places) ByAddr(a netip.Addr) (string, bool) {
	return "shop/web", a == netip.MustParseAddr("10.0.0.2")
}
func (places) Cookies() bool      { return false }
func (places) All() []probe.Place { return []probe.Place{{Net: 1, Host: true}} }

func TestOwner(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Owner
		pod  string
		tier event.Tier
		ok   bool
	}{
		{"a Pod's namespace", Owner{ID: 2, By: 2}, "shop/web", event.ByNetNS, true},
		{"the node's", Owner{ID: 1, By: 2}, "", event.Unattributed, true},
		{"one not known", Owner{ID: 3, By: 2}, event.Unknown, event.Unattributed, false},
		{"a socket of a Pod", Owner{ID: 7, By: 1}, "kube/proxy", event.BySocket, true},
		{"a socket of the node", Owner{ID: 8, By: 1}, "", event.Unattributed, true},
		{"a Pod's device", Owner{ID: 9, By: 3}, "shop/web", event.ByDevice, true},
		{"the node's uplink", Owner{ID: 10, By: 3}, "", event.Unattributed, true},
		{"none", Owner{}, "", event.Unattributed, true},
	} {
		if pod, tier, ok := tt.o.Pod(places{}); pod != tt.pod || tier != tt.tier || ok != tt.ok {
			t.Errorf("%s: %q by %v, %v", tt.name, pod, tier, ok)
		}
	}
}

// TestTiers: the numbers of the tiers are those of plumb.h, which has them from package event.
func TestTiers(t *testing.T) {
	data, err := os.ReadFile("headers/plumb.h")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("enum { BY_NONE = %d, BY_SOCKET = %d, BY_NETNS = %d, BY_DEVICE = %d };", event.Unattributed, event.BySocket, event.ByNetNS, event.ByDevice)
	if !strings.Contains(string(data), want) {
		t.Errorf("plumb.h has not %s", want)
	}
	if want := fmt.Sprintf("enum { SLOTS = %d };", len(Hist{}.Slot)); !strings.Contains(string(data), want) {
		t.Errorf("plumb.h has not %s", want)
	}
}

func TestTuple(t *testing.T) {
	v4 := Tuple{Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 0, 2}, Sport: [2]byte{0x9c, 0x40}, Dport: [2]byte{0, 80}, Version: 4, Proto: 6, Len: 60}
	v6 := Tuple{Src: [16]byte{0: 0xfd, 15: 1}, Dst: [16]byte{0: 0xfd, 15: 2}, Dport: [2]byte{0, 53}, Version: 6, Proto: 17}
	for _, tt := range []struct {
		name string
		in   Tuple
		want packet.Packet
	}{
		{"IPv4", v4, packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"), Proto: packet.TCP, Size: 60}},
		{"IPv6", v6, packet.Packet{Src: netip.MustParseAddrPort("[fd00::1]:0"), Dst: netip.MustParseAddrPort("[fd00::2]:53"), Proto: packet.UDP}},
		{"ARP", Tuple{Len: 28}, packet.Packet{Size: 28}},
	} {
		if got := tt.in.Packet(); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	mapped := Tuple{Src: netip.MustParseAddr("::ffff:10.0.0.1").As16(), Dst: netip.MustParseAddr("::ffff:10.0.0.2").As16(), Version: 6}
	if got := mapped.Packet().Src.Addr(); got != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("an IPv6 socket's IPv4 address: %v", got)
	}
}

func TestDecode(t *testing.T) {
	const size = 104 // of plumb.h's struct event
	if got := unsafe.Sizeof(Event{}); got != size {
		t.Errorf("%d bytes, want %d", got, size)
	}
	raw := make([]byte, size)
	raw[0], raw[8], raw[16], raw[24], raw[68], raw[72] = 1, 2, 3, 4, 6, 5
	e, err := decode(raw)
	if err != nil || e.Time != 1 || e.Net != 2 || e.Owner.ID != 3 || e.Owner.By != 4 || e.Tuple.Version != 6 || e.Arg[0] != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := decode(raw[:size-1]); err == nil || !strings.Contains(err.Error(), "an event of 103 bytes") {
		t.Error(err)
	}
}

// TestByAddress: what comes in by the node's uplink is whose its address is; what happens in a namespace is not.
func TestByAddress(t *testing.T) {
	s := &Set{env: &probe.Env{Node: "node-a", Places: places{}}}
	to := Tuple{Src: [16]byte{192, 0, 2, 1}, Dst: [16]byte{10, 0, 0, 2}, Version: 4}
	from := Tuple{Src: [16]byte{10, 0, 0, 2}, Dst: [16]byte{192, 0, 2, 1}, Version: 4}
	for _, tt := range []struct {
		name string
		e    Event
		pod  string
		by   event.Tier
	}{
		{"to a Pod", Event{Owner: Owner{ID: 10, By: 3}, Tuple: to}, "shop/web", event.ByAddress},
		{"from a Pod", Event{Owner: Owner{ID: 10, By: 3}, Tuple: from}, "shop/web", event.ByAddress},
		{"neither", Event{Owner: Owner{ID: 10, By: 3}}, "", event.Unattributed},
		{"by a Pod's device", Event{Owner: Owner{ID: 9, By: 3}, Tuple: to}, "shop/web", event.ByDevice},
		{"of the node's own socket", Event{Owner: Owner{ID: 8, By: 1}, Tuple: to}, "", event.Unattributed},
	} {
		if got := s.event(&tt.e, "packetloss"); got.Pod != tt.pod || got.By != tt.by || got.Node != "node-a" || got.Kind != "packetloss" {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestHist(t *testing.T) {
	var a, b Hist
	a.Sum, a.Slot[0], a.Slot[12] = 5e9, 2, 1
	b.Sum, b.Slot[0] = 1e3, 1
	got := a.Minus(b).Plus(b).Plus(b).Seconds()
	if got.Sum != 5.000001 || got.Counts[0] != 3 || got.Counts[12] != 1 || len(got.Counts) != len(got.Bounds)+1 || got.Bounds[0] != 1.024e-6 || got.Bounds[11] != 4.294967296 {
		t.Errorf("%+v", got)
	}
}

// TestSlot: a time of the agent's falls where the programs' do.
func TestSlot(t *testing.T) {
	for _, ns := range []uint64{0, 1023, 1024, 4095, 4096, 1 << 30, 1 << 32, 1<<32 - 1, 1 << 62} {
		var h Hist
		h.Add(ns)
		at, want := slices.Index(h.Slot[:], 1), 0
		for want < len(bounds) && float64(ns)/1e9 >= bounds[want] {
			want++
		}
		if at != want || h.Sum != ns {
			t.Errorf("%d ns: slot %d, want %d", ns, at, want)
		}
	}
}

// TestSums: what the agent counts itself is the table's as what programs count.
func TestSums(t *testing.T) {
	env := &probe.Env{Places: places{}}
	sums := map[key]Count{{2, 2, 0}: 5, {2, 2, 1}: 1, {3, 2, 0}: 7}
	table := NewSums(&Set{env: env}, sums, func(k key) Owner { return Owner{ID: k.ID, By: k.By} }, func(k key) [4]string { return [4]string{fmt.Sprint(k.What)} })
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		name  string
		do    func()
		after time.Duration
		want  map[Series]Count
		left  int
	}{
		{"at first", func() {}, 0, map[Series]Count{{"shop/web", [4]string{"0"}}: 5, {"shop/web", [4]string{"1"}}: 1}, 3},
		{"more", func() { sums[key{2, 2, 0}]++; sums[key{3, 2, 0}]++ }, patience + time.Second, map[Series]Count{{"shop/web", [4]string{"0"}}: 6, {"shop/web", [4]string{"1"}}: 1, {event.Unknown, [4]string{"0"}}: 8}, 3},
		{"its Pod ended", func() { env.Places = places{ended: true} }, time.Second, map[Series]Count{{"shop/web", [4]string{"0"}}: 6, {"shop/web", [4]string{"1"}}: 1, {event.Unknown, [4]string{"0"}}: 8}, 3},
		{"long ago", func() {}, patience + time.Second, map[Series]Count{{event.Unknown, [4]string{"0"}}: 8}, 0},
	} {
		step.do()
		now = now.Add(step.after)
		if err := table.update(now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, table.sums); diff != "" || len(sums) != step.left {
			t.Errorf("%s: %d left, %s", step.name, len(sums), diff)
		}
	}
}

type key struct {
	ID       uint64
	By, What uint32
}

// TestTable counts over what happens to the owners of the entries.
func TestTable(t *testing.T) {
	sandbox.Need(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUHash, KeySize: 16, ValueSize: 8, MaxEntries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	env := &probe.Env{Places: places{}}
	s := &Set{env: env, coll: &ebpf.Collection{Maps: map[string]*ebpf.Map{"m": m}}}
	table, err := NewTable[key, Count](s, "m", func(k key) Owner { return Owner{ID: k.ID, By: k.By} }, func(k key) [4]string { return [4]string{fmt.Sprint(k.What)} })
	if err != nil {
		t.Fatal(err)
	}
	put := func(k key, n uint64) {
		t.Helper()
		values := make([]uint64, ebpf.MustPossibleCPU())
		values[0], values[len(values)-1] = n-1, values[len(values)-1]+1
		if len(values) == 1 {
			values[0] = n
		}
		if err := m.Put(k, values); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Unix(1000, 0)
	read := func(after time.Duration) map[string]Count {
		t.Helper()
		now = now.Add(after)
		if err := table.update(now); err != nil {
			t.Fatal(err)
		}
		out := map[string]Count{}
		for s, v := range table.sums {
			out[s.Pod+" "+s.Labels[0]] = v
		}
		return out
	}
	want := func(step string, got, want map[string]Count) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", step, diff)
		}
	}
	web, dev, host, stranger := key{2, 2, 0}, key{9, 3, 0}, key{1, 2, 0}, key{3, 2, 0}
	put(web, 10)
	put(dev, 5)
	put(host, 3)
	put(stranger, 2)
	want("at first", read(0), map[string]Count{"shop/web 0": 15, " 0": 3})
	put(web, 11)
	want("one more", read(time.Second), map[string]Count{"shop/web 0": 16, " 0": 3})
	want("nobody's for long", read(patience+time.Second), map[string]Count{"shop/web 0": 16, " 0": 3, "unknown 0": 2})
	env.Places = places{ended: true}
	put(web, 12)
	want("its Pod ended", read(time.Second), map[string]Count{"shop/web 0": 17, " 0": 3, "unknown 0": 2})
	want("just now", read(patience), map[string]Count{"shop/web 0": 17, " 0": 3, "unknown 0": 2})
	want("long ago", read(time.Second), map[string]Count{" 0": 3, "unknown 0": 2})
	var left []key
	var k key
	var v []uint64
	for it := m.Iterate(); it.Next(&k, &v); {
		left = append(left, k)
	}
	if diff := cmp.Diff([]key{host}, left); diff != "" {
		t.Error("left in the kernel: ", diff)
	}
	for i := range uint32(600) { // more than are read at once
		put(key{1, 2, i}, 1)
	}
	if got := read(time.Second); len(got) != 601 {
		t.Errorf("%d series", len(got))
	}
	if _, err := NewTable[key, Count](s, "x", nil, nil); err == nil || !strings.Contains(err.Error(), "no map x") {
		t.Error(err)
	}
}

// TestRefused loads what no kernel takes.
func TestRefused(t *testing.T) {
	sandbox.Need(t)
	env := &probe.Env{Places: places{}}
	program := func(tp string, ins ...asm.Instruction) func() (*ebpf.CollectionSpec, error) {
		return func() (*ebpf.CollectionSpec, error) {
			return &ebpf.CollectionSpec{
				Maps: map[string]*ebpf.MapSpec{
					"events":   {Type: ebpf.RingBuf, MaxEntries: 4096},
					"accounts": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 40, MaxEntries: 1},
				},
				Programs: map[string]*ebpf.ProgramSpec{"p": {
					Name: "p", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tp, License: "GPL", Instructions: ins,
				}},
			}, nil
		}
	}
	fine := []asm.Instruction{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	for _, tt := range []struct {
		name string
		spec func() (*ebpf.CollectionSpec, error)
		vars map[string]any
		want string
	}{
		{"fine", program("kfree_skb", fine...), nil, ""},
		{"the verifier", program("kfree_skb", asm.LoadMem(asm.R0, asm.R3, 0, asm.DWord), asm.Return()), nil, "program p: load program: permission denied; the verifier ends with: "},
		{"no object", func() (*ebpf.CollectionSpec, error) { return nil, errors.New("truncated") }, nil, "bpf: truncated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(env, tt.spec, tt.vars)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				a, err := s.Account()
				if diff := cmp.Diff([]probe.Loss{{Stage: "rate"}, {Stage: "ring"}, {Stage: "table"}, {Stage: "nested"}}, a.Lost); diff != "" || err != nil {
					t.Error(diff, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*quiet)
				defer cancel()
				if err := s.Watch(ctx, "x", nil, nil); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestHasHelper(t *testing.T) {
	if _, err := kernelTypes(); err != nil {
		t.Skip(err)
	}
	if !HasHelper("ringbuf_output") || HasHelper("no_such") {
		t.Error("ringbuf_output is a helper, no_such is none")
	}
}

func TestTCPState(t *testing.T) {
	for n, want := range map[uint64]string{0: "", 1: "ESTABLISHED", 12: "SYN_RECV", 13: "13"} {
		if got := TCPState(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestMissing: a tracepoint that the kernel has not is left out, and told.
func TestMissing(t *testing.T) {
	types, err := kernelTypes()
	if err != nil {
		t.Skip(err)
	}
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"a": {AttachTo: "kfree_skb", AttachType: ebpf.AttachTraceRawTp},
		"b": {AttachTo: "no_such", AttachType: ebpf.AttachTraceRawTp},
		"c": {AttachTo: "no_such_function", AttachType: ebpf.AttachTraceFExit},
		"d": {AttachTo: "tcp_v4_connect", AttachType: ebpf.AttachTraceFExit},
	}}
	missing := optional(types, spec)
	if diff := cmp.Diff([]string{"no_such", "no_such_function"}, missing); diff != "" || len(spec.Programs) != 2 {
		t.Error(diff, spec.Programs)
	}
}

func TestTracepoint(t *testing.T) {
	if _, err := kernelTypes(); err != nil {
		t.Skip(err)
	}
	if err := Tracepoint("kfree_skb").Have(); err != nil {
		t.Error(err)
	}
	err := Tracepoint("no_such").Have()
	if want := "kernel " + release() + " has no tracepoint no_such"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	if got := Enum("no_such"); got != nil {
		t.Error(got)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil && u.Release[0] >= '6' && !slices.Contains(slices.Collect(maps.Values(Enum("skb_drop_reason"))), "SKB_DROP_REASON_NOT_SPECIFIED") {
		t.Error(Enum("skb_drop_reason"))
	}
}
