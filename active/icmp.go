//go:build linux

package active

import (
	"encoding/binary"
	"math/rand/v2"
)

// The types of echo messages (RFC 792, RFC 4443).
const (
	echo4Request, echo4Reply = 8, 0
	echo6Request, echo6Reply = 128, 129
)

// echoRequest makes an echo request with an identifier of its own. The kernel fills in the checksum of ICMPv6.
func echoRequest(is6 bool, seq int, data []byte) (message []byte, id uint16) {
	id = uint16(rand.Uint32())
	b := make([]byte, 8, 8+len(data))
	b[0] = echo4Request
	if is6 {
		b[0] = echo6Request
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], uint16(seq))
	b = append(b, data...)
	if !is6 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b, id
}

// isReply reports whether what a raw socket gives, with the IP header in IPv4, is the reply to a request.
func isReply(is6 bool, b []byte, id uint16, seq int) bool {
	want := byte(echo6Reply)
	if !is6 {
		want = echo4Reply
		if len(b) == 0 || len(b) < int(b[0]&15)*4 {
			return false
		}
		b = b[int(b[0]&15)*4:]
	}
	return len(b) >= 8 && b[0] == want && binary.BigEndian.Uint16(b[4:]) == id && binary.BigEndian.Uint16(b[6:]) == uint16(seq)
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
