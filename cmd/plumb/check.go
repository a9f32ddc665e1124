package main

import (
	"io"
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/spf13/pflag"
)

// checkFlags are what the flags say.
type checkFlags struct {
	paths, external list
	out             output
	cluster         live
}

func (f *checkFlags) add(fs *pflag.FlagSet) {
	fs.Var(&f.paths, "snapshot", "a `folder`, bundle or kubectl output to read, instead of a cluster; may be repeated")
	fs.Var(&f.external, "external", "a `range` outside the cluster, such as an office's; may be repeated")
	f.cluster.flags(fs)
	f.out.flags(fs)
}

func checkVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("check", "[flags]", stderr)
	var f checkFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	outside, err := prefixes("--external", f.external)
	if err == nil {
		err = f.out.check()
	}
	if err != nil {
		return fail(stderr, err)
	}
	r, gaps, err := checks(f.paths, outside, &f.cluster, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	if err := f.out.writeCheck(stdout, stderr, r, gaps); err != nil {
		return fail(stderr, err)
	}
	return checkStatus(r)
}

// checks runs every check over snapshots, the running cluster, or this node.
func checks(paths []string, external []netip.Prefix, l *live, stderr io.Writer) (check.Result, []snapshot.Gap, error) {
	client, err := l.connect(paths)
	if err != nil {
		return check.Result{}, nil, err
	}
	if client == nil {
		c, err := load(paths, stderr)
		if err != nil {
			return check.Result{}, nil, err
		}
		return check.Run(c, network.New(c), nil, external, all.Checks...), c.Gaps, nil
	}
	ctx, stop := interruptible()
	defer stop()
	s := l.open(ctx, client, stderr)
	defer s.close()
	return s.check(ctx, external)
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
