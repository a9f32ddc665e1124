package main

import (
	"io"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/network"
)

func checkVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("check", "[flags]", stderr)
	var paths, external list
	var out output
	fs.Var(&paths, "snapshot", "a folder, bundle or kubectl output to read, instead of this node; may be repeated")
	fs.Var(&external, "external", "a `range` outside the cluster, such as an office's; may be repeated")
	out.flags(fs)
	if _, status, ok := parse(fs, args, 0, stdout, stderr); !ok {
		return status
	}
	outside, err := prefixes(external)
	if err == nil {
		err = out.check()
	}
	if err != nil {
		return fail(stderr, err)
	}
	c, err := load(paths, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	r := check.Run(c, network.New(c), nil, outside, all.Checks...)
	if err := out.writeCheck(stdout, stderr, r, c.Gaps); err != nil {
		return fail(stderr, err)
	}
	return checkStatus(r)
}

// checkStatus turns what the checks found into an exit status.
func checkStatus(r check.Result) int {
	for _, f := range r.Findings {
		if f.Severity > check.Info {
			return statusWrong
		}
	}
	if len(r.Unjudged) > 0 {
		return statusUnsure
	}
	return statusFine
}
