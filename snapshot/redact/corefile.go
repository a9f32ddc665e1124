package redact

import (
	"regexp"
	"strings"
)

// corefileWords are CoreDNS's own: its plugins, their properties, and the values that these may have.
var corefileWords = set(`acl any auto autopath azure bind bufsize cache cancel chaos clouddns debug dns64 dnssec dnstap erratic errors etcd file forward
	geoip grpc header health hosts http https import k8s_external kubernetes loadbalance local log loop metadata minimal multisocket nomad nsid pprof
	prometheus quic ready reload rewrite root route53 secondary sign template timeouts tls trace transfer tsig view whoami
	endpoint_pod_names pods insecure verified disabled namespaces endpoint labels namespace_labels fallthrough ttl noendpoints ignore empty_service
	kubeconfig multicluster startup_timeout upstream resyncperiod apiserver_qps apiserver_burst apiserver_max_inflight no_reverse lameduck except max_fails
	health_check domain no_rec force_tcp prefer_udp tls_servername expire max_age max_idle_conns read_timeout policy random round_robin sequential
	max_concurrent next failover failfast_all_unhealthy_upstreams next_on_nodata success denial prefetch serve_stale immediate verify servfail disable
	keepttl consolidate stacktrace class all error name exact prefix suffix substring regex answer value stop continue type rcode cname edns0 match
	additional authority monitor continuously until-ready IN A AAAA ANY CNAME MX NS PTR SRV TXT NOERROR NXDOMAIN SERVFAIL REFUSED
	@kubernetes /etc/resolv.conf /etc/hosts in-addr.arpa ip6.arpa { }`)

// corefilePlain is a zone at the root, with its port, a number, a share or a time.
var corefilePlain = regexp.MustCompile(`^(\.?(:[0-9]{1,5})?|[0-9]{1,9}(ms|s|m|h|%)?)$`)

// corednsImage is what stays of the image of CoreDNS: what a Corefile means depends on its version.
var corednsImage = regexp.MustCompile(`\bcoredns(:v?[0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,3})?$`)

// corefile redacts what CoreDNS is configured by, word by word. Comments go; what holds a pattern
// or a template, in which a name could stand in any form, becomes one word.
func (r *redactor) corefile(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line, end := strings.CutSuffix(line, "\n")
		body := strings.TrimLeft(line, " \t")
		out.WriteString(line[:len(line)-len(body)])
		for i, w := range strings.Fields(body) {
			if strings.HasPrefix(w, "#") {
				break
			}
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(r.corefileWord(w))
		}
		if end {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (r *redactor) corefileWord(w string) string {
	switch {
	case corefileWords[w] || corefilePlain.MatchString(w):
		return w
	case strings.ContainsAny(w, "\\()[]{}\"'`*$^|+?<>=@#%&;!~"):
		return "redacted"
	}
	if scheme, rest, found := strings.Cut(w, "://"); found && corefileWords[scheme] {
		return scheme + "://" + r.name(rest)
	}
	return r.name(w)
}
