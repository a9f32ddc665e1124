package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/report"
	"github.com/spf13/pflag"
)

func langFlag(fs *pflag.FlagSet) *string { return fs.String("lang", "en", "en or zh") }

func explainVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("explain", "[CHECK]", stderr)
	lang := langFlag(fs)
	rest, status, ok := parse(fs, args, 1, stderr)
	if !ok {
		return status
	}
	if err := checkLang(*lang); err != nil {
		return fail(stderr, err)
	}
	if len(rest) == 0 {
		for _, k := range all.Checks {
			title, _, _ := strings.Cut(k.Doc, "\n")
			if *lang == "zh" {
				title, _, _ = strings.Cut(k.DocZH, "\n")
			}
			fmt.Fprintf(stdout, "%-22s %s\n", k.Name, title)
		}
		return statusFine
	}
	for _, k := range all.Checks {
		if k.Name == rest[0] {
			if err := report.Explain(stdout, k, *lang); err != nil {
				return fail(stderr, err)
			}
			return statusFine
		}
	}
	return fail(stderr, fmt.Errorf("no check named %q: \"plumb explain\" lists them", rest[0]))
}
