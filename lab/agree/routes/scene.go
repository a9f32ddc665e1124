//go:build linux

// Package routes holds the agreement test of package fib: random rules, routes,
// nexthops and addresses are loaded into a real network namespace, and the
// kernel's own route lookup is compared with fib's on what ip prints of them.
package routes

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A scene is a random configuration, as commands of "ip -batch".
type scene struct {
	rnd   *rand.Rand
	lines []string
	// scoped scenes have addresses that are not global, and no IPv4 routes by a nexthop
	// object that is a device alone: the kernel keeps with the object the source that it
	// chose when the object was made, for the scope of the link, until an address changes.
	scoped bool
}

const devices = 4 // d0 to d3; the link of d3 is down in some scenes

func (s *scene) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// chance is true once in n.
func (s *scene) chance(n int) bool { return s.rnd.IntN(n) == 0 }

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// links are the commands that make the devices.
func (s *scene) links() []string {
	var out []string
	for i := range devices {
		out = append(out,
			fmt.Sprintf("link add d%d type veth peer name p%d", i, i),
			fmt.Sprintf("link set p%d up", i),
			fmt.Sprintf("link set d%d up", i))
	}
	return append(out, "link set d1 group 7", "link set d2 group 9")
}

// addrs4 gives the devices their IPv4 addresses.
func (s *scene) addrs4() {
	scopes := []string{"global"}
	if s.scoped = s.chance(2); s.scoped {
		scopes = []string{"global", "link", "host"}
	}
	for i := range devices {
		s.add("addr add 10.%d.0.1/24 dev d%d", i, i)
		if s.chance(2) {
			s.add("addr add 10.%d.0.%d/24 dev d%d", i, 2+s.rnd.IntN(3), i)
		}
		if s.chance(3) {
			s.add("addr add 10.%d.1.1/%d dev d%d scope %s", i, pick(s.rnd, 20, 24, 30, 32), i, pick(s.rnd, scopes...))
		}
		if s.chance(5) {
			s.add("addr add 10.%d.2.1 peer 10.%d.2.2/%d dev d%d", i, i, pick(s.rnd, 32, 24, 30), i)
		}
	}
	if s.chance(2) {
		s.add("addr add 10.%d.3.3/32 dev lo", s.rnd.IntN(4))
	}
}

// addr4 is an address from a range so small that prefixes and packets meet.
func (s *scene) addr4() string {
	switch s.rnd.IntN(40) {
	case 0:
		return fmt.Sprintf("127.0.0.%d", s.rnd.IntN(3))
	case 1:
		return pick(s.rnd, "224.0.0.5", "239.1.1.1", "255.255.255.255", "0.0.0.0", "0.1.2.3")
	case 2, 3, 4:
		return fmt.Sprintf("192.168.%d.%d", s.rnd.IntN(2), s.rnd.IntN(4))
	}
	return fmt.Sprintf("10.%d.%d.%d", s.rnd.IntN(4), s.rnd.IntN(4), pick(s.rnd, 0, 1, 2, 3, 4, 5, 255))
}

func (s *scene) prefix4() string {
	if s.chance(6) {
		return "default"
	}
	a := s.addr4()
	bits := pick(s.rnd, 0, 7, 8, 12, 14, 16, 20, 23, 24, 29, 30, 31, 32)
	return masked(a, bits)
}

func (s *scene) prefix6() string {
	if s.chance(6) {
		return "default"
	}
	return masked(s.addr6(), pick(s.rnd, 0, 8, 16, 31, 32, 47, 48, 60, 64, 127, 128))
}

func (s *scene) addrs6() {
	for i := range devices {
		s.add("addr add fe80::%d/64 dev d%d nodad", i+1, i)
		s.add("addr add fd00:%d::1/64 dev d%d nodad", i, i)
		if s.chance(2) {
			s.add("addr add fd00:%d::%d/64 dev d%d nodad%s", i, 2+s.rnd.IntN(3), i, pick(s.rnd, "", " preferred_lft 0"))
		}
		if s.chance(3) {
			s.add("addr add %s/%d dev d%d nodad%s", pick(s.rnd, "2001:db8::1", "2002:a00::1", "fec0::1", "fd01::7", "2001::5"), pick(s.rnd, 64, 128, 48), i, pick(s.rnd, "", "", " preferred_lft 0"))
		}
	}
	if s.chance(2) {
		s.add("addr add fd00:%d::9/128 dev lo nodad", s.rnd.IntN(4))
	}
}

func (s *scene) addr6() string {
	switch s.rnd.IntN(24) {
	case 0:
		return pick(s.rnd, "::1", "ff02::1", "ff0e::5", "fe80::1", "fe80::7", "fe80::2")
	case 1:
		return pick(s.rnd, "2001:db8::1", "2001:db8::9", "2002:a00::1", "2002:a00::9", "2001::9", "fec0::9", "::ffff:0:1")
	case 2, 3:
		return fmt.Sprintf("fd01::%d", s.rnd.IntN(9))
	}
	return fmt.Sprintf("fd00:%d:%d::%d", s.rnd.IntN(4), s.rnd.IntN(3), s.rnd.IntN(6))
}

