package dns

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy/caddyfile"
)

// A Corefile is the configuration of CoreDNS, read.
type Corefile struct {
	Servers []Server
	unread  *unread // something may come before or beside them that is not known
}

// A Server is a server block.
type Server struct {
	Key     string // the first of its zones: "dns://.:53"
	Line    int
	Zones   []string // of all transports: ".", "cluster.local."
	Plugins []Plugin // as CoreDNS runs them, not as they are written

	addrs  []addr
	bind   []string // the addresses or devices that it listens on; none: all
	unread *unread
	block  block
	empty  bool // no plugin serves queries
	chaos  bool // one of them serves other classes than IN
}

// An addr is a zone that is served at a port.
type addr struct{ transport, zone, port string }

func (a addr) String() string { return a.transport + "://" + a.zone + ":" + a.port }

// A Plugin is one that a server block names. One that does nothing to queries has none of the rest.
type Plugin struct {
	Name string
	Line int // where it is named

	handler handler
	unread  *unread
}

// Options are what a Corefile's meaning depends on beside its text.
type Options struct {
	Files   Files
	Version string // of CoreDNS: "1.11.3"; "" is the newest that is known
}

// Parse reads a Corefile as CoreDNS does when it starts. The error, an *[Error], is why it would not.
func Parse(body string, o Options) (*Corefile, error) {
	tokens := lex("", body)
	if len(tokens) > maxTokens {
		return nil, fmt.Errorf("Corefile: it has %d words, and more than %d are not read", len(tokens), maxTokens)
	}
	p := parser{tokens: tokens, files: o.Files, snippets: map[string][]caddyfile.Token{}}
	blocks, err := p.blocks()
	if err != nil {
		return nil, err
	}
	c := &Corefile{unread: p.top}
	for i := range blocks {
		s, err := newServer(blocks[i])
		if err != nil {
			return nil, err
		}
		c.Servers = append(c.Servers, s)
	}
	if len(blocks) == 0 && p.top == nil {
		b := block{keys: []string{".:53"}, tokens: map[string][]caddyfile.Token{"whoami": {{Text: "whoami"}}}}
		s, _ := newServer(b)
		c.Servers = []Server{s}
	}
	if err := c.setUp(o); err != nil {
		return nil, err
	}
	return c, c.distinct()
}

// Domain returns the cluster's domain: the first zone of the plugin kubernetes that is none of
// addresses, without its dot; "" where no server has the plugin.
func (c *Corefile) Domain() string {
	for _, s := range c.Servers {
		for _, p := range s.Plugins {
			if k, ok := p.handler.(*kubernetes); ok {
				return strings.TrimSuffix(k.primary, ".")
			}
		}
	}
	return ""
}

// newServer reads the keys of a block.
func newServer(b block) (Server, error) {
	s := Server{Line: b.line, block: b}
	for _, key := range b.keys {
		k, err := parseZone(key)
		if err != nil {
			if variable(key) != "" {
				continue
			}
			return s, &Error{Line: b.line, Msg: err.Error()}
		}
		port := cmp.Or(k.port, transports[k.transport])
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return s, &Error{Line: b.line, Msg: fmt.Sprintf("invalid port %q", port)}
		}
		for _, z := range k.zones {
			s.addrs = append(s.addrs, addr{k.transport, z, port})
			s.Zones = append(s.Zones, z)
		}
	}
	if len(s.addrs) > 0 {
		s.Key = s.addrs[0].String()
	}
	if u, ok := b.opaque[""]; ok {
		s.unread = &u
	}
	return s, nil
}

// setUp sets the plugins of all servers up, in CoreDNS's order: by plugin, then by server.
func (c *Corefile) setUp(o Options) error {
	for _, name := range directives {
		for i := range c.Servers {
			if err := c.Servers[i].plugin(name, o); err != nil {
				return err
			}
		}
	}
	for i := range c.Servers {
		s := &c.Servers[i]
		s.empty = !slices.ContainsFunc(s.Plugins, func(p Plugin) bool { return p.handler != nil || p.unread != nil || serves[p.Name] })
		s.chaos = slices.ContainsFunc(s.Plugins, func(p Plugin) bool { return p.Name == "forward" || p.Name == "chaos" })
	}
	return nil
}

