package redact

import (
	"net/netip"
	"regexp"
	"strconv"
	"time"
)

// shorten redacts an address whose length is a member beside it, as rules and prefixes of nft have it.
func (r *redactor) shorten(n *node, key, length string) {
	a, l := n.get(key), n.get(length)
	if a == nil || l == nil || !a.str {
		return
	}
	ip, err := netip.ParseAddr(a.text)
	bits, err2 := strconv.Atoi(l.raw)
	if err != nil || err2 != nil || bits < 0 || bits > ip.BitLen() {
		return
	}
	a.text, a.done = r.prefix(netip.PrefixFrom(ip, bits)).Addr().String(), true
}

// plain are values that say nothing of a cluster: numbers, in hexadecimal too, and times.
func plain(text string) bool {
	return text == "" || number.MatchString(text) || isTime(text)
}

// number is a number of ip, nft or iptables. One that is longer may be an address.
var number = regexp.MustCompile(`^(-?[0-9]{1,9}|0x[0-9a-f]{1,8}(/0x[0-9a-f]{1,8})?)$`)

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

// word is a word of a program's own, which linkWords says that a key has: "802.3ad", but no name with dots.
var word = regexp.MustCompile(`^[A-Za-z0-9_ -]{1,32}(\.[0-9][A-Za-z0-9]{0,3})?$`)

// linkWords are the keys of ip and bridge whose strings are words of theirs.
var linkWords = set(`flags qdisc operstate link_type info_kind info_slave_kind state mode scope family type protocol action pref
	encap encap_type xmit_hash_policy ad_select lacp_rate port_select primary_reselect fail_over_mac arp_validate linkmode stp_state
	ipproto tos ttl df ikey okey table fwmark fwmask port_state mcast_router_mode origin`)

// linkNames are those whose strings are names of devices.
var linkNames = set(`ifname link master label dev oif iif active_slave primary viaIf link_netns`)

// linkStrings is the rule for what ip and bridge print.
func linkStrings(r *redactor, key, text string) string {
	switch {
	case linkNames[key]:
		return r.iface(text)
	case plain(text), anyAddr[text]:
		return text
	case key == "table" && !tables[text]:
		return r.name(text) // of /etc/iproute2/rt_tables
	case linkWords[key] && word.MatchString(text):
		return text
	case key == "group":
		return r.name(text)
	}
	return ""
}

var (
	anyAddr = set(`default all any`)
	tables  = set(`local main default unspec`)
)

// netnsStrings is the rule for netns.json.
func netnsStrings(r *redactor, key, text string) string {
	if key == "pod" {
		return r.name(text)
	}
	return ""
}

// kernel is what of a kernel's version everybody has.
var kernel = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*(-[0-9]+)?`)

// nodeStrings is the rule for node.json.
func nodeStrings(r *redactor, key, text string) string {
	switch {
	case key == "name":
		return r.name(text)
	case key == "kernel":
		return kernel.FindString(text)
	case key == "taken" && isTime(text):
		return text
	case key == "path":
		return r.gapPath(text)
	case key == "why":
		return r.prose(text)
	}
	return ""
}

// gapPath redacts the path of a Gap, below its node's folder: "pod-shop-web-0/iptables".
func (r *redactor) gapPath(path string) string {
	dir, base := cutLast(path)
	switch {
	case r.sources()[path] != nil || path == "" || path == "node.json":
		return path
	case r.sources()[base] != nil:
		return r.netns(dir) + "/" + base
	case dir != "":
		return r.netns(dir) + "/" + r.name(base)
	}
	return r.netns(path)
}

// cutLast cuts a path before its last element.
func cutLast(path string) (dir, base string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:]
		}
	}
	return "", path
}
