package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/text"
)

// Matrix prints who may talk to whom: the groups, and a table of them, or where that would not
// fit a line for each. Missing are the kinds of objects that were not collected.
func Matrix(w io.Writer, t *intent.Table, missing []string, o Options) error {
	m := matrix{printer: newPrinter(o), t: t, say: tongue(o.Lang).say, marks: map[string]string{}}
	m.title()
	for i := range t.Groups {
		m.group(i)
	}
	m.put()
	if m.number()+3*len(t.Groups)+2 <= m.width {
		m.grid()
	} else {
		m.lines()
	}
	m.put()
	m.legend()
	m.missing(missing)
	return m.flush(w)
}

// missing says which kinds were not collected.
func (m *matrix) missing(kinds []string) {
	var need, rare []string
	for _, k := range kinds {
		if strings.HasSuffix(k, "NetworkPolicy") && k != "NetworkPolicy" { // of a CustomResourceDefinition
			rare = append(rare, k)
		} else {
			need = append(need, k)
		}
	}
	if len(need) > 0 {
		m.para("", "  ", yellow, m.say(text.F("not collected: %s", strings.Join(need, ", "))))
	}
	if len(rare) > 0 {
		m.para("", "  ", dim, m.say(text.F("not collected, and supposed to be none: %s", strings.Join(rare, ", "))))
	}
}

// matrix prints one table.
type matrix struct {
	*printer
	t     *intent.Table
	say   func(text.Text) string
	marks map[string]string // of cells that are allowed for some ports: by these
	some  []string          // the ports, in the order of their marks
}

func (m *matrix) title() {
	if len(m.t.Ports) == 1 {
		m.heading(bold, m.say(text.F("who may talk to whom: %s", m.t.Ports[0].String())))
		return
	}
	m.heading(bold, m.say(text.F("who may talk to whom, by all ports")))
}

// number returns how many columns the number of a group takes.
func (m *matrix) number() int { return len(strconv.Itoa(len(m.t.Groups))) }

// maxMembers is how many members of a group are named.
const maxMembers = 6

func (m *matrix) group(i int) {
	m.para(fmt.Sprintf("%*d  ", m.number(), i+1), strings.Repeat(" ", m.number()+2), plain, m.groupName(&m.t.Groups[i]))
}

// groupName names a group by its first members.
func (m *matrix) groupName(g *intent.Group) string {
	var names []string
	for _, member := range g.Members[:min(len(g.Members), maxMembers)] {
		names = append(names, m.member(member))
	}
	if n := len(g.Members) - len(names); n > 0 {
		names = append(names, m.say(text.F("%d more", n)))
	}
	what := strings.Join(names, ", ")
	switch g.Kind {
	case "nodes":
		return m.say(text.F("nodes: %s", what))
	case "outside":
		return m.say(text.F("outside the cluster: %s", what))
	}
	return m.say(text.F("%s (Pods: %d)", what, g.Pods))
}

func (m *matrix) member(x intent.Member) string {
	name := clean(x.Name)
	switch {
	case x.Kind == "" && x.Name == "":
		return m.say(text.F("all that no policy names"))
	case x.Namespace == "":
		return name
	}
	name = clean(x.Namespace) + "/" + name
	if x.Pods < x.Of {
		return m.say(text.F("%s (%d of %d)", name, x.Pods, x.Of))
	}
	return name
}

// The marks of cells. Words say what they mean.
const (
	markAllowed = "+"
	markDenied  = "-"
	markUnknown = "?"
	markNone    = "·"
)

// mark returns the mark of a cell: a letter where some ports are allowed.
func (m *matrix) mark(c *intent.Cell) (string, style) {
	switch {
	case c.None:
		return markNone, dim
	case c.Mixed:
		return m.letter(c), yellow
	case c.Answer == intent.Allowed:
		return markAllowed, green
	case c.Answer == intent.Denied:
		return markDenied, red
	}
	return markUnknown, yellow
}

// letters mark ports. Where there are more sets of ports than letters, the last stands for the rest.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*"

func (m *matrix) letter(c *intent.Cell) string {
	key := ranges(c.Allowed)
	if len(c.Unknown) > 0 {
		key += "; " + m.say(text.F("not known: %s", ranges(c.Unknown)))
	}
	mark, ok := m.marks[key]
	if !ok {
		mark = string(letters[min(len(m.some), len(letters)-1)])
		m.marks[key] = mark
		m.some = append(m.some, key)
	}
	return mark
}

