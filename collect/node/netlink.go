//go:build linux

package node

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/kernel/netlink"
)

// native is the byte order of netlink.
var native = netlink.Native

// The readers of an attribute's value; one that is too short reads as zero.

func u8(b []byte) uint8 {
	if len(b) < 1 {
		return 0
	}
	return b[0]
}

func u16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return native.Uint16(b)
}

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return native.Uint32(b)
}

func be16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func str(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefix returns an attribute's address with its length, or all of a family's addresses where there is none.
func prefix(b []byte, bits uint8, is6 bool) netip.Prefix {
	a := addr(b)
	switch {
	case a.IsValid():
	case is6:
		a = netip.IPv6Unspecified()
	default:
		a = netip.IPv4Unspecified()
	}
	return netip.PrefixFrom(a, int(bits))
}
