package fib

import (
	"hash/fnv"
	"strconv"
)

var typeNames = [...]string{"unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat"}

// String returns the name as ip prints it.
func (t RouteType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return strconv.Itoa(int(t))
}

// ParseRouteType reads a name that ip prints.
func ParseRouteType(s string) (RouteType, bool) {
	for i, n := range typeNames {
		if n == s {
			return RouteType(i), true
		}
	}
	return 0, false
}

var tableNames = map[uint32]string{0: "unspec", TableDefault: "default", TableMain: "main", TableLocal: "local"}

// TableName returns the name of a table as ip prints it on a machine whose
// rt_tables names no others.
func TableName(id uint32) string {
	if n, ok := tableNames[id]; ok {
		return n
	}
	return strconv.FormatUint(uint64(id), 10)
}

// parseTable reads the name or the number of a table. For a name that is not
// well known (rt_tables of the machine it comes from gives the number) it returns
// a number from 2^31 on that is the same for the same name, and the name.
func parseTable(s string) (uint32, string) {
	for id, n := range tableNames {
		if n == s {
			return id, ""
		}
	}
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return uint32(n), ""
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32() | 1<<31, s
}

func tableText(id uint32, name string) string {
	if name != "" {
		return name
	}
	return TableName(id)
}

// protocols is rt_protos of iproute2.
var protocols = map[uint8]string{
	0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird",
	13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}

// ProtocolName returns the name of a routing protocol number (RTPROT_*) as ip prints it.
func ProtocolName(n uint8) string {
	if s, ok := protocols[n]; ok {
		return s
	}
	return strconv.Itoa(int(n))
}

// The scopes of IPv4 (enum rt_scope_t); a larger one reaches less far.
const (
	scopeUniverse = 0
	scopeSite     = 200
	scopeLink     = 253
	scopeHost     = 254
	scopeNowhere  = 255
)

var scopes = map[string]uint8{"": scopeUniverse, "global": scopeUniverse, "site": scopeSite, "link": scopeLink, "host": scopeHost, "nowhere": scopeNowhere}

// ScopeName returns the name of a scope number (RT_SCOPE_*) as this package
// writes it: "" for global.
func ScopeName(n uint8) string {
	switch n {
	case scopeUniverse:
		return ""
	case scopeSite:
		return "site"
	case scopeLink:
		return "link"
	case scopeHost:
		return "host"
	case scopeNowhere:
		return "nowhere"
	}
	return strconv.Itoa(int(n))
}

// scopeNumber is the reverse of ScopeName; what is not a scope counts as global.
func scopeNumber(s string) uint8 {
	if n, ok := scopes[s]; ok {
		return n
	}
	n, err := strconv.ParseUint(s, 0, 8)
	if err != nil {
		return scopeUniverse
	}
	return uint8(n)
}
