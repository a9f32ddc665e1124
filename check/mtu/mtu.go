// Package mtu checks that big packets fit: tunnels into what is under them,
// Pods into what carries them, nodes into each other.
package mtu

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Mismatch reports devices whose MTU is larger than what is below or behind them carries.
var Mismatch = &check.Check{
	Name: "mtu-mismatch",
	Doc: `a device's MTU is larger than what carries its packets

Symptom: small requests work and big ones hang: TCP connects, a POST or a large answer never gets through.
Cause: a tunnel's MTU leaves no room for its outer header on the uplink; or Pods, their bridge and the tunnel
disagree; or two nodes' uplinks do (jumbo frames on one only).
Cure: set each to the smallest: the uplink's MTU less the tunnel's header (VXLAN 50 bytes over IPv4 and 70 over IPv6, IPIP 20).
Commands:
    ip -d link show
    ping -M do -s 1472 ADDRESS
    kubectl exec POD -- ip link show eth0`,
	DocZH: `网卡的 MTU 大于承载它的设备

症状：小请求正常，大请求挂住：TCP 能连接，但 POST 或大应答传不过去。
原因：隧道的 MTU 没有给外层头部留出空间；或 Pod、网桥与隧道的 MTU 不一致；或两个节点的上行网卡不一致（只有一边开了巨帧）。
处理：统一为最小值：上行网卡 MTU 减去隧道头部（VXLAN 在 IPv4 上 50 字节、IPv6 上 70 字节，IPIP 20 字节）。
命令：
    ip -d link show
    ping -M do -s 1472 地址
    kubectl exec POD -- ip link show eth0`,
	Needs: []string{"addr.json"},
	Run:   run,
}

func run(p *check.Pass) {
	for _, ns := range p.Hosts() {
		for _, d := range ns.Ifaces {
			tunnel(p, d)
			pod(p, d)
		}
	}
	uplinks(p)
}

// overhead returns the bytes that a tunnel adds (IP + UDP + VXLAN + Ethernet, or IP alone); 0 for no tunnel.
func overhead(d *network.Iface) int {
	switch d.Kind() {
	case "vxlan", "geneve":
		if check.Is6(d) {
			return 70
		}
		return 50
	case "ipip", "sit":
		return 20
	case "gre":
		return 24
	}
	return 0
}

// tunnel compares a tunnel with the device under it.
func tunnel(p *check.Pass, d *network.Iface) {
	under := d.NS.Iface(d.Link.Info.Data.Link)
	if under == nil {
		under = d.NS.Owner(check.LocalOf(d))
	}
	add := overhead(d)
	if under == nil || add == 0 || d.Link.MTU+add <= under.Link.MTU {
		return
	}
	f := check.Finding{
		Severity: check.Error, Where: d.String(),
		What:     text.F("%s MTU %d needs %d from %s, which has %d", d.Name(), d.Link.MTU, d.Link.MTU+add, under.Name(), under.Link.MTU),
		Fix:      lower(d, under.Link.MTU-add),
		Evidence: []snapshot.Evidence{line(d), line(under)},
		Explains: []check.Symptom{{Check: "pmtu-blackhole"}, {Check: "mtu-mismatch", Where: under.String()}},
	}
	p.Blame(&f, func(b check.Broken) bool { return check.TooLarge(b) && (check.Tunnels(b, d) || b.Passes(d.NS)) })
	p.Report(f)
}

func lower(d *network.Iface, mtu int) check.Fix {
	return check.Fix{What: text.F("lower %s to %d", d.Name(), mtu), Commands: []string{check.Within(d.NS, "ip link set "+d.Name()+" mtu "+itoa(mtu))}}
}

func line(d *network.Iface) snapshot.Evidence {
	return check.File(d.NS, "addr.json", check.LinkText(d.Link), "ip -d link show "+d.Name())
}