func (s *scene) table() string {
	return pick(s.rnd, "main", "main", "main", "100", "101", "102", "default", "local")
}

// hop4 is a way out: a gateway, a device, or both.
func (s *scene) hop4() string {
	i := s.rnd.IntN(devices)
	switch s.rnd.IntN(8) {
	case 0:
		return fmt.Sprintf("via 172.16.0.%d dev d%d onlink", s.rnd.IntN(4), i)
	case 1:
		return fmt.Sprintf("via inet6 fe80::%d dev d%d", 10+s.rnd.IntN(4), i)
	case 2:
		return fmt.Sprintf("dev d%d", i)
	case 3:
		return fmt.Sprintf("via 10.%d.0.%d", i, 10+s.rnd.IntN(4))
	case 4:
		if s.chance(4) {
			return fmt.Sprintf("via 10.%d.0.1 dev d%d", i, i) // an address of the host's own
		}
	}
	return fmt.Sprintf("via 10.%d.0.%d dev d%d", i, 10+s.rnd.IntN(4), i)
}

func (s *scene) hop6() string {
	if s.chance(6) {
		return fmt.Sprintf("dev d%d", s.rnd.IntN(devices))
	}
	return s.gateway6()
}

func (s *scene) gateway6() string {
	i := s.rnd.IntN(devices)
	if s.chance(5) {
		return fmt.Sprintf("via fe80::%d dev d%d", 10+s.rnd.IntN(4), i)
	}
	return fmt.Sprintf("via fd00:%d::%d dev d%d", i, 10+s.rnd.IntN(4), i)
}

func (s *scene) nexthops() {
	for i := range 3 {
		s.add("nexthop add id %d via 10.%d.0.%d dev d%d", i+1, i, 20+s.rnd.IntN(3), i)
		s.add("nexthop add id %d via fd00:%d::%d dev d%d", i+11, i, 20+s.rnd.IntN(3), i)
	}
	s.add("nexthop add id 4 blackhole")
	s.add("nexthop add id 14 dev d%d", s.rnd.IntN(devices))
	s.add("nexthop add id 30 group 1,%d/2,%d", 1+s.rnd.IntN(5), 1+s.rnd.IntN(5))
	s.add("nexthop add id 31 group 1/2/3")
	s.add("nexthop add id 40 group 11,%d/12", 1+s.rnd.IntN(5))
	s.add("nexthop add id 41 group 13")
	if s.chance(3) {
		s.add("neigh add 10.0.0.%d dev d0 lladdr 02:00:00:00:00:07", 20+s.rnd.IntN(3))
	}
}

// way is where a route leads: one hop or several (many), a nexthop object, or nowhere.
func (s *scene) way(hop, many func() string, nhids ...int) (typ, way string) {
	switch s.rnd.IntN(12) {
	case 0, 1:
		return pick(s.rnd, "blackhole ", "unreachable ", "prohibit ", "throw ", "throw "), ""
	case 2, 3:
		for range 2 + s.rnd.IntN(3) {
			way += fmt.Sprintf(" nexthop %s weight %d", many(), 1+s.rnd.IntN(4))
		}
		return "", way
	case 4:
		return "", fmt.Sprintf(" nhid %d", pick(s.rnd, nhids...))
	case 5:
		if s.chance(3) {
			return pick(s.rnd, "local ", "broadcast ", "anycast ", "multicast "), " dev d" + fmt.Sprint(s.rnd.IntN(devices))
		}
	}
	return "", " " + hop()
}

func (s *scene) route4() {
	ids := []int{1, 2, 3, 4, 30, 31, 11, 40}
	if !s.scoped {
		ids = append(ids, 14)
	}
	typ, way := s.way(s.hop4, s.hop4, ids...)
	dst := s.prefix4()
	if typ == "local " {
		// The kernel judges a gateway when the route is added: it is not to become local afterwards.
		dst = masked(fmt.Sprintf("192.168.%d.%d", s.rnd.IntN(2), s.rnd.IntN(4)), pick(s.rnd, 16, 23, 24, 30, 32))
	}
	line := "route " + pick(s.rnd, "add", "add", "append", "prepend") + " " + typ + dst
	if s.chance(8) {
		line += " tos " + pick(s.rnd, "0x04", "0x08", "0x10", "0x1c")
	}
	table := s.table()
	if strings.Contains(way, ".0.1 ") {
		table = "main" // another is asked for the gateway itself, as it is when the route is added
	}
	line += s.metric() + " table " + table
	if s.chance(6) && typ == "" {
		line += fmt.Sprintf(" src 10.%d.0.1", s.rnd.IntN(4))
	}
	s.add("%s", line+way)
}

func (s *scene) metric() string {
	if s.chance(2) {
		return ""
	}
	return fmt.Sprintf(" metric %d", pick(s.rnd, 5, 10, 50))
}

