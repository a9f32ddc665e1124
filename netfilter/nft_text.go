package netfilter

import (
	"fmt"
	"strconv"
	"strings"
)

// nftText writes the rule as "nft list ruleset" prints it, without counts.
func nftText(family string, expr, comment *jsonNode) string {
	w := &nftWriter{family: family}
	for i := range expr.list() {
		w.stmt(&expr.kids[i])
	}
	if c := comment.str(); c != "" {
		w.word(`comment "` + c + `"`)
	}
	return w.b.String()
}

// nftWriter writes rules.
type nftWriter struct {
	b      strings.Builder
	family string // of the table
}

func (w *nftWriter) word(s string) {
	if s == "" {
		return
	}
	if w.b.Len() > 0 {
		w.b.WriteByte(' ')
	}
	w.b.WriteString(s)
}

// stmt writes a statement.
func (w *nftWriter) stmt(n *jsonNode) {
	op, arg := n.only()
	switch op {
	case "":
		w.word(n.text)
	case "match":
		w.match(arg)
	case "mangle":
		w.word(exprText(arg.get("key")) + " set " + assignedText(arg.get("value"), stylesOf(arg.get("key"))))
	case "vmap":
		w.word(exprText(arg.get("key")) + " vmap " + setText(arg.get("data"), stylesOf(arg.get("key")), nil))
	case "jump", "goto":
		w.word(op + " " + arg.get("target").str())
	case "counter", "limit", "quota", "ct count", "ct helper", "ct timeout", "ct expectation", "synproxy":
		w.word(objectText(op, arg))
	case "reject":
		w.word(rejectText(w.family, arg))
	case "dnat", "snat", "masquerade", "redirect", "tproxy":
		w.word(natText(op, arg))
	case "set", "map":
		w.word(updateText(arg))
	case "log":
		w.word(logText(arg))
	case "reset":
		w.word("reset " + exprText(arg))
	case "xt":
		w.word("xt " + arg.get("type").str() + " " + strconv.Quote(arg.get("name").str()))
	case "dup", "fwd":
		w.word(words(op, also("to", arg.get("addr").str())))
		if dev := arg.get("dev").str(); dev != "" {
			w.word(map[string]string{"dup": "device ", "fwd": "to "}[op] + strconv.Quote(dev))
		}
	case "flow":
		w.word("flow add " + arg.get("flowtable").str())
	default:
		w.word(strings.TrimSpace(op + " " + plainText(arg)))
	}
}

// match writes a comparison; "==" and "in" go without saying.
func (w *nftWriter) match(n *jsonNode) {
	left, right, op := n.get("left"), n.get("right"), n.get("op").str()
	s := exprText(left)
	lop, _ := left.only()
	bits := lop == "&" || lop == "|" || lop == "^"
	switch {
	case right != nil && (right.kind == 't' || right.kind == 'f'):
		s += map[bool]string{true: " exists", false: " missing"}[right.kind == 't']
		w.word(s)
		return
	case bits && isFlags(left):
		w.word(maskText(left, op, right))
		return
	case op != "in" && op != "==" && op != "", op == "==" && (bits || isFlags(left) && right.get("set") == nil):
		s += " " + op
	}
	w.word(s + " " + valueText(right, stylesOf(left)))
}

// assignedText writes a value that is set; of a map, the values are of that kind.
func assignedText(n *jsonNode, as []nftStyle) string {
	if m := n.get("map"); m != nil {
		return exprText(m.get("key")) + " map " + setText(m.get("data"), stylesOf(m.get("key")), as)
	}
	return valueText(n, as)
}

// isFlags reports whether a value is made of flags, for which "==" does not go without saying.
func isFlags(n *jsonNode) bool {
	if mask := n.get("&").list(); len(mask) == 2 {
		return isFlags(&mask[0]) || mask[0].get("ct").get("key").str() == "state"
	}
	return n.get("payload").get("field").str() == "flags"
}

// maskText writes flags and the mask that they are compared under: "tcp flags syn / syn,ack".
func maskText(left *jsonNode, op string, right *jsonNode) string {
	args := left.get("&").list()
	if op == "==" {
		op = ""
	}
	return words(exprText(&args[0]), op, valueText(right, nil), "/", valueText(&args[1], nil))
}

