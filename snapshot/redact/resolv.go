package redact

import (
	"regexp"
	"strings"
)

// resolvOption is an option of a resolv.conf: "ndots:5", "edns0".
var resolvOption = regexp.MustCompile(`^[a-z0-9-]{1,20}(:[0-9]{1,5})?$`)

// resolvLine redacts a line of a resolv.conf.
func (r *redactor) resolvLine(line string) string {
	f := strings.Fields(line)
	if len(f) == 0 {
		return ""
	}
	for i, w := range f[1:] {
		switch {
		case f[0] == "options" && !resolvOption.MatchString(w), f[0] == "nameserver" && !r.isAddr(w):
			f[i+1] = lost
		case f[0] == "nameserver":
			f[i+1] = r.value(w)
		case f[0] == "search", f[0] == "domain":
			f[i+1] = r.domain(w)
		}
	}
	switch f[0] {
	case "nameserver", "search", "domain", "options":
		return strings.Join(f, " ")
	}
	return lost
}

// domain redacts a domain of a search list. One of a namespace begins with what that is called elsewhere.
func (r *redactor) domain(text string) string {
	if ns, rest, ok := strings.Cut(text, "."); ok && strings.HasPrefix(rest, "svc.") {
		return r.name(ns) + "." + r.name(rest)
	}
	return r.value(text)
}
