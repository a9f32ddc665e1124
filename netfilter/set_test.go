package netfilter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

// savedSets is what "ipset save" printed.
const savedSets = `create a hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x0f31b46a
add a 10.1.0.1
create net hash:net family inet hashsize 1024 maxelem 65536
add net 10.0.0.0/8
add net 10.2.0.0/16 nomatch
add net 10.2.0.0/30
create iface hash:net,iface family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xfce562ab
add iface 10.1.0.0/16,eth0
add iface 10.2.0.0/16,physdev:veth2
add iface 0.0.0.0/0,wi wildcard
create ports bitmap:port range 1-1000
add ports 80
add ports 443-450
create macs bitmap:ip,mac range 10.1.0.0-10.1.0.255
add macs 10.1.0.1,02:00:00:00:00:01
add macs 10.1.0.2
create six hash:ip family inet6 hashsize 1024 maxelem 65536 netmask 64 bucketsize 12 initval 0xf0e49270
add six fd00::
create ipp hash:ip,port family inet hashsize 1024 maxelem 65536 timeout 600 counters
add ipp 10.2.0.2,tcp:80 timeout 551 packets 0 bytes 0
add ipp 10.2.0.2,udp:81-90
add ipp 10.2.0.2,icmp:echo-request
create three hash:ip,port,ip family inet
add three 10.1.0.1,tcp:80,10.2.0.2
create tnet hash:ip,port,net family inet comment
add tnet 10.1.0.1,tcp:80,10.2.0.0/16 comment "a \"b\" nomatch"
add tnet 10.1.0.1,tcp:80,10.2.0.0/24 nomatch
create netport hash:net,port family inet
add netport 10.2.0.0/16,tcp:80-81
create mac hash:mac hashsize 1024 maxelem 65536
add mac 02:00:00:00:00:01
create mark hash:ip,mark family inet markmask 0x0000ffff
add mark 10.1.0.1,0x00004001
create masked hash:ip family inet hashsize 1024 maxelem 65536 bitmask 255.0.255.0
add masked 10.0.0.0
create range hash:net family inet
add range 10.0.255.255-10.1.0.1
create list list:set size 8
add list ports
add list a
create lack list:set size 8
add lack ports
add lack gone
create odd hash:planet family inet
`

func TestSet(t *testing.T) {
	sets, problems := ParseIPSet(strings.NewReader(savedSets), "ipset")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, row := range []matchRow{
		{conditions: "--match-set a src", yes: "tcp udp", no: "unknown-src"},
		{conditions: "! --match-set a src", no: "tcp"},
		{conditions: "--match-set a dst", no: "tcp"},
		{conditions: "--match-set a src,dst", yes: "tcp"},
		{conditions: "--match-set net src", yes: "tcp"},
		{conditions: "--match-set net dst", yes: "tcp", no: "far"},
		{conditions: "--match-set net dst --return-nomatch", no: "tcp", yes: "far"},
		{conditions: "--match-set iface src,src", yes: "tcp", no: "forward-eth9"},
		{conditions: "--match-set iface src,dst", no: "tcp"},
		{conditions: "--match-set iface dst,dst", yes: "bridged", no: "tcp"},
		{conditions: "--match-set iface src", no: "tcp"},
		{conditions: "--match-set iface dst,src", yes: "wild"},
		{conditions: "--match-set ports dst", yes: "tcp udp", no: "echo wrong sctp"},
		{conditions: "--match-set ports src", no: "tcp"},
		{conditions: "--match-set macs src,src", yes: "tcp", maybe: "no-mac"},
		{conditions: "--match-set six src", yes: "tcp6", no: "tcp"},
		{conditions: "--match-set ipp dst,dst", yes: "tcp echo wrong-udp", no: "udp wrong needfrag"},
		{conditions: "--match-set ipp dst", no: "tcp"},
		{conditions: "--match-set three src,dst,dst", yes: "tcp", no: "udp wrong"},
		{conditions: "--match-set tnet src,dst,dst", no: "tcp", yes: "far"},
		{conditions: "--match-set netport dst,dst", yes: "tcp wrong", no: "udp"},
		{conditions: "--match-set mac src", yes: "tcp", maybe: "no-mac"},
		{conditions: "--match-set mark src,src", yes: "tcp"},
		{conditions: "--match-set masked src", yes: "tcp"},
		{conditions: "--match-set range src", yes: "tcp", no: "unknown-src"},
		{conditions: "--match-set list dst", yes: "tcp"},
		{conditions: "--match-set list src", yes: "tcp", no: "unknown-src"},
		{conditions: "--match-set lack dst", yes: "tcp", maybe: "wrong"},
		{conditions: "--match-set gone dst", maybe: "tcp"},
		{conditions: "--match-set odd dst", maybe: "tcp"},
		{conditions: "--match-set a src --packets-gt 5", maybe: "tcp", no: "unknown-src"},
	} {
		row.ask(t, func(t *testing.T, name string) string {
			in := setScene(name)
			return answer(t, in.Packet.Is6(), "-m set "+row.conditions, sets, in)
		})
	}
}

