//go:build linux

package active

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

func TestDNSQuestion(t *testing.T) {
	b, err := dnsQuestion("api.shop.svc.cluster.local.", false)
	if err != nil {
		t.Fatal(err)
	}
	const want = "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x04shop\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
	if string(b[2:]) != want {
		t.Errorf("%q", b)
	}
	if b, _ := dnsQuestion("a", true); b[len(b)-3] != typeAAAA {
		t.Errorf("of IPv6 it asks for %q", b)
	}
	for _, name := range []string{"", ".", "a..b", ".a", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 127) + "a"} {
		if _, err := dnsQuestion(name, false); err == nil {
			t.Errorf("%q is no name", name)
		}
	}
}

// reply is what a name server sends for a query: flags, and records with a pointer to the name (RFC 1035, 4.1.4).
func reply(query []byte, flags uint16, records ...string) []byte {
	b := append([]byte{}, query...)
	binary.BigEndian.PutUint16(b[2:], flags)
	binary.BigEndian.PutUint16(b[6:], uint16(len(records)))
	for _, r := range records {
		b = append(append(b, 0xc0, dnsHeader), r...)
	}
	return b
}

// Records after their name: type, class, time to live, length, data.
const (
	recordA     = "\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x60\x00\x14"
	recordCNAME = "\x00\x05\x00\x01\x00\x00\x00\x1e\x00\x04\x01b\xc0\x0c"
	recordLong  = "\x00\x01\x00\x01\x00\x00\x00\x1e\x00\xff\x0a"
)

func TestDNSAnswer(t *testing.T) {
	q, _ := dnsQuestion("api.shop", false)
	other := append([]byte{q[0] + 1}, q[1:]...)
	addr := netip.MustParseAddr("10.96.0.20")
	for _, tt := range []struct {
		name string
		in   []byte
		want snapshot.Lookup
		ok   bool
	}{
		{"an address", reply(q, 0x8580, recordA), snapshot.Lookup{Rcode: "NOERROR", Addrs: []netip.Addr{addr}}, true},
		{"behind another name", reply(q, 0x8580, recordCNAME, recordA), snapshot.Lookup{Rcode: "NOERROR", Addrs: []netip.Addr{addr}}, true},
		{"none", reply(q, 0x8580), snapshot.Lookup{Rcode: "NOERROR"}, true},
		{"no such name", reply(q, 0x8583), snapshot.Lookup{Rcode: "NXDOMAIN"}, true},
		{"the server fails", reply(q, 0x8582), snapshot.Lookup{Rcode: "SERVFAIL"}, true},
		{"a strange code", reply(q, 0x858b), snapshot.Lookup{Rcode: "RCODE11"}, true},
		{"a record that is cut off", reply(q, 0x8580, recordA, recordLong), snapshot.Lookup{Rcode: "NOERROR", Addrs: []netip.Addr{addr}}, true},
		{"a header that promises more", reply(q, 0x8580, recordA)[:dnsHeader+4], snapshot.Lookup{Rcode: "NOERROR"}, true},
		{"the query itself", q, snapshot.Lookup{}, false},
		{"of another query", reply(other, 0x8580, recordA), snapshot.Lookup{}, false},
		{"too short", reply(q, 0x8580)[:dnsHeader-1], snapshot.Lookup{}, false},
		{"nothing", nil, snapshot.Lookup{}, false},
	} {
		got, ok := dnsAnswer(q, tt.in)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || ok != tt.ok {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
	many := make([]string, 100)
	for i := range many {
		many[i] = recordA
	}
	if got, _ := dnsAnswer(q, reply(q, 0x8580, many...)); len(got.Addrs) != maxAnswers {
		t.Errorf("%d addresses are told of", len(got.Addrs))
	}
}

func FuzzDNSAnswer(f *testing.F) {
	q, _ := dnsQuestion("api.shop", false)
	f.Add(reply(q, 0x8580, recordA, recordCNAME))
	f.Add(reply(q, 0x8580, recordLong))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := dnsAnswer(b[:min(len(b), dnsHeader)], b); ok && (l.Rcode == "" || len(l.Addrs) > maxAnswers) {
			t.Errorf("%+v", l)
		}
	})
}

// TestLookup asks name servers in another namespace: one that knows the name, one that does not, one that
// sends back what it gets, and none.
func TestLookup(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("dns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Delete() })
	if err := ns.Run("", "ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	serve := func(port string, answer func(query []byte) []byte) {
		t.Helper()
		err := ns.Do(func() error {
			u, err := net.ListenPacket("udp", "127.0.0.1:"+port)
			if err != nil {
				return err
			}
			t.Cleanup(func() { u.Close() })
			go func() {
				buf := make([]byte, 512)
				for {
					n, from, err := u.ReadFrom(buf)
					if err != nil {
						return
					}
					u.WriteTo(answer(buf[:n]), from)
				}
			}()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	serve("53", func(q []byte) []byte { return reply(q, 0x8580, recordA) })
	serve("54", func(q []byte) []byte { return reply(q, 0x8583) })
	serve("55", func(q []byte) []byte { return q })
	netns, err := os.Open(ns.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	for _, tt := range []struct {
		name, at string
		timeout  time.Duration
		want     snapshot.Probe
	}{
		{"known", "127.0.0.1:53", 5 * time.Second, snapshot.Probe{Answered: 2, Fate: snapshot.ProbeAnswered, Lookup: &snapshot.Lookup{Name: "api.shop", Rcode: "NOERROR", Addrs: []netip.Addr{netip.MustParseAddr("10.96.0.20")}}}},
		{"not known", "127.0.0.1:54", 5 * time.Second, snapshot.Probe{Answered: 2, Fate: snapshot.ProbeAnswered, Lookup: &snapshot.Lookup{Name: "api.shop", Rcode: "NXDOMAIN"}}},
		{"no name server", "127.0.0.1:55", 100 * time.Millisecond, snapshot.Probe{Lookup: &snapshot.Lookup{Name: "api.shop"}}},
		{"nothing listens", "127.0.0.1:56", 5 * time.Second, snapshot.Probe{Fate: snapshot.ProbeRefused, Lookup: &snapshot.Lookup{Name: "api.shop"}}},
	} {
		got, err := Run(t.Context(), netns, Ask{Proto: packet.UDP, Dst: netip.MustParseAddrPort(tt.at), Lookup: "api.shop", Count: 2, Timeout: tt.timeout})
		if err != nil || got.Sent != 2 {
			t.Fatalf("%s: %+v, %v", tt.name, got, err)
		}
		got = snapshot.Probe{Answered: got.Answered, Fate: got.Fate, Lookup: got.Lookup}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	dst := netip.MustParseAddrPort("127.0.0.1:53")
	for _, a := range []Ask{
		{Proto: packet.UDP, Dst: dst, Lookup: "a..b"}, {Proto: packet.TCP, Dst: dst, Lookup: "a"}, {Proto: packet.UDP, Dst: dst, Lookup: "a", Size: 100},
	} {
		if _, err := Run(t.Context(), netns, a); err == nil || !strings.HasPrefix(err.Error(), "probe: lookup: ") {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
