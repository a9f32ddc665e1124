package main

import (
	"crypto/rand"
	"encoding/binary"
	"io"

	"github.com/plumbnet/plumb/plan"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/text"
	"github.com/spf13/pflag"
)

// planFlags are what the flags say.
type planFlags struct {
	matrixFlags
	ask             plan.Ask
	external, nodes list
}

func (f *planFlags) add(fs *pflag.FlagSet) {
	fs.IntVar(&f.ask.Nodes, "nodes", 0, "propose ranges for a cluster of so many nodes; without it: how long the ranges of the cluster at hand last")
	fs.IntVar(&f.ask.PodsPerNode, "pods-per-node", 110, "how many Pods a node may have")
	fs.Var(&f.external, "external", "a `range` outside the cluster that none may overlap, such as an office's; may be repeated")
	fs.Var(&f.nodes, "node-cidr", "the `range` that the nodes are in already; may be repeated, for IPv6")
	fs.BoolVar(&f.ask.DualStack, "dual-stack", false, "propose ranges of IPv6 too")
	fs.Var(&f.paths, "snapshot", "a `folder`, bundle or kubectl output to read, instead of a cluster; with --nodes: of a cluster whose ranges are taken; may be repeated")
	f.cluster.flags(fs)
	f.out.flags(fs)
	for _, name := range []string{"html", "ephemeral", "image", "agent-namespace", "local", "namespace", "verbose"} {
		_ = fs.MarkHidden(name) // it asks no agent, and makes no page
	}
}

func planVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("plan", "[--nodes N] [flags]", stderr)
	var f planFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	var err error
	if err = f.out.check(); err == nil {
		f.ask.External, err = prefixes("--external", f.external)
	}
	if err == nil {
		f.ask.NodeCIDR, err = prefixes("--node-cidr", f.nodes)
	}
	if err != nil {
		return fail(stderr, err)
	}
	status := statusFine
	if fs.Changed("nodes") {
		err = f.propose(stdout, stderr)
	} else {
		status, err = f.today(stdout, stderr)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return status
}

// propose proposes ranges; it asks for objects only where a snapshot or a context is named.
func (f *planFlags) propose(stdout, stderr io.Writer) error {
	if len(f.paths) > 0 || f.cluster.kube.Context != "" || f.cluster.kube.Kubeconfig != "" {
		o, err := f.objects(stderr)
		if err != nil {
			return err
		}
		f.ask.External = append(f.ask.External, plan.Ranges(o)...)
	}
	var site [8]byte
	rand.Read(site[3:]) // it never fails
	f.ask.Site = binary.BigEndian.Uint64(site[:])
	p, err := plan.Make(f.ask)
	if err != nil {
		return err
	}
	opts := options(stdout, f.out.lang)
	if f.out.machine() {
		return f.out.encode(stdout, func(w io.Writer) error { return report.PlanJSON(w, p, nil, nil, opts) })
	}
	return report.Plan(stdout, p, opts)
}

// today says how long the ranges last, with the status: wrong where one is nearly full.
func (f *planFlags) today(stdout, stderr io.Writer) (int, error) {
	o, err := f.objects(stderr)
	if err != nil {
		return 0, err
	}
	uses, unknown := plan.Today(o)
	opts := options(stdout, f.out.lang)
	if f.out.machine() {
		err = f.out.encode(stdout, func(w io.Writer) error { return report.PlanJSON(w, nil, uses, unknown, opts) })
	} else {
		err = report.Today(stdout, uses, unknown, opts)
	}
	return planStatus(uses, unknown), err
}

func planStatus(uses []plan.Use, unknown []text.Text) int {
	for i := range uses {
		if uses[i].Full() {
			return statusWrong
		}
	}
	if len(unknown) > 0 {
		return statusUnsure
	}
	return statusFine
}
