package redact

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// byLine makes a rewriter of one that takes a line. The lines keep their numbers.
func byLine(f func(string) string) rewriter {
	return func(data []byte) ([]byte, error) {
		var out strings.Builder
		for line := range strings.Lines(string(data)) {
			text, whole := strings.CutSuffix(line, "\n")
			out.WriteString(f(strings.TrimSuffix(text, "\r")))
			if whole {
				out.WriteByte('\n')
			}
		}
		return []byte(out.String()), nil
	}
}

// lost stands for what cannot keep its meaning. No parser takes it for anything, so that a
// diagnosis says that it does not understand the rule.
const lost = "?redacted"

// save redacts what iptables-save prints.
func (r *redactor) save(data []byte) ([]byte, error) { return byLine(r.saveLine)(data) }

// changed is the comment that says that a table cannot be printed.
var changed = regexp.MustCompile("^# Table `(filter|nat|mangle|raw|security)' is incompatible, use 'nft' tool\\.$")

func (r *redactor) saveLine(line string) string {
	line = strings.TrimSpace(line)
	switch {
	case line == "", line == "COMMIT", changed.MatchString(line):
		return line
	case line[0] == '#':
		return "#"
	case line[0] == '*':
		if tableNames[line[1:]] {
			return line
		}
		return "*" + r.name(line[1:])
	case line[0] == ':':
		return r.chainLine(line)
	case strings.HasPrefix(line, "-A "), strings.HasPrefix(line, "["):
		counters, rule := cutCounters(line)
		return counters + r.rule(rule)
	}
	return lost
}

var counters = regexp.MustCompile(`^\[[0-9]+:[0-9]+\]$`)

// cutCounters cuts "[1:40] -A …" before the rule.
func cutCounters(line string) (head, rule string) {
	n, rest, ok := strings.Cut(line, "] ")
	if ok && counters.MatchString(n+"]") {
		return n + "] ", strings.TrimLeft(rest, " ")
	}
	return "", line
}

// chainLine redacts ":FORWARD DROP [12:3456]".
func (r *redactor) chainLine(line string) string {
	f := strings.Fields(line[1:])
	if len(f) < 2 || len(f) > 3 || !policies[f[1]] || len(f) == 3 && !counters.MatchString(f[2]) {
		return lost
	}
	f[0] = r.name(f[0])
	return ":" + strings.Join(f, " ")
}

var tableNames = set("filter nat mangle raw security")

var policies = set("ACCEPT DROP QUEUE RETURN -")

// A piece is a word of a rule, and whether it was quoted.
type piece struct {
	text   string
	quoted bool
}

// pieces splits a rule into words as iptables-restore does; false where a quote stays open.
func pieces(s string) (out []piece, ok bool) {
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' {
			i++
			continue
		}
		var b strings.Builder
		p, open := piece{}, false
		for ; i < len(s) && (open || s[i] != ' ' && s[i] != '\t'); i++ {
			switch c := s[i]; {
			case open && c == '\\' && i+1 < len(s):
				i++
				b.WriteByte(s[i])
			case c == '"':
				open, p.quoted = !open, true
			default:
				b.WriteByte(c)
			}
		}
		if open {
			return out, false
		}
		p.text = b.String()
		out = append(out, p)
	}
	return out, true
}

// String writes the word as iptables-save does.
func (p piece) String() string {
	if !p.quoted && p.text != "" && !strings.ContainsAny(p.text, " \t\"\\'") {
		return p.text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.text) + `"`
}

// rule redacts "-A CHAIN …".
func (r *redactor) rule(rule string) string {
	words, ok := pieces(rule)
	if !ok {
		return lost
	}
	out := make([]string, 0, len(words))
	option, nth := "", 0
	for _, w := range words {
		switch {
		case !w.quoted && w.text == "!":
		case !w.quoted && len(w.text) > 1 && w.text[0] == '-' && !isNumber(w.text[1:]):
			option, nth = w.text, 0
			if !optionName.MatchString(option) {
				w.text = lost
			}
		default:
			w.text = r.argument(option, nth, w.text)
			nth++
		}
		out = append(out, w.String())
	}
	return strings.Join(out, " ")
}

var optionName = regexp.MustCompile(`^--?[A-Za-z0-9][a-z0-9-_]*$`)

