package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/text"
)

// forwards are all of a server block, of which each passes on what is not its own.
type forwards []*forward

func (forwards) serve(*run, int, Query) Answer { return Answer{} }

// forward is one line of the plugin.
type forward struct {
	line   int
	from   string
	except zones
	to     []Upstream
	next   []string // the answers after which the next forward is asked
	noData bool     // so is it after an empty one
}

const maxUpstreams = 15

func setForward(in *input) (handler, error) {
	var fs forwards
	for in.Next() {
		f := &forward{line: in.Line()}
		if err := f.read(in); err != nil {
			return nil, err
		}
		fs = append(fs, f)
	}
	for _, f := range fs {
		if len(f.to) > maxUpstreams {
			return nil, fmt.Errorf("more than %d TOs configured: %d", maxUpstreams, len(f.to))
		}
	}
	return fs, nil
}

// read reads "forward FROM TO… { … }".
func (f *forward) read(in *input) error {
	if !in.NextArg() {
		return in.argErr()
	}
	k, err := parseZone(in.Val())
	if err != nil || len(k.zones) == 0 {
		return fmt.Errorf("unable to normalize '%s'", in.Val())
	}
	f.from = k.zones[0]
	line := in.Line()
	to := in.RemainingArgs()
	if len(to) == 0 {
		return in.argErr()
	}
	b := forwardBlock{forward: f, expire: 10 * time.Second}
	if err := in.each(func(property string) error { return b.property(in, property) }); err != nil {
		return err
	}
	if b.maxAge > 0 && b.maxAge < b.expire {
		return fmt.Errorf("max_age (%s) must not be less than expire (%s)", b.maxAge, b.expire)
	}
	for _, s := range to {
		us, err := parseUpstream(s, in.options, b.serverName)
		if err != nil {
			return &Error{File: in.File(), Line: line, Msg: "forward: " + err.Error()}
		}
		for _, u := range us {
			if !slices.Contains(f.to, u) {
				f.to = append(f.to, u)
			}
		}
	}
	if len(f.to) == 0 {
		return &Error{File: in.File(), Line: line, Msg: "forward: no valid upstream addresses found"}
	}
	return nil
}

// forwardBlock holds what the properties of a forward depend on.
type forwardBlock struct {
	*forward
	expire, maxAge time.Duration
	serverName     bool
}

// wants says how the properties are read that change nothing of what is answered.
var wants = map[string]func(string) error{
	"max_fails":            isUint32,
	"max_connect_attempts": isUint32,
	"max_idle_conns":       isCount,
	"max_concurrent":       isCount,
	"read_timeout":         func(s string) error { return isDuration(s, 1) },
	"doh_method":           func(s string) error { return isOneOf(s, "GET", "POST") },
	"policy":               func(s string) error { return isOneOf(s, "random", "round_robin", "sequential") },
	"source_address": func(s string) error {
		if _, ok := parseIP(s); !ok {
			return fmt.Errorf("invalid IP address: %s", s)
		}
		return nil
	},
}

func (b *forwardBlock) property(in *input, name string) error {
	if check := wants[name]; check != nil {
		if !in.NextArg() {
			return in.argErr()
		}
		return check(in.Val())
	}
	switch name {
	case "except", "next", "failover", "resolver":
		args := in.RemainingArgs()
		if len(args) == 0 {
			return in.argErr()
		}
		return b.list(name, args)
	case "force_tcp", "prefer_udp", "next_on_nodata", "failfast_all_unhealthy_upstreams":
		b.noData = b.noData || name == "next_on_nodata"
		return in.none()
	case "health_check":
		return healthCheck(in)
	case "tls": // its files are not looked for
		if len(in.RemainingArgs()) > 3 {
			return in.argErr()
		}
	case "tls_servername":
		b.serverName = true
		if !in.NextArg() {
			return in.argErr()
		}
	case "expire", "max_age":
		if !in.NextArg() {
			return in.argErr()
		}
		if err := isDuration(in.Val(), 0); err != nil {
			return err
		}
		d, _ := time.ParseDuration(in.Val())
		if name == "expire" {
			b.expire = d
		} else {
			b.maxAge = d
		}
	default:
		return in.unknown()
	}
	return nil
}

// list reads the properties that are lists.
func (b *forwardBlock) list(name string, args []string) error {
	for _, a := range args {
		switch name {
		case "except":
			b.except = append(b.except, parseZones([]string{a}, nil)...)
		case "resolver":
			host := a
			if h, _, err := splitHostPort(a); err == nil {
				host = h
			}
			if _, ok := parseIP(host); !ok {
				return fmt.Errorf("resolver must be an IP address or IP:port: %q", a)
			}
		default:
			code := strings.ToUpper(a)
			if !rcodes[code] {
				return fmt.Errorf("%s is not a valid rcode", a)
			}
			if name == "next" {
				b.next = append(b.next, code)
				continue
			}
			if code == NoError {
				return errors.New("NoError cannot be used in failover")
			}
		}
	}
	return nil
}

