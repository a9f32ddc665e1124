package packet

import (
	"encoding/json"
	"net/netip"
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

func TestString(t *testing.T) {
	src, dst := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80")
	for _, row := range []struct {
		p    Packet
		want string
	}{
		{Packet{Src: src, Dst: dst, Proto: TCP}, "tcp 10.0.0.1:40000 > 10.0.0.2:80"},
		{Packet{Src: src, Dst: dst, Proto: ICMP}, "icmp 10.0.0.1 > 10.0.0.2"},
		{Packet{Src: src, Dst: dst, Proto: 99}, "99 10.0.0.1 > 10.0.0.2"},
	} {
		if got := row.p.String(); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
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
		{ICMPv6, 2, true}, {ICMPv6, 1, true}, {ICMPv6, 128, false}, {ICMPv6, 135, false},
		{TCP, 3, false},
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