// The options of iptables and its extensions, by what their arguments are. Those that are
// in none of these have numbers, words of theirs, or what is taken for a name.
var (
	addrOptions = set(`-s -d --source --destination --src --dst --to-source --to-destination --to --src-range --dst-range --ctorigsrc --ctorigdst --ctreplsrc
		--ctrepldst --tunnel-src --tunnel-dst --on-ip --gateway --rt-0-addrs`)
	devOptions   = set(`-i -o --in-interface --out-interface --physdev-in --physdev-out --oif`)
	nameOptions  = set(`-A -j -g --jump --goto --name --hashlimit-name --nfacct-name --rateest-name --label --led-trigger-id --path --selctx`)
	proseOptions = set(`--comment --log-prefix --nflog-prefix --ulog-prefix`)
	setOptions   = set(`--match-set --add-set --del-set --map-set`)
	// secret are the options whose arguments are dropped; what they match is not known to a diagnosis anyway.
	secret = set(`--string --hex-string --u32 --bytecode --object-pinned`)
	// ownWords are the options whose arguments are words or numbers of iptables.
	ownWords = set(`-p -m --protocol --match -c --set-counters --sport --dport --source-port --destination-port --sports --dports --source-ports --destination-ports --ports --port
		--tcp-flags --tcp-option --chunk-types --dccp-types --dccp-option --icmp-type --icmpv6-type --ctstate --state --ctproto --ctorigsrcport --ctorigdstport
		--ctreplsrcport --ctrepldstport --ctstatus --ctexpire --ctdir --mark --helper --mode --probability --every --packet --packets-eq --packets-lt --packets-gt
		--bytes-eq --bytes-lt --bytes-gt --src-type --dst-type --pkt-type --dir --pol --reqid --spi --proto --length --ttl-eq --ttl --ttl-lt
		--ttl-gt --hl-eq --hl --hl-lt --hl-gt --tos --dscp --dscp-class --mss --fragid --fraglen --seconds --hitcount --mask --limit --limit-burst --hashlimit-upto
		--hashlimit --hashlimit-above --hashlimit-burst --hashlimit-mode --hashlimit-srcmask --hashlimit-dstmask --hashlimit-htable-size --hashlimit-htable-max
		--hashlimit-htable-expire --hashlimit-htable-gcinterval --hashlimit-rate-interval --quota --connlimit-upto --connlimit-above --connlimit-mask --connbytes
		--connbytes-dir --connbytes-mode --algo --from --datestart --datestop --timestart --timestop --monthdays --weekdays --cpu --realm --src-group --dst-group
		--header --ecn-ip-ect --espspi --ahspi --ahlen --reject-with --to-ports --set-mark --set-xmark --and-mark --or-mark --xor-mark --nfmask --ctmask
		--left-shift-mark --right-shift-mark --ctevents --expevents --zone --zone-orig --zone-reply --on-port --tproxy-mark --set-mss --set-tos --and-tos --or-tos
		--xor-tos --set-dscp --set-dscp-class --ttl-set --ttl-dec --ttl-inc --hl-set --hl-dec --hl-inc --log-level --nflog-group --nflog-range --nflog-size
		--nflog-threshold --queue-num --queue-balance --set-class --type --strip-options --ecn-tcp-cwr --ecn-tcp-ece --led-delay --rateest-interval`)
	// targets are the names of targets, which no chain has.
	targets = set(`ACCEPT DROP RETURN REJECT DNAT SNAT MASQUERADE REDIRECT NETMAP MARK CONNMARK CT NOTRACK TPROXY TCPMSS TOS DSCP TTL HL LOG NFLOG ULOG SET CLASSIFY
		TRACE AUDIT SECMARK CONNSECMARK CHECKSUM IDLETIMER LED RATEEST TEE HMARK TCPOPTSTRIP ECN SYNPROXY NFQUEUE QUEUE CLUSTERIP`)
)

// ownWord is what such an argument may be. It has no dots or colons that an address would have, but one of a mask.
var ownWord = regexp.MustCompile(`^!?[A-Za-z0-9,:/+-]*(\.[0-9]{1,11})?%?$`)

// argument redacts the nth argument of an option.
func (r *redactor) argument(option string, nth int, text string) string {
	switch {
	case proseOptions[option]:
		return r.prose(text)
	case secret[option]:
		return "x"
	case setOptions[option]:
		if nth == 1 && only(text, "srcdt,") {
			return text
		}
		return r.name(text)
	case (option == "-j" || option == "--jump") && targets[text]:
		return text
	case nameOptions[option]:
		return r.name(text)
	case devOptions[option]:
		return r.iface(text)
	case addrOptions[option]:
		return r.addresses(text)
	case ownWords[option] && ownWord.MatchString(text) && !r.isAddr(text):
		return text
	case netmask(text), plain(text), (option == "--uid-owner" || option == "--gid-owner") && only(text, "0123456789-"):
		return text
	}
	if to, ok := r.one(text); ok {
		return to
	}
	return r.name(text)
}

// isAddr reports whether a text is an address.
func (r *redactor) isAddr(text string) bool {
	s := scan{text: text}
	return s.next() && s.kind != tokWord && len(s.tok) == len(text)
}

// netmask reports whether a text is an IPv4 netmask: "255.255.255.0".
func netmask(text string) bool {
	a, err := netip.ParseAddr(text)
	n, ok := maskBits(a)
	return err == nil && ok && (n > 7 || a.Is6() && n > 0)
}

// addresses redacts an argument of addresses: "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0",
// "10.0.0.1-10.0.0.9:80-90", "[fd00::1]:80", and several with commas between.
func (r *redactor) addresses(text string) string {
	list := strings.Split(text, ",")
	for i, one := range list {
		list[i] = r.address(one)
	}
	return strings.Join(list, ",")
}

