package snapshot

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/packet"
)

// recorded from iproute2 6.1; the header and the last three lines are from other versions and options.
const ssOutput = `Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
udp UNCONN 0      0         0.0.0.0:8472 0.0.0.0:* ino:43189 sk:1 cgroup:/ <->
udp UNCONN 7      0      0.0.0.0%u0:53   0.0.0.0:* users:(("python3",pid=15131,fd=6)) ino:25519 sk:2 cgroup:/ <->
tcp LISTEN 3      5       127.0.0.1:80   0.0.0.0:* users:(("kube proxy",pid=15131,fd=3),("x",pid=2,fd=3)) ino:25516 sk:3 cgroup:/ <->
tcp LISTEN 0      5            [::]:82      [::]:* users:(("python3",pid=15131,fd=5)) ino:25518 sk:4 cgroup:/ v6only:1 <->
tcp LISTEN 0      5               *:81         *:* users:(("python3",pid=15131,fd=4)) ino:25517 sk:5 cgroup:/ v6only:0 <->
tcp ESTAB  0      0        10.0.0.1:80 10.0.0.2:4444
raw UNCONN 0      0         0.0.0.0:icmp 0.0.0.0:*
udp UNCONN 0      0  [fe80::1]%eth0:546 [::]:*

udp UNCONN 0      0  [fe80::1%eth0]:546 [::]:*
tcp LISTEN 0      5            :::83      :::*
tcp LISTEN 0      5 [::ffff:10.0.0.1]:84 *:*
`

func TestParseSockets(t *testing.T) {
	got, err := ParseSockets(strings.NewReader(ssOutput))
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort
	want := []Socket{
		{Proto: packet.UDP, Local: at("0.0.0.0:8472"), State: "UNCONN", Line: 2},
		{Proto: packet.UDP, Local: at("0.0.0.0:53"), Dev: "u0", State: "UNCONN", Process: "python3", Line: 3},
		{Proto: packet.TCP, Local: at("127.0.0.1:80"), State: "LISTEN", Queue: 3, Backlog: 5, Process: "kube proxy", Line: 4},
		{Proto: packet.TCP, Local: at("[::]:82"), State: "LISTEN", Backlog: 5, V6Only: true, Process: "python3", Line: 5},
		{Proto: packet.TCP, Local: at("[::]:81"), State: "LISTEN", Backlog: 5, Process: "python3", Line: 6},
		{Proto: packet.UDP, Local: at("[fe80::1]:546"), Dev: "eth0", State: "UNCONN", Line: 9},
		{Proto: packet.UDP, Local: at("[fe80::1]:546"), Dev: "eth0", State: "UNCONN", Line: 11},
		{Proto: packet.TCP, Local: at("[::]:83"), State: "LISTEN", Backlog: 5, Line: 12},
		{Proto: packet.TCP, Local: at("10.0.0.1:84"), State: "LISTEN", Backlog: 5, Line: 13},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestParseSocketsBad(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"too few", "tcp LISTEN 0", `sockets: line 1: want Netid State Recv-Q Send-Q Local, have "tcp LISTEN 0"`},
		{"queue", "tcp LISTEN x 0 1.2.3.4:5", `sockets: line 1: Recv-Q "x": want a number`},
		{"no port", "tcp LISTEN 0 0 1.2.3.4", `sockets: line 1: local address "1.2.3.4": want ADDRESS:PORT`},
		{"port's name", "tcp LISTEN 0 0 1.2.3.4:http", `sockets: line 1: local address "1.2.3.4:http": want ADDRESS:PORT`},
		{"no address", "tcp LISTEN 0 0 localhost:80", `sockets: line 1: local address "localhost:80": want ADDRESS:PORT`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSockets(strings.NewReader(tt.in + "\ntcp LISTEN 0 0 1.2.3.4:5\n"))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if len(got) != 1 {
				t.Errorf("the line after the bad one: %+v", got)
			}
		})
	}
}

