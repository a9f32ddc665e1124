package packet

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

func TestMAC(t *testing.T) {
	for _, row := range []struct {
		in   string
		want string
		ok   bool
	}{
		{"02:42:ac:11:00:02", "02:42:ac:11:00:02", true},
		{"AA:BB:CC:DD:EE:0f", "aa:bb:cc:dd:ee:0f", true},
		{"02:42:ac:11:00", "", false},
		{"02-42-ac-11-00-02", "", false},
		{"0g:42:ac:11:00:02", "", false},
		{"02:42:ac:11:00:0g", "", false},
		{"02:42:ac:11:00-02", "", false},
		{"02:42:ac:11:00:02:", "", false},
		{"2:42:ac:11:00:002", "", false},
		{"02:42:ac:11:00:02:03:04", "", false}, // InfiniBand's are longer still
		{"", "", false},
	} {
		m, err := ParseMAC(row.in)
		if (err == nil) != row.ok || row.ok && m.String() != row.want {
			t.Errorf("%q: got %v, %v", row.in, m, err)
		}
	}
}

// TestMACInJSON reads what ip prints for devices that are not Ethernet.
func TestMACInJSON(t *testing.T) {
	var links []struct{ Address MAC }
	in := `[{"address":"02:42:ac:11:00:02"},{"address":"0.0.0.0"},{"address":""},{}]`
	if err := json.Unmarshal([]byte(in), &links); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true, true} {
		if got := links[i].Address.IsZero(); got != want {
			t.Errorf("address %d: zero is %v, want %v", i, got, want)
		}
	}
}

// TestMACText writes what it reads, and nothing for the MAC that is not known.
func TestMACText(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"02:42:AC:11:00:02", "02:42:ac:11:00:02"}, {"ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"}, {"00:00:00:00:00:00", ""}, {"10.0.0.1", ""}, {"", ""},
	} {
		m := MAC{1} // what was there before does not stay
		if err := m.UnmarshalText([]byte(row.in)); err != nil {
			t.Errorf("%q: %v", row.in, err)
		}
		if got, err := m.MarshalText(); string(got) != row.want || err != nil {
			t.Errorf("%q is written %q, %v; want %q", row.in, got, err, row.want)
		}
	}
}

// TestProto has the names that iptables-save prints, and which protocols have ports.
func TestProto(t *testing.T) {
	for _, row := range []struct {
		proto Proto
		name  string
		ports bool
	}{
		{1, "icmp", false}, {4, "ipip", false}, {6, "tcp", true}, {17, "udp", true}, {41, "ipv6", false}, {47, "gre", false},
		{58, "ipv6-icmp", false}, {132, "sctp", true}, {0, "0", false}, {50, "50", false}, {255, "255", false},
	} {
		if row.proto.String() != row.name || row.proto.HasPorts() != row.ports {
			t.Errorf("%d: %s, ports %v", uint8(row.proto), row.proto, row.proto.HasPorts())
		}
	}
}

// TestFlags wants the bits to be those of the header.
func TestFlags(t *testing.T) {
	for bit, f := range []TCPFlags{FIN, SYN, RST, PSH, ACK, URG} {
		if f != 1<<bit {
			t.Errorf("flag %d is %#x", bit, f)
		}
	}
}

func TestString(t *testing.T) {
	src, dst := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80")
	src6, dst6 := netip.MustParseAddrPort("[fd00::1]:40000"), netip.MustParseAddrPort("[fd00::2]:80")
	for _, row := range []struct {
		p    Packet
		want string
	}{
		{Packet{Src: src, Dst: dst, Proto: TCP}, "tcp 10.0.0.1:40000 > 10.0.0.2:80"},
		{Packet{Src: src, Dst: dst, Proto: ICMP}, "icmp 10.0.0.1 > 10.0.0.2"},
		{Packet{Src: src, Dst: dst, Proto: 99}, "99 10.0.0.1 > 10.0.0.2"},
		{Packet{Src: src6, Dst: dst6, Proto: SCTP}, "sctp [fd00::1]:40000 > [fd00::2]:80"},
		{Packet{Src: src6, Dst: dst6, Proto: ICMPv6}, "ipv6-icmp fd00::1 > fd00::2"},
		{Packet{}, "0 invalid IP > invalid IP"},
	} {
		if got := row.p.String(); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
		if row.p.Is6() != strings.Contains(row.want, "fd00") {
			t.Errorf("%s: Is6 is %v", row.want, row.p.Is6())
		}
	}
}

func TestIsICMPError(t *testing.T) {
	for _, row := range []struct {
		proto Proto
		typ   uint8
		want  bool
	}{
		{ICMP, 3, true}, {ICMP, 8, false}, {ICMP, 0, false}, {ICMP, 11, true},
		{ICMP, 4, true}, {ICMP, 5, true}, {ICMP, 12, true}, {ICMP, 1, false}, {ICMP, 13, false},
		{ICMPv6, 2, true}, {ICMPv6, 1, true}, {ICMPv6, 4, true}, {ICMPv6, 0, false}, {ICMPv6, 5, false}, {ICMPv6, 128, false}, {ICMPv6, 135, false},
		{TCP, 3, false}, {UDP, 1, false},
	} {
		if got := (Packet{Proto: row.proto, ICMPType: row.typ}).IsICMPError(); got != row.want {
			t.Errorf("%v type %d: got %v", row.proto, row.typ, got)
		}
	}
}

func FuzzParseMAC(f *testing.F) {
	f.Add("02:42:ac:11:00:02")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMAC(s)
		if err != nil {
			return
		}
		if again, err := ParseMAC(m.String()); err != nil || again != m {
			t.Errorf("%q reads as %v, which reads as %v, %v", s, m, again, err)
		}
	})
}
