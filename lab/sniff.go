//go:build linux

package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/sys/unix"
)

// A Sighting is a probe's packet as it passed a device. A packet socket in every
// namespace sees it; nothing that a snapshot holds changes by that.
type Sighting struct {
	NS, Dev string // the namespace, as "ip netns" names it: "node-a", "pod-shop-web-0"
	Out     bool   // the device sends it; else it was received
	Encap   bool   // it was inside a VXLAN packet
	Error   bool   // it is an ICMP error about the packet
	Packet  packet.Packet
	at      int64  // nanoseconds; the kernel's time of the frame
	seq     uint32 // TCP: sequence number; of an ICMP error, the quoted one
	ack     uint32
	id      uint32 // UDP and ICMP: the probe's number in the payload, 0 where there is none
	greets  bool   // UDP: the payload is a server's greeting
}

// String returns, for example, "node-a/cni0 out tcp 10.244.0.2:40000 > 10.96.0.20:80".
func (s Sighting) String() string {
	if s.NS == "" {
		return "nowhere"
	}
	dir := "in"
	if s.Out {
		dir = "out"
	}
	return fmt.Sprintf("%s/%s %s %s (%d bytes, error %v, encap %v)", s.NS, s.Dev, dir, s.Packet, s.Packet.Size, s.Error, s.Encap)
}

// A sniffer holds one packet socket in each namespace.
type sniffer struct{ taps []*tap }

type tap struct {
	ns   *sandbox.NS
	fd   int
	devs map[int]string
}

// Watch makes all later probes say where their packets were seen.
func (l *Lab) Watch() error {
	if l.sniff != nil {
		return nil
	}
	s := &sniffer{}
	for _, ns := range l.namespaces() {
		t := &tap{ns: ns, fd: -1, devs: map[int]string{}}
		if err := ns.Do(t.open); err != nil {
			s.close()
			return fmt.Errorf("%s: packet socket: %w", ns.Name, err)
		}
		s.taps = append(s.taps, t)
	}
	l.sniff = s
	return nil
}

func (s *sniffer) close() {
	for _, t := range s.taps {
		if t.fd >= 0 {
			unix.Close(t.fd)
		}
	}
}

const ethPAllBE = 0x0300 // ETH_P_ALL in network byte order

func (t *tap) open() (err error) {
	if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, ethPAllBE); err != nil {
		return err
	}
	unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	if err := unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	return t.names()
}

func (t *tap) names() error {
	ifs, err := net.Interfaces()
	for _, i := range ifs {
		t.devs[i.Index] = i.Name
	}
	return err
}

// drain returns everything seen since the last call, in the order of time.
func (s *sniffer) drain() []Sighting {
	var out []Sighting
	for _, t := range s.taps {
		out = t.drain(out)
	}
	slices.SortStableFunc(out, func(a, b Sighting) int { return int(a.at - b.at) })
	return out
}

func (t *tap) drain(out []Sighting) []Sighting {
	var buf [512]byte
	var oob [64]byte
	for {
		n, oobn, _, from, err := unix.Recvmsg(t.fd, buf[:], oob[:], unix.MSG_TRUNC)
		if err == unix.ENOBUFS || err == unix.ENETDOWN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return out
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		s, ok := parseIP(buf[:min(n, len(buf))])
		if !ok {
			continue
		}
		s.NS, s.Out, s.at = t.ns.Name, ll.Pkttype == unix.PACKET_OUTGOING, stamp(oob[:oobn])
		if s.Dev = t.devs[ll.Ifindex]; s.Dev == "" {
			t.ns.Do(t.names)
			s.Dev = t.devs[ll.Ifindex]
		}
		out = append(out, s)
	}
}

func stamp(oob []byte) int64 {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 || len(msgs[0].Data) < 16 {
		return time.Now().UnixNano()
	}
	d := msgs[0].Data
	return int64(binary.NativeEndian.Uint64(d))*1e9 + int64(binary.NativeEndian.Uint64(d[8:]))
}

// fragment6 is the next header of IPv6 before the header of a fragment (RFC 8200, 4.5).
const fragment6 packet.Proto = 44

// parseIP reads the headers that a probe is known by, through one layer of VXLAN; of a fragmented packet, those of the first fragment.
func parseIP(b []byte) (Sighting, bool) {
	var s Sighting
	var proto packet.Proto
	var src, dst netip.Addr
	var body []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		ihl := int(b[0]&15) * 4
		if len(b) < ihl || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return s, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		proto, body = packet.Proto(b[9]), b[ihl:]
		s.Packet.Size, s.Packet.DF, s.Packet.TTL = int(binary.BigEndian.Uint16(b[2:])), b[6]&0x40 != 0, b[8]
	case len(b) >= 40 && b[0]>>4 == 6:
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		proto, body = packet.Proto(b[6]), b[40:]
		if proto == fragment6 {
			if len(body) < 8 || binary.BigEndian.Uint16(body[2:])>>3 != 0 {
				return s, false
			}
			proto, body = packet.Proto(body[0]), body[8:]
		}
		s.Packet.Size, s.Packet.DF, s.Packet.TTL = int(binary.BigEndian.Uint16(b[4:]))+40, true, b[7]
	default:
		return s, false
	}
	s.Packet.Proto = proto
	s.Packet.Src, s.Packet.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if len(body) < 8 {
		return s, false
	}
	if proto.HasPorts() {
		s.Packet.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(body))
		s.Packet.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:]))
	}
	return parseBody(s, body)
}

func parseBody(s Sighting, body []byte) (Sighting, bool) {
	switch s.Packet.Proto {
	case packet.TCP:
		s.seq = binary.BigEndian.Uint32(body[4:])
		if len(body) >= 14 {
			s.ack = binary.BigEndian.Uint32(body[8:])
			s.Packet.Flags = packet.TCPFlags(body[13])
		}
		return s, true
	case packet.UDP:
		if inner, ok := parseVXLAN(body); ok {
			inner.Encap = true
			return inner, true
		}
		s.id = probeID(body[8:])
		s.greets = len(body) > 16 && body[16] != 0
		return s, true
	case packet.ICMP, packet.ICMPv6:
		s.Packet.ICMPType, s.Packet.ICMPCode = body[0], body[1]
		if s.Packet.IsICMPError() {
			q, ok := parseIP(body[8:])
			q.Error = true
			s.Packet.Inner = &q.Packet
			q.Packet = s.Packet
			return q, ok
		}
		s.Packet.ICMPID = binary.BigEndian.Uint16(body[4:])
		s.id = probeID(body[8:])
		return s, true
	}
	return s, false
}

// parseVXLAN reads the packet in a UDP datagram that looks like VXLAN (RFC 7348).
func parseVXLAN(udp []byte) (Sighting, bool) {
	if len(udp) < 8+8+14+20 || udp[8] != 0x08 || udp[9] != 0 {
		return Sighting{}, false
	}
	if t := binary.BigEndian.Uint16(udp[28:]); t != 0x0800 && t != 0x86dd {
		return Sighting{}, false
	}
	return parseIP(udp[30:])
}

const probeMagic = 0x504c4d42 // "PLMB"

func probeID(b []byte) uint32 {
	if len(b) < 8 || binary.BigEndian.Uint32(b) != probeMagic {
		return 0
	}
	return binary.BigEndian.Uint32(b[4:])
}