// An nftStyle is how nft writes the constants of a type.
type nftStyle byte

const (
	styleMark    nftStyle = iota + 1 // 0x00000001
	styleHex                         // 0x12
	styleByte                        // 0x03
	styleQuoted                      // "eth0"
	styleSeconds                     // 10s
)

// styles are those of "meta", "ct", and of the fields of headers.
var styles = map[string]nftStyle{
	"meta mark": styleMark, "ct mark": styleMark, "socket mark": styleMark, "ip dscp": styleByte, "ip6 dscp": styleByte, "tcp flags": styleHex,
	"meta iif": styleQuoted, "meta oif": styleQuoted, "meta iifname": styleQuoted, "meta oifname": styleQuoted, "meta iifgroup": styleQuoted, "meta oifgroup": styleQuoted,
	"meta ibrname": styleQuoted, "meta obrname": styleQuoted, "meta hour": styleQuoted, "meta day": styleQuoted, "meta time": styleQuoted,
	"ct helper": styleQuoted, "ct expiration": styleSeconds, "fib oif": styleQuoted, "fib oifname": styleQuoted,
}

// stylesOf returns the style of each field of an expression.
func stylesOf(n *jsonNode) []nftStyle {
	op, arg := n.only()
	switch op {
	case "meta", "ct", "socket":
		return []nftStyle{styles[op+" "+arg.get("key").str()]}
	case "fib":
		return []nftStyle{styles[op+" "+arg.get("result").str()]}
	case "payload":
		if arg.get("base") != nil {
			return []nftStyle{styleHex}
		}
		return []nftStyle{styles[arg.get("protocol").str()+" "+arg.get("field").str()]}
	case "concat":
		var out []nftStyle
		for i := range arg.list() {
			out = append(out, first(stylesOf(&arg.kids[i])))
		}
		return out
	case "&", "|", "^", "<<", ">>":
		if len(arg.list()) > 0 {
			return stylesOf(&arg.kids[0])
		}
	}
	return nil
}

func first(list []nftStyle) nftStyle {
	if len(list) == 0 {
		return 0
	}
	return list[0]
}

// binaries are the operators, as nft writes them between two operands.
var binaries = map[string]bool{"&": true, "|": true, "^": true, "<<": true, ">>": true}

// exprText writes an expression.
func exprText(n *jsonNode) string {
	op, arg := n.only()
	switch {
	case op == "meta":
		key := arg.get("key").str()
		if bareMeta[key] {
			return key
		}
		return "meta " + key
	case op == "ct":
		return words("ct", arg.get("dir").str(), arg.get("key").str())
	case op == "payload":
		if base := arg.get("base").str(); base != "" {
			return "@" + base + "," + arg.get("offset").str() + "," + arg.get("len").str()
		}
		return arg.get("protocol").str() + " " + arg.get("field").str()
	case op == "concat":
		return joined(arg.list(), " . ", exprText)
	case op == "fib":
		return "fib " + strings.Join(arg.get("flags").strs(), " . ") + " " + arg.get("result").str()
	case op == "map":
		return exprText(arg.get("key")) + " map " + setText(arg.get("data"), stylesOf(arg.get("key")), nil)
	case op == "numgen":
		return choiceText("numgen "+arg.get("mode").str(), arg)
	case op == "jhash":
		return choiceText("jhash "+exprText(arg.get("expr")), arg)
	case op == "symhash":
		return choiceText("symhash", arg)
	case binaries[op] && len(arg.list()) >= 2:
		as := stylesOf(n)
		if op == "<<" || op == ">>" {
			as = nil
		}
		return exprText(&arg.kids[0]) + " " + op + " " + valueText(&arg.kids[1], as)
	case op == "":
		return valueText(n, nil)
	}
	if op == "exthdr" && arg.get("field") != nil {
		op = ""
	}
	return words(op, arg.get("name").str(), arg.get("key").str(), arg.get("field").str())
}

// bareMeta are the keys that nft writes without "meta".
var bareMeta = map[string]bool{"iif": true, "oif": true, "iifname": true, "oifname": true, "iifgroup": true, "oifgroup": true}

