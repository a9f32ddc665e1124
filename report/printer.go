package report

import (
	"io"
	"strconv"
	"strings"
)

// A style is how a part of a line looks where colours are on: the parameters of an ANSI SGR sequence.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	green  style = "1;32"
	yellow style = "1;33"
	cyan   style = "36"
)

// A printer lays out text for a terminal. What it is given as content must be
// clean; prefixes and styles are its own.
type printer struct {
	b     strings.Builder
	width int
	color bool
}

func newPrinter(o Options) *printer {
	w := o.Width
	if w <= 0 {
		w = 80
	}
	return &printer{width: max(w, 40), color: o.Color}
}

// flush writes all that was printed to w.
func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

// paint returns s in a style.
func (p *printer) paint(st style, s string) string {
	if !p.color || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// put prints one line as it is.
func (p *printer) put(parts ...string) {
	p.b.WriteString(strings.TrimRight(strings.Join(parts, ""), " "))
	p.b.WriteByte('\n')
}

// para prints s, wrapped; first begins the first line and rest the others.
func (p *printer) para(first, rest string, st style, s string) {
	p.headed(plain, first, rest, st, s)
}

// headed is para with a style for first too. Where first leaves too little room for s, s begins on a line of its own.
func (p *printer) headed(head style, first, rest string, st style, s string) {
	if width(first) > p.width*2/3 {
		for i, line := range wrap(strings.TrimRight(first, " "), p.width-width(rest)) {
			indent := rest
			if i == 0 {
				indent = ""
			}
			p.put(indent, p.paint(head, line))
		}
		first, head = rest, plain
	}
	for i, line := range wrapFirst(s, p.width-width(first), p.width-width(rest)) {
		if i > 0 {
			first, head = rest, plain
		}
		p.put(p.paint(head, strings.TrimRight(first, " ")), strings.Repeat(" ", width(first)-width(strings.TrimRight(first, " "))), p.paint(st, line))
	}
}

// heading prints a title with a rule behind it.
func (p *printer) heading(st style, s string) {
	p.put(p.paint(st, s), " ", p.paint(dim, strings.Repeat("─", max(3, p.width-width(s)-1))))
}

// trimFloat prints f with one decimal where it is not whole.
func trimFloat(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
