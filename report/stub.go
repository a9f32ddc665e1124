package report

import (
	"io"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
)

// HTML writes a diagnosis as one self-contained page.
func HTML(w io.Writer, r *diagnose.Report, o Options) error { return nil }

// CheckHTML writes what the checks found as one self-contained page.
func CheckHTML(w io.Writer, r check.Result, gaps []snapshot.Gap, o Options) error { return nil }

// Explain writes what a check looks for, its cause and its cure.
func Explain(w io.Writer, k *check.Check, lang string) error { return nil }

// ChecksDoc writes the reference of all checks in Markdown.
func ChecksDoc(w io.Writer, ks []*check.Check) error { return nil }