// TestSocketLines reads lines of other versions, options and oddities.
func TestSocketLines(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, tt := range []struct {
		name, in string
		want     Socket
	}{
		{"sctp", "sctp LISTEN 0 128 10.0.0.1:132 *:*", Socket{Proto: packet.SCTP, Local: at("10.0.0.1:132"), State: "LISTEN", Backlog: 128}},
		{"bound to a device", "tcp LISTEN 0 5 10.0.0.1%eth0.5:80 0.0.0.0:*", Socket{Proto: packet.TCP, Local: at("10.0.0.1:80"), Dev: "eth0.5", State: "LISTEN", Backlog: 5}},
		{"any address of a device", "tcp LISTEN 0 5 *%eth0:80 *:*", Socket{Proto: packet.TCP, Local: at("[::]:80"), Dev: "eth0", State: "LISTEN", Backlog: 5}},
		{"an IPv6 address with its scope", "tcp LISTEN 0 5 [fe80::1%cni0]:80 [::]:*", Socket{Proto: packet.TCP, Local: at("[fe80::1]:80"), Dev: "cni0", State: "LISTEN", Backlog: 5}},
		{"an IPv6 address without brackets", "tcp LISTEN 0 5 fd00::1:80 [::]:*", Socket{Proto: packet.TCP, Local: at("[fd00::1]:80"), State: "LISTEN", Backlog: 5}},
		{"an IPv6 address, v6only", "tcp LISTEN 0 5 [fd00::1]:80 [::]:* v6only:1", Socket{Proto: packet.TCP, Local: at("[fd00::1]:80"), State: "LISTEN", Backlog: 5, V6Only: true}},
		{"all of IPv6, which says that it takes IPv4", "tcp LISTEN 0 5 [::]:80 [::]:* v6only:0", Socket{Proto: packet.TCP, Local: at("[::]:80"), State: "LISTEN", Backlog: 5}},
		{"an IPv4 address on an IPv6 socket", "udp UNCONN 0 0 [::ffff:10.0.0.1]:53 *:* v6only:0", Socket{Proto: packet.UDP, Local: at("10.0.0.1:53"), State: "UNCONN"}},
		{"any port", "udp UNCONN 0 0 0.0.0.0:* 0.0.0.0:*", Socket{Proto: packet.UDP, Local: at("0.0.0.0:0"), State: "UNCONN"}},
		{"bytes that wait are no queue", "udp UNCONN 212992 7 0.0.0.0:53 0.0.0.0:*", Socket{Proto: packet.UDP, Local: at("0.0.0.0:53"), State: "UNCONN"}},
		{"a full backlog", "tcp LISTEN 129 128 0.0.0.0:80 0.0.0.0:*", Socket{Proto: packet.TCP, Local: at("0.0.0.0:80"), State: "LISTEN", Queue: 129, Backlog: 128}},
		{"a process with brackets and commas", `tcp LISTEN 0 5 0.0.0.0:80 0.0.0.0:* users:(("a),(b",pid=1,fd=3))`, Socket{Proto: packet.TCP, Local: at("0.0.0.0:80"), State: "LISTEN", Backlog: 5, Process: "a),(b"}},
		{"a process whose name is no text", "tcp LISTEN 0 5 0.0.0.0:80 0.0.0.0:* users:((\"\xff\",pid=1,fd=3))", Socket{Proto: packet.TCP, Local: at("0.0.0.0:80"), State: "LISTEN", Backlog: 5, Process: "?"}},
		{"nothing after the address", "tcp LISTEN 0 5 0.0.0.0:80", Socket{Proto: packet.TCP, Local: at("0.0.0.0:80"), State: "LISTEN", Backlog: 5}},
		{"tabs and DOS line ends", "tcp\tLISTEN\t0\t5\t0.0.0.0:80\t0.0.0.0:*\r", Socket{Proto: packet.TCP, Local: at("0.0.0.0:80"), State: "LISTEN", Backlog: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSockets(strings.NewReader("raw UNCONN 0 0 *:icmp *:*\n" + tt.in + "\n"))
			tt.want.Line = 2
			if d := cmp.Diff([]Socket{tt.want}, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}

func FuzzSockets(f *testing.F) {
	f.Add(ssOutput)
	f.Add("tcp LISTEN 0 0 [fe80::1%eth0]:546")
	f.Fuzz(func(t *testing.T, in string) {
		got, _ := ParseSockets(strings.NewReader(in))
		for _, s := range got {
			if !s.Local.Addr().IsValid() || s.Proto == 0 || s.Line == 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
