// Package rpfilter finds devices whose reverse path filter drops packets that come a way of their own.
package rpfilter

import (
	"net/netip"
	"strconv"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Check reports strict reverse path filters on devices by which packets come whose way back is another.
var Check = &check.Check{
	Name: "rp-filter",
	Doc: `the reverse path filter drops what comes in by another device than answers leave by

Symptom: packets arrive (tcpdump shows them) and nothing answers; nstat counts IpReversePathFilter.
Cause: rp_filter is 1 (strict), and the node has two ways to the sender: two uplinks, a policy route, a tunnel.
The larger of net.ipv4.conf.all.rp_filter and the device's counts.
Cure: set both to 2 (loose) or 0; or make the way back the same.
Commands:
    sysctl -a | grep '[.]rp_filter'
    ip route get SENDER
    nstat -az | grep ReversePath`,
	DocZH: `反向路径过滤丢弃了"来路与回路不同"的包

症状：包已到达（tcpdump 可见）但无人应答；nstat 的 IpReversePathFilter 在增长。
原因：rp_filter 为 1（严格），而节点到发送方有两条路：两个上行网卡、策略路由或隧道。取 net.ipv4.conf.all.rp_filter 与网卡值中较大者。
处理：两者都设为 2（宽松）或 0；或使回路与来路一致。
命令：
    sysctl -a | grep '[.]rp_filter'
    ip route get 发送方
    nstat -az | grep ReversePath`,
	Needs: []string{"host/sysctl"},
	Run:   run,
}

func run(p *check.Pass) {
	for _, b := range check.DiesOf(p, trace.Dropped) {
		ns := p.NS(b.Path.At)
		if ns == nil || len(b.Path.Hops) == 0 {
			continue
		}
		d := ns.Iface(b.Path.Hops[len(b.Path.Hops)-1].In)
		if b.Path.At.Link != "" {
			d = ns.Iface(b.Path.At.Link)
		}
		src := b.Path.Final.Src.Addr()
		if d == nil || !src.Is4() || Strict(ns, d.Name()) != 1 {
			continue
		}
		if back, ok := wayBack(ns, src); ok && back != d.Name() {
			p.Report(finding(p, b, d, src, back))
		}
	}
}

// Strict returns the reverse path filter that counts for a device: the larger of its own and "all"; -1 where not known.
func Strict(ns *network.NS, dev string) int {
	all, err1 := strconv.Atoi(ns.Sysctl["net.ipv4.conf.all.rp_filter"])
	own, err2 := strconv.Atoi(ns.Sysctl[check.Conf(dev, "rp_filter")])
	if err1 != nil && err2 != nil {
		return -1
	}
	return max(all, own)
}

// wayBack returns the device that leads to a.
func wayBack(ns *network.NS, a netip.Addr) (string, bool) {
	r := ns.FIB.Lookup(fib.Query{Dst: a})
	if r.Unknown != "" || len(r.Choices) == 0 {
		return "", false
	}
	return r.Choices[0].Hop.Dev, true
}

func finding(p *check.Pass, b check.Broken, d *network.Iface, src netip.Addr, back string) check.Finding {
	key := check.Conf(d.Name(), "rp_filter")
	if d.NS.Sysctl[key] != "1" {
		key = "net.ipv4.conf.all.rp_filter"
	}
	return check.Finding{
		Severity: check.Error, Where: d.String(), OnPath: len(p.Results) > 0,
		What: text.F("packets from %s come in by %s and answers leave by %s: rp_filter 1 drops them", src, d.Name(), back),
		Fix: check.Fix{What: text.F("set rp_filter of %s and of all to 2", d.Name()), Commands: []string{
			"sysctl -w net.ipv4.conf.all.rp_filter=2", check.Cmd("sysctl -w %s", check.Conf(d.Name(), "rp_filter")+"=2")}},
		Evidence: []snapshot.Evidence{
			check.File(d.NS, "sysctl", key+" = 1", "sysctl "+key),
			check.File(d.NS, "routes.json", src.String()+" dev "+back, "ip route get "+src.String()),
		},
		Explains: []check.Symptom{b.Symptom()},
	}
}
