package dns

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// An Env is what an answer depends on beside the Corefile.
type Env struct {
	Cluster *Cluster // what the plugin kubernetes serves; nil: not known
	// Upstream, where it is not nil, says what servers that queries are forwarded to answer.
	Upstream func([]Upstream, Query) Answer
}

// maxLookups bounds the lookups that answers lead to, one within the other.
const maxLookups = 8

// A run is a query on its way.
type run struct {
	c      *Corefile
	env    Env
	server *Server
	first  Query // as it came, for its port and client
	depth  int
	steps  []Step
}

// Ask says what CoreDNS answers to a query.
func (c *Corefile) Ask(q Query, env Env) Answer {
	q.Name, q.Class = fqdn(q.Name), cmp.Or(q.Class, "IN")
	q.Port = cmp.Or(q.Port, 53)
	r := &run{c: c, env: env, first: q}
	a := r.ask(q)
	a.Steps = r.steps
	if name, is := unsendable(a); is && a.Outcome == Answered {
		a.Steps = append(a.Steps, Step{a.By, text.F("%q is no name, and the answer with it is not sent", name)})
		a.Records, a.Extra = nil, nil
		if !a.failed { // else the server's own message comes
			a.Rcode = ""
		}
	}
	return a
}

// unsendable returns what in an answer is no name, if anything is: rules of rewrite can make such.
func unsendable(a Answer) (name string, is bool) {
	for _, r := range slices.Concat(a.Records, a.authority, a.Extra) {
		if !isName(r.Name) {
			return r.Name, true
		}
		if r.Target != "" && !isName(r.Target) {
			return r.Target, true
		}
	}
	return "", false
}

// ask gives a query to the server block whose zone is the longest.
func (r *run) ask(q Query) Answer {
	if !isName(q.Name) {
		return Answer{Why: text.F("%q is no name that can be looked up", q.Name)}
	}
	if r.c.unread != nil {
		return Answer{Why: r.c.unread.why, By: Place{Line: r.c.unread.line}}
	}
	s, a := r.choose(q)
	if s == nil {
		return a
	}
	place := Place{Server: s.Key, Line: s.Line}
	if s.unread != nil {
		return Answer{Why: s.unread.why, By: Place{Server: s.Key, Line: s.unread.line}}
	}
	if s.empty {
		return Answer{Outcome: Answered, Rcode: Refused, By: place, written: true}
	}
	r.steps = append(r.steps, Step{place, text.F("%s comes to the server block %s", q, s.Key)})
	was := r.server
	r.server = s
	a = r.next(-1, q)
	r.server = was
	a.written = true
	return a
}

// choose returns the server that a query comes to, or else the answer.
func (r *run) choose(q Query) (*Server, Answer) {
	refused := Answer{Outcome: Answered, Rcode: Refused, written: true}
	here := map[string][]*Server{}
	chaos := false
	for i := range r.c.Servers {
		s := &r.c.Servers[i]
		for _, a := range s.addrs {
			if a.transport == "dns" && a.port == strconv.Itoa(int(q.Port)) {
				here[a.zone] = append(here[a.zone], s)
				chaos = chaos || s.chaos
			}
		}
	}
	if q.Class != "IN" && !chaos {
		return nil, refused
	}
	name, found := q.Name, []*Server(nil)
	for name != "" {
		if s := here[name]; s != nil {
			found = s
			if q.Type != "DS" || s[0].empty { // a parent zone answers for those
				break
			}
		}
		_, name, _ = strings.Cut(name, ".")
	}
	if found == nil {
		found = here["."]
	}
	switch {
	case len(found) == 0:
		return nil, refused
	case len(found) > 1:
		return nil, Answer{Why: text.F("several server blocks serve %s, and which one is asked is not known", found[0].Key), By: Place{Line: found[0].Line}}
	}
	return found[0], Answer{}
}

// next gives a query to the plugin after the i-th.
func (r *run) next(i int, q Query) Answer {
	for j := i + 1; j < len(r.server.Plugins); j++ {
		p := &r.server.Plugins[j]
		switch {
		case p.unread != nil && !plain[p.Name]:
			return r.unknown(j, p.unread.why)
		case p.handler != nil:
			return p.handler.serve(r, j, q)
		}
	}
	return Answer{Outcome: Answered, Rcode: ServFail, By: Place{Server: r.server.Key, Line: r.server.Line}, broken: true}
}

// place returns where the i-th plugin is.
func (r *run) place(i int) Place {
	p := &r.server.Plugins[i]
	return Place{r.server.Key, p.Name, p.Line}
}

func (r *run) unknown(i int, why text.Text) Answer { return Answer{Why: why, By: r.place(i)} }

// step notes what the i-th plugin did.
func (r *run) step(i int, what text.Text) { r.steps = append(r.steps, Step{r.place(i), what}) }

// answer is one that the i-th plugin gives.
func (r *run) answer(i int, rcode string, records ...Record) Answer {
	return Answer{Outcome: Answered, Rcode: rcode, Records: records, By: r.place(i), written: true}
}

// lookup asks CoreDNS itself for a name that a record leads to.
func (r *run) lookup(i int, name, kind string) Answer {
	if r.depth >= maxLookups {
		return r.unknown(i, text.F("more than %d names lead one to the other", maxLookups))
	}
	r.step(i, text.F("%s is looked up", fqdn(name)))
	q := r.first
	q.Name, q.Type, q.Class = fqdn(name), kind, "IN"
	r.depth++
	a := r.ask(q)
	r.depth--
	if a.failed { // the message that the server makes of it comes after its own
		a.Records, a.Extra, a.authority = nil, nil, nil
	}
	return a
}

// join adds to an answer what the lookup of a name that it leads to comes to.
func join(a, to Answer) Answer {
	switch to.Outcome {
	case Answered:
		a.Records = append(a.Records, to.Records...)
		return a
	case Forwarded:
		a.Outcome, a.Asked, a.Upstreams = Forwarded, to.Asked, to.Upstreams
		a.By = to.By
		a.Records = append(a.Records, to.Records...)
		return a
	}
	to.Records = slices.Concat(a.Records, to.Records)
	return to
}