func (r *redactor) address(text string) string {
	if to, ok := r.one(text); ok || plain(text) {
		return cmpOr(to, text)
	}
	host, ports := cutPorts(text)
	open, end := "", ""
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, open, end = strings.TrimSuffix(inner, "]"), "[", "]"
	}
	if !portSpan.MatchString(ports) {
		return r.name(text)
	}
	lo, hi, isRange := strings.Cut(host, "-")
	a, err := netip.ParseAddr(lo)
	switch {
	case host == "":
		return text
	case err == nil && !isRange:
		return open + r.addr(a).String() + end + ports
	case err == nil:
		b, err := netip.ParseAddr(hi)
		from, to, ok := r.between(a, b)
		if err != nil || !ok {
			return lost
		}
		return open + from.String() + "-" + to.String() + end + ports
	}
	if at, mask, ok := strings.Cut(host, "/"); ok && ports == "" {
		return r.masked(at, mask)
	}
	return r.name(text)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// portSpan is what follows an address: ":80", ":80-90/100".
var portSpan = regexp.MustCompile(`^(:[0-9]{1,5}(-[0-9]{1,5})?(/[0-9]{1,5})?)?$`)

// cutPorts cuts an address before its ports.
func cutPorts(text string) (host, ports string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.HasSuffix(text, "]") || strings.Count(text, ":") > 1 && !strings.Contains(text, "]") {
		return text, ""
	}
	return text[:i], text[i:]
}

// masked redacts an address with a netmask that is written as one.
func (r *redactor) masked(at, mask string) string {
	a, err := netip.ParseAddr(at)
	m, err2 := netip.ParseAddr(mask)
	n, ok := maskBits(m)
	if err != nil || err2 != nil || !ok || m.BitLen() != a.BitLen() {
		return lost
	}
	return r.prefix(netip.PrefixFrom(a, n)).Addr().String() + "/" + mask
}

// ipsetOptions are the words of "ipset save" that a number or a word of its own follows.
var ipsetOptions = set(`family hashsize maxelem netmask bitmask bucketsize initval timeout size markmask packets bytes skbmark skbprio skbqueue
	counters comment skbinfo forceadd nomatch wildcard inet inet6 unspec`)

// ipset redacts what "ipset save" prints.
func (r *redactor) ipset(data []byte) ([]byte, error) {
	types := map[string][]string{} // the parts of a set's entries
	return byLine(func(line string) string {
		words, ok := pieces(line)
		switch {
		case strings.TrimSpace(line) == "":
			return ""
		case line[0] == '#':
			return "#"
		case !ok || len(words) < 3:
			return lost
		}
		verb, name, what := words[0].text, words[1].text, words[2].text
		switch verb {
		case "create", "-N":
			_, dims, _ := strings.Cut(what, ":")
			types[name] = strings.Split(dims, ",")
			what = setType(what)
		case "add", "-A":
			what = r.entry(types[name], what)
		default:
			return lost
		}
		return verb + " " + r.name(name) + " " + what + r.setOptions(words[3:])
	})(data)
}

// setType returns the type of a set: words of ipset.
func setType(text string) string {
	if only(text, "abcdefghijklmnopqrstuvwxyz:,") {
		return text
	}
	return lost
}

// setOptions redacts what follows a set's type, or an entry.
func (r *redactor) setOptions(words []piece) string {
	out, last := "", ""
	for _, w := range words {
		to := w
		switch {
		case last == "range":
			to.text = r.addresses(w.text)
			if numbers.MatchString(w.text) {
				to.text = w.text
			}
		case last == "comment" && w.quoted:
			to.text = r.prose(w.text)
		case !ipsetOptions[w.text] && w.text != "range" && !plain(w.text) && !netmask(w.text) && !hexNumber.MatchString(w.text) && !isNumber(w.text):
			to.text = r.value(w.text)
		}
		out, last = out+" "+to.String(), w.text
	}
	return out
}

var (
	numbers   = regexp.MustCompile(`^[0-9]{1,5}-[0-9]{1,5}$`)
	hexNumber = regexp.MustCompile(`^0x[0-9a-f]{1,8}(/0x[0-9a-f]{1,8})?$`)
	setPort   = regexp.MustCompile(`^([a-z0-9-]+:)?[a-z0-9/-]+$`)
)

// entry redacts an entry of a set, part by part.
func (r *redactor) entry(dims []string, text string) string {
	list := strings.Split(text, ",")
	for i, one := range list {
		dim := ""
		if i < len(dims) {
			dim = dims[i]
		}
		list[i] = r.entryPart(dim, one)
	}
	return strings.Join(list, ",")
}

func (r *redactor) entryPart(dim, text string) string {
	switch dim {
	case "ip", "net", "mac":
		return r.address(text)
	case "port":
		if setPort.MatchString(text) && len(text) < 40 {
			return text
		}
	case "mark":
		if number.MatchString(text) {
			return text
		}
	case "iface":
		dev, phys := strings.CutPrefix(text, "physdev:")
		if phys {
			return "physdev:" + r.iface(dev)
		}
		return r.iface(dev)
	}
	return r.value(text)
}

// isPort reports whether a text is a port's number, or "*".
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil || text == "*"
}
