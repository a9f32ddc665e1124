// Package conntrackfull finds connection tables that are full, or nearly so.
package conntrackfull

import (
	"strconv"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Check reports namespaces whose conntrack table has no room for new connections.
var Check = &check.Check{
	Name: "conntrack-full",
	Doc: `the connection tracking table is full

Symptom: new connections time out at random while old ones work; the kernel logs "nf_conntrack: table full, dropping packet".
Cause: more connections than net.netfilter.nf_conntrack_max: a storm, a leak, or many short UDP lookups.
Cure: raise nf_conntrack_max (some 300 bytes an entry; in /etc/sysctl.d so that it stays), then find who opens so many:
the last command counts the entries by protocol and state. kube-proxy sets the limit anew from its conntrack.maxPerCore when it starts.
Commands:
    sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max
    conntrack -S
    conntrack -L | awk '{print $1, $4}' | sort | uniq -c | sort -n | tail`,
	DocZH: `连接跟踪表已满

症状：新连接随机超时，已有连接正常；内核日志出现 "nf_conntrack: table full, dropping packet"。
原因：连接数超过 net.netfilter.nf_conntrack_max：连接风暴、泄漏，或大量短 UDP 查询。
处理：调大 nf_conntrack_max（每条约 300 字节；写入 /etc/sysctl.d 使其持久），再找出建立连接的来源：最后一条命令按协议和状态统计条目。kube-proxy 启动时会按其 conntrack.maxPerCore 重新设置上限。
命令：
    sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max
    conntrack -S
    conntrack -L | awk '{print $1, $4}' | sort | uniq -c | sort -n | tail`,
	Needs: []string{"host/sysctl", "host/stat"},
	Run:   run,
}

const maxKey = "net.netfilter.nf_conntrack_max"

// nearly is the share of the table in use from which a burst can fill it. Where packets
// were dropped, it is full from brim on: entries that end leave room for a moment.
const (
	nearly = 0.8
	brim   = 0.99
)

func run(p *check.Pass) {
	for _, ns := range p.Network.NS {
		count, ok := ns.Stat["conntrack_count"]
		most, err := strconv.ParseUint(ns.Sysctl[maxKey], 10, 64)
		if !ok || err != nil || most == 0 || float64(count) < nearly*float64(most) {
			continue
		}
		p.Report(finding(p, ns, count, most))
	}
}

// lose makes f the cause of what is lost of the connections through ns that the
// trace sees arrive: all but those that find an unanswered one to evict (early_drop).
func lose(p *check.Pass, f *check.Finding, ns *network.NS) {
	for i := range p.Results {
		paths := p.Results[i].Paths
		for j := range paths {
			if b := (check.Broken{Query: p.Results[i].Query, Path: &paths[j]}); b.Passes(ns) {
				p.Lose(f, b.Path, true)
			}
		}
	}
}

func finding(p *check.Pass, ns *network.NS, count, most uint64) check.Finding {
	more := strconv.FormatUint(max(2*most, 262144), 10)
	f := check.Finding{
		Severity: check.Warning, Where: check.Place(ns, ""),
		What: text.F("the connection table holds %d of at most %d entries", count, most),
		Fix:  check.Fix{What: text.F("raise %s to %s", maxKey, more), Commands: []string{"sysctl -w " + maxKey + "=" + more}},
		Evidence: []snapshot.Evidence{
			check.File(ns, "stat", "conntrack_count "+strconv.FormatUint(count, 10), "sysctl net.netfilter.nf_conntrack_count"),
			check.File(ns, "sysctl", maxKey+" = "+ns.Sysctl[maxKey], "sysctl "+maxKey),
		},
	}
	drops := ns.Stat["conntrack_drop"]
	if drops > 0 {
		f.Evidence = append(f.Evidence, check.File(ns, "stat", "conntrack_drop "+strconv.FormatUint(drops, 10), "conntrack -S"))
	}
	if count >= most || drops > 0 && float64(count) >= brim*float64(most) {
		f.Severity = check.Error
		f.What = text.F("the connection table is full: %d of at most %d entries; new connections are dropped", count, most)
		p.Blame(&f, func(b check.Broken) bool { return b.Passes(ns) })
		lose(p, &f, ns)
	}
	return f
}