// plugin sets one plugin up, if the server has it.
func (s *Server) plugin(name string, o Options) error {
	tokens := s.block.tokens[name]
	if len(tokens) == 0 {
		return nil
	}
	p := Plugin{Name: name, Line: tokens[0].Line}
	if u, ok := s.block.opaque[name]; ok {
		p.unread = &u
		s.Plugins = append(s.Plugins, p)
		return nil
	}
	if refused(o.Version, name, "") {
		return &Error{Line: p.Line, Msg: fmt.Sprintf("Unknown directive '%s'", name)}
	}
	in := &input{Dispenser: caddyfile.NewDispenserTokens("", tokens), name: name, options: o, server: s}
	f := setups[name]
	if f == nil {
		f = notFollowed
	}
	made, err := f(in)
	if err != nil {
		return in.refusal(err)
	}
	if fs, many := made.(forwards); many { // one after the other
		for _, f := range fs {
			s.Plugins = append(s.Plugins, Plugin{Name: name, Line: f.line, handler: f})
		}
		return nil
	}
	p.handler = made
	s.Plugins = append(s.Plugins, p)
	return nil
}

// distinct returns an error where two server blocks would serve one zone at one place. Those that
// choose among queries by a view may.
func (c *Corefile) distinct() error {
	type key struct {
		addr
		on string // an address or device, "" for all
	}
	seen, any := map[key]bool{}, map[addr]bool{}
	for _, s := range c.Servers {
		view := slices.ContainsFunc(s.Plugins, func(p Plugin) bool { return p.Name == "view" })
		on := s.bind
		if len(on) == 0 {
			on = []string{""}
		}
		for i, a := range s.addrs {
			for _, o := range on {
				switch {
				case seen[key{a, o}] && view:
				case seen[key{a, o}]:
					return &Error{Line: s.Line, Msg: fmt.Sprintf("cannot serve %s - it is already defined", s.addrs[i])}
				case any[a] && o == "", seen[key{a, ""}]:
					return &Error{Line: s.Line, Msg: fmt.Sprintf("cannot serve %s - zone overlap listener capacity", s.addrs[i])}
				case !view:
					seen[key{a, o}], any[a] = true, true
				}
			}
		}
	}
	return nil
}

// An input is what a plugin's setup reads.
type input struct {
	caddyfile.Dispenser
	name    string
	options Options
	server  *Server
}

// refusal gives an error its place: the token that was read last.
func (in *input) refusal(err error) error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{File: in.File(), Line: in.Line(), Msg: in.name + ": " + err.Error()}
}

// argErr is the error of arguments that are too many or too few.
func (in *input) argErr() error {
	if in.Val() == "{" {
		return fmt.Errorf("unexpected token '{', expecting argument")
	}
	return fmt.Errorf("wrong argument count or unexpected line ending after '%s'", in.Val())
}

// each calls f for each property in the plugin's block, with its name. A property that an
// older CoreDNS does not know is refused as one that none knows.
func (in *input) each(f func(property string) error) error {
	for in.NextBlock() {
		property := in.Val()
		if refused(in.options.Version, in.name, property) {
			return in.unknown()
		}
		if err := f(property); err != nil {
			return err
		}
	}
	return nil
}

func (in *input) unknown() error { return fmt.Errorf("unknown property '%s'", in.Val()) }

// zones returns the zones that the plugin names, or those of its server.
func (in *input) zones(args []string) zones { return parseZones(args, in.server.Zones) }

// none wants that a property has no arguments.
func (in *input) none() error {
	if len(in.RemainingArgs()) > 0 {
		return in.argErr()
	}
	return nil
}

// one returns the only argument of a property.
func (in *input) one() (string, error) {
	if args := in.RemainingArgs(); len(args) == 1 {
		return args[0], nil
	}
	return "", in.argErr()
}

// errOnce is the error of plugins that a server block may have once.
var errOnce = errors.New("this plugin can only be used once per Server Block")

// once reads each line of a plugin that a server block may have once.
func (in *input) once(f func() error) error {
	for i := 0; in.Next(); i++ {
		if i > 0 {
			return errOnce
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// through reads the zones of a property fallthrough.
func (in *input) through() zones {
	args := in.RemainingArgs()
	if len(args) == 0 {
		return zones{"."}
	}
	return parseZones(args, nil)
}
