package mtu

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// BlackHole reports big packets that do not fit and whose sender is not told.
var BlackHole = &check.Check{
	Name: "pmtu-blackhole",
	Doc: `a big packet does not fit, and the ICMP message about it does not reach its sender

Symptom: TCP connects, then hangs as soon as a full segment is sent; the same segment is sent again and again until a timeout.
Cause: a link on the way has a smaller MTU than the ends suppose, and a rule or a missing route
keeps "fragmentation needed" (ICMP type 3 code 4; ICMPv6 type 2) from coming back.
Cure: let these messages through; or lower the MTU at the ends; or clamp the MSS where the tunnel begins.
Commands:
    ping -M do -s 1472 ADDRESS
    tracepath -n ADDRESS
    iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`,
	DocZH: `大包放不下，而告知发送方的 ICMP 又没有送达

症状：TCP 能连接，一发满长报文就挂住；同一报文反复重传直到超时。
原因：途中某条链路的 MTU 小于两端以为的值，而某条规则或缺失的路由使 "需要分片"（ICMP 类型 3 代码 4；ICMPv6 类型 2）回不来。
处理：放行这些 ICMP；或降低两端 MTU；或在隧道入口钳制 MSS。
命令：
    ping -M do -s 1472 地址
    tracepath -n 地址
    iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`,
	Needs: []string{"host/addr.json", "host/iptables"},
	Run:   blackHole,
}

func blackHole(p *check.Pass) {
	for _, b := range check.BrokenPaths(p) {
		if !check.TooLarge(b) {
			continue
		}
		f := check.Finding{
			Severity: check.Error, Where: b.Where(), OnPath: len(p.Results) > 0,
			What:     text.F("a packet of %d bytes does not fit here, and its sender is not told", b.Path.Final.Size),
			Evidence: b.Evidence(),
			Explains: []check.Symptom{b.Symptom()},
			Fix:      check.Fix{What: text.F("give both ends of the link the same MTU, or lower the MTU at the sender")},
		}
		if why, ev := lost(b.Path); !why.IsZero() {
			f.What = text.F("a packet of %d bytes does not fit here, and the ICMP message about it does not reach its sender: %s", b.Path.Final.Size, why)
			f.Evidence = append(f.Evidence, ev...)
		}
		if ruledOut(b.Path) {
			f.Fix = accept(b.Path.Final.Is6())
		}
		p.Report(f)
	}
}

// accept returns the rules that let the ICMP message through.
func accept(is6 bool) check.Fix {
	match, what := "iptables -I %s -p icmp --icmp-type fragmentation-needed -j ACCEPT", text.F("let ICMP \"fragmentation needed\" through to the sender, or lower the MTU at the ends")
	if is6 {
		match, what = "ip6tables -I %s -p ipv6-icmp --icmpv6-type packet-too-big -j ACCEPT", text.F("let ICMPv6 \"packet too big\" through to the sender, or lower the MTU at the ends")
	}
	f := check.Fix{What: what}
	for _, chain := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		f.Commands = append(f.Commands, strings.Replace(match, "%s", chain, 1))
	}
	return f
}

// ruledOut reports whether a rule keeps the ICMP message from the sender.
func ruledOut(path *trace.Path) bool {
	for i := range path.ICMP {
		if end := path.ICMP[i].End; end == trace.Dropped || end == trace.Rejected {
			return true
		}
	}
	return false
}

// lost says where the ICMP message ends.
func lost(path *trace.Path) (text.Text, []snapshot.Evidence) {
	for i := range path.ICMP {
		icmp := check.Broken{Path: &path.ICMP[i]}
		if icmp.Path.End != trace.Delivered {
			return icmp.Path.Why, icmp.Evidence()
		}
	}
	return text.Text{}, nil
}
