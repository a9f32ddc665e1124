package dns

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// autopath follows the search list of a Pod for it, where a query is its first step.
type autopath struct {
	zones  zones
	plugin string   // "kubernetes" of "@kubernetes": the list is that of the Pod that asks
	search []string // of a resolv.conf
	file   string   // one that is not known
}

func setAutopath(in *input) (handler, error) {
	a := &autopath{}
	for in.Next() {
		args := in.RemainingArgs()
		if len(args) < 1 {
			return nil, errors.New("no resolv-conf specified")
		}
		last := args[len(args)-1]
		a.zones = in.zones(args[:len(args)-1])
		if name, at := strings.CutPrefix(last, "@"); at {
			a.plugin = name
			if slices.Contains([]string{"errors", "log", "cache", "forward", "hosts", "rewrite", "loop", "template", "prometheus"}, name) && len(in.server.block.tokens[name]) > 0 {
				return nil, fmt.Errorf("%s does not implement the AutoPather interface", name)
			}
			continue
		}
		body, ok, known := in.options.Files.text(last)
		switch {
		case !known:
			a.file = last
		case !ok:
			return nil, fmt.Errorf("failed to parse %q", last)
		}
		for _, s := range ParseConf(body).Search {
			a.search = append(a.search, fqdn(s))
		}
		a.search = append(a.search, "")
	}
	return a, nil
}

// searchList returns the list that a query is in; why says what hides it.
func (a *autopath) searchList(r *run, q Query) (list []string, why text.Text) {
	switch {
	case a.file != "":
		return nil, text.F("the plugin %s answers from %s, which is not read", "autopath", a.file)
	case a.plugin == "":
		return a.search, why
	}
	i := slices.IndexFunc(r.server.Plugins, func(p Plugin) bool { return p.Name == a.plugin })
	if i < 0 {
		return nil, why
	}
	k, ok := r.server.Plugins[i].handler.(*kubernetes)
	if !ok {
		return nil, text.F("what the plugin %s does is not followed", "autopath")
	}
	zone := k.zones.match(q.Name)
	if zone == "" || k.pods != "verified" {
		return nil, why
	}
	if m := r.env.Cluster.lacks("Pod"); m != "" || !q.Client.IsValid() {
		return nil, text.F("which Pod asks is not known")
	}
	pods := r.env.Cluster.pods[q.Client]
	if len(pods) == 0 {
		return nil, why
	}
	suffix := strings.TrimSuffix("svc."+zone, ".") + "."
	return []string{pods[0].Namespace + "." + suffix, suffix, zone, unknownSearch, ""}, why
}

// unknownSearch stands for the domains that CoreDNS's own resolv.conf has.
const unknownSearch = "?"

func (a *autopath) serve(r *run, i int, q Query) Answer {
	if a.zones.match(q.Name) == "" {
		return r.next(i, q)
	}
	list, why := a.searchList(r, q)
	if !why.IsZero() {
		return r.unknown(i, why)
	}
	if len(list) == 0 || !within(q.Name, fqdn(list[0])) || list[0] == "" {
		return r.next(i, q)
	}
	base, below := strings.CutSuffix(q.Name, "."+list[0])
	if !below {
		return r.unknown(i, text.F("what the plugin %s does is not followed", "autopath"))
	}
	var first Answer
	for n, s := range list {
		if s == unknownSearch {
			r.step(i, text.F("the domains of CoreDNS's own resolv.conf are not known, and are left out"))
			continue
		}
		to := q
		to.Name = base + "." + s
		if n > 0 {
			r.step(i, text.F("%s is asked for as %s", q, to))
		}
		got := r.next(i, to)
		switch {
		case got.Outcome != Answered || got.broken:
			return got
		case n == 0:
			first = got
		}
		if got.written && !got.failed && got.Rcode != NXDomain {
			return aliased(got, q.Name)
		}
	}
	return first
}

// aliased makes an answer for another name one for that which was asked for.
func aliased(a Answer, name string) Answer {
	for _, r := range a.Records {
		if r.Name != name {
			a.Records = append([]Record{{Name: name, Type: "CNAME", TTL: r.TTL, Target: r.Name}}, a.Records...)
			break
		}
	}
	return a
}
