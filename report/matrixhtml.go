package report

import (
	_ "embed"
	"io"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/text"
)

//go:embed matrix.html.tmpl
var matrixSource string

// What the page of a table shows. Its template escapes.
type (
	viewMatrix struct {
		Lang, Title, Legend string
		Letters             []viewSays
		Groups              []viewGroup
		Rows                []viewRow // none where there are too many groups for a table
		Missing             []string
		Open                bool
	}
	viewGroup struct {
		N    int
		Name string
		All  []string // its members, where the name does not tell them all
		Says []viewSays
	}
	viewRow struct {
		N     int
		Name  string
		Cells []viewSays
	}
	viewSays struct{ Mark, Class, What, To string }
)

// maxGrid is how many groups a table of the page has columns for.
const maxGrid = 40

// MatrixHTML writes a table as one self-contained page: no network, no script. The table scrolls
// within the page, and below it every group says whom it may reach.
func MatrixHTML(w io.Writer, table *intent.Table, missing []string, o Options) error {
	v := viewer{tongue: tongue(o.Lang)}
	m := &matrix{printer: newPrinter(o), t: table, say: v.say, marks: map[string]string{}}
	p := viewMatrix{Lang: v.code(), Open: len(table.Groups) <= 8, Title: v.say(text.F("who may talk to whom, by all ports")),
		Legend: v.say(text.F("from a row to a column: + allowed, - denied, ? not known; what a Pod and its own node send each other NetworkPolicies never stop"))}
	if len(table.Ports) == 1 {
		p.Title = v.say(text.F("who may talk to whom: %s", table.Ports[0].String()))
	}
	for i := range table.Groups {
		p.Groups = append(p.Groups, m.viewGroup(i))
	}
	if len(table.Groups) <= maxGrid {
		p.Rows = m.viewRows(p.Groups)
	}
	for i := range p.Groups {
		p.Groups[i].Says = m.says(i, p.Groups)
	}
	for i, ports := range m.some {
		p.Letters = append(p.Letters, viewSays{Mark: string(letters[min(i, len(letters)-1)]), What: v.say(text.F("allowed: %s", ports))})
	}
	if len(missing) > 0 {
		p.Missing = append(p.Missing, v.say(text.F("not collected: %s", strings.Join(missing, ", "))))
	}
	return v.write(w, matrixSource, p)
}

// viewGroup names a group, and its members where they are many.
func (m *matrix) viewGroup(i int) viewGroup {
	g := &m.t.Groups[i]
	out := viewGroup{N: i + 1, Name: m.groupName(g)}
	if len(g.Members) > maxMembers {
		for _, member := range g.Members {
			out.All = append(out.All, m.member(member))
		}
	}
	return out
}

// classes are how marks look.
func classOfMark(mark string) string {
	switch mark {
	case markAllowed:
		return "yes"
	case markDenied:
		return "no-way"
	case markNone:
		return ""
	}
	return "some"
}

// what says what a cell means.
func (m *matrix) what(c *intent.Cell) string {
	switch {
	case c.None:
		return ""
	case c.Mixed && len(c.Unknown) > 0:
		return m.say(text.F("allowed: %s", ranges(c.Allowed))) + "; " + m.say(text.F("not known: %s", ranges(c.Unknown)))
	case c.Mixed:
		return m.say(text.F("allowed: %s", ranges(c.Allowed)))
	case c.Answer == intent.Allowed:
		return m.say(text.F("allowed"))
	case c.Answer == intent.Denied:
		return m.say(text.F("denied"))
	}
	return m.say(text.F("not known"))
}

func (m *matrix) viewRows(groups []viewGroup) (out []viewRow) {
	for i := range groups {
		r := viewRow{N: i + 1, Name: groups[i].Name}
		for j := range groups {
			c := &m.t.Cells[i][j]
			mark, _ := m.mark(c)
			r.Cells = append(r.Cells, viewSays{Mark: mark, Class: classOfMark(mark), What: m.what(c)})
		}
		out = append(out, r)
	}
	return out
}

// says puts the groups that one sends to together by what they answer; by their numbers, where they are many.
func (m *matrix) says(i int, groups []viewGroup) (out []viewSays) {
	at, to := map[string]int{}, map[string][]int{}
	for j := range groups {
		c := &m.t.Cells[i][j]
		what := m.what(c)
		if what == "" {
			continue
		}
		if _, ok := at[what]; !ok {
			mark, _ := m.mark(c)
			at[what] = len(out)
			out = append(out, viewSays{Mark: mark, Class: classOfMark(mark), What: what})
		}
		to[what] = append(to[what], j+1)
	}
	for k := range out {
		list := to[out[k].What]
		out[k].To = spans(list)
		if len(list) > maxMembers {
			continue
		}
		var names []string
		for _, n := range list {
			names = append(names, groups[n-1].Name)
		}
		out[k].To = strings.Join(names, "; ")
	}
	return out
}
