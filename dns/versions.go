package dns

import (
	"strconv"
	"strings"
)

// lacks says up to which version CoreDNS refuses what a later one takes: a directive, or a property
// of one. Each line is from the sources of that version and of the one that has it.
var lacks = map[string]string{
	"local": "1.8.0", "minimal": "1.8.0", "geoip": "1.8.4", "header": "1.8.4", "tsig": "1.9.3", "timeouts": "1.9.4", "view": "1.9.4",
	"multisocket": "1.11.4", "quic": "1.12.1", "nomad": "1.12.4", "grpc_server": "1.13.1", "https": "1.13.1", "https3": "1.13.1",
	"proxyproto": "1.14.1", "dynupdate": "1.14.5", "shed": "1.14.5", "siit": "1.14.5",

	"errors stacktrace": "1.8.6",
	"cache disable":     "1.9.3", "cache servfail": "1.9.3", "cache keepttl": "1.9.4", "cache serve_stale_policy": "1.14.5",
	"forward domain": "1.8.6", "forward next": "1.11.3", "forward failfast_all_unhealthy_upstreams": "1.12.0", "forward failover": "1.12.4",
	"forward max_connect_attempts": "1.13.1", "forward max_idle_conns": "1.13.1", "forward max_age": "1.14.1", "forward doh_method": "1.14.3",
	"forward next_on_nodata": "1.14.3", "forward read_timeout": "1.14.3", "forward resolver": "1.14.3", "forward source_address": "1.14.5",
	"forward a host name": "1.14.3",
	"hosts wildcards":     "1.14.3", "hosts fallthrough_unsupported": "1.14.5",
	"kubernetes multicluster": "1.12.1", "kubernetes startup_timeout": "1.12.2", "kubernetes apiserver_burst": "1.13.1",
	"kubernetes apiserver_max_inflight": "1.13.1", "kubernetes apiserver_qps": "1.13.1", "kubernetes zonal": "1.14.5",
	"loadbalance prefer": "1.12.2", "prometheus runtime_metrics": "1.14.1", "prometheus tls": "1.14.1", "ready monitor": "1.12.1",
	"rewrite cname": "1.10.1", "rewrite rcode": "1.11.1", "template ederror": "1.9.4", "template expr": "1.14.5", "template var": "1.14.5",
	"local localhost_prefix": "1.14.3",
}

// gone says up to which version CoreDNS takes what all later ones refuse (corefile-migration).
var gone = map[string]string{
	"kubernetes upstream": "1.6.9", "kubernetes resyncperiod": "1.6.9", "kubernetes transfer": "1.7.1",
}

// refused reports whether a version of CoreDNS is known to refuse a property of a plugin, "" being the plugin.
func refused(version, plugin, property string) bool {
	last, ok := lacks[strings.TrimSpace(plugin+" "+property)]
	return ok && version != "" && !newer(version, last)
}

// accepts reports whether a version takes a property that later ones refuse.
func accepts(version, plugin, property string) bool {
	last, ok := gone[plugin+" "+property]
	return ok && version != "" && !newer(version, last)
}

// newer reports whether version a is later than b. What is no version is later than all.
func newer(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range y {
		if i >= len(x) {
			return false
		}
		m, err := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if err != nil || m != n {
			return err != nil || m > n
		}
	}
	return false
}
