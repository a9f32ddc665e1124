// Package corefile finds configurations of CoreDNS that it refuses, or that answer names wrongly.
package corefile

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// needs is what all of them need.
var needs = []string{"objects/ConfigMap"}

// show is how a person sees the file.
const show = "kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'"

// edit is how a person changes it.
var edit = []string{"kubectl -n kube-system edit configmap coredns"}

// Refused reports a Corefile that the running version of CoreDNS does not start with.
var Refused = &check.Check{
	Name: "corefile-refused",
	Doc: `CoreDNS refuses its configuration

Symptom: CoreDNS's Pods crash at their start, or after a change the running ones log "plugin/reload: Corefile changed
but reload failed" and keep what they had.
Cause: a directive or property that the running version does not know, such as upstream in kubernetes, or a wrong argument.
Cure: correct the line, or run the version that knows it.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns --previous`,
	DocZH: `CoreDNS 拒绝加载其配置

症状：CoreDNS 的 Pod 启动即崩溃；或修改配置后，运行中的 Pod 在日志中报 “plugin/reload: Corefile changed but reload failed”，仍使用旧配置。
原因：当前版本不认识某个指令或属性（例如 kubernetes 中的 upstream），或参数有误。
处理：改正该行，或使用支持它的版本。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    kubectl -n kube-system logs -l k8s-app=kube-dns --previous`,
	Needs: needs,
	Run:   refused,
}

// Hosts reports a plugin hosts that keeps all other names from being answered.
var Hosts = &check.Check{
	Name: "hosts-no-fallthrough",
	Doc: `the plugin hosts of CoreDNS answers SERVFAIL to all names that it does not list

Symptom: names of Services, or all names, get SERVFAIL since some lines were added to the Corefile.
Cause: hosts answers for all of its zones, which are the server block's where none are named; without fallthrough no
other plugin is asked.
Cure: add fallthrough as the last line of hosts.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    dig @CLUSTER-DNS kubernetes.default.svc.cluster.local`,
	DocZH: `CoreDNS 的 hosts 插件对未列出的名称一律应答 SERVFAIL

症状：在 Corefile 中加了几行之后，Service 名称或所有名称都得到 SERVFAIL。
原因：hosts 负责其全部区域（未写明时为整个 server block 的区域）；没有 fallthrough 就不会再问其他插件。
处理：在 hosts 块的最后一行加上 fallthrough。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'
    dig @集群DNS地址 kubernetes.default.svc.cluster.local`,
	Needs: needs,
	Run:   hosts,
}

// Rewrite reports rules of rewrite whose answers have another name than was asked for.
var Rewrite = &check.Check{
	Name: "rewrite-no-answer",
	Doc: `a rewrite rule of CoreDNS changes the name, and not the answer's

Symptom: dig shows an address, but programs say that the name is not known.
Cause: a rule of the kind prefix, suffix, substring or regex without answer: the answer has the new name, and resolvers
drop an answer to a name that they did not ask for.
Cure: add answer auto (CoreDNS 1.9 or later) or answer name FROM TO to the rule.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'`,
	DocZH: `CoreDNS 的 rewrite 规则改写了查询名称，却没有改回应答中的名称

症状：dig 能看到地址，但程序报告名称不存在。
原因：prefix、suffix、substring 或 regex 规则没有 answer：应答使用改写后的名称，解析器会丢弃与所问名称不符的应答。
处理：为该规则加上 answer auto（CoreDNS 1.9 及以上）或 answer name FROM TO。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'`,
	Needs: needs,
	Run:   rewrite,
}

// Reverse reports that no zone has the names of Services' addresses.
var Reverse = &check.Check{
	Name: "reverse-zone-missing",
	Doc: `CoreDNS does not serve the names of the cluster's addresses

Symptom: programs that look up the name of a peer's address wait, or find none; upstreams get queries for private addresses.
Cause: the plugin kubernetes is not given the zones in-addr.arpa and ip6.arpa.
Cure: name them after the cluster's domain, and in fallthrough.
Commands:
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'`,
	DocZH: `CoreDNS 不提供集群地址的反向解析

症状：反查对端地址名称的程序会等待或查不到；上游会收到对私有地址的查询。
原因：没有为 kubernetes 插件指定 in-addr.arpa 和 ip6.arpa 区域。
处理：在集群域名之后写上它们，并写进 fallthrough。
命令：
    kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'`,
	Needs: append([]string{"objects/Service"}, needs...),
	Run:   reverse,
}

