package redact

import (
	"regexp"
	"strings"
)

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
	setPort   = regexp.MustCompile(`^([a-z0-9-]+:)?([a-z0-9-]+|[0-9]+/[0-9]+)$`) // of ICMP, type and code
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