// route6 adds an IPv6 route. The kernel joins routes by a gateway that have one destination
// and metric, lists the source and preference of the first alone, and leaves out what stands
// between them: such routes have metrics of their own.
func (s *scene) route6() {
	nh := 1000 + 10*len(s.lines)
	typ, way := s.way(s.hop6, s.gateway6, nh, nh+1, nh+2)
	if strings.Contains(way, "nhid") {
		s.nexthops6(nh)
	}
	if typ == "broadcast " {
		typ = ""
	}
	line := "-6 route " + pick(s.rnd, "add", "add", "append", "prepend") + " " + typ + s.prefix6()
	if s.chance(6) {
		line += " from " + masked(s.addr6(), pick(s.rnd, 16, 32, 48, 64, 128))
	}
	metric := pick(s.rnd, 1024, 1024, 5, 10, 50)
	if !strings.Contains(way, "via") {
		metric += 100
	}
	extra := ""
	if s.chance(8) && typ == "" {
		extra += fmt.Sprintf(" src fd00:%d::1", s.rnd.IntN(4))
	}
	if s.chance(6) {
		extra += " pref " + pick(s.rnd, "low", "medium", "high")
	}
	if extra != "" && strings.Contains(way, "via") {
		metric += 1 + len(s.lines)
	}
	s.add("%s metric %d table %s%s%s", line, metric, s.table(), extra, way)
}

// nexthops6 adds nexthop objects for one route. With an object the kernel keeps the IPv6 route
// that used it first (rt6i_pcpu of struct fib6_nh), and answers with that one's table and
// source when another uses it.
func (s *scene) nexthops6(id int) {
	i := s.rnd.IntN(devices)
	s.add("nexthop add id %d via fd00:%d::%d dev d%d", id, i, 20+s.rnd.IntN(3), i)
	s.add("nexthop add id %d dev d%d", id+1, s.rnd.IntN(devices))
	for m := range 2 {
		i = s.rnd.IntN(devices)
		s.add("nexthop add id %d via fd00:%d::%d dev d%d", id+3+m, i, 20+s.rnd.IntN(3), i)
	}
	s.add("nexthop add id %d group %d,%d/%d", id+2, id+3, 1+s.rnd.IntN(5), id+4)
}

// rule adds a random rule; in is "" or "-6 ".
func (s *scene) rule(in string, prefix func() string) {
	line := in + "rule add"
	if s.chance(6) {
		line += " not"
	}
	if s.chance(2) {
		line += " from " + strings.Replace(prefix(), "default", "all", 1)
	}
	if s.chance(4) {
		line += " to " + strings.Replace(prefix(), "default", "all", 1)
	}
	if s.chance(4) {
		line += pick(s.rnd, " fwmark 1", " fwmark 2", " fwmark 0x10/0xf0", " fwmark 0/0x1")
	}
	if s.chance(6) {
		line += " iif " + pick(s.rnd, "lo", "d0", "d1", "d2", "gone")
	}
	if s.chance(6) {
		line += " oif " + pick(s.rnd, "d0", "d1", "d3", "gone")
	}
	if s.chance(8) {
		line += " tos " + pick(s.rnd, "0x04", "0x08", "0x10")
	}
	if s.chance(6) {
		line += " ipproto " + pick(s.rnd, "tcp", "udp")
	}
	if s.chance(8) {
		line += pick(s.rnd, " sport 1000-2000", " sport 80", " dport 80", " dport 443-8080")
	}
	if s.chance(8) {
		line += pick(s.rnd, " uidrange 0-0", " uidrange 1000-2000", " uidrange 0-4294967294")
	}
	s.add("%s priority %d%s", line, 1+s.rnd.IntN(40)*10, s.action())
}

func (s *scene) action() string {
	switch s.rnd.IntN(12) {
	case 0:
		return pick(s.rnd, " blackhole", " unreachable", " prohibit")
	case 1:
		return " nop"
	case 2:
		return fmt.Sprintf(" goto %d", pick(s.rnd, 32766, 32767, 401, 200, 210, 220, 230, 240, 300))
	case 3, 4, 5:
		return fmt.Sprintf(" lookup %s suppress_prefixlength %d", s.table(), pick(s.rnd, 0, 8, 16, 24, 32))
	case 6:
		return fmt.Sprintf(" lookup %s suppress_ifgroup %d", s.table(), pick(s.rnd, 0, 7, 9))
	}
	return " lookup " + s.table()
}

// rules makes rules in three scenes of four, and sometimes moves the kernel's own.
func (s *scene) rules(in string, prefix func() string) {
	if s.chance(4) {
		return
	}
	for range 1 + s.rnd.IntN(7) {
		s.rule(in, prefix)
	}
	if s.chance(8) {
		s.add("%srule add lookup local priority 100", in)
		s.add("%srule del lookup local priority 0", in)
	}
	if s.chance(10) {
		s.add("%srule del lookup main priority 32766", in)
	}
}

// commands are those of the whole scene, links apart.
func (s *scene) commands() []string {
	s.addrs4()
	s.addrs6()
	s.nexthops()
	for range 10 + s.rnd.IntN(40) {
		s.route4()
	}
	for range 10 + s.rnd.IntN(40) {
		s.route6()
	}
	s.rules("", s.prefix4)
	s.rules("-6 ", s.prefix6)
	return s.lines
}
