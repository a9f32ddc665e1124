package snapshot

import (
	"maps"
	"strconv"
)

// fibSettings fills in what a route lookup asks of settings and devices. Of a setting
// that was not collected the kernel's default is taken, which is off.
func (ns *NetNS) fibSettings() {
	t := &ns.FIB
	t.IgnoreLinkdown = ns.devicesWith("ipv4", "ignore_routes_with_linkdown", 1)
	t.IgnoreLinkdown6 = ns.devicesWith("ipv6", "ignore_routes_with_linkdown", 1)
	t.RouteLocalnet = ns.devicesWith("ipv4", "route_localnet", 1)
	t.UseTempAddr = ns.devicesWith("ipv6", "use_tempaddr", 2)
	forwarding, _ := ns.DevSysctl("ipv6", "all", "forwarding")
	t.Forwarding6 = atLeast(forwarding, 1)
	t.Groups, t.VRF = groups(ns.Links), vrfs(ns.Links)
}

// devicesWith returns the devices whose setting is least or more. For IPv4 that of "all"
// counts for every device; for IPv6 each device's own does, which writing "all" sets too.
func (ns *NetNS) devicesWith(family, name string, least int) map[string]bool {
	on := func(dev string) bool {
		v, _ := ns.DevSysctl(family, dev, name)
		return atLeast(v, least)
	}
	all := family == "ipv4" && on("all")
	var out map[string]bool
	for _, l := range ns.Links {
		if !all && !on(l.Name) {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		out[l.Name] = true
	}
	return out
}

func atLeast(v string, least int) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= least
}

// groups returns the group of each device, or nil where that of any is not known:
// "ip" prints the name that /etc/iproute2/group gives it, if any.
func groups(links []Link) map[string]int {
	var out map[string]int
	for _, l := range links {
		n, err := strconv.Atoi(l.Group)
		if err != nil && l.Group != "default" {
			return nil
		}
		if out == nil {
			out = map[string]int{}
		}
		out[l.Name] = n
	}
	return out
}

// vrfs returns the table of each VRF and of its ports, or nil where no devices were
// collected. A port of a bridge that is a port of a VRF is not one itself
// (l3mdev_master_ifindex_rcu in net/l3mdev/l3mdev.c).
func vrfs(links []Link) map[string]uint32 {
	if len(links) == 0 {
		return nil
	}
	vrf := map[string]uint32{}
	for _, l := range links {
		if l.Info.Kind == "vrf" {
			vrf[l.Name] = uint32(l.Info.Data.Table)
		}
	}
	out := maps.Clone(vrf)
	for _, l := range links {
		if table, ok := vrf[l.Master]; ok {
			out[l.Name] = table
		}
	}
	return out
}