func setScene(name string) Input {
	in := scene(name)
	switch name {
	case "unknown-src":
		in.Packet.Src = netip.MustParseAddrPort("11.9.9.9:40000")
	case "far":
		in.Packet.Dst = netip.MustParseAddrPort("10.2.7.7:80")
	case "wild":
		in.In = "wifi0"
	case "no-mac":
		in.SrcMAC = packet.MAC{}
	case "forward-eth9":
		in.In = "eth9"
	case "wrong-udp":
		in.Packet.Proto, in.Packet.Dst = packet.UDP, netip.MustParseAddrPort("10.2.0.2:90")
	}
	return in
}

func TestParseIPSetProblems(t *testing.T) {
	const head = "create a hash:ip family inet\nadd a 10.0.0.1\n"
	for _, row := range []struct{ name, in, problem string }{
		{"fine", head, ""},
		{"comments", "# x\n\n" + head, ""},
		{"garbage", head + "hello world wide\n", `ipset: line 3: not a command of ipset: "hello world wide"`},
		{"a set that is not there", "add b 10.0.0.1\n", "ipset: line 1: set b was not created"},
		{"not an address", head + "add a banana\n", `ipset: line 3: not an address: "banana"`},
		{"the other family", head + "add a fd00::1\n", `ipset: line 3: not an address: "fd00::1"`},
		{"cut", head + "add a 10.0.0.", "ipset: line 3: the text ends within a line"},
		{"a part is missing", "create p hash:ip,port\nadd p 10.0.0.1\n", "ipset: line 2: an entry of set p lacks a part"},
		{"not a port", "create p hash:ip,port\nadd p 10.0.0.1,tcp:x\n", `ipset: line 2: not a number: "x"`},
		{"not a MAC address", "create p hash:mac\nadd p 1\n", `ipset: line 2: MAC address "1": want aa:bb:cc:dd:ee:ff`},
		{"a range backwards", head + "add a 10.0.0.9-10.0.0.1\n", `ipset: line 3: not a range of addresses: "10.0.0.9-10.0.0.1"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, problems := ParseIPSet(strings.NewReader(row.in), "ipset")
			var got []string
			for _, p := range problems {
				got = append(got, p.Error())
			}
			if diff := cmp.Diff(row.problem, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	sets, _ := ParseIPSet(strings.NewReader(head+"add a banana\n"), "ipset")
	if got := answer(t, false, "-m set --match-set a dst", sets, scene("tcp")); got != "maybe" {
		t.Errorf("a set that was not read to its end: %s", got)
	}
	if sets["a"].Members != 1 {
		t.Errorf("%d members", sets["a"].Members)
	}
}

func TestRangePrefixes(t *testing.T) {
	for _, row := range []struct{ lo, hi, want string }{
		{"10.0.0.1", "10.0.0.1", "10.0.0.1/32"},
		{"10.0.0.0", "10.0.0.255", "10.0.0.0/24"},
		{"10.0.0.1", "10.0.0.4", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/32"},
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"255.255.255.254", "255.255.255.255", "255.255.255.254/31"},
		{"fd00::", "fd00::1:ffff", "fd00::/111"},
	} {
		var got []string
		for _, p := range rangePrefixes(netip.MustParseAddr(row.lo), netip.MustParseAddr(row.hi)) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s-%s: %v", row.lo, row.hi, got)
		}
	}
}
