package lab

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// TestParseIP reads headers as a packet socket gives them.
func TestParseIP(t *testing.T) {
	udp := "45000024 00010000 4011 0000 0af40002 0af40102 c350 1f90 0010 0000 504c4d42 00000007"
	vxlan := "45000056 00010000 4011 0000 c0a80a0b c0a80a0c c000 2118 0042 0000 0800000000000100 020000000002 020000000001 0800 " + udp
	for _, c := range []struct {
		name, in, want string
		id             uint32
		encap, bad     bool
	}{
		{name: "udp with a number", in: udp, want: "udp 10.244.0.2:50000 > 10.244.1.2:8080", id: 7},
		{name: "inside vxlan", in: vxlan, want: "udp 10.244.0.2:50000 > 10.244.1.2:8080", id: 7, encap: true},
		{name: "tcp syn", in: "4500003c 00004000 4006 0000 0a000001 0a000002 9c40 0050 00004000 00000000 a002 0000 0000 0000", want: "tcp 10.0.0.1:40000 > 10.0.0.2:80"},
		{name: "not first fragment", in: "4500003c 00000001 4011 0000 0a000001 0a000002 9c400050 00280000", bad: true},
		{name: "too short", in: "4500003c 0000", bad: true},
		{name: "empty", in: "", bad: true},
		{name: "ipv6 echo", in: "60000000 0010 3a40 fd000000000000000000000000000001 fd000000000000000000000000000002 8000 0000 0001 0001 504c4d42 00000009", want: "ipv6-icmp fd00::1 > fd00::2", id: 9},
		{name: "ipv6 echo, the first fragment", in: "60000000 0018 2c40 fd000000000000000000000000000001 fd000000000000000000000000000002 3a00 0001 00000001 8000 0000 0001 0001 504c4d42 00000009", want: "ipv6-icmp fd00::1 > fd00::2", id: 9},
		{name: "ipv6, not the first fragment", in: "60000000 0018 2c40 fd000000000000000000000000000001 fd000000000000000000000000000002 3a00 0560 00000001 8000 0000 0001 0001 504c4d42 00000009", bad: true},
		{name: "ipv6, a fragment cut short", in: "60000000 0018 2c40 fd000000000000000000000000000001 fd000000000000000000000000000002 3a00", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(c.in, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			s, ok := parseIP(b)
			if ok == c.bad {
				t.Fatalf("parseIP: %v, want %v", ok, !c.bad)
			}
			if c.bad {
				return
			}
			if got := s.Packet.String(); got != c.want || s.id != c.id || s.Encap != c.encap {
				t.Errorf("got %s, id %d, encap %v; want %s, id %d, encap %v", got, s.id, s.Encap, c.want, c.id, c.encap)
			}
		})
	}
	syn, _ := parseIP([]byte("\x45\x00\x00\x3c\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x9c\x40\x00\x50\x00\x00\x40\x00\x00\x00\x00\x00\xa0\x02\x00\x00\x00\x00\x00\x00"))
	if syn.Packet.Flags != packet.SYN || syn.seq != 16384 || !syn.Packet.DF {
		t.Errorf("flags %x, sequence number %d, DF %v", syn.Packet.Flags, syn.seq, syn.Packet.DF)
	}
}

// TestProxyChainNames compares chain names with two that every kubeadm cluster shows:
// of the Services kubernetes and kube-dns.
func TestProxyChainNames(t *testing.T) {
	for name, want := range map[string]string{
		"default/kubernetes:httpstcp": "NPX46M4PTMTKRN6Y",
		"kube-system/kube-dns:dnsudp": "TCOU7JCQXEZGVUNU",
	} {
		if got := hash(name); got != want {
			t.Errorf("hash(%q) = %s, want %s", name, got, want)
		}
	}
}