// line returns the evidence that a line of the Corefile is.
func line(p *check.Pass, d *check.CoreDNS, n int) snapshot.Evidence {
	lines := strings.Split(d.ConfigMap.Data["Corefile"], "\n")
	e := p.Object("ConfigMap", d.ConfigMap.Namespace, d.ConfigMap.Name, "")
	if n > 0 && n <= len(lines) {
		e.Text = strings.TrimSpace(lines[n-1])
	}
	e.Command = show
	return e
}

// where is the place of all findings about the Corefile.
const where = "configmap/kube-system/coredns"

func refused(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || d.Refusal == nil {
		return
	}
	if !d.Known && strings.Contains(d.Refusal.Error(), "Unknown directive") {
		p.Unjudged(where, "CoreDNS's image may have plugins of its own: "+d.Refusal.Error())
		return
	}
	version := d.Version
	if version == "" {
		version = "?"
	}
	f := check.Finding{
		Severity: check.Warning, Where: where,
		What: text.F("CoreDNS %s refuses it: %s; what runs keeps its last configuration, and does not start again", version, d.Refusal),
		Fix:  check.Fix{What: text.F("correct the line"), Commands: edit},
	}
	at := 0
	if e, ok := d.Refusal.(*dns.Error); ok && e.File == "" {
		at = e.Line
	}
	f.Evidence = append(f.Evidence, line(p, d, at))
	if down := crashes(p, &f, d); down > 0 {
		f.What = text.F("CoreDNS %s refuses it: %s; %d of its %d Pods do not start", version, d.Refusal, down, len(d.Pods))
	}
	p.Report(f)
}

// crashes makes a finding the cause of that CoreDNS's Pods do not come up, where they do not, and returns how many.
func crashes(p *check.Pass, f *check.Finding, d *check.CoreDNS) (down int) {
	for _, pod := range d.Pods {
		if waits(pod) {
			down++
			f.Evidence = append(f.Evidence, p.Object("Pod", pod.Namespace, pod.Name, check.StateOf(pod)))
		}
	}
	if down == 0 {
		return 0
	}
	f.Severity = check.Error
	for _, s := range d.Services {
		f.Explains = append(f.Explains, check.Symptom{Check: "no-endpoints", Where: "service/" + s.Namespace + "/" + s.Name})
		for i := range s.Spec.Ports {
			p.BlameService(f, s, &s.Spec.Ports[i])
		}
	}
	return down
}

// waits reports whether a Pod of CoreDNS does not come up.
func waits(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if !c.Ready && (c.State.Waiting != nil || c.RestartCount > 0) {
			return true
		}
	}
	return false
}

func hosts(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || d.Corefile == nil {
		return
	}
	domain := d.Corefile.Domain() + "."
	for _, h := range d.Corefile.HostsBlocks() {
		var hidden []string
		for _, z := range h.Zones {
			if z == "." || domain != "." && (z == domain || strings.HasSuffix(domain, "."+z)) {
				hidden = append(hidden, z)
			}
		}
		if h.Through || len(hidden) == 0 || len(h.Before) == 0 {
			continue
		}
		p.Report(check.Finding{
			Severity: check.Error, Where: where,
			What: text.F("hosts has no fallthrough: all names of %s that it does not list get SERVFAIL, and %s is not asked",
				strings.Join(hidden, ", "), strings.Join(h.Before, ", ")),
			Fix:      check.Fix{What: text.F("add fallthrough to hosts"), Commands: edit},
			Evidence: []snapshot.Evidence{line(p, d, h.Line)},
		})
	}
}

func rewrite(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || d.Corefile == nil {
		return
	}
	for _, place := range d.Corefile.Unanswered() {
		p.Report(check.Finding{
			Severity: check.Warning, Where: where,
			What:     text.F("the rewrite rule in line %d does not rewrite answers: resolvers drop an answer to another name than they asked for", place.Line),
			Fix:      check.Fix{What: text.F("add answer auto to the rule"), Commands: edit},
			Evidence: []snapshot.Evidence{line(p, d, place.Line)},
		})
	}
}

func reverse(p *check.Pass) {
	d := p.CoreDNS()
	if d == nil || d.Corefile == nil || d.Corefile.Domain() == "" {
		return
	}
	for _, s := range d.Services {
		for _, a := range check.ClusterIPs(s) {
			if d.Corefile.Kubernetes(dns.ReverseName(a)) {
				continue
			}
			at, _ := d.Corefile.Has("kubernetes")
			p.Report(check.Finding{
				Severity: check.Info, Where: where,
				What:     text.F("kubernetes serves no zone for the names of addresses such as %s: upstreams are asked for them", a),
				Fix:      check.Fix{What: text.F("name the zones in-addr.arpa and ip6.arpa after the cluster's domain"), Commands: edit},
				Evidence: []snapshot.Evidence{line(p, d, at.Line)},
			})
			return
		}
	}
}
