package network

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

// An Iface is a device in its namespace, and what it is joined to.
type Iface struct {
	NS     *NS
	Link   *snapshot.Link
	Peer   *Iface   // the other end of a veth; nil where it is not in the snapshot
	Master *Iface   // the bridge, bond or vrf that it is a port of
	Uppers []*Iface // the vlan, macvlan and ipvlan devices on top of it, in any namespace
	Uplink bool     // it leads out of the snapshot

	up, carrier, loopback, noARP, forwards, proxies bool // by the flags and states that ip prints, and by sysctls

	PeerWhy string   // why Peer is nil, where the device has a peer
	Ports   []*Iface // of a bridge or bond, in the order of Links
	Lower   *Iface   // the device that carries a vlan, macvlan or ipvlan
	Conf    IfaceConf

	nets []netip.Prefix // the subnets on the link of an uplink
}

func newIface(n *NS, l *snapshot.Link) *Iface {
	is := func(flag string) bool { return slices.Contains(l.Flags, flag) }
	d := &Iface{NS: n, Link: l, Conf: readIfaceConf(n.NetNS, l.Name), up: is("UP"), loopback: is("LOOPBACK"), noARP: is("NOARP")}
	down := []string{"DOWN", "LOWERLAYERDOWN", "NOTPRESENT"}
	stp := l.Info.SlaveData.State
	d.forwards = d.up && (stp == "forwarding" || stp == "")
	d.proxies = d.Conf.ProxyARP.On() || d.Conf.ProxyNDP.On()
	d.carrier = d.up && !is("NO-CARRIER") && (is("LOWER_UP") || !slices.Contains(down, l.OperState))
	return d
}

// String returns "node/netns/link".
func (d *Iface) String() string { return d.NS.String() + "/" + d.Link.Name }

// Evidence quotes the device as the first line of "ip link" prints it, and its kind.
func (d *Iface) Evidence() snapshot.Evidence {
	l := d.Link
	var b strings.Builder
	b.WriteString(strconv.Itoa(l.Index) + ": " + l.Name + ": <" + strings.Join(l.Flags, ",") + "> mtu " + strconv.Itoa(l.MTU))
	if l.Master != "" {
		b.WriteString(" master " + l.Master)
	}
	if l.OperState != "" {
		b.WriteString(" state " + l.OperState)
	}
	if l.Info.Kind != "" {
		b.WriteString(" " + l.Info.Kind)
	}
	return snapshot.Evidence{File: d.NS.Dir + "/addr.json", Text: b.String(), Command: d.NS.Prefix() + "ip -d link show dev " + l.Name}
}

// Name returns the device's name.
func (d *Iface) Name() string { return d.Link.Name }

// Kind returns the kind of the device: "veth", "bridge"; "" for a physical one.
func (d *Iface) Kind() string { return d.Link.Info.Kind }

// Up reports whether the device is administratively up.
func (d *Iface) Up() bool { return d.up }

// Carrier reports whether the device is up and has a carrier.
func (d *Iface) Carrier() bool { return d.carrier }

// Forwards reports whether its bridge passes frames by the port: it is up, and its STP state lets them through.
func (d *Iface) Forwards() bool { return d.forwards }

// Proxies reports whether the device may answer for the link-layer addresses of others (proxy_arp, proxy_ndp).
func (d *Iface) Proxies() bool { return d.proxies }

// IsLoopback reports whether it is the loopback device.
func (d *Iface) IsLoopback() bool { return d.loopback }

// NoARP reports whether the device asks nobody for link-layer addresses.
func (d *Iface) NoARP() bool { return d.noARP }

// IsEthernet reports whether frames on the device have link-layer addresses.
func (d *Iface) IsEthernet() bool { return d.Link.Type == "ether" || d.Link.Type == "" }

// PortOf returns the bridge that the device is a port of, or nil.
func (d *Iface) PortOf() *Iface {
	if d.Master != nil && d.Master.Kind() == "bridge" {
		return d.Master
	}
	return nil
}

// Has reports whether the device holds the address.
func (d *Iface) Has(a netip.Addr) bool {
	for i := range d.Link.Addrs {
		if d.Link.Addrs[i].Local == a {
			return true
		}
	}
	return false
}

// OnLink reports whether a is in a subnet of one of the device's addresses.
func (d *Iface) OnLink(a netip.Addr) bool {
	for i := range d.Link.Addrs {
		if p := subnet(&d.Link.Addrs[i]); p.IsValid() && p.Contains(a) {
			return true
		}
	}
	return false
}

// subnet returns the prefix that is on the link of an address, or the zero Prefix.
func subnet(a *snapshot.LinkAddr) netip.Prefix {
	base := a.Local
	if a.Peer.IsValid() {
		base = a.Peer
	}
	p, err := base.Prefix(a.Len)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// L3 returns the device that holds the addresses for what comes in by d: its
// bridge or bond, or d itself.
func (d *Iface) L3() *Iface {
	for range 4 {
		if d.Master == nil || d.Master.Kind() != "bridge" && d.Master.Kind() != "bond" {
			return d
		}
		d = d.Master
	}
	return d
}
