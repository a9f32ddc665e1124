//go:build linux

package dns

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
	"golang.org/x/net/dns/dnsmessage"
)

// port is that of name servers.
const port = 53

// A message is what a packet says of DNS: the first message in it.
type message struct {
	src, dst  netip.AddrPort
	proto     packet.Proto
	id        uint16
	response  bool
	truncated bool
	rcode     uint8
	asks      bool   // it has a question
	name      string // lower-case, without the last dot
	typ       uint16
}

// parse reads a packet: what begins with its headers, from that of the network on, and what is in it, which may be cut off after the
// question. Options of IPv4 and extension headers of IPv6 it does not know, as the program does not.
func parse(head, body []byte) (m message, ok bool) {
	if len(head) < 44 {
		return message{}, false
	}
	var src, dst netip.Addr
	ports := head[20:]
	if head[0]>>4 == 6 {
		src, dst = netip.AddrFrom16([16]byte(head[8:])), netip.AddrFrom16([16]byte(head[24:]))
		m.proto, ports = packet.Proto(head[6]), head[40:]
	} else {
		src, dst = netip.AddrFrom4([4]byte(head[12:])), netip.AddrFrom4([4]byte(head[16:]))
		m.proto = packet.Proto(head[9])
	}
	m.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(ports))
	m.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(ports[2:]))
	if m.proto == packet.TCP {
		body = body[min(2, len(body)):] // the message's length
	}
	return m, m.read(body)
}

// read reads a message's header and question.
func (m *message) read(b []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.OpCode != 0 {
		return false
	}
	m.id, m.response, m.truncated, m.rcode = h.ID, h.Response, h.Truncated, uint8(h.RCode)
	q, err := p.Question()
	if m.asks = err == nil; m.asks {
		m.name, m.typ = text(q.Name), uint16(q.Type)
	}
	return m.asks || err == dnsmessage.ErrSectionDone && m.response
}

// text returns a name as it is shown and compared.
func text(n dnsmessage.Name) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r <= ' ' || r > '~':
			return '?'
		}
		return r
	}, strings.TrimSuffix(string(n.Data[:n.Length]), "."))
}

// types are those by which lookups are told apart (IANA, DNS parameters).
var types = map[uint16]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR",
	43: "DS", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 255: "ANY",
}

const other = "other"

func typeName(t uint16) string {
	if name, ok := types[t]; ok {
		return name
	}
	return other
}

// rcodes are what servers answer, by number (RFC 1035, 4.1.1).
var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}

const (
	noError  = 0
	nxDomain = 3 // the usual answer on the way through a search list
)

func rcodeName(n uint8) string {
	if int(n) < len(rcodes) {
		return rcodes[n]
	}
	return "RCODE" + strconv.Itoa(int(n))
}