func ranges(list []intent.PortRange) string {
	var out []string
	for _, r := range list {
		out = append(out, r.String())
	}
	return strings.Join(out, ", ")
}

// grid prints a row for each group that sends.
func (m *matrix) grid() {
	n := m.number()
	head := strings.Repeat(" ", n+2)
	for j := range m.t.Groups {
		head += fmt.Sprintf("%3d", j+1)
	}
	m.put(m.paint(dim, head))
	for i := range m.t.Groups {
		row := []string{m.paint(dim, fmt.Sprintf("%*d  ", n, i+1))}
		for j := range m.t.Groups {
			mark, st := m.mark(&m.t.Cells[i][j])
			row = append(row, "  "+m.paint(st, mark))
		}
		m.put(row...)
	}
}

// lines prints for each group that sends the groups by what they answer.
func (m *matrix) lines() {
	for i := range m.t.Groups {
		by := map[string][]int{}
		for j := range m.t.Groups {
			mark, _ := m.mark(&m.t.Cells[i][j])
			by[mark] = append(by[mark], j+1)
		}
		var parts []string
		for _, mark := range slices.Concat([]string{markAllowed}, strings.Split(letters, ""), []string{markUnknown, markDenied}) {
			if list := by[mark]; len(list) > 0 {
				parts = append(parts, mark+" "+spans(list))
			}
		}
		m.para(fmt.Sprintf("%*d  ", m.number(), i+1), strings.Repeat(" ", m.number()+2), plain, strings.Join(parts, "  "))
	}
}

// spans writes sorted numbers as "1-3,7".
func spans(list []int) string {
	var out []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		s := strconv.Itoa(list[i])
		if j > i {
			s += "-" + strconv.Itoa(list[j])
		}
		out = append(out, s)
		i = j + 1
	}
	return strings.Join(out, ",")
}

// legend says what the marks mean.
func (m *matrix) legend() {
	m.para("", "  ", dim, m.say(text.F("from a row to a column: + allowed, - denied, ? not known; what a Pod and its own node send each other NetworkPolicies never stop")))
	for i, ports := range m.some {
		m.para(string(letters[min(i, len(letters)-1)])+"  ", "   ", plain, m.say(text.F("allowed: %s", ports)))
	}
}

// The stable form of a table. Fields are added, never changed.
type (
	matrixJSON struct {
		Ports   []string          `json:"ports"`
		Groups  []matrixGroupJSON `json:"groups"`
		Cells   []matrixCellJSON  `json:"cells"`
		Missing []string          `json:"missing,omitempty"`
	}
	matrixGroupJSON struct {
		ID      int                `json:"id"`
		Kind    string             `json:"kind"`
		Pods    int                `json:"pods,omitempty"`
		Members []matrixMemberJSON `json:"members"`
	}
	matrixMemberJSON struct {
		Namespace string `json:"namespace,omitempty"`
		Kind      string `json:"kind,omitempty"`
		Name      string `json:"name,omitempty"`
		Pods      int    `json:"pods,omitempty"`
		Of        int    `json:"of,omitempty"`
	}
	matrixCellJSON struct {
		From    int      `json:"from"`
		To      int      `json:"to"`
		Answer  string   `json:"answer"` // "allowed", "denied", "unknown", "some ports"
		Allowed []string `json:"allowedPorts,omitempty"`
		Unknown []string `json:"unknownPorts,omitempty"`
	}
)

// MatrixJSON prints a table as JSON. Cells where there is nothing to tell are left out.
func MatrixJSON(w io.Writer, t *intent.Table, missing []string) error {
	out := matrixJSON{Missing: missing, Groups: []matrixGroupJSON{}, Cells: []matrixCellJSON{}}
	for _, p := range t.Ports {
		out.Ports = append(out.Ports, p.String())
	}
	for i, g := range t.Groups {
		to := matrixGroupJSON{ID: i + 1, Kind: g.Kind, Pods: g.Pods}
		for _, m := range g.Members {
			to.Members = append(to.Members, matrixMemberJSON(m))
		}
		out.Groups = append(out.Groups, to)
		for j, c := range t.Cells[i] {
			if c.None {
				continue
			}
			cell := matrixCellJSON{From: i + 1, To: j + 1, Answer: c.Answer.String()}
			if c.Mixed {
				cell.Answer, cell.Allowed, cell.Unknown = "some ports", names(c.Allowed), names(c.Unknown)
			}
			out.Cells = append(out.Cells, cell)
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func names(list []intent.PortRange) (out []string) {
	for _, r := range list {
		out = append(out, r.String())
	}
	return out
}
