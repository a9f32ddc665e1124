// Package report prints findings and traces as text, JSON and HTML, in English
// and in Chinese. It writes to an io.Writer and does nothing else: it judges
// nothing that package diagnose or a check has not judged.
//
// Everything that it prints may come from a hostile snapshot. Text is stripped
// of control characters ([clean]), JSON and HTML are escaped by the standard library.
package report

import (
	"io"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
)

// Options say how a report is to look.
type Options struct {
	Lang    string // "en" or "zh"; "" is English
	Color   bool   // Text: mark what matters by ANSI colours also; words always say it
	Width   int    // Text: columns of the terminal; 0 is 80
	Verbose bool   // Text: draw every way, show every step and list all that could not be judged
}

var (
	_ func(io.Writer, *diagnose.Report, Options) error             = Text
	_ func(io.Writer, check.Result, []snapshot.Gap, Options) error = CheckText
)
