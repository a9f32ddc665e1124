//go:build linux

package active

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

// What of a DNS message is needed to ask for one name and to tell the answer (RFC 1035, 4.1).
const (
	dnsHeader   = 12
	typeA       = 1
	typeAAAA    = 28
	classIN     = 1
	maxMessage  = 4096
	maxAnswers  = 16 // addresses that are told of
	maxName     = 253
	maxLabel    = 63
	flagReply   = 0x8000
	flagRecurse = 0x0100
)

var errDNSName = errors.New("lookup: want a name of labels with dots between")

// dnsQuestion makes the query for the addresses of a name, of one family, with an identifier of its own.
func dnsQuestion(name string, is6 bool) (message []byte, err error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return nil, errDNSName
	}
	b := make([]byte, dnsHeader, dnsHeader+len(name)+6)
	binary.BigEndian.PutUint16(b, uint16(rand.Uint32()))
	binary.BigEndian.PutUint16(b[2:], flagRecurse)
	binary.BigEndian.PutUint16(b[4:], 1) // questions
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return nil, errDNSName
		}
		b = append(append(b, byte(len(label))), label...)
	}
	kind := uint16(typeA)
	if is6 {
		kind = typeAAAA
	}
	b = binary.BigEndian.AppendUint16(append(b, 0), kind)
	return binary.BigEndian.AppendUint16(b, classIN), nil
}

// rcodes are the answers that name servers give, by number.
var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}

// dnsAnswer reads the reply to a query; false means that it is none. Where a record cannot be read, none after it is.
func dnsAnswer(query, b []byte) (l snapshot.Lookup, ok bool) {
	if len(b) < dnsHeader || b[0] != query[0] || b[1] != query[1] || binary.BigEndian.Uint16(b[2:])&flagReply == 0 {
		return l, false
	}
	code := int(b[3] & 15)
	l.Rcode = fmt.Sprintf("RCODE%d", code)
	if code < len(rcodes) {
		l.Rcode = rcodes[code]
	}
	at := dnsHeader
	for range binary.BigEndian.Uint16(b[4:]) {
		if at = skipName(b, at) + 4; at > len(b) {
			return l, true
		}
	}
	for range binary.BigEndian.Uint16(b[6:]) {
		at = skipName(b, at)
		if at+10 > len(b) {
			return l, true
		}
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if at+size > len(b) {
			return l, true
		}
		if a, isAddr := netip.AddrFromSlice(b[at : at+size]); isAddr && (kind == typeA && size == 4 || kind == typeAAAA && size == 16) && len(l.Addrs) < maxAnswers {
			l.Addrs = append(l.Addrs, a)
		}
		at += size
	}
	return l, true
}

// skipName returns where the name at a place ends; beyond the end of b where it cannot be read.
func skipName(b []byte, at int) int {
	for at < len(b) {
		n := int(b[at])
		switch {
		case n == 0:
			return at + 1
		case n >= 0xc0: // a pointer, which ends the name
			return at + 2
		}
		at += 1 + n
	}
	return len(b) + 1
}
