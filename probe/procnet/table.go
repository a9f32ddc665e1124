//go:build linux

package procnet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/probe"
)

// A Table says which series the counters of one protocol are.
type Table struct {
	File     string      // "snmp", "netstat" or "snmp6"
	Protocol string      // "Tcp", as the names of nstat begin
	Stat     *probe.Stat // of those that Other does not have. Its last label is the counter's name
	Family   string      // the label before it, for a protocol of both: "4" or "6"
	Always   string      // those that are told at 0 too, with blanks between
	Other    map[string]Column
}

// A Column is what becomes of a counter.
type Column struct {
	Stat   *probe.Stat // nil for one that is not told
	Unit   float64     // what one of the kernel's is; 0 for 1
	Always bool        // it is told at 0 too
	labels []string
}

// Doc is for the Doc of kinds that are made of tables.
const Doc = `Counters have the kernel's own names. One that is still 0 in a namespace is told only if dashboards and alerts ask for
it; the others come with their first event.`

// Out are the counters that are settings, and constant.
func Out(names string) map[string]Column {
	out := map[string]Column{}
	for _, n := range strings.Fields(names) {
		out[n] = Column{}
	}
	return out
}

// Probe returns a probe that tells tables, those of one file after each other: it is read once.
func Probe(e *probe.Env, tables ...Table) probe.Probe {
	p := &tableProbe{files: Of(e), tables: tables}
	for _, t := range tables {
		p.columns = append(p.columns, t.start())
	}
	return p
}

type tableProbe struct {
	probe.Quiet
	files   *Files
	tables  []Table
	columns []*columns
}

// columns are those of a table. A counter that was never but 0 has none, unless it is told at 0 too.
type columns struct {
	by    map[string]*Column
	order []named // of the counters in the file, as it was in the last namespace: it is the same in all
	names []byte  // the line that order is of
}

// A named column is nil where there is none.
type named struct {
	name string
	*Column
}

// find has order say which column the nth counter in the file is.
func (c *columns) find(n int, name []byte) {
	if n == len(c.order) || string(name) != c.order[n].name {
		c.order = append(c.order[:n], named{string(name), c.by[string(name)]})
	}
}

// line has order be that of a line of names.
func (c *columns) line(names []byte) {
	if bytes.Equal(names, c.names) {
		return
	}
	c.names, c.order = append(c.names[:0], names...), c.order[:0]
	for n := 0; ; n++ {
		var name []byte
		if name, names = Word(names); len(name) == 0 {
			return
		}
		c.find(n, name)
	}
}

func (t *Table) start() *columns {
	out := map[string]*Column{}
	for name, c := range t.Other {
		if c.Stat != nil {
			c.labels = t.labels(name)[:len(c.Stat.Labels)]
		}
		out[name] = &c
	}
	for _, name := range strings.Fields(t.Always) {
		out[name] = &Column{Stat: t.Stat, Always: true, labels: t.labels(name)}
	}
	return &columns{by: out}
}

// labels are as many as Stat has.
func (t *Table) labels(name string) []string {
	if t.Family == "" {
		return []string{name}
	}
	return []string{t.Family, name}
}

// ReadIn tells all tables of a place. A table that fails leaves the others be.
func (p *tableProbe) ReadIn(place probe.Place, emit func(probe.Sample)) error {
	var failed []error
	for from, to := 0, 0; from < len(p.tables); from = to {
		file := p.tables[from].File
		for to = from; to < len(p.tables) && p.tables[to].File == file; to++ {
		}
		err := p.files.Read(place, file, func(data []byte) error {
			for i := from; i < to; i++ {
				if err := p.tables[i].tell(p.columns[i], data, place.Pod, emit); err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", file, err))
				}
			}
			return nil
		})
		if file == "snmp6" {
			err = Optional(err)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// mostNames bounds the names that are remembered: the kernel has 150 in a table, and of ICMP 512 types.
const mostNames = 1000

func (t *Table) tell(columns *columns, data []byte, pod string, emit func(probe.Sample)) error {
	if strings.HasSuffix(t.Protocol, "6") {
		n := -1
		return Lines(data, t.Protocol, func(name []byte, v float64) {
			n++
			columns.find(n, name)
			t.tellOne(columns, n, v, pod, emit)
		})
	}
	return Rows(data, t.Protocol, func(names, values []byte) error {
		columns.line(names)
		for n := range columns.order {
			var value []byte
			value, values = Word(values)
			v, ok := Number(value)
			if !ok {
				return fmt.Errorf("%s%.40s %q", t.Protocol, columns.order[n].name, Short(value))
			}
			t.tellOne(columns, n, v, pod, emit)
		}
		if value, _ := Word(values); len(value) > 0 {
			return fmt.Errorf("%s %q", t.Protocol, Short(value))
		}
		return nil
	})
}

// tellOne tells the nth counter.
func (t *Table) tellOne(columns *columns, n int, v float64, pod string, emit func(probe.Sample)) {
	c := columns.order[n].Column
	if v == 0 && (c == nil || !c.Always) || c != nil && c.Stat == nil {
		return
	}
	if c == nil {
		name := columns.order[n].name
		c = &Column{Stat: t.Stat, labels: slices.Clip(t.labels(name))}
		if len(columns.by) < mostNames {
			columns.by[name], columns.order[n].Column = c, c
		}
	}
	if c.Unit != 0 {
		v *= c.Unit
	}
	emit(probe.Sample{Stat: c.Stat, Pod: pod, Labels: c.labels, Value: v})
}
