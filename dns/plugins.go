package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/text"
)

// directives are the plugins of CoreDNS 1.15, in the order in which a query passes them (its plugin.cfg).
var directives = strings.Fields(`root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid bufsize bind
	debug trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance tsig rewrite autopath acl cache header
	dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns k8s_external kubernetes file auto secondary etcd loop forward grpc
	erratic whoami on sign view nomad`)

// order is the place of each in directives.
var order = func() map[string]int {
	m := map[string]int{}
	for i, d := range directives {
		m[d] = i
	}
	return m
}()

// serves are the plugins that queries pass, and that change nothing of an answer to what Pods ask.
var serves = set("metadata geoip cancel nsid bufsize trace shed prometheus errors log dnstap any chaos loadbalance header dnssec transfer dynupdate loop")

// plain are the plugins that no query passes.
var plain = set("root proxyproto quic grpc_server https https3 timeouts multisocket reload bind debug ready health pprof tls on sign")

// A handler is a plugin that does something with queries. It is the i-th of its server.
type handler interface {
	serve(r *run, i int, q Query) Answer
}

// A setupFunc reads what is written of a plugin in a server block. An error is why CoreDNS refuses it.
type setupFunc func(*input) (handler, error)

var setups map[string]setupFunc

func init() {
	setups = map[string]setupFunc{
		"errors": setErrors, "log": setLog, "health": setHealth, "ready": setReady, "reload": setReload, "loop": setLoop,
		"loadbalance": setLoadbalance, "prometheus": setPrometheus, "bind": setBind, "minimal": setMinimal, "local": setLocal, "dns64": setDNS64,
		"kubernetes": setKubernetes, "hosts": setHosts, "rewrite": setRewrite, "template": setTemplate, "forward": setForward,
		"cache": setCache, "autopath": setAutopath, "file": setFile, "any": setAny,
	}
}

// notFollowed sets up a plugin that is known by name only.
func notFollowed(in *input) (handler, error) {
	if plain[in.name] || serves[in.name] {
		return nil, nil
	}
	in.Next()
	u := unfollowed{why: text.F("what the plugin %s does is not followed", in.name)}
	if slices.Contains([]string{"k8s_external", "secondary", "auto", "etcd", "nomad"}, in.name) {
		u.zones = in.zones(in.RemainingArgs())
	}
	return u, nil
}

// unfollowed is a plugin that may answer, and how is not known.
type unfollowed struct {
	zones  zones  // nil: all
	qtypes string // nil: all; of one type only
	why    text.Text
}

func (u unfollowed) serve(r *run, i int, q Query) Answer {
	if u.zones != nil && u.zones.match(q.Name) == "" || u.qtypes != "" && u.qtypes != q.Type {
		return r.next(i, q)
	}
	return r.unknown(i, u.why)
}

func setDNS64(in *input) (handler, error) {
	return unfollowed{qtypes: "AAAA", why: text.F("what the plugin %s does is not followed", in.name)}, nil
}