// pod compares the two ends of a Pod's veth, the bridge that it is in, and the
// tunnel by which its packets leave the node.
func pod(p *check.Pass, d *network.Iface) {
	if d.Peer == nil || d.Peer.NS == d.NS || d.Peer.NS.PodName == "" {
		return
	}
	inside := d.Peer
	if d.Link.MTU != inside.Link.MTU {
		unequal(p, d, inside)
	}
	br := d.PortOf()
	if br != nil && inside.Link.MTU > br.Link.MTU {
		larger(p, inside, br)
		return
	}
	for _, t := range d.NS.Ifaces {
		if overhead(t) > 0 && t.Up() && inside.Link.MTU > t.Link.MTU && same(inside, t) {
			larger(p, inside, t)
			return
		}
	}
}

// same reports whether packets of the device's families may go by the tunnel:
// a second tunnel for IPv6 may be narrower.
func same(inside, tunnel *network.Iface) bool { return !check.Is6(tunnel) || has6(inside) }

func has6(d *network.Iface) bool {
	for _, a := range d.Link.Addrs {
		if a.Local.Is6() && !a.Local.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// unequal reports a veth whose ends differ: the smaller end drops what the larger sends, and tells nobody.
func unequal(p *check.Pass, d, inside *network.Iface) {
	f := check.Finding{
		Severity: check.Error, Where: inside.String(),
		What:     text.F("%s MTU %d, but its other end %s has %d: what is larger is dropped without a word", inside.Name(), inside.Link.MTU, d.Name(), d.Link.MTU),
		Fix:      lower(inside, min(d.Link.MTU, inside.Link.MTU)),
		Evidence: []snapshot.Evidence{line(inside), line(d)},
	}
	if inside.Link.MTU < d.Link.MTU {
		f.Fix = lower(d, inside.Link.MTU)
	}
	f.Explains = append(f.Explains, check.Symptom{Check: "pmtu-blackhole"})
	p.Blame(&f, func(b check.Broken) bool { return check.TooLarge(b) && (b.Passes(inside.NS) || b.In(d.NS)) })
	p.Report(f)
}

func larger(p *check.Pass, inside, way *network.Iface) {
	f := check.Finding{
		Severity: check.Warning, Where: inside.String(),
		What:     text.F("%s MTU %d is larger than that of %s on its way, which has %d", inside.Name(), inside.Link.MTU, way.Name(), way.Link.MTU),
		Fix:      lower(inside, way.Link.MTU),
		Evidence: []snapshot.Evidence{line(inside), line(way)},
		Explains: []check.Symptom{{Check: "pmtu-blackhole", Where: way.String()}},
	}
	p.Blame(&f, func(b check.Broken) bool { return check.TooLarge(b) && b.Passes(inside.NS) })
	p.Report(f)
}

// uplinks compares the nodes' uplinks that meet on one segment.
func uplinks(p *check.Pass) {
	hosts := p.Hosts()
	for i, a := range hosts {
		la := p.UplinkOf(a)
		for _, b := range hosts[:i] {
			lb := p.UplinkOf(b)
			if la == nil || lb == nil || la.MTU == lb.MTU || !network.Meet(a.Iface(la.Name), b.Iface(lb.Name)) {
				continue
			}
			small, big := a.Iface(la.Name), b.Iface(lb.Name)
			if la.MTU > lb.MTU {
				small, big = big, small
			}
			f := check.Finding{
				Severity: check.Warning, Where: small.String(),
				What:     text.F("%s MTU %d, but %s has %d on the same network: its big frames are dropped without a word", small.Name(), small.Link.MTU, big.String(), big.Link.MTU),
				Fix:      check.Fix{What: text.F("give all uplinks of the network one MTU: %d", small.Link.MTU), Commands: []string{"ip link set " + big.Name() + " mtu " + itoa(small.Link.MTU)}},
				Evidence: []snapshot.Evidence{line(small), line(big)},
				Explains: []check.Symptom{{Check: "pmtu-blackhole"}},
			}
			p.Blame(&f, func(x check.Broken) bool { return check.TooLarge(x) && (x.In(small.NS) || x.In(big.NS)) })
			p.Report(f)
		}
	}
}