// words joins the words that are there.
func words(list ...string) string {
	var w nftWriter
	for _, s := range list {
		w.word(s)
	}
	return w.b.String()
}

func joined(list []jsonNode, sep string, f func(*jsonNode) string) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = f(&list[i])
	}
	return strings.Join(out, sep)
}

func choiceText(s string, n *jsonNode) string {
	s += " mod " + n.get("mod").str()
	if seed := n.get("seed"); seed != nil {
		v, _ := seed.num()
		s += fmt.Sprintf(" seed %#x", v)
	}
	if off := n.get("offset").str(); off != "" && off != "0" {
		s += " offset " + off
	}
	return s
}

// valueText writes a constant.
func valueText(n *jsonNode, as []nftStyle) string {
	op, arg := n.only()
	switch {
	case n == nil:
		return ""
	case op == "range":
		return joined(arg.list(), "-", func(k *jsonNode) string { return valueText(k, as) })
	case op == "prefix":
		return valueText(arg.get("addr"), as) + "/" + arg.get("len").str()
	case op == "set":
		return setText(n, as, nil)
	case op == "elem":
		return valueText(arg.get("val"), as)
	case op == "concat":
		return concatText(arg.list(), as)
	case (op == "<<" || op == ">>") && len(arg.list()) == 2:
		return valueText(&arg.kids[0], as) + " " + op + " " + arg.kids[1].text
	case binaries[op] && len(arg.list()) >= 2:
		return joined(arg.list(), " "+op+" ", func(k *jsonNode) string { return valueText(k, styleOr(k, as)) })
	case op != "":
		if v, ok := nftVerdictOf(n); ok {
			return words(op, v.target)
		}
		return exprText(n)
	case n.kind == '[':
		return joined(n.kids, ",", func(k *jsonNode) string { return valueText(k, as) })
	}
	return first(as).text(n)
}

// text writes one constant.
func (t nftStyle) text(n *jsonNode) string {
	v, number := n.num()
	switch {
	case t == styleQuoted && !number && !strings.HasPrefix(n.text, "@"):
		return `"` + n.text + `"`
	case n.kind != '0':
	case t == styleMark:
		return fmt.Sprintf("0x%08x", v)
	case t == styleHex:
		return fmt.Sprintf("%#x", v)
	case t == styleByte:
		return fmt.Sprintf("0x%02x", v)
	case t == styleSeconds:
		return n.text + "s"
	}
	return n.text
}

// marksOf keeps what is known of constants; an expression tells of itself.
func styleOr(n *jsonNode, as []nftStyle) []nftStyle {
	if n.kind == '{' {
		return stylesOf(n)
	}
	return as
}

// concatText writes the fields of an element.
func concatText(list []jsonNode, as []nftStyle) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = valueText(&list[i], as[min(i, len(as)):])
	}
	return strings.Join(out, " . ")
}

// setText writes the name of a set, or the elements of one that is written into the rule.
func setText(n *jsonNode, key, data []nftStyle) string {
	set := n.get("set")
	if set == nil {
		return n.str()
	}
	return "{ " + joined(set.list(), ", ", func(k *jsonNode) string {
		if len(k.list()) == 2 {
			return valueText(&k.kids[0], key) + " : " + valueText(&k.kids[1], data)
		}
		return valueText(k, key)
	}) + " }"
}

// objectText writes a statement with numbers of its own, or that names an object.
func objectText(op string, n *jsonNode) string {
	over := ""
	if isTrue(n.get("inv")) {
		over = "over"
	}
	switch {
	case n.get("map") != nil:
		return op + " name " + exprText(n)
	case n != nil && n.kind == '"' && strings.HasPrefix(op, "ct "):
		return op + " set " + strconv.Quote(n.text)
	case n != nil && n.kind == '"':
		return op + " name " + strconv.Quote(n.text)
	case op == "limit":
		return limitText(n, over)
	case op == "quota":
		return words(op, over, n.get("val").str(), n.get("val_unit").str())
	case op == "ct count":
		return words(op, over, n.get("val").str())
	case op == "synproxy":
		return words(op, also("mss", n.get("mss").str()), also("wscale", n.get("wscale").str()), strings.Join(n.get("flags").strs(), " "))
	}
	return op
}