func healthCheck(in *input) error {
	if !in.NextArg() {
		return in.argErr()
	}
	if err := isDuration(in.Val(), 0); err != nil {
		return err
	}
	for in.NextArg() {
		switch in.Val() {
		case "no_rec":
		case "domain":
			if refused(in.options.Version, "forward", "domain") {
				return fmt.Errorf("health_check: unknown option %s", in.Val())
			}
			if !in.NextArg() {
				return in.argErr()
			}
			if !isName(in.Val()) {
				return fmt.Errorf("health_check: invalid domain name %s", in.Val())
			}
		default:
			return fmt.Errorf("health_check: unknown option %s", in.Val())
		}
	}
	return nil
}

func isUint32(s string) error {
	_, err := strconv.ParseUint(s, 10, 32)
	return err
}

func isCount(s string) error {
	n, err := strconv.Atoi(s)
	if err == nil && n < 0 {
		err = fmt.Errorf("can't be negative: %d", n)
	}
	return err
}

func isDuration(s string, least time.Duration) error {
	d, err := time.ParseDuration(s)
	if err == nil && d < least {
		err = fmt.Errorf("%s: the least is %s", s, least)
	}
	return err
}

func isOneOf(s string, words ...string) error {
	if !slices.Contains(words, s) {
		return fmt.Errorf("unknown value '%s', want one of %s", s, strings.Join(words, ", "))
	}
	return nil
}

// parseUpstream reads an address, a file of them, or a host name that is looked up.
func parseUpstream(s string, o Options, serverName bool) ([]Upstream, error) {
	transport, host := cutTransport(s)
	if host == "" {
		return nil, fmt.Errorf("invalid address: %q", s)
	}
	if !slices.Contains([]string{"dns", "tls", "quic", "https"}, transport) {
		return nil, fmt.Errorf("'%s' is not supported as a destination protocol in forward: %s", transport, s)
	}
	if transport == "https" && strings.Contains(host, "/") {
		return nil, fmt.Errorf("paths are not allowed in HTTPS upstream addresses: %s", s)
	}
	bare, name := cutServerName(host)
	if name != "" && serverName && (transport == "tls" || transport == "quic") {
		return nil, fmt.Errorf("both forward and proxy level TLS servernames are set for upstream proxy '%s'", host)
	}
	h, port, err := splitHostPort(bare)
	if err != nil {
		h, port = strings.Trim(bare, "[]"), transports[transport]
	}
	if a, ok := parseIP(h); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("invalid port in %q", s)
		}
		return []Upstream{{Transport: transport, Addr: netip.AddrPortFrom(a, uint16(n))}}, nil
	}
	if us, isFile, err := fromFile(host, o); isFile {
		return us, err
	}
	if !isName(h) || refused(o.Version, "forward", "a host name") {
		return nil, fmt.Errorf("not an IP address, file, or valid domain: %q", s)
	}
	return []Upstream{{Transport: transport, Name: joinHostPort(h, port)}}, nil
}

// cutServerName cuts "%name" off an address: a scope, or the name that a TLS server must have.
func cutServerName(host string) (bare, name string) {
	i := strings.LastIndexByte(host, '%')
	if i < 0 {
		return host, ""
	}
	bare, name = host[:i], host[i+1:]
	if strings.HasPrefix(bare, "[") {
		bare += "]"
	}
	if j := strings.LastIndexByte(name, ':'); j >= 0 {
		bare, name = bare+name[j:], strings.TrimSuffix(name[:j], "]")
	}
	return bare, strings.TrimSuffix(name, "]")
}

// fromFile returns the name servers that a resolv.conf names, if the path is one's. Of one that
// is not known it is itself the upstream.
func fromFile(name string, o Options) (us []Upstream, is bool, err error) {
	body, ok, known := o.Files.text(name)
	switch {
	case !known:
		return []Upstream{{Transport: "dns", File: name}}, true, nil
	case !ok:
		return nil, false, nil
	}
	for _, s := range ParseConf(body).Servers {
		us = append(us, Upstream{Transport: "dns", Addr: netip.AddrPortFrom(s.WithZone(""), 53)})
	}
	return us, true, nil
}

func (f *forward) serve(r *run, i int, q Query) Answer {
	if !within(q.Name, f.from) || q.Name != f.from && f.except.match(q.Name) != "" {
		return r.next(i, q)
	}
	if r.env.Upstream == nil {
		r.step(i, text.F("%s is forwarded to %s", q, listed(f.to)))
		return Answer{Outcome: Forwarded, Asked: q, Upstreams: f.to, By: r.place(i)}
	}
	a := r.env.Upstream(f.to, q)
	a.By, a.written = r.place(i), true
	another := i+1 < len(r.server.Plugins) && r.server.Plugins[i+1].Name == "forward"
	if another && (slices.Contains(f.next, a.Rcode) || f.noData && a.Rcode == NoError && len(a.Records) == 0) {
		r.step(i, text.F("%s is forwarded to %s, answered by %s, and asked of the next", q, listed(f.to), a.Rcode))
		return r.next(i, q)
	}
	r.step(i, text.F("%s is forwarded to %s, and answered by %s", q, listed(f.to), a.Rcode))
	return a
}

// listed writes upstreams in a row.
func listed(us []Upstream) string {
	var out []string
	for _, u := range us {
		out = append(out, u.String())
	}
	return strings.Join(out, ", ")
}
