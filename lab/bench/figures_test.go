//go:build linux

package bench

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// A figure is what is measured at each size, and the goal that it has at one of them.
type figure struct {
	what  string
	bytes bool // and not seconds
	at    int  // the index in sizes of the goal's
	goal  float64
	by    [len(sizes)]float64
}

const busy, usual = len(sizes) - 1, 0

// figures are those of one run; testing makes several to find b.N, of which the last stays.
var figures = []figure{
	{what: "diagnose: load, trace, all checks", at: busy, goal: 1},
	{what: "  its CPU"},
	{what: "  its memory (RSS)", bytes: true, at: busy, goal: 300e6},
	{what: "  load"},
	{what: "  trace and all checks"},
	{what: "one more packet, one way", at: busy, goal: 50e-6},
	{what: "one more packet, there and back"},
	{what: "collect the node: CPU", at: usual, goal: 1},
	{what: "  compressed", bytes: true, at: usual, goal: 300e3},
}

// rulesOf are the iptables rules at each size.
var rulesOf [len(sizes)]int

// note notes a figure, in seconds or bytes, at one of the sizes.
func note(size int, what string, v float64) {
	for i := range figures {
		if strings.TrimSpace(figures[i].what) == what {
			figures[i].by[size] = v
			return
		}
	}
	panic("no figure: " + what)
}

// noteTime notes the time that a round of b took.
func noteTime(b *testing.B, size int, what string) {
	note(size, what, b.Elapsed().Seconds()/float64(b.N))
}

// printFigures prints a line for each: what it is at each size, how many times the
// first that is the last, and how it stands to its goal.
func printFigures(w io.Writer) {
	if rulesOf == [len(sizes)]int{} {
		return
	}
	fmt.Fprintf(w, "%-36s", "a node of 100 Pods; iptables rules:")
	for _, n := range rulesOf {
		fmt.Fprintf(w, "%10d", n)
	}
	fmt.Fprintf(w, "%9s  goal\n", "growth")
	for _, f := range figures {
		fmt.Fprintf(w, "%-36s", f.what)
		for _, v := range f.by {
			fmt.Fprintf(w, "%10s", f.amount(v))
		}
		fmt.Fprintln(w, f.growth()+f.against())
	}
}

func (f figure) growth() string {
	if f.by[0] == 0 {
		return fmt.Sprintf("%9s", "")
	}
	return fmt.Sprintf("%8.1fx", f.by[len(f.by)-1]/f.by[0])
}

// against says how the figure stands to its goal.
func (f figure) against() string {
	if f.goal == 0 || f.by[f.at] == 0 {
		return ""
	}
	how := "met"
	if f.by[f.at] > f.goal {
		how = "MISSED"
	}
	return fmt.Sprintf("  %s at %d rules: %s", f.amount(f.goal), rulesOf[f.at], how)
}

// amount prints seconds or bytes; nothing where nothing was measured.
func (f figure) amount(v float64) string {
	d := time.Duration(v * float64(time.Second))
	switch {
	case v == 0:
		return "-"
	case f.bytes && v >= 1e6:
		return fmt.Sprintf("%.0f MB", v/1e6)
	case f.bytes:
		return fmt.Sprintf("%.0f kB", v/1e3)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}
