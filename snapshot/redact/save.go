package redact

import (
	"regexp"
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

// ownWord is what such an argument may be: words with commas between, or numbers, ranges and rates. It has
// no dots, colons or slashes that an address or a name would have.
var ownWord = regexp.MustCompile(`^!?(([A-Za-z][A-Za-z0-9_+-]*(:[A-Za-z]{1,4})?,?)+|[0-9][0-9,:-]*(\.[0-9]{1,11})?(/[0-9]{0,5}[a-z]{0,6})?|0x[0-9A-Fa-f]+(/0x[0-9A-Fa-f]+)?|[0-9]+[a-z]{1,6}(/[a-z]{1,6})?)?%?$`)

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
