package redact

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

func fresh() *redactor { return newRedactor(testKey, [kinds]int{}) }

// random returns addresses of many kinds, near each other and far.
func random(n int) []netip.Addr {
	rnd := rand.New(rand.NewPCG(1, 2))
	var out []netip.Addr
	for len(out) < n {
		b := make([]byte, []int{4, 16}[rnd.IntN(2)])
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		a, _ := netip.AddrFromSlice(b)
		out = append(out, a)
		for range rnd.IntN(4) { // one that shares some bits
			c := a.AsSlice()
			at := rnd.IntN(len(c) * 8)
			c[at/8] ^= 1 << (7 - at%8)
			for i := at/8 + 1; i < len(c); i++ {
				c[i] = byte(rnd.Uint32())
			}
			out = append(out, addrOf(c))
		}
	}
	for _, s := range strings.Fields(`0.0.0.0 10.0.0.1 10.0.0.255 10.0.255.255 127.0.0.1 169.254.1.1 224.0.0.1 255.255.255.255 255.255.255.0 192.168.0.1 192.168.255.255
		:: ::1 fe80::1 fe80::ecee:eeff:feee:eeee fe80::c855:8dff:fe32:80f6 fe80::dead:beef:1:2 ff02::1 ff02::1:ff32:80f6 fd00:10:244::1 fd00:10:244:: 2001:db8::1 2002::1 64:ff9b::a00:1 ::ffff:10.0.0.1`) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// inTree reports whether prefixes are kept for an address: not for those that follow something else.
func inTree(a netip.Addr) bool {
	return a.Is4() || !linkLocal.Contains(a) && !nat64.Contains(a) && !a.Is4In6() && !nodeGroup.Contains(a)
}

// TestPairs: two addresses share as many leading bits as their pseudonyms, so that equality and what
// is within what are kept for all prefixes.
func TestPairs(t *testing.T) {
	r := fresh()
	list := random(1500)
	for _, a := range list {
		for _, b := range list {
			x, y := r.addr(a), r.addr(b)
			if (a == b) != (x == y) {
				t.Fatalf("%s %s became %s %s", a, b, x, y)
			}
			if a.BitLen() != b.BitLen() || !inTree(a) || !inTree(b) {
				continue
			}
			n, m := common(a.AsSlice(), b.AsSlice(), a.BitLen()), common(x.AsSlice(), y.AsSlice(), x.BitLen())
			if n != m {
				t.Fatalf("%s %s share %d bits; %s %s share %d", a, b, n, x, y, m)
			}
		}
	}
}

// TestPrefixes: what lies in a prefix lies in its pseudonym, and nothing else does.
func TestPrefixes(t *testing.T) {
	r := fresh()
	list := random(400)
	for i, a := range list {
		if !inTree(a) {
			continue
		}
		for bits := range a.BitLen() + 1 {
			p := netip.PrefixFrom(a, bits).Masked()
			to := r.prefix(p)
			if to != to.Masked() || to.Bits() != bits {
				t.Fatalf("%s became %s", p, to)
			}
			for _, b := range list[max(0, i-5):min(len(list), i+5)] {
				if inTree(b) && p.Contains(b) != to.Contains(r.addr(b)) {
					t.Fatalf("%s in %s: %v; %s in %s: not", b, p, p.Contains(b), r.addr(b), to)
				}
			}
		}
	}
}

func TestSpecial(t *testing.T) {
	for _, s := range strings.Fields(`0.0.0.0 0.0.0.5 127.0.0.1 127.0.0.53 169.254.1.1 169.254.169.254 224.0.0.1 239.1.2.3 255.255.255.255 255.255.255.0 240.0.0.1
		:: ::1 ff02::1 ff05::2 fe80::1 fe80:: fe80::ecee:eeff:feee:eeee`) {
		if got := fresh().addr(netip.MustParseAddr(s)); got.String() != s {
			t.Errorf("%s became %s", s, got)
		}
	}
	for _, s := range strings.Fields("10.0.0.0/8 10.244.0.0/16 192.168.1.0/24 fc00::/7 fd00:10:244::/56 2001:db8::/32 2002::/16 fe80::/64 100.64.0.0/10") {
		p := netip.MustParsePrefix(s)
		if to := fresh().prefix(p); to.Bits() != p.Bits() || p.Addr().Is6() && classOf(to.Addr()) != classOf(p.Addr()) {
			t.Errorf("%s became %s", p, to)
		}
	}
}

// classOf returns the range of RFC 6724 that an address is in.
func classOf(a netip.Addr) string {
	for _, s := range strings.Fields("fe80::/10 fec0::/10 fc00::/7 2002::/16 2001::/32 3ffe::/16") {
		if netip.MustParsePrefix(s).Contains(a) {
			return s
		}
	}
	return ""
}

// TestEnds: networks of /24, /16, and smaller ones, keep their first and last addresses.
func TestEnds(t *testing.T) {
	r := fresh()
	for _, s := range strings.Fields("10.244.7.0/24 10.244.0.0/16 192.168.1.64/26 172.16.9.4/30 10.1.2.128/25 fd00:1:2:3::/64 fd00:1:2::/48 fd00:96::/112") {
		p := netip.MustParsePrefix(s)
		to := r.prefix(p)
		if got := r.addr(p.Addr()); got != to.Addr() {
			t.Errorf("%s: its first address became %s, not that of %s", p, got, to)
		}
		if got := r.addr(lastOf(p)); p.Addr().Is4() && got != lastOf(to) {
			t.Errorf("%s: its last address became %s, not that of %s", p, got, to)
		}
	}
}

// TestMAC: link-local addresses follow their MAC address, and the two bits that mean something stay.
func TestMAC(t *testing.T) {
	r := fresh()
	eui := func(m packet.MAC) netip.Addr {
		b := append(netip.MustParseAddr("fe80::").AsSlice()[:8], m[0]^2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5])
		return addrOf(b)
	}
	seen := map[packet.MAC]bool{}
	for i := range 2000 {
		m := packet.MAC{byte(i), byte(i * 7), byte(i >> 3), byte(i * 31), byte(i >> 8), byte(i * 3)}
		to := r.mac(m)
		if m[0]&3 != to[0]&3 || seen[to] && r.macOf[m] != to {
			t.Fatalf("%s became %s", m, to)
		}
		seen[to] = true
		if got, want := r.addr(eui(m)), eui(to); got != want {
			t.Fatalf("%s of %s became %s, want %s of %s", eui(m), m, got, want, to)
		}
	}
	for _, s := range strings.Fields("00:00:00:00:00:00 ff:ff:ff:ff:ff:ff 01:00:5e:00:00:01 33:33:00:00:00:01 ee:ee:ee:ee:ee:ee 01:80:c2:00:00:0e") {
		if m, _ := packet.ParseMAC(s); r.mac(m) != m {
			t.Errorf("%s became %s", s, r.mac(m))
		}
	}
	// A group of solicited-node addresses shows the end of the address, and must agree with it.
	group, _ := packet.ParseMAC("33:33:ff:32:80:f6")
	to, node := r.mac(group), r.addr(netip.MustParseAddr("ff02::1:ff32:80f6")).As16()
	if to == group || string(to[3:]) != string(node[13:]) {
		t.Errorf("%s became %s, and its address ends in %x", group, to, node[13:])
	}
}

