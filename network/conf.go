package network

import (
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

// A Setting is the value of a sysctl; NotKnown where it was not collected.
type Setting int

// NotKnown is the Setting of a sysctl that is not in the snapshot.
const NotKnown Setting = -1

// On reports whether the setting is known and not 0.
func (s Setting) On() bool { return s > 0 }

// Conf holds the sysctls of a namespace that decide what becomes of packets.
type Conf struct {
	Collected   bool    // any sysctl was
	IPForward   Setting // net.ipv4.ip_forward
	Forwarding6 Setting // net.ipv6.conf.all.forwarding
	EchoIgnore  Setting // net.ipv4.icmp_echo_ignore_all
	BridgeNF    Setting // net.bridge.bridge-nf-call-iptables; 0 where br_netfilter is not loaded
	BridgeNF6   Setting // net.bridge.bridge-nf-call-ip6tables
	FwdUsePMTU  Setting // net.ipv4.ip_forward_use_pmtu
}

// IfaceConf holds the sysctls of a device, joined with those of "all" as the
// kernel joins them (IN_DEV_MAXCONF, IN_DEV_ORCONF in include/linux/inetdevice.h).
type IfaceConf struct {
	Forwarding    Setting // net.ipv4.conf.DEV.forwarding
	RPFilter      Setting // the larger of all and DEV
	SrcValidMark  Setting // either
	AcceptLocal   Setting // either
	RouteLocalnet Setting // either
	ProxyARP      Setting // either
	ARPIgnore     Setting // the larger
	ARPFilter     Setting // either
	ProxyNDP      Setting // either
	Disable6      Setting // net.ipv6.conf.DEV.disable_ipv6
	MTU6          Setting // net.ipv6.conf.DEV.mtu
}

type sysctls map[string]string

func (s sysctls) get(name string) Setting {
	v, ok := s[name]
	if !ok {
		return NotKnown
	}
	i, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return NotKnown
	}
	return Setting(i)
}

// either returns the larger of all's and the device's value; what is unknown counts only where the other is not on.
func (s sysctls) either(v, dev, name string) Setting {
	all, own := s.get("net."+v+".conf.all."+name), s.get("net."+v+".conf."+dev+"."+name)
	if all.On() || own.On() {
		return max(all, own)
	}
	return min(all, own)
}

func readConf(n *snapshot.NetNS) Conf {
	s := sysctls(n.Sysctl)
	c := Conf{
		Collected:   len(s) > 0,
		IPForward:   s.get("net.ipv4.ip_forward"),
		Forwarding6: s.get("net.ipv6.conf.all.forwarding"),
		EchoIgnore:  s.get("net.ipv4.icmp_echo_ignore_all"),
		BridgeNF:    s.get("net.bridge.bridge-nf-call-iptables"),
		BridgeNF6:   s.get("net.bridge.bridge-nf-call-ip6tables"),
		FwdUsePMTU:  s.get("net.ipv4.ip_forward_use_pmtu"),
	}
	if c.Collected { // these names exist only once br_netfilter is loaded
		c.BridgeNF, c.BridgeNF6 = max(c.BridgeNF, 0), max(c.BridgeNF6, 0)
	}
	return c
}

func readIfaceConf(n *snapshot.NetNS, dev string) IfaceConf {
	s, dev := sysctls(n.Sysctl), strings.ReplaceAll(dev, ".", "/")
	return IfaceConf{
		Forwarding:    s.get("net.ipv4.conf." + dev + ".forwarding"),
		RPFilter:      s.either("ipv4", dev, "rp_filter"),
		SrcValidMark:  s.either("ipv4", dev, "src_valid_mark"),
		AcceptLocal:   s.either("ipv4", dev, "accept_local"),
		RouteLocalnet: s.either("ipv4", dev, "route_localnet"),
		ProxyARP:      s.either("ipv4", dev, "proxy_arp"),
		ARPIgnore:     s.either("ipv4", dev, "arp_ignore"),
		ARPFilter:     s.either("ipv4", dev, "arp_filter"),
		ProxyNDP:      s.either("ipv6", dev, "proxy_ndp"),
		Disable6:      s.get("net.ipv6.conf." + dev + ".disable_ipv6"),
		MTU6:          s.get("net.ipv6.conf." + dev + ".mtu"),
	}
}
