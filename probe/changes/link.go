//go:build linux

package changes

import (
	"fmt"
	"strings"
	"time"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/sys/unix"
)

// link takes a message about a device. Bridges tell of their ports by the same messages, of another family.
func (s *space) link(m netlink.Message, note noter) {
	b := m.Body
	if len(b) < unix.SizeofIfInfomsg || b[0] == unix.AF_BRIDGE {
		return
	}
	index := int(int32(netlink.Native.Uint32(b[4:])))
	name, moved := "", false
	now := link{flags: netlink.Native.Uint32(b[8:])}
	for t, v := range netlink.Attrs(b[unix.SizeofIfInfomsg:]) {
		switch {
		case t == unix.IFLA_IFNAME:
			name, _, _ = strings.Cut(string(v), "\x00")
		case t == unix.IFLA_ADDRESS:
			now.mac = node.DecodeMAC(v)
		case t == unix.IFLA_MTU && len(v) == 4:
			now.mtu = int(netlink.Native.Uint32(v))
		case t == unix.IFLA_MASTER && len(v) == 4:
			now.master = int(netlink.Native.Uint32(v))
		case t == unix.IFLA_NEW_NETNSID:
			moved = true
		}
	}
	before, had := s.links[index]
	old := s.devices[index]
	who := func() string { return s.owned(index, name) }
	switch {
	case m.Type == unix.RTM_DELLINK:
		delete(s.links, index)
		delete(s.devices, index)
		verb := "deleted"
		if moved {
			verb = "moved to another namespace"
		}
		note(ofLink, func() string { return who() + " " + verb })
		return
	case !had:
		note(ofLink, func() string { return fmt.Sprintf("%s mtu %d%s added", who(), now.mtu, s.of(" master ", now.master)) })
	default:
		for _, what := range s.differences(before, now) {
			note(ofLink, func() string { return who() + " " + what })
		}
		if name != old {
			note(ofLink, func() string { return who() + ", was named " + old })
		}
	}
	if had || len(s.links) < known {
		s.links[index], s.devices[index] = now, name
	}
}

// differences says in ip's words what is different of a device.
func (s *space) differences(before, now link) (out []string) {
	up, was := now.flags&unix.IFF_UP != 0, before.flags&unix.IFF_UP != 0
	switch {
	case up && !was:
		out = append(out, "up")
	case was && !up:
		out = append(out, "down")
	}
	switch carrier, had := now.flags&unix.IFF_LOWER_UP != 0, before.flags&unix.IFF_LOWER_UP != 0; {
	case !up || !was: // it comes and goes with being up
	case carrier && !had:
		out = append(out, "LOWER_UP")
	case had && !carrier:
		out = append(out, "NO-CARRIER")
	}
	if now.mtu != before.mtu {
		out = append(out, fmt.Sprintf("mtu %d, was %d", now.mtu, before.mtu))
	}
	if now.master != before.master {
		out = append(out, fmt.Sprintf("%s, was %s", s.master(now.master), s.master(before.master)))
	}
	if now.mac != before.mac && now.mac != (packet.MAC{}) {
		out = append(out, fmt.Sprintf("address %s, was %s", now.mac, before.mac))
	}
	return out
}

func (s *space) master(i int) string {
	if i == 0 {
		return "nomaster"
	}
	return "master " + s.device(i)
}

// of returns a word and a device, or nothing where there is none.
func (s *space) of(word string, i int) string {
	if i == 0 {
		return ""
	}
	return word + s.device(i)
}

// rule takes a message about a policy rule.
func (s *space) rule(m netlink.Message, note noter) {
	r, ok := node.DecodeRule(m.Body)
	if !ok {
		return
	}
	verb := " added"
	if m.Type == unix.RTM_DELRULE {
		verb = " deleted"
	}
	family := ""
	if r.Is6 {
		family = "-6 "
	}
	note(ofRule, func() string { return family + strings.Replace(r.String(), "\t", " ", 1) + verb })
}

// The attributes of RTM_NEWNETCONF (linux/netconf.h), and the settings that they are.
const netconfIfindex = 1

var netconf = map[uint8]map[uint16]string{
	unix.AF_INET:  {2: "forwarding", 3: "rp_filter", 5: "proxy_arp", 6: "ignore_routes_with_linkdown"},
	unix.AF_INET6: {2: "forwarding", 5: "proxy_ndp", 6: "ignore_routes_with_linkdown"},
}

// conf takes a message about a setting of a device. One that has several is of a new device. Those of "all" and
// "default" of the node are read (poll), with what they were before: it reports whether it is one of those.
func (s *space) conf(m netlink.Message, note noter) (read bool) {
	const sizeofNetconfmsg = 4
	b := m.Body
	if len(b) < sizeofNetconfmsg || m.Type != unix.RTM_NEWNETCONF {
		return false
	}
	index, setting, value, several := 0, "", uint32(0), 0
	for t, v := range netlink.Attrs(b[sizeofNetconfmsg:]) {
		if len(v) != 4 {
			continue
		}
		if t == netconfIfindex {
			index = int(int32(netlink.Native.Uint32(v)))
			continue
		}
		several++
		setting, value = netconf[b[0]][t], netlink.Native.Uint32(v)
	}
	read = s.Host && index < 0
	if several != 1 || setting == "" {
		return read
	}
	if setting == "forwarding" { // set for all devices, it is told of "all", and then of each
		follows := time.Since(s.routing) < gather
		if index == -1 {
			s.routing = time.Now()
		} else if follows {
			return false
		}
	}
	if read {
		return true
	}
	dev := map[int]string{-1: "all", -2: "default"}[index]
	if dev == "" {
		dev = strings.ReplaceAll(s.device(index), ".", "/")
	}
	family := map[byte]string{unix.AF_INET: "ipv4", unix.AF_INET6: "ipv6"}[b[0]]
	note(ofSysctl, func() string { return fmt.Sprintf("net.%s.conf.%s.%s = %d", family, dev, setting, value) })
	return false
}
