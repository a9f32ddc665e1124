package dns

import "slices"

// A Forward is one line of the plugin forward.
type Forward struct {
	Place
	Zone string // of which names come there: "."
	Port string // on which its server is asked
	To   []Upstream
}

// A HostsBlock is one plugin hosts.
type HostsBlock struct {
	Place
	Zones   []string // whose names it answers for
	Through bool     // names that it does not have go on
	Before  []string // the plugins behind it that answer, which such names do not come to
}

// look calls f for each plugin that answers.
func (c *Corefile) look(f func(s *Server, i int, place Place, h handler)) {
	for i := range c.Servers {
		s := &c.Servers[i]
		for j, p := range s.Plugins {
			if p.handler != nil {
				f(s, j, Place{s.Key, p.Name, p.Line}, p.handler)
			}
		}
	}
}

// Forwards returns what is forwarded where, in the order in which it is asked.
func (c *Corefile) Forwards() (out []Forward) {
	c.look(func(s *Server, _ int, place Place, h handler) {
		if f, ok := h.(*forward); ok && len(s.addrs) > 0 {
			zone := f.from
			if within(s.addrs[0].zone, zone) {
				zone = s.addrs[0].zone
			}
			out = append(out, Forward{place, zone, s.addrs[0].port, f.to})
		}
	})
	return out
}

// HostsBlocks returns all plugins hosts.
func (c *Corefile) HostsBlocks() (out []HostsBlock) {
	c.look(func(s *Server, i int, place Place, h handler) {
		if hs, ok := h.(*hosts); ok {
			b := HostsBlock{Place: place, Zones: hs.zones, Through: len(hs.through) > 0}
			for _, p := range s.Plugins[i+1:] {
				if p.handler != nil && !slices.Contains(b.Before, p.Name) {
					b.Before = append(b.Before, p.Name)
				}
			}
			out = append(out, b)
		}
	})
	return out
}

// Unanswered returns the rules of rewrite that give a query another name, and do not give its
// answer the name back that was asked for.
func (c *Corefile) Unanswered() (out []Place) {
	c.look(func(_ *Server, _ int, place Place, h handler) {
		w, ok := h.(*rewrite)
		if !ok {
			return
		}
		for _, u := range w.rules {
			back := u.auto || slices.ContainsFunc(u.then, func(c change) bool { return c.what == "name" })
			if u.kind == "name" && !back {
				place.Line = u.line
				out = append(out, place)
			}
		}
	})
	return out
}

// Kubernetes reports whether the plugin kubernetes answers for a name, in any server block.
func (c *Corefile) Kubernetes(name string) (is bool) {
	c.look(func(_ *Server, _ int, _ Place, h handler) {
		if k, ok := h.(*kubernetes); ok && k.zones.match(fqdn(name)) != "" {
			is = true
		}
	})
	return is
}

// Has returns where a plugin is first named.
func (c *Corefile) Has(plugin string) (Place, bool) {
	for _, s := range c.Servers {
		for _, p := range s.Plugins {
			if p.Name == plugin {
				return Place{s.Key, p.Name, p.Line}, true
			}
		}
	}
	return Place{}, false
}
