//go:build linux

package netfilter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
)

// restored is what a kernel is asked to hold; what it saves of it is then read.
const restored = `create h4 hash:ip
add h4 10.0.0.1
add h4 10.0.1.0/30
create h6 hash:ip family inet6
add h6 fd00::1
create mask hash:ip netmask 24
add mask 10.0.5.0
create n4 hash:net
add n4 10.0.0.0/8
add n4 10.1.0.0/16 nomatch
add n4 10.1.1.0/24
add n4 10.1.1.7 nomatch
create n6 hash:net family inet6
add n6 fd00::/16
add n6 fd00:1::/32 nomatch
create half hash:net
add half 0.0.0.0/1
add half 128.0.0.0/1
create hp hash:ip,port
add hp 10.0.0.1,tcp:80
add hp 10.0.0.1,udp:53
add hp 10.0.0.2,tcp:8000-8003
add hp 10.0.0.3,sctp:3868
create np hash:net,port
add np 10.0.0.0/24,tcp:80
add np 10.0.0.0/16,tcp:443
add np 10.0.0.128/25,tcp:443 nomatch
create hpi hash:ip,port,ip
add hpi 10.0.0.1,tcp:80,10.9.0.1
create hpn hash:ip,port,net
add hpn 10.0.0.1,tcp:80,10.9.0.0/16
add hpn 10.0.0.1,tcp:80,10.9.9.0/24 nomatch
create nn hash:net,net
add nn 10.0.0.0/8,10.9.0.0/16
add nn 10.0.0.0/24,10.9.9.0/24 nomatch
create npn hash:net,port,net
add npn 10.0.0.0/8,tcp:80,10.9.0.0/16
create bp bitmap:port range 0-1000
add bp 80
add bp 440-450
create bi bitmap:ip range 10.0.0.0/24
add bi 10.0.0.5
add bi 10.0.0.16/30
create ls list:set
add ls h4
add ls n4
`

// TestSetsAsTheKernel asks "ipset test" of the kernel, and the model of a packet: the same.
// The entry's first address is the packet's source, the second its destination.
func TestSetsAsTheKernel(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("sets")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	for set := range strings.SplitSeq(strings.TrimPrefix(restored, "create "), "\ncreate ") {
		err := ns.Run("create "+set+"\n", "ipset", "restore")
		if err != nil && !strings.Contains(err.Error(), "set type not supported") {
			t.Fatal(err)
		}
	}
	saved, err := ns.Output("", "ipset", "save")
	if err != nil {
		t.Fatal(err)
	}
	sets, problems := ParseIPSet(strings.NewReader(saved), "ipset")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	found := map[bool]int{}
	for _, row := range []struct{ set, spec, entries string }{
		{"h4", "src", "10.0.0.1 10.0.0.2 10.0.1.0 10.0.1.3 10.0.1.4 10.0.0.0"},
		{"h6", "src", "fd00::1 fd00::2 fd00::"},
		{"mask", "src", "10.0.5.0 10.0.5.77 10.0.6.0"},
		{"n4", "src", "10.2.0.1 10.1.0.1 10.1.1.1 10.1.1.7 11.0.0.1 10.255.255.255"},
		{"n6", "src", "fd00:2::1 fd00:1::1 fe00::1 fd00::"},
		{"half", "src", "1.2.3.4 200.2.3.4"},
		{"hp", "src,dst", "10.0.0.1,tcp:80 10.0.0.1,tcp:81 10.0.0.1,udp:80 10.0.0.1,udp:53 10.0.0.2,tcp:8000 10.0.0.2,tcp:8003 10.0.0.2,tcp:8004 10.0.0.3,sctp:3868 10.0.0.3,tcp:3868"},
		{"np", "src,dst", "10.0.0.1,tcp:80 10.0.1.1,tcp:80 10.0.1.1,tcp:443 10.0.0.1,tcp:443 10.0.0.200,tcp:443 10.0.0.200,tcp:80 10.0.0.1,udp:80"},
		{"hpi", "src,dst,dst", "10.0.0.1,tcp:80,10.9.0.1 10.0.0.1,tcp:80,10.9.0.2 10.0.0.2,tcp:80,10.9.0.1 10.0.0.1,tcp:81,10.9.0.1"},
		{"hpn", "src,dst,dst", "10.0.0.1,tcp:80,10.9.0.1 10.0.0.1,tcp:80,10.9.9.1 10.0.0.1,tcp:80,10.8.0.1 10.0.0.2,tcp:80,10.9.0.1"},
		{"nn", "src,dst", "10.0.0.1,10.9.0.1 10.0.0.1,10.9.9.1 10.0.1.1,10.9.9.1 10.0.1.1,10.8.0.1 11.0.0.1,10.9.0.1"},
		{"npn", "src,dst,dst", "10.0.0.1,tcp:80,10.9.0.1 10.0.0.1,tcp:81,10.9.0.1 10.0.0.1,udp:80,10.9.0.1 10.0.0.1,tcp:80,10.8.0.1"},
		{"bp", "dst", "80 81 440 450 451 0"},
		{"bi", "src", "10.0.0.5 10.0.0.6 10.0.0.16 10.0.0.19 10.0.0.20"},
	} {
		for entry := range strings.FieldsSeq(row.entries) {
			t.Run(row.set+"/"+entry, func(t *testing.T) {
				if sets[row.set] == nil {
					t.Skip("this kernel lacks the type")
				}
				in := Input{Hook: PreRouting, Packet: packetOf(entry), In: "eth0"}
				want := "yes"
				if err := ns.Run("", "ipset", "-q", "test", row.set, entry); err != nil {
					want = "no"
				}
				found[want == "yes"]++
				if got := answer(t, in.Packet.Is6(), "-m set --match-set "+row.set+" "+row.spec, sets, in); got != want {
					t.Errorf("%s, the kernel says %s", got, want)
				}
				if got := answer(t, in.Packet.Is6(), "-m set ! --match-set "+row.set+" "+row.spec, sets, in); got == want {
					t.Errorf("negated: %s too", got)
				}
				if in, _, _ := strings.Cut(row.set, "4"); row.set == in+"4" && want == "yes" { // of the list
					if got := answer(t, false, "-m set --match-set ls src", sets, Input{Hook: PreRouting, Packet: packetOf(entry)}); got != want {
						t.Errorf("in the list: %s", got)
					}
				}
			})
		}
	}
	if found[true] < 20 || found[false] < 20 {
		t.Errorf("%d entries are in the sets, %d are not", found[true], found[false])
	}
}

// packetOf makes the packet that an entry is about: "10.0.0.1,tcp:80,10.9.0.1".
func packetOf(entry string) packet.Packet {
	p := tcp("10.7.0.1:40000", "10.7.0.2:1")
	if strings.Contains(entry, "::") {
		p = tcp("[fd00:7::1]:40000", "[fd00:7::2]:1")
	}
	addrs := 0
	for part := range strings.SplitSeq(entry, ",") {
		a, err := netip.ParseAddr(part)
		proto, port, named := strings.Cut(part, ":")
		switch {
		case err == nil && addrs == 0:
			p.Src, addrs = netip.AddrPortFrom(a, p.Src.Port()), 1
		case err == nil:
			p.Dst = netip.AddrPortFrom(a, p.Dst.Port())
		default:
			if !named {
				proto, port = "tcp", part
			}
			q := &ruleParser{}
			p.Proto, _ = q.protocol(proto)
			p.Dst = netip.AddrPortFrom(p.Dst.Addr(), uint16(q.number(port, 16)))
		}
	}
	return p
}