func limitText(n *jsonNode, over string) string {
	unit := n.get("rate_unit").str()
	rate := n.get("rate").str() + "/" + n.get("per").str()
	burst := n.get("burst").str()
	if unit != "" && unit != "packets" {
		rate = n.get("rate").str() + " " + unit + "/" + n.get("per").str()
	} else if burst != "" {
		burst = "burst " + burst + " packets"
	}
	if burst == "burst 5 packets" || !strings.HasPrefix(burst, "burst") { // 5 is what goes without saying
		burst = ""
	}
	return words("limit rate", over, rate, burst)
}

// rejectText writes reject; the answer that it gives without being told goes without saying.
func rejectText(family string, n *jsonNode) string {
	kind, code := n.get("type").str(), n.get("expr").str()
	usual := map[string]string{"ip": "icmp", "ip6": "icmpv6"}[family]
	if usual == "" {
		usual = "icmpx"
	}
	switch {
	case kind == usual && code == "port-unreachable":
		return "reject"
	case kind == "tcp reset":
		return "reject with tcp reset"
	case kind == "" || code == "":
		return "reject"
	}
	return "reject with " + kind + " " + code
}

// natText writes a NAT: "dnat ip to 10.0.0.1:80 random".
func natText(op string, n *jsonNode) string {
	addr, port := n.get("addr"), n.get("port")
	s, family := op, n.get("family").str()
	kinds := strings.Join(n.get("type_flags").strs(), " ")
	if kinds == "interval" {
		kinds = ""
	}
	if op != "masquerade" && op != "redirect" {
		s = words(op, family, kinds)
	}
	if addr != nil || port != nil {
		s += " to " + addrPortText(addr, port)
	}
	var flags []string
	for _, f := range n.get("flags").strs() {
		if f != "netmap" {
			flags = append(flags, f)
		}
	}
	return words(s, strings.Join(flags, ","))
}

// addrPortText writes an address and a port, of which either may be missing.
func addrPortText(addr, port *jsonNode) string {
	a := valueText(addr, nil)
	if port == nil {
		return a
	}
	if strings.Contains(a, ":") && addr.kind == '"' {
		a = "[" + a + "]"
	} else if op, arg := addr.only(); op == "range" && strings.Contains(a, ":") {
		a = joined(arg.list(), "-", func(k *jsonNode) string { return "[" + k.text + "]" })
	}
	return a + ":" + valueText(port, nil)
}

// updateText writes "update @s { ip saddr timeout 60s }".
func updateText(n *jsonNode) string {
	name, elem := n.get("set").str(), n.get("elem")
	if name == "" {
		name = n.get("map").str()
	}
	s := exprText(elem)
	if e := elem.get("elem"); e != nil {
		s = exprText(e.get("val"))
		if t := e.get("timeout").str(); t != "" {
			s += " timeout " + t + "s"
		}
	}
	if data := n.get("data"); data != nil {
		s += " : " + exprText(data)
	}
	var inner nftWriter
	for i := range n.get("stmt").list() {
		inner.stmt(&n.get("stmt").kids[i])
	}
	return n.get("op").str() + " " + name + " { " + words(s, inner.b.String()) + " }"
}

func logText(n *jsonNode) string {
	s := "log"
	if p := n.get("prefix").str(); p != "" {
		s += " prefix " + strconv.Quote(p)
	}
	for _, key := range []string{"group", "snaplen", "queue-threshold", "level"} {
		s = words(s, also(key, n.get(key).str()))
	}
	return words(s, also("flags", strings.Join(n.get("flags").strs(), ",")))
}

// also returns a key and its value, where it has one.
func also(key, v string) string {
	if v == "" {
		return ""
	}
	return key + " " + v
}

// plainText writes what has no form of its own: its values, in order.
func plainText(n *jsonNode) string {
	switch {
	case n == nil:
		return ""
	case n.kind == '{' || n.kind == '[':
		return joined(n.kids, " ", plainText)
	}
	return n.text
}
