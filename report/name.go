package report

import (
	"strings"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/text"
)

// A nameLine is one line about how a name was resolved; those of a plugin's doings are deeper.
type nameLine struct {
	mark string
	what text.Text
	deep bool
}

// nameLines says how the destination's name was resolved.
func nameLines(n *diagnose.Resolution) (out []nameLine) {
	search := strings.Join(n.Conf.Search, " ")
	out = append(out, nameLine{what: text.F("resolv.conf: nameserver %s, search %s, ndots %d", n.Server, search, n.Conf.NDots())})
	if !n.Own {
		out = append(out, nameLine{what: text.F("so the Pod's object has it: what the Pod really has was not collected")})
	}
	if n.Host {
		out = append(out, nameLine{what: text.F("the node's own search list, which is not known, comes behind it")})
	}
	for i := range n.Queries {
		q := &n.Queries[i]
		out = append(out, nameLine{queryMark(&q.Answer), queryWhat(q), false})
		for _, s := range q.Answer.Steps {
			if s.Place.Plugin != "" && s.Place.Plugin != "forward" {
				out = append(out, nameLine{what: text.F("%s (Corefile:%d): %s", s.Place.Plugin, s.Place.Line, s.What), deep: true})
			}
		}
	}
	for _, w := range n.Ways() {
		out = append(out, nameLine{verdictMarks[w.Verdict], text.F("%s: %s", w.Title, verdictWords[w.Verdict]), false})
	}
	return out
}

// queryMark tells at a glance what an answer is: an address, none, or not known.
func queryMark(a *dns.Answer) string {
	switch {
	case a.Outcome != dns.Answered:
		return verdictMarks[diagnose.CannotTell]
	case len(a.Addrs()) > 0:
		return verdictMarks[diagnose.Works]
	case a.Rcode == dns.NXDomain || a.Rcode == dns.NoError:
		return "·"
	}
	return verdictMarks[diagnose.Broken]
}

// queryWhat says what a query is answered by.
func queryWhat(q *diagnose.Query) text.Text {
	a := &q.Answer
	who := a.By.Plugin
	if who == "" {
		who = "CoreDNS"
	}
	var data []string
	for _, r := range a.Records {
		data = append(data, r.Data())
	}
	switch {
	case a.Outcome == dns.Unknown:
		return text.F("%s: not known: %s (%s, Corefile:%d)", q.Query, a.Why, who, a.By.Line)
	case a.Outcome == dns.Forwarded:
		return text.F("%s: is forwarded to %s (Corefile:%d)", q.Query, diagnose.UpstreamNames(a.Upstreams), a.By.Line)
	case a.Rcode == "":
		return text.F("%s: no answer is sent (%s, Corefile:%d)", q.Query, who, a.By.Line)
	case len(data) > 0:
		return text.F("%s: %s (%s, Corefile:%d)", q.Query, strings.Join(data, ", "), who, a.By.Line)
	}
	return text.F("%s: %s, no address (%s, Corefile:%d)", q.Query, a.Rcode, who, a.By.Line)
}

// name prints how the destination's name was resolved.
func (t textReport) name(r *diagnose.Report) {
	if r.Name == nil {
		return
	}
	t.label(text.F("How %s resolves in %s", r.Name.Name, r.Source.Name))
	for _, l := range nameLines(r.Name) {
		first, rest := "  ", "    "
		if l.mark != "" {
			first += l.mark + " "
		}
		if l.deep {
			first, rest = "      ", "        "
		}
		t.para(first, rest, plain, t.say(l.what))
	}
	t.put()
}

// A viewName is nameLines on the page.
type viewName struct {
	Title string
	Lines []viewNameLine
}

type viewNameLine struct {
	Mark, What string
	Deep       bool
}

func (v viewer) name(r *diagnose.Report) *viewName {
	if r.Name == nil {
		return nil
	}
	out := &viewName{Title: v.say(text.F("How %s resolves in %s", r.Name.Name, r.Source.Name))}
	for _, l := range nameLines(r.Name) {
		out.Lines = append(out.Lines, viewNameLine{l.mark, v.say(l.what), l.deep})
	}
	return out
}

type jsonResolution struct {
	Host    string      `json:"host"`
	Server  string      `json:"server"`
	Search  []string    `json:"search"`
	NDots   int         `json:"ndots"`
	Queries []jsonQuery `json:"queries"`
}

type jsonQuery struct {
	QName     string     `json:"qname"`
	QType     string     `json:"qtype"`
	Outcome   string     `json:"outcome"`
	Rcode     string     `json:"rcode,omitempty"`
	Records   []string   `json:"records"`
	Plugin    string     `json:"plugin,omitempty"`
	Line      int        `json:"line,omitempty"`
	Upstreams []string   `json:"upstreams"`
	Steps     []jsonText `json:"steps"`
}

var outcomes = [...]string{"unknown", "answered", "forwarded"}

func (j jsoner) name(n *diagnose.Resolution) *jsonResolution {
	if n == nil {
		return nil
	}
	v := &jsonResolution{Host: n.Name, Server: n.Server.String(), Search: list(n.Conf.Search), NDots: n.Conf.NDots(), Queries: []jsonQuery{}}
	for _, q := range n.Queries {
		a := q.Answer
		one := jsonQuery{QName: q.Query.Name, QType: q.Type, Outcome: outcomes[a.Outcome], Rcode: a.Rcode, Records: []string{},
			Plugin: a.By.Plugin, Line: a.By.Line, Upstreams: []string{}, Steps: []jsonText{}}
		for _, r := range a.Records {
			one.Records = append(one.Records, r.String())
		}
		for _, u := range a.Upstreams {
			one.Upstreams = append(one.Upstreams, u.String())
		}
		for _, s := range a.Steps {
			one.Steps = append(one.Steps, j.text(s.What))
		}
		v.Queries = append(v.Queries, one)
	}
	return v
}
