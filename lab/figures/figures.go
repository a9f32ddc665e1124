// Package figures prints what benchmarks measured at several sizes, how it grows and how it stands to its goals.
package figures

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A Unit is what a figure is in.
type Unit int

// The units. Of all but Times, the less the better.
const (
	Seconds Unit = iota
	Bytes
	Count
	Times
)

// A Figure is what is measured at each size, and the goal that it has at one of them.
type Figure struct {
	What string
	Unit Unit
	At   int     // the index in Sizes of the goal's
	Goal float64 // 0: none

	by []float64
}

// A Table is the figures of one run; testing makes several to find b.N, of which the last stays.
type Table struct {
	Head    string
	Of      string // "rules": what there are so many of
	Sizes   []int  // none where nothing was measured
	Figures []Figure
}

// Note notes a figure at one of the sizes, by its name without the spaces before it.
func (t *Table) Note(size int, what string, v float64) {
	for i := range t.Figures {
		f := &t.Figures[i]
		if strings.TrimSpace(f.What) != what {
			continue
		}
		if f.by == nil {
			f.by = make([]float64, len(t.Sizes))
		}
		f.by[size] = v
		return
	}
	panic("no figure: " + what)
}

// Print prints a line for each figure: what it is at each size, how many times the
// first that is the last, and how it stands to its goal. It prints nothing where nothing was noted.
func (t *Table) Print(w io.Writer) {
	wide := len(t.Head)
	noted := false
	for _, f := range t.Figures {
		wide = max(wide, len(f.What))
		noted = noted || f.by != nil
	}
	if !noted {
		return
	}
	fmt.Fprintf(w, "%-*s", wide, t.Head)
	for _, n := range t.Sizes {
		fmt.Fprintf(w, "%10d", n)
	}
	fmt.Fprintf(w, "%9s  goal\n", "growth")
	for _, f := range t.Figures {
		fmt.Fprintf(w, "%-*s", wide, f.What)
		for i := range t.Sizes {
			fmt.Fprintf(w, "%10s", amount(f.at(i), f.Unit))
		}
		fmt.Fprintln(w, strings.TrimRight(t.growth(&f)+t.against(&f), " "))
	}
}

func (f *Figure) at(size int) float64 {
	if f.by == nil {
		return 0
	}
	return f.by[size]
}

func (t *Table) growth(f *Figure) string {
	first, last := f.at(0), f.at(len(t.Sizes)-1)
	if first == 0 || last == 0 {
		return fmt.Sprintf("%9s", "")
	}
	return fmt.Sprintf("%8.1fx", last/first)
}

// against says how the figure stands to its goal.
func (t *Table) against(f *Figure) string {
	v := f.at(f.At)
	if f.Goal == 0 || v == 0 {
		return ""
	}
	how := "met"
	if f.Unit == Times && v < f.Goal || f.Unit != Times && v > f.Goal {
		how = "MISSED"
	}
	return fmt.Sprintf("  %s at %d %s: %s", amount(f.Goal, f.Unit), t.Sizes[f.At], t.Of, how)
}

// amount prints seconds or bytes; nothing where nothing was measured.
func amount(v float64, unit Unit) string {
	d := time.Duration(v * float64(time.Second))
	switch {
	case v == 0:
		return "-"
	case unit == Count:
		return fmt.Sprintf("%.0f", v)
	case unit == Times:
		return fmt.Sprintf("%.0fx", v)
	case unit == Bytes && v >= 1e6:
		return fmt.Sprintf("%.0f MB", v/1e6)
	case unit == Bytes:
		return fmt.Sprintf("%.0f kB", v/1e3)
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond).String()
	}
	return d.String()
}
