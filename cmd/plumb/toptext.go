package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/text"
)

// topText prints the worst Pods as a table. What no probe tells is "?", and not 0, and it is said which does not.
func topText(w io.Writer, all standing, o report.Options) error {
	say := func(t text.Text) string { return report.Say(t, o.Lang) }
	out := bufio.NewWriter(w)
	for i, n := range all.mute {
		if n > 0 {
			fmt.Fprintln(out, "? "+say(text.F("the probe %s does not run on %d of %d nodes", topColumns[i].probe, n, all.nodes)))
		}
	}
	if len(all.worst) == 0 {
		fmt.Fprintln(out, say(text.F("in the last %s on %d nodes nothing was lost, sent again, reset or measured", topWindow, all.nodes)))
		return out.Flush()
	}
	rows := [][]string{{say(text.F("lost/s")), say(text.F("resent/s")), say(text.F("resets/s")), say(text.F("slowest stage, 9 of 10 within")), say(text.F("Pod")), say(text.F("node"))}}
	for _, u := range all.worst {
		var row []string
		for _, rate := range u.rates {
			row = append(row, rateOf(rate))
		}
		slow := "-"
		if u.stage != "" {
			slow = figures(u.slow).String() + " " + report.Clean(u.stage)
		}
		pod := report.Clean(u.pod)
		if u.pod == "" {
			pod = say(text.F("the node itself"))
		}
		rows = append(rows, append(row, slow, pod, report.Clean(u.node)))
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			widths[i] = max(widths[i], report.Columns(s))
		}
	}
	narrow(rows, widths, o.Width)
	for _, row := range rows {
		line := ""
		for i, s := range row {
			space := strings.Repeat(" ", widths[i]-report.Columns(s))
			if i < len(topColumns) {
				line += space + s + "  " // numbers stand to the right
			} else {
				line += s + space + "  "
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	if more := all.pods - len(all.worst); more > 0 {
		fmt.Fprintln(out, say(text.F("and %d others", more)))
	}
	return out.Flush()
}

// narrow shortens the names of Pods where the table is wider than the terminal. A width of 0 is none.
func narrow(rows [][]string, widths []int, width int) {
	const least = 12
	pod := len(widths) - 2
	over := -width - 2 // there are two blanks between columns, and none after the last
	for _, w := range widths {
		over += w + 2
	}
	if over <= 0 || width == 0 {
		return
	}
	widths[pod] = max(widths[pod]-over, least)
	for _, row := range rows {
		row[pod] = report.Shorten(row[pod], widths[pod])
	}
}

// figures rounds a time to two figures.
func figures(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit)
}

// rateOf prints a rate in a few figures.
func rateOf(r float64) string {
	switch {
	case math.IsNaN(r):
		return "?"
	case r > 0 && r < 10:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}
