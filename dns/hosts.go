package dns

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// hosts answers from lines as of /etc/hosts.
type hosts struct {
	zones   zones
	through zones
	others  bool // types other than A, AAAA and PTR fall through too
	ttl     uint32
	reverse bool
	wild    bool // "*.example.org" stands for names; an older CoreDNS takes it for a name
	addrs   map[string][]netip.Addr
	names   map[netip.Addr][]string
	file    string // one whose lines are not known; "" where there is none
}

// hostsFile is what the plugin reads where it names no file. The kubelet writes that of CoreDNS's
// Pod, and it holds nothing but the names of the Pod itself and of localhost.
const hostsFile = "/etc/hosts"

func setHosts(in *input) (handler, error) {
	h := &hosts{ttl: 3600, reverse: true, wild: !refused(in.options.Version, "hosts", "wildcards"),
		addrs: map[string][]netip.Addr{}, names: map[netip.Addr][]string{}}
	return h, in.once(func() error {
		args := in.RemainingArgs()
		file := hostsFile
		if len(args) > 0 {
			file, args = args[0], args[1:]
		}
		h.zones = in.zones(args)
		var inline []string
		err := in.each(func(property string) error { return h.property(in, property, &inline) })
		if err != nil {
			return err
		}
		if h.others && len(h.through) == 0 {
			return errors.New("fallthrough_unsupported requires fallthrough")
		}
		body, ok, known := in.options.Files.text(file)
		if ok {
			h.read(strings.Split(body, "\n"))
		}
		if !known {
			h.file = file
		}
		h.read(inline)
		return nil
	})
}

func (h *hosts) property(in *input, name string, inline *[]string) error {
	switch name {
	case "fallthrough":
		h.through = in.through()
	case "fallthrough_unsupported":
		h.others = true
		return in.none()
	case "no_reverse":
		h.reverse = false
	case "ttl":
		args := in.RemainingArgs()
		if len(args) < 1 {
			return errors.New("ttl needs a time in second")
		}
		n, err := parseTTL(args[0], 1, 65535)
		h.ttl = n
		return err
	case "reload":
		v, err := in.one()
		if err == nil {
			err = isDuration(v, 0)
		}
		return err
	default:
		if len(h.through) > 0 {
			return in.unknown()
		}
		*inline = append(*inline, strings.Join(append([]string{name}, in.RemainingArgs()...), " "))
	}
	return nil
}

// read adds lines as of /etc/hosts. What is no address, and names of other zones, is left out.
func (h *hosts) read(lines []string) {
	for _, line := range lines {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		s, _, _ := strings.Cut(f[0], "%")
		a, ok := parseIP(s)
		if !ok {
			continue
		}
		for _, name := range f[1:] {
			name = fqdn(name)
			if h.zones.match(name) == "" {
				continue
			}
			h.addrs[name] = append(h.addrs[name], a)
			if h.reverse && !(h.wild && strings.HasPrefix(name, "*.")) {
				h.names[a] = append(h.names[a], name)
			}
		}
	}
}

// find returns the addresses of a name, of one family.
func (h *hosts) find(name string, is6 bool) []netip.Addr {
	of := func(name string) []netip.Addr {
		return slices.DeleteFunc(slices.Clone(h.addrs[name]), func(a netip.Addr) bool { return a.Is6() != is6 })
	}
	if found := of(name); len(found) > 0 || !h.wild {
		return found
	}
	_, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		return nil
	}
	return of("*." + rest)
}

func (h *hosts) serve(r *run, i int, q Query) Answer {
	if h.zones.match(q.Name) == "" && q.Type != "PTR" {
		return r.next(i, q)
	}
	if why, hidden := h.hidden(q); hidden {
		return r.unknown(i, why)
	}
	var records []Record
	switch q.Type {
	case "PTR":
		a, _ := reverseAddr(q.Name)
		if len(h.names[a]) == 0 {
			return r.next(i, q)
		}
		for _, name := range h.names[a] {
			records = append(records, Record{Name: q.Name, Type: "PTR", TTL: h.ttl, Target: name})
		}
	case "A", "AAAA":
		for _, a := range h.find(q.Name, q.Type == "AAAA") {
			records = append(records, Record{Name: q.Name, Type: q.Type, TTL: h.ttl, Addr: a})
		}
	default:
		if h.others && h.through.match(q.Name) != "" {
			return r.next(i, q)
		}
	}
	if len(records) > 0 || len(h.find(q.Name, false)) > 0 || len(h.find(q.Name, true)) > 0 {
		return r.answer(i, NoError, records...)
	}
	if h.through.match(q.Name) != "" {
		r.step(i, text.F("it has no %s, and falls through", q))
		return r.next(i, q)
	}
	r.step(i, text.F("it has no %s, and does not fall through", q))
	return Answer{Outcome: Answered, Rcode: ServFail, By: r.place(i)}
}

// hidden reports whether a query may be answered from a file that is not known.
func (h *hosts) hidden(q Query) (why text.Text, hidden bool) {
	own := q.Name == "localhost." || strings.HasPrefix(q.Name, "ip6-") || strings.HasPrefix(q.Name, "coredns-")
	if a, ok := reverseAddr(q.Name); ok {
		own = a.IsLoopback()
	}
	if h.file == "" || h.file == hostsFile && !own {
		return why, false
	}
	return text.F("the plugin %s answers from %s, which is not read", "hosts", h.file), true
}
