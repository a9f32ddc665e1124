package redact

import (
	"net/netip"
	"strings"
)

// nftFile redacts what "nft -j list ruleset" prints.
func (r *redactor) nftFile(data []byte) ([]byte, error) {
	return r.rewriteJSON(data, func(n *node) { r.nft(n, "", "") })
}

// nftWords are the keys whose strings are words of nft, and so are those under which a
// name is one: a module of iptables, an option of TCP.
var (
	nftWords = set(`family type hook policy op key protocol field base release_name version flags mode dir result level unit val_unit used_unit
		rate_unit burst_unit rate_per per l3proto expr reject queue prio priority map`)
	nftOptions = map[string]bool{"tcp option": true, "ip option": true, "sctp chunk": true, "dccp option": true, "xt": true, "exthdr": true}
	// nftNames are those whose strings are the names of tables, chains, sets and other objects.
	nftNames = map[string]bool{"name": true, "table": true, "chain": true, "target": true, "set": true, "flowtable": true, "counter": true, "limit": true, "quota": true,
		"ct helper": true, "ct timeout": true, "ct expectation": true, "secmark": true, "synproxy": true, "helper": true, "flow": true}
	operators  = set("== != < > <= >=")
	nftDevices = set("dev devices")
	nftProse   = set("comment prefix")
)

// nftValues are the names that nft prints for values.
var nftValues = set(`tcp udp udplite sctp dccp icmp icmpv6 ipv6-icmp esp ah comp igmp gre ipip ip ip6 inet arp bridge vlan 8021q 8021ad ipv4 ipv6 all any
	new established related invalid untracked expected seen-reply assured confirmed snat dnat dying original reply
	fin syn rst psh ack urg ecn cwr host unicast broadcast multicast anycast local other unspec blackhole unreachable prohibit throw nat
	ether loopback ppp sit ipgre true false exists missing accept drop return continue random fully-random persistent netmap
	echo-reply echo-request destination-unreachable source-quench redirect router-advertisement router-solicitation time-exceeded parameter-problem
	timestamp-request timestamp-reply packet-too-big mld-listener-query mld-listener-report mld-listener-done mld2-listener-report nd-router-solicit
	nd-router-advert nd-neighbor-solicit nd-neighbor-advert nd-redirect net-unreachable host-unreachable prot-unreachable port-unreachable frag-needed
	net-prohibited host-prohibited admin-prohibited no-route addr-unreachable policy-fail reject-route
	ef va df be cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43 not-ect ect0 ect1 ce second minute hour day week
	Monday Tuesday Wednesday Thursday Friday Saturday Sunday`)

// nft redacts a value. key is that of the object or array that it is in, parent that of the one around it.
func (r *redactor) nft(n *node, key, parent string) {
	switch {
	case n.str:
		n.text = r.nftString(n.text, key, parent)
		return
	case n.kind == '{':
		r.memberNames(n)
		r.nftObject(n)
	}
	for _, k := range n.kids {
		switch {
		case k.done:
		case n.kind == '[':
			r.nft(k, key, parent)
		default:
			r.nft(k, k.key, key)
		}
	}
}

func (r *redactor) nftString(text, key, parent string) string {
	if to, ok := r.one(text); ok {
		return to
	}
	set, isSet := strings.CutPrefix(text, "@")
	switch {
	case isSet && !strings.Contains(set, ","):
		return "@" + r.name(set)
	case text == "" || text == "*" || nftValues[text] || number.MatchString(text):
		return text
	case nftProse[key]:
		return r.prose(text)
	case key == "name" && nftOptions[parent], nftWords[key]:
		if word.MatchString(text) || operators[text] {
			return text
		}
		return ""
	case nftDevices[key]:
		return r.iface(text)
	case nftNames[key] && tableNames[text]:
		return text // that of iptables-nft, whose rules iptables-save prints
	case nftNames[key]:
		return r.name(text)
	}
	return r.iface(text)
}

// nftObject redacts what needs more than one value at a time.
func (r *redactor) nftObject(n *node) {
	r.shorten(n, "addr", "len")
	for _, k := range n.kids {
		switch k.key {
		case "range":
			r.nftRange(k)
		case "match":
			r.nftMatch(k)
		case "&", "|", "^":
			if r.operands(k) < 0 {
				k.key = lost
			}
		case "payload":
			if k.get("base") != nil {
				k.key = lost // its values are numbers, which may be addresses
			}
		case "set", "map":
			r.nftIntegers(k)
		}
	}
}

// nftRange redacts the two addresses of a range.
func (r *redactor) nftRange(n *node) {
	if len(n.kids) != 2 || !n.kids[0].str || !n.kids[1].str {
		return
	}
	lo, err := netip.ParseAddr(n.kids[0].text)
	hi, err2 := netip.ParseAddr(n.kids[1].text)
	if err != nil || err2 != nil {
		return // of ports, or of MAC addresses
	}
	a, b, ok := r.between(lo, hi)
	if !ok {
		n.key, n.kids = lost, nil
		return
	}
	for i, to := range []netip.Addr{a, b} {
		n.kids[i].text, n.kids[i].done = to.String(), true
	}
}

// operands returns the length of the netmask that "&" has as an operand; 0 where it has none, and -1
// where an operand is an address that is no netmask: what the operation gives then has no pseudonym.
func (r *redactor) operands(n *node) int {
	bits := 0
	for _, k := range n.kids {
		if !k.str || !r.isAddr(k.text) {
			continue
		}
		a, err := netip.ParseAddr(k.text)
		length, ok := maskBits(a)
		if err != nil || !ok || n.key != "&" {
			return -1
		}
		bits, k.done = length, true
	}
	return bits
}

// nftMatch redacts "ip daddr & 255.0.0.0 == 10.0.0.0", and takes the numbers out of a match of raw bytes.
func (r *redactor) nftMatch(n *node) {
	left, right := n.get("left"), n.get("right")
	if left == nil || right == nil {
		return
	}
	if raw(left) {
		right.kind, right.kids, right.str, right.raw = 0, nil, false, "0"
		return
	}
	and := left.get("&")
	if and == nil || !right.str {
		return
	}
	a, err := netip.ParseAddr(right.text)
	if bits := r.operands(and); err == nil && bits > 0 && bits <= a.BitLen() {
		right.text, right.done = r.prefix(netip.PrefixFrom(a, bits)).Addr().String(), true
	}
}

// raw reports whether an expression is of raw bytes: {"payload": {"base": "nh", …}}.
func raw(n *node) bool {
	if n.key == "payload" && n.get("base") != nil {
		return true
	}
	for _, k := range n.kids {
		if raw(k) {
			return true
		}
	}
	return false
}

// nftIntegers makes the elements of a set of bare numbers unreadable, which may be addresses.
func (r *redactor) nftIntegers(n *node) {
	t, elems := n.get("type"), n.get("elem")
	if t == nil || elems == nil {
		return
	}
	types := []string{t.text}
	for _, k := range t.kids {
		types = append(types, k.text)
	}
	for _, name := range types {
		if strings.Contains(name, "integer") {
			elems.key, elems.kids = lost, nil
		}
	}
}
