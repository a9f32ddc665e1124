package netfilter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parsed reads JSON that a row writes.
func parsed(t testing.TB, s string) *jsonNode {
	t.Helper()
	n, err := parseJSON(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return &n
}

// TestSpan reads constants, ranges and prefixes as nft prints them.
func TestSpan(t *testing.T) {
	for _, row := range []struct{ typ, in, want string }{
		{"ipv4_addr", `"10.0.0.1"`, "0a000001"},
		{"ipv4_addr", `{"prefix": {"addr": "10.1.2.3", "len": 16}}`, "0a010000-0a01ffff"},
		{"ipv4_addr", `{"prefix": {"addr": "10.1.2.3", "len": 32}}`, "0a010203"},
		{"ipv4_addr", `{"prefix": {"addr": "0.0.0.0", "len": 0}}`, "00000000-ffffffff"},
		{"ipv4_addr", `{"prefix": {"addr": "10.0.0.0", "len": 33}}`, "no"},
		{"ipv4_addr", `{"prefix": {"addr": "fd00::", "len": 8}}`, "no"},
		{"ipv4_addr", `{"prefix": {"len": 8}}`, "no"},
		{"ipv4_addr", `{"prefix": {"addr": "10.0.0.0"}}`, "no"},
		{"ipv4_addr", `{"range": ["10.0.0.1", "10.0.0.9"]}`, "0a000001-0a000009"},
		{"ipv4_addr", `{"range": ["10.0.0.9", "10.0.0.1"]}`, "no"},
		{"ipv4_addr", `{"range": ["10.0.0.9"]}`, "no"},
		{"ipv4_addr", `{"range": ["10.0.0.1", "fd00::1"]}`, "no"},
		{"ipv4_addr", `"fd00::1"`, "no"},
		{"ipv4_addr", `"host.example"`, "no"},
		{"ipv4_addr", `167772161`, "0a000001"},
		{"ipv4_addr", `4294967296`, "no"},
		{"ipv4_addr", `{"moon": 1}`, "no"},
		{"ipv6_addr", `"fd00::1"`, "fd000000000000000000000000000001"},
		{"ipv6_addr", `"10.0.0.1"`, "no"},
		{"ipv6_addr", `{"prefix": {"addr": "fd00::", "len": 8}}`, "fd000000000000000000000000000000-fdffffffffffffffffffffffffffffff"},
		{"ipv6_addr", `{"prefix": {"addr": "fd00::", "len": 129}}`, "no"},
		{"ether_addr", `"02:00:00:00:00:01"`, "020000000001"},
		{"ether_addr", `"02:00"`, "no"},
		{"inet_proto", `"tcp"`, "06"},
		{"inet_proto", `"ipv6-icmp"`, "3a"},
		{"inet_proto", `"comp"`, "6c"},
		{"inet_proto", `132`, "84"},
		{"inet_proto", `256`, "no"},
		{"inet_proto", `"warp"`, "no"},
		{"inet_service", `80`, "0050"},
		{"inet_service", `{"range": [80, 90]}`, "0050-005a"},
		{"inet_service", `65536`, "no"},
		{"inet_service", `"80"`, "0050"},
		{"inet_service", `"http"`, "no"},
		{"inet_service", `-1`, "no"},
		{"mark", `16385`, "00004001"},
		{"mark", `"0x4001"`, "00004001"},
		{"mark", `{"range": [1, 255]}`, "00000001-000000ff"},
		{"mark", `{"prefix": {"addr": 256, "len": 24}}`, "00000100-000001ff"},
		{"mark", `4294967296`, "no"},
		{"mark", `1.5`, "no"},
		{"ifname", `"eth0"`, "65746830000000000000000000000000"},
		{"ifname", `"eth*"`, "65746800000000000000000000000000-657468ffffffffffffffffffffffffff"},
		{"ifname", `"eth\\*"`, "6574682a000000000000000000000000"},
		{"ifname", `"a-name-too-long-0"`, "no"},
		{"ifname", `{"range": ["a", "b"]}`, "no"},
		{"ifname", `{"prefix": {"addr": "eth", "len": 24}}`, "no"},
		{"iface_index", `"lo"`, "6c6f0000000000000000000000000000"},
		{"iface_index", `0`, "00000000000000000000000000000000"},
		{"iface_index", `17`, "00313700000000000000000000000000"},
		{"ct_state", `"new"`, "00000008"},
		{"ct_state", `["established", "related"]`, "00000006"},
		{"ct_state", `{"|": ["new", "invalid"]}`, "00000009"},
		{"ct_state", `["established", "married"]`, "no"},
		{"ct_state", `[]`, "no"},
		{"ct_status", `"dnat"`, "00000020"},
		{"ct_dir", `"reply"`, "01"},
		{"tcp_flag", `["fin", "syn"]`, "03"},
		{"tcp_flag", `{"|": ["ecn", "cwr"]}`, "c0"},
		{"tcp_flag", `194`, "c2"},
		{"dscp", `"ef"`, "2e"},
		{"dscp", `"af43"`, "26"},
		{"dscp", `"cs7"`, "38"},
		{"dscp", `"af44"`, "no"},
		{"ecn", `"ce"`, "03"},
		{"nf_proto", `"ipv6"`, "0a"},
		{"ether_type", `"8021q"`, "8100"},
		{"ether_type", `"ip6"`, "86dd"},
		{"pkt_type", `"host"`, "00"},
		{"pkt_type", `"other"`, "03"},
		{"pkt_type", `"friendly"`, "no"},
		{"fib_addrtype", `"local"`, "00000002"},
		{"iface_type", `"loopback"`, "0304"},
		{"boolean", `true`, "01"},
		{"boolean", `false`, "00"},
		{"icmp_type", `"echo-request"`, "08"},
		{"icmp_type", `"time-exceeded"`, "0b"},
		{"icmpv6_type", `"nd-neighbor-solicit"`, "87"},
		{"icmp_code", `"frag-needed"`, "04"},
		{"icmpv6_code", `"addr-unreachable"`, "03"},
		{"time", `86400`, "0000000000015180"},
		{"uid", `1000`, "000003e8"},
	} {
		t.Run(row.typ+" "+row.in, func(t *testing.T) {
			typ, ok := nftTypes[row.typ]
			if !ok {
				t.Fatal("there is no such type")
			}
			got := "no"
			if lo, hi, ok := typ.span(parsed(t, row.in)); ok && lo == hi {
				got = fmt.Sprintf("%x", lo)
			} else if ok {
				got = fmt.Sprintf("%x-%x", lo, hi)
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// TestRuleText has rules that the kernel here cannot load, in nft's words.
func TestRuleText(t *testing.T) {
	for _, row := range []struct{ family, in, want string }{
		{"inet", `{"queue": {"num": 1}}`, "queue 1"},
		{"inet", `{"queue": {"num": {"range": [1, 3]}, "flags": ["bypass"]}}`, "queue 1 3 bypass"},
		{"ip", `{"dup": {"addr": "10.0.0.9"}}`, "dup to 10.0.0.9"},
		{"ip", `{"dup": {"addr": "10.0.0.9", "dev": "eth1"}}`, `dup to 10.0.0.9 device "eth1"`},
		{"netdev", `{"fwd": {"dev": "eth1"}}`, `fwd to "eth1"`},
		{"inet", `{"flow": {"op": "add", "flowtable": "@f"}}`, "flow add @f"},
		{"inet", `{"synproxy": {"mss": 1460, "wscale": 7, "flags": ["timestamp", "sack-perm"]}}`, "synproxy mss 1460 wscale 7 timestamp sack-perm"},
		{"inet", `{"synproxy": "https"}`, `synproxy name "https"`},
		{"inet", `{"counter": {"packets": 5, "bytes": 9}}`, "counter"},
		{"inet", `{"counter": "hits"}`, `counter name "hits"`},
		{"inet", `{"quota": {"val": 10, "val_unit": "mbytes", "inv": true}}`, "quota over 10 mbytes"},
		{"inet", `{"quota": "daily"}`, `quota name "daily"`},
		{"inet", `{"limit": {"rate": 10, "per": "second", "burst": 5}}`, "limit rate 10/second"},
		{"inet", `{"limit": {"rate": 10, "per": "second", "burst": 9, "inv": true}}`, "limit rate over 10/second burst 9 packets"},
		{"inet", `{"limit": {"rate": 1, "per": "minute", "rate_unit": "mbytes"}}`, "limit rate 1 mbytes/minute"},
		{"inet", `{"limit": "slow"}`, `limit name "slow"`},
		{"inet", `{"ct count": {"val": 20, "inv": true}}`, "ct count over 20"},
		{"inet", `{"ct helper": "ftp-standard"}`, `ct helper set "ftp-standard"`},
		{"ip", `{"reject": {"type": "icmp", "expr": "port-unreachable"}}`, "reject"},
		{"inet", `{"reject": {"type": "icmp", "expr": "port-unreachable"}}`, "reject with icmp port-unreachable"},
		{"inet", `{"reject": {"type": "icmpx", "expr": "port-unreachable"}}`, "reject"},
		{"ip6", `{"reject": {"type": "icmpv6", "expr": "no-route"}}`, "reject with icmpv6 no-route"},
		{"ip", `{"reject": {"type": "tcp reset"}}`, "reject with tcp reset"},
		{"ip", `{"reject": null}`, "reject"},
		{"ip", `{"dnat": {"addr": "10.0.0.9", "port": 80, "flags": ["random", "persistent"]}}`, "dnat to 10.0.0.9:80 random,persistent"},
		{"inet", `{"dnat": {"family": "ip6", "addr": "fd00::9", "port": {"range": [80, 90]}}}`, "dnat ip6 to [fd00::9]:80-90"},
		{"inet", `{"dnat": {"family": "ip6", "addr": {"range": ["fd00::8", "fd00::9"]}, "port": 80}}`, "dnat ip6 to [fd00::8]-[fd00::9]:80"},
		{"ip", `{"masquerade": {"port": {"range": [1024, 2000]}, "flags": "fully-random"}}`, "masquerade to :1024-2000 fully-random"},
		{"ip", `{"redirect": null}`, "redirect"},
		{"ip", `{"tproxy": {"addr": "127.0.0.1", "port": 8080}}`, "tproxy to 127.0.0.1:8080"},
		{"inet", `{"tproxy": {"family": "ip", "port": 8080}}`, "tproxy ip to :8080"},
		{"inet", `{"log": {"prefix": "x y", "group": 2, "snaplen": 128, "flags": ["tcp sequence", "ip options"]}}`, `log prefix "x y" group 2 snaplen 128 flags tcp sequence,ip options`},
		{"inet", `{"log": null}`, "log"},
		{"inet", `{"set": {"op": "update", "elem": {"elem": {"val": {"payload": {"protocol": "ip", "field": "saddr"}}, "timeout": 60}}, "set": "@seen"}}`, "update @seen { ip saddr timeout 60s }"},
		{"inet", `{"match": {"op": "==", "left": {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, "right": false}}`, "fib saddr . iif oif missing"},
		{"inet", `{"match": {"op": "!=", "left": {"ct": {"key": "mark"}}, "right": 16}}`, "ct mark != 0x00000010"},
		{"inet", `{"match": {"op": "==", "left": {"osf": {"key": "name"}}, "right": "Linux"}}`, "osf name Linux"},
		{"inet", `{"jump": {"target": "x"}}, {"goto": {"target": "y"}}, {"return": null}`, "jump x goto y return"},
		{"inet", `{"xt": {"type": "match", "name": "recent"}}, {"accept": null}`, `xt match "recent" accept`},
		{"inet", `"add @m { ip saddr : 1 }"`, "add @m { ip saddr : 1 }"},
		{"inet", `{"moon": {"phase": ["full", 3]}}`, "moon full 3"},
		{"inet", `{"moon": null}`, "moon"},
	} {
		t.Run(row.want, func(t *testing.T) {
			if diff := cmp.Diff(row.want, nftText(row.family, parsed(t, "["+row.in+"]"), nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := nftText("ip", parsed(t, `[{"drop": null}]`), parsed(t, `"for a reason"`)); got != `drop comment "for a reason"` {
		t.Error(got)
	}
}

// TestParseJSON reads values, and refuses what is not JSON.
func TestParseJSON(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{`{}`, "{}"},
		{` [ ] `, "[]"},
		{`[1, -2, 3.5e+7]`, "[1 -2 3.5e+7]"},
		{`{"a": {"b": [true, false, null]}, "a": "c"}`, "{a:{b:[t f n]} a:c}"},
		{`"q\"uote \\ \u00e9 \n"`, "q\"uote \\ é \n"},
		{`"plain"`, "plain"},
		{strings.Repeat("[", 60) + strings.Repeat("]", 60), strings.Repeat("[", 60) + strings.Repeat("]", 60)},
		{strings.Repeat("[", 66) + strings.Repeat("]", 66), "error: nested more than 64 deep"},
		{``, "error: not JSON"},
		{`{`, "error: not JSON"},
		{`[1`, "error: not JSON"},
		{`[1 2]`, "error: not JSON"},
		{`[1,]`, "error: not JSON"},
		{`{"a" 1}`, "error: not JSON"},
		{`{a: 1}`, "error: not JSON"},
		{`{"a": }`, "error: not JSON"},
		{`{"a": 1,}`, "error: not JSON"},
		{`"open`, "error: not JSON"},
		{`"open\"`, "error: not JSON"},
		{`"\x"`, "error: invalid character 'x' in string escape code"},
		{`truth`, "error: not JSON"},
		{`nul`, "error: not JSON"},
		{`+1`, "error: not JSON"},
		{`1 2`, "error: unexpected '2' after the value"},
		{`{} x`, "error: unexpected 'x' after the value"},
	} {
		t.Run(short(row.in), func(t *testing.T) {
			n, err := parseJSON(row.in)
			got := plainNode(&n)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// plainNode writes a value: {a:1 b:[2 3]}.
func plainNode(n *jsonNode) string {
	switch n.kind {
	case '{', '[':
		var all []string
		for i := range n.kids {
			s := plainNode(&n.kids[i])
			if n.kind == '{' {
				s = n.kids[i].key + ":" + s
			}
			all = append(all, s)
		}
		return string(n.kind) + strings.Join(all, " ") + string(n.kind+2)
	case '"', '0':
		return n.text
	}
	return string(n.kind)
}

// TestNotUnderstood has rules of which something is not understood: what is said of each, and that the
// rules around it count as ever.
func TestNotUnderstood(t *testing.T) {
	match := func(left, right string) string {
		return `{"match": {"op": "==", "left": ` + left + `, "right": ` + right + `}}`
	}
	named := []string{
		`{"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "elem": ["10.0.0.1"]}}`,
		`{"map": {"family": "inet", "table": "t", "name": "m", "type": "inet_service", "map": "ipv4_addr", "elem": [[80, "10.0.0.1"]]}}`,
	}
	for _, row := range []struct{ in, want string }{
		{match(`{"meta": {"key": "mood"}}`, `1`), "match: not understood: meta mood"},
		{match(`{"ct": {"key": "mood"}}`, `1`), "match: not understood: ct  mood"},
		{match(`{"ct": {"key": "ip saddr"}}`, `"10.0.0.1"`), "match: not understood: ct  ip saddr"},
		{match(`{"ct": {"key": "ip saddr", "dir": "sideways"}}`, `"10.0.0.1"`), "match: not understood: ct sideways ip saddr"},
		{match(`{"payload": {"protocol": "ip", "field": "soul"}}`, `1`), "match: not understood: the header field ip soul"},
		{match(`{"payload": {"protocol": "warp", "field": "type"}}`, `1`), "match: not understood: the header field warp type"},
		{match(`{"payload": {"base": "th", "offset": 3, "len": 16}}`, `1`), "match: not understood: the bits 3 to 19 of a header"},
		{match(`{"payload": {"base": "th", "offset": 0, "len": 136}}`, `1`), "match: not understood: the bits 0 to 136 of a header"},
		{match(`{"fib": {"result": "mood", "flags": ["saddr"]}}`, `1`), "match: not understood: fib mood"},
		{match(`{"fib": {"result": "type", "flags": ["saddr", "moon"]}}`, `"local"`), "match: not understood: fib moon"},
		{match(`{"rt": {"key": "nexthop"}}`, `"10.0.0.1"`), "match: not understood: rt nexthop"},
		{match(`{"socket": {"key": "colour"}}`, `1`), "match: not understood: socket colour"},
		{match(`{"numgen": {"mode": "inc", "mod": 0}}`, `1`), "match: not understood: the modulus 0"},
		{match(`{"numgen": {"mode": "inc"}}`, `1`), "match: not understood: the modulus "},
		{match(`{"jhash": {"mod": 2, "seed": 1, "expr": {"moon": 1}}}`, `1`), "match: not understood: the expression moon"},
		{match(`{"tcp option": {"name": "window", "field": "count"}}`, `1`), "match: not understood: tcp option window count"},
		{match(`{"sctp chunk": {"name": "data", "field": "tsn"}}`, `1`), "match: not understood: the fields of sctp chunk data"},
		{match(`{"concat": []}`, `1`), "match: not understood: a concatenation of 0 bytes"},
		{match(`{"&": [{"meta": {"key": "mark"}}]}`, `1`), "match: not understood: & without operands"},
		{match(`{"&": [`+`{"concat": [`+saddr+`, `+dport+`]}`+`, 5]}`, `1`), "match: not understood: & of a concatenation"},
		{match(saddr, `"moon"`), "match: not understood: the value that ipv4_addr is compared with"},
		{match(`{"concat": [`+saddr+`, `+dport+`]}`, `{"concat": ["10.0.0.1"]}`), "match: not understood: the value that ipv4_addr . inet_service is compared with"},
		{match(saddr, `"@nowhere"`), "match: not understood: set nowhere was not listed"},
		{match(dport, `"@s"`), "match: not understood: set s has keys of 4 bytes, not of 2"},
		{match(saddr, `{"set": ["10.0.0.1", "moon"]}`), "match: not understood: a set in the rule: an element is not understood"},
		{`{"match": {"op": "~", "left": ` + saddr + `, "right": "10.0.0.1"}}`, "match: not understood: the operator ~"},
		{`{"match": {"op": "<", "left": ` + saddr + `, "right": {"range": ["10.0.0.1", "10.0.0.2"]}}}`, "match: not understood: the operator < with a range"},
		{`{"match": {"right": 1}}`, "match: not understood: a match without two sides"},
		{`{"vmap": {"key": ` + saddr + `, "data": "@s"}}`, "vmap: not understood: map s has no verdicts"},
		{`{"vmap": {"key": ` + saddr + `, "data": {"set": [["10.0.0.1", {"sing": null}]]}}}`, "vmap: not understood: a set in the rule: an element is not understood"},
		{`{"vmap": {"key": ` + saddr + `}}`, "vmap: not understood: a set is missing"},
		{`{"vmap": {"key": ` + saddr + `, "data": 5}}`, "vmap: not understood: a set that is written in a way of its own"},
		{`{"mangle": {"key": {"meta": {"key": "mood"}}, "value": 1}}`, "mangle: not understood: meta mood set"},
		{`{"mangle": {"key": {"meta": {"key": "mark"}}, "value": "moon"}}`, "mangle: not understood: moon is no mark"},
		{`{"mangle": {"key": {"meta": {"key": "mark"}}, "value": ` + saddr + `}}`, ""},
		{`{"mangle": {"key": {"meta": {"key": "mark"}}, "value": ` + dport + `}}`, "mangle: not understood: meta mark is set to a value of 2 bytes"},
		{`{"mangle": {"key": {"meta": {"key": "mark"}}}}`, "mangle: not understood: an expression is missing"},
		{`{"dnat": {"addr": "moon"}}`, "dnat: not understood: the address of dnat"},
		{`{"dnat": {"addr": "10.0.0.1", "port": 70000}}`, "dnat: not understood: the port of dnat"},
		{`{"dnat": {"addr": {"map": {"key": ` + dport + `, "data": "@m"}}, "port": ` + saddr + `}}`, "dnat: not understood: the port of dnat is of type ipv4_addr"},
		{`{"snat": {"addr": ` + dport + `}}`, "snat: not understood: the address of snat is of type inet_service"},
		{`{"snat": {"addr": "fd00::1"}}`, "snat: not understood: the address of snat"},
		{`{"tproxy": {"addr": "moon"}}`, "tproxy: not understood: the address of tproxy"},
		{`{"tproxy": {"port": 65536}}`, "tproxy: not understood: the port of tproxy"},
		{`{"reject": {"type": "icmp", "expr": "tired"}}`, "reject: not understood: the answer icmp tired"},
		{`{"reject": {"type": "smoke"}}`, "reject: not understood: the answer smoke port-unreachable"},
		{`{"reset": {"ip option": {"name": "rr"}}}`, "reset: not understood: reset"},
		{`{"set": {"op": "add", "elem": ` + saddr + `, "set": "@nowhere"}}`, "set: not understood: set nowhere was not listed"},
		{`{"quota": {"val": 10, "val_unit": "crates"}}`, "quota: not understood: a quota of 10"},
		{`{"quota": "nowhere"}`, "quota: not understood: quota nowhere was not listed"},
		{`{"jump": {}}`, "jump: not understood: a jump to nowhere"},
		{`"sing @s { x }"`, "the statement sing @s { x } is not understood"},
		{`{"queue": {"num": 5}}`, "a process decides (queue)"},
		{`{"fwd": {"dev": "eth1"}}`, "the packet is sent on by another device (fwd)"},
	} {
		t.Run(row.in, func(t *testing.T) {
			list := append([]string{tableOf("inet", "t")}, named...)
			list = append(list, chainOf("inet", "t", "c", "filter", "forward", 0), ruleOf("inet", "t", "c", markBy(1)), ruleOf("inet", "t", "c", row.in), ruleOf("inet", "t", "c", markBy(2)))
			r := readNFT(t, &Ruleset{}, nftList(list...))
			rules := r.NFTables[0].Chains["c"].Rules
			if diff := cmp.Diff(row.want, rules[1].Unknown()); diff != "" {
				t.Error(diff)
			}
			if rules[0].Unknown()+rules[2].Unknown() != "" {
				t.Error("the rules around it are not understood")
			}
			for _, o := range r.Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:1", "10.2.0.2:2"), In: "eth0", Out: "eth1", Env: fakeEnv{}}) {
				if row.want != "" && o.Verdict == Accept && o.Packet.Mark != 0x12 {
					t.Errorf("the rules around it gave the mark %#x", o.Packet.Mark)
				}
			}
		})
	}
}
