// Package mtu checks that big packets fit: tunnels into what is under them,
// Pods into what carries them, nodes into each other.
package mtu

import (
	"slices"

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
		Fix:      fit(p, d, under, add),
		Evidence: []snapshot.Evidence{line(d), line(under)},
	}
	blame(p, &f, func(b check.Broken) bool { return check.Tunnels(b, d) || b.Passes(d.NS) })
	p.Report(f)
}

// fit returns how to make a tunnel fit into the device under it: that one's MTU
// is raised where other nodes' is large enough, else the tunnel's is lowered on
// every node, for what is larger than the far end takes is lost there.
func fit(p *check.Pass, d, under *network.Iface, add int) check.Fix {
	for _, ns := range p.Hosts() {
		l := p.UplinkOf(ns)
		if l == nil || ns == d.NS || l.MTU < d.Link.MTU+add {
			continue
		}
		if up := ns.Iface(l.Name); up != nil && network.Meet(up, under) {
			return set(under, l.MTU, text.F("raise %s to %d", under.Name(), l.MTU))
		}
	}
	mtu := under.Link.MTU - add
	f := set(d, mtu, text.F("lower %s to %d on every node and restart the CNI agents; Pods get the new MTU when they are made again", d.Name(), mtu))
	f.Commands = append(f.Commands, p.Restart(check.CNI, d.NS.Node.Name))
	return f
}

func lower(d *network.Iface, mtu int) check.Fix {
	return set(d, mtu, text.F("lower %s to %d", d.Name(), mtu))
}

func set(d *network.Iface, mtu int, what text.Text) check.Fix {
	return check.Fix{What: what, Commands: []string{check.Within(d.NS, check.Cmd("ip link set %s mtu %s", d.Name(), mtu))}}
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
		return
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
	blame(p, &f, func(b check.Broken) bool { return b.Passes(inside.NS) || b.In(d.NS) })
	p.Report(f)
}

func larger(p *check.Pass, inside, way *network.Iface) {
	f := check.Finding{
		Severity: check.Warning, Where: inside.String(),
		What:     text.F("%s MTU %d is larger than that of %s on its way, which has %d", inside.Name(), inside.Link.MTU, way.Name(), way.Link.MTU),
		Fix:      lower(inside, way.Link.MTU),
		Evidence: []snapshot.Evidence{line(inside), line(way)},
	}
	blame(p, &f, func(b check.Broken) bool { return b.Passes(inside.NS) })
	p.Report(f)
}

// blame makes f the cause of big packets that die, where it is not a rule that keeps their senders from hearing of it.
func blame(p *check.Pass, f *check.Finding, dies func(check.Broken) bool) {
	at := len(f.Explains)
	p.Blame(f, func(b check.Broken) bool { return check.TooLarge(b) && !ruledOut(b.Path) && dies(b) })
	for _, s := range slices.Clone(f.Explains[at:]) {
		f.Explains = append(f.Explains, check.Symptom{Check: "pmtu-blackhole", Where: s.Where})
	}
}

// uplinks compares the nodes' uplinks that meet on one segment: the usual MTU is taken to be the right one.
func uplinks(p *check.Pass) {
	var ups []*network.Iface
	for _, ns := range p.Hosts() {
		if l := p.UplinkOf(ns); l != nil {
			ups = append(ups, ns.Iface(l.Name))
		}
	}
	for _, d := range ups {
		peer, same := d, 0
		count := map[int]int{}
		for _, o := range ups {
			if o != d && network.Meet(d, o) {
				count[o.Link.MTU]++
			}
		}
		for _, o := range ups { // the most usual MTU of the others; of a tie, the first met
			if n := count[o.Link.MTU]; o != d && n > same {
				peer, same = o, n
			}
		}
		if peer.Link.MTU != d.Link.MTU && count[d.Link.MTU]+1 <= same && !(same == 1 && d.Link.MTU > peer.Link.MTU) {
			uplink(p, d, peer)
		}
	}
}

func uplink(p *check.Pass, odd, peer *network.Iface) {
	small, big := odd, peer
	if odd.Link.MTU > peer.Link.MTU {
		small, big = peer, odd
	}
	f := check.Finding{
		Severity: check.Warning, Where: odd.String(),
		What:     text.F("%s MTU %d, but %s has %d on the same network: frames over %d bytes are dropped without a word", odd.Name(), odd.Link.MTU, peer.String(), peer.Link.MTU, small.Link.MTU),
		Fix:      set(odd, peer.Link.MTU, text.F("give all uplinks of the network the same MTU")),
		Evidence: []snapshot.Evidence{line(odd), line(peer)},
	}
	blame(p, &f, func(b check.Broken) bool { return b.In(small.NS) || b.In(big.NS) || b.Passes(odd.NS) })
	for _, d := range odd.NS.Ifaces { // whose tunnels were made for the usual MTU
		if add := overhead(d); add > 0 && odd == small && d.Link.MTU+add > odd.Link.MTU {
			f.Explains = append(f.Explains, check.Symptom{Check: "mtu-mismatch", Where: d.String()})
			f.Severity = check.Error
		}
	}
	p.Report(f)
}