// setFile reads "file DBFILE [ZONES…]". What the zone's file holds is not read.
func setFile(in *input) (handler, error) {
	u := unfollowed{zones: zones{}}
	reload := true
	for in.Next() {
		if !in.NextArg() {
			return nil, in.argErr()
		}
		name := in.Val()
		u.why = text.F("the plugin %s answers from %s, which is not read", in.name, in.Val())
		u.zones = append(u.zones, in.zones(in.RemainingArgs())...)
		err := in.each(func(property string) error {
			switch property {
			case "fallthrough", "upstream":
				in.RemainingArgs()
			case "reload_by_mtime":
			case "reload":
				args := in.RemainingArgs()
				if len(args) < 1 {
					return errors.New("reload duration value is expected")
				}
				d, err := time.ParseDuration(args[0])
				reload = d != 0
				return err
			default:
				return in.unknown()
			}
			return nil
		})
		if _, ok, known := in.options.Files.text(name); err == nil && !ok && known && !reload {
			err = fmt.Errorf("open %s: no such file or directory", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return u, nil
}

func setAny(in *input) (handler, error) {
	in.Next()
	if in.NextArg() {
		return nil, in.argErr()
	}
	if in.NextBlock() {
		return nil, in.unknown()
	}
	return unfollowed{qtypes: "ANY", why: text.F("what the plugin %s does is not followed", in.name)}, nil
}

// setLocal reads the plugin that answers for localhost.
func setLocal(in *input) (handler, error) {
	l := local{prefix: true}
	for in.Next() {
		if err := in.none(); err != nil {
			return nil, err
		}
		err := in.each(func(property string) error {
			if property != "localhost_prefix" {
				return in.unknown()
			}
			v, err := in.one()
			if err == nil && v != "on" && v != "off" {
				err = fmt.Errorf("localhost_prefix expects 'on' or 'off', got %q", v)
			}
			l.prefix = v == "on"
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

type local struct{ prefix bool }

var localZones = zones{"localhost.", "0.in-addr.arpa.", "127.in-addr.arpa.", "255.in-addr.arpa."}

func (l local) serve(r *run, i int, q Query) Answer {
	if localZones.match(q.Name) == "" && (!l.prefix || !strings.HasPrefix(q.Name, "localhost.")) {
		return r.next(i, q)
	}
	return r.unknown(i, text.F("what the plugin %s does is not followed", "local"))
}

func setMinimal(in *input) (handler, error) {
	in.Next()
	if in.NextArg() {
		return nil, in.argErr()
	}
	return minimal{}, nil
}

// minimal leaves away what an answer has beside its answer.
type minimal struct{}

func (minimal) serve(r *run, i int, q Query) Answer {
	a := r.next(i, q)
	denies := slices.ContainsFunc(a.authority, func(r Record) bool { return r.Type == "SOA" || r.Type == "NS" })
	if a.Outcome == Answered && a.Rcode == NoError && (len(a.Records) > 0 || !denies) {
		a.Extra, a.authority = nil, nil
	}
	return a
}

// maxRegexp is the longest pattern that CoreDNS takes.
const maxRegexp = 10_000

func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxRegexp {
		return nil, fmt.Errorf("regex pattern too long: %d > %d", len(pattern), maxRegexp)
	}
	return regexp.Compile(pattern)
}

func setErrors(in *input) (handler, error) {
	return nil, in.once(func() error {
		switch args := in.RemainingArgs(); {
		case len(args) > 1:
			return in.argErr()
		case len(args) == 1 && args[0] != "stdout":
			return fmt.Errorf("invalid log file: %s", args[0])
		}
		return in.each(func(property string) error {
			switch property {
			case "stacktrace":
				return nil
			case "consolidate":
				return consolidate(in)
			}
			return in.unknown()
		})
	})
}

func consolidate(in *input) error {
	args := in.RemainingArgs()
	if len(args) < 2 || len(args) > 4 {
		return in.argErr()
	}
	if _, err := time.ParseDuration(args[0]); err != nil {
		return err
	}
	if _, err := compile(args[1]); err != nil {
		return err
	}
	level, first := false, false
	for _, a := range args[2:] {
		switch {
		case a == "show_first":
			first = true
		case !slices.Contains([]string{"warning", "error", "info", "debug"}, a):
			return fmt.Errorf("unknown option in consolidate: %s", a)
		case level || first:
			return fmt.Errorf("log level %s of consolidate comes twice, or late", a)
		default:
			level = true
		}
	}
	return nil
}

func setLog(in *input) (handler, error) {
	for in.Next() {
		in.RemainingArgs()
		err := in.each(func(property string) error {
			if property != "class" {
				return in.unknown()
			}
			args := in.RemainingArgs()
			if len(args) == 0 {
				return in.argErr()
			}
			for _, a := range args {
				if !slices.Contains([]string{"all", "success", "denial", "error"}, a) {
					return fmt.Errorf("invalid Class: %s", a)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// endpoint reads the one argument, an address to listen on, that a plugin may have.
func (in *input) endpoint() error {
	args := in.RemainingArgs()
	switch len(args) {
	case 0:
		return nil
	case 1:
		_, _, err := splitHostPort(args[0])
		return err
	}
	return in.argErr()
}

func setHealth(in *input) (handler, error) {
	for in.Next() {
		if err := in.endpoint(); err != nil {
			return nil, err
		}
		err := in.each(func(property string) error {
			if property != "lameduck" {
				return in.unknown()
			}
			v, err := in.one()
			if err == nil {
				_, err = time.ParseDuration(v)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func setReady(in *input) (handler, error) {
	return nil, in.once(func() error {
		if err := in.endpoint(); err != nil {
			return err
		}
		return in.each(func(property string) error {
			if property != "monitor" {
				return in.unknown()
			}
			v, err := in.one()
			if err == nil && v != "until-ready" && v != "continuously" {
				err = fmt.Errorf("monitor type '%s' not supported", v)
			}
			return err
		})
	})
}

// The least that the plugin reload takes.
const (
	minReload = 2 * time.Second
	minJitter = time.Second
)

func setReload(in *input) (handler, error) {
	in.Next()
	args := in.RemainingArgs()
	if len(args) > 2 {
		return nil, in.argErr()
	}
	for i, least := range []time.Duration{minReload, minJitter}[:len(args)] {
		d, err := time.ParseDuration(args[i])
		if err == nil && d < least && (i == 0 || d != 0) {
			err = fmt.Errorf("%s: the least is %s", args[i], least)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func setLoop(in *input) (handler, error) {
	return nil, in.once(func() error {
		if in.NextArg() {
			return in.argErr()
		}
		return nil
	})
}

func setLoadbalance(in *input) (handler, error) {
	for in.Next() {
		args := in.RemainingArgs()
		switch {
		case len(args) == 0:
		case args[0] == "round_robin":
			if len(args) > 1 {
				return nil, fmt.Errorf("unknown property for %s", args[0])
			}
		case args[0] == "weighted":
			if len(args) != 2 {
				return nil, errors.New("weighted wants one weight file")
			}
			if err := in.each(func(property string) error { return weighted(in, property) }); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unknown policy: %s", args[0])
		}
		err := in.each(func(property string) error {
			if property != "prefer" {
				return in.unknown()
			}
			for _, c := range in.RemainingArgs() {
				if _, err := netip.ParsePrefix(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func weighted(in *input, property string) error {
	if property != "reload" {
		return in.unknown()
	}
	v, err := in.one()
	if err == nil {
		_, err = time.ParseDuration(v)
	}
	return err
}

func setPrometheus(in *input) (handler, error) {
	tls := false
	return nil, in.once(func() error {
		if err := in.endpoint(); err != nil {
			return err
		}
		return in.each(func(property string) error {
			switch {
			case property == "runtime_metrics":
				return in.none()
			case property == "tls" && !tls:
				tls = true
				_, err := in.one()
				return err
			}
			return in.unknown()
		})
	})
}

func setBind(in *input) (handler, error) {
	for in.Next() {
		args := in.RemainingArgs()
		if len(args) == 0 {
			return nil, errors.New("at least one address or interface name is expected")
		}
		in.server.bind = append(in.server.bind, args...)
		err := in.each(func(property string) error {
			if property != "except" {
				return fmt.Errorf("invalid option %q", property)
			}
			if len(in.RemainingArgs()) == 0 {
				return errors.New("at least one address or interface must be given to except subdirective")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// parseTTL reads seconds that are within bounds.
func parseTTL(s string, low, high int) (uint32, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < low || n > high) {
		err = fmt.Errorf("ttl must be in range [%d, %d]: %d", low, high, n)
	}
	return uint32(n), err
}

// parseIP reads an address as Go's net does, which takes IPv4 in IPv6 for IPv4.
func parseIP(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// splitHostPort splits "host:port" and "[host]:port", as Go's net does.
func splitHostPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	end := strings.IndexByte(s, ']')
	switch {
	case i < 0:
		return "", "", fmt.Errorf("address %s: missing port in address", s)
	case s[0] == '[' && (end < 0 || end+1 != i):
		return "", "", fmt.Errorf("address %s: missing port in address", s)
	case s[0] == '[':
		host = s[1:end]
	default:
		host = s[:i]
	}
	if s[0] != '[' && strings.Contains(host, ":") || strings.ContainsAny(host, "[]") || strings.ContainsAny(s[i:], "[]") {
		return "", "", fmt.Errorf("address %s: too many colons in address", s)
	}
	return host, s[i+1:], nil
}

// joinHostPort writes what splitHostPort splits.
func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}
