//go:build linux

package procnet

import (
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
	columns []map[string]Column
}

func (t *Table) start() map[string]Column {
	out := map[string]Column{}
	for name, c := range t.Other {
		if c.Stat != nil {
			c.labels = t.labels(name)[:len(c.Stat.Labels)]
		}
		out[name] = c
	}
	for _, name := range strings.Fields(t.Always) {
		out[name] = Column{Stat: t.Stat, Always: true, labels: t.labels(name)}
	}
	return out
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

func (t *Table) tell(columns map[string]Column, data []byte, pod string, emit func(probe.Sample)) error {
	parse := Pairs
	if strings.HasSuffix(t.Protocol, "6") {
		parse = Lines
	}
	return parse(data, t.Protocol, func(name []byte, v float64) {
		c, ok := columns[string(name)]
		if v == 0 && !c.Always || ok && c.Stat == nil {
			return
		}
		if !ok {
			c = Column{Stat: t.Stat, labels: slices.Clip(t.labels(string(name)))}
			if len(columns) < mostNames {
				columns[string(name)] = c
			}
		}
		if c.Unit != 0 {
			v *= c.Unit
		}
		emit(probe.Sample{Stat: c.Stat, Pod: pod, Labels: c.labels, Value: v})
	})
}