func TestBetween(t *testing.T) {
	r := fresh()
	tests := []struct {
		lo, hi string
		ok     bool
	}{
		{"10.0.0.5", "10.0.0.9", true},
		{"10.0.0.0", "10.0.255.255", true},
		{"10.96.0.0", "10.111.255.255", true},
		{"10.0.0.5", "10.0.3.7", false},
		{"10.0.0.9", "10.0.0.5", false},
		{"10.0.0.9", "fd00::1", false},
		{"fd00::5", "fd00::9", true},
		{"fd00::", "fd00::ffff", true},
	}
	for _, tt := range tests {
		lo, hi := netip.MustParseAddr(tt.lo), netip.MustParseAddr(tt.hi)
		a, b, ok := r.between(lo, hi)
		if ok != tt.ok {
			t.Errorf("%s-%s: %v", lo, hi, ok)
		}
		for x := lo; ok && x.Compare(hi) <= 0 && x.Less(lo.Next().Next().Next()); x = x.Next() {
			if y := r.addr(x); y.Less(a) || b.Less(y) {
				t.Errorf("%s is in %s-%s, and %s not in %s-%s", x, lo, hi, y, a, b)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	files := snapshot.Files{"nodes/a/host/iptables": []byte("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.1.2.3/32 -m comment --comment \"shop/api\" -j DROP\nCOMMIT\n")}
	one, m1, err := Files(files, testKey)
	if err != nil {
		t.Fatal(err)
	}
	same, m2, _ := Files(files, testKey)
	other, _, _ := Files(files, []byte("another key of sixteen bytes"))
	if string(pack(t, one)) != string(pack(t, same)) || len(m1.Names) != len(m2.Names) {
		t.Error("one key gave two results")
	}
	if string(pack(t, one)) == string(pack(t, other)) {
		t.Error("two keys gave one result")
	}
	if _, _, err := Files(files, []byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}

func pack(t *testing.T, files snapshot.Files) []byte {
	t.Helper()
	var b strings.Builder
	if err := snapshot.Write(&b, files); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// TestClash: a pseudonym that is an original makes another key, and where none can serve an error.
func TestClash(t *testing.T) {
	r := fresh()
	to := r.addr(netip.MustParseAddr("10.1.2.3"))
	r.addr(to)
	if got := r.clashes(); !got[kind4] || got[kindName] || got[kind6] || got[kindMAC] {
		t.Errorf("clashes: %v", got)
	}
	files := snapshot.Files{"nodes/a/host/neigh.json": []byte(`[{"dst":"10.1.2.3","dev":"eth0"},{"dst":"` + to.String() + `","dev":"eth0"}]`)}
	red, _, err := Files(files, testKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range red {
		if strings.Contains(string(data), to.String()) || strings.Contains(string(data), "10.1.2.3") {
			t.Errorf("%s: %s", name, data)
		}
	}
	full := strings.Builder{}
	for i := range 1 << 11 { // all of 8.0.0.0/5 but the last bytes: no pseudonym is free
		full.WriteString(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(8 | i>>8), byte(i), 0, 0}), 16).String() + " ")
	}
	if _, _, err := Files(snapshot.Files{"nodes/a/host.error": []byte(full.String())}, testKey); err == nil {
		t.Error("a full range was redacted")
	}
}
