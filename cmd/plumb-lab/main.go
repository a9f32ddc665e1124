//go:build linux

// Command plumb-lab builds clusters out of network namespaces, breaks them, and
// shows or records what is then to be seen. It needs root, and touches no
// network but its own.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
)

const usage = `usage: plumb-lab VERB [flags] [ARGS]

  up      [--topology T] [--fault F] [--legacy]     build a cluster and keep it until ^C
  exec    NODE -- COMMAND [ARGS]                    run a command on a node of the cluster that is up
  objects >FILE.tar.gz                              the Kubernetes objects of the cluster that is up
  demo    [--plumb PATH] [-o DIR] [INCIDENT]        break a cluster, diagnose it, write the report
  observe [FAULT]...                                agents and a Prometheus: what dashboards and alerts tell of faults
  soak    [--short] [--doc] [PART]...               what plumbd has to withstand, for 20 minutes; --doc writes doc/soak.md
  faults                                            list the faults
  record  [--topology T] [--fault F] [--legacy] -o DIR   write a snapshot tree
  cluster VERB                                      a real Kubernetes: "plumb-lab cluster" says more
  image   [--plumbd PATH]... [--name NAME:TAG] [--version V] [--revision R] -o FILE.tar
                                                    an image of plumbd, for the architectures of the PATHs

topologies: flannel hostgw kubenet ptp dualstack dualstack-hostgw apart
`

var verbs = map[string]func(args []string) error{
	"up": up, "exec": execIn, "objects": objects, "demo": demo, "faults": faults, "record": record, "observe": watched, "soak": soaked, nodeInit: runNode,
	"cluster": clusterVerb, "image": makeImage,
}

func main() {
	cluster.Main() // a cluster's machines are this program, run again
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	needsSandbox := map[string]bool{"up": true, "demo": true, "record": true, "observe": true, "soak": true}
	if needsSandbox[os.Args[1]] && !sandbox.Inside() {
		if os.Getuid() != 0 {
			fmt.Fprintln(os.Stderr, "plumb-lab: needs root: it makes network namespaces")
			os.Exit(2)
		}
		os.Exit(sandbox.Reexec())
	}
	err := verbs[os.Args[1]](os.Args[2:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
		return
	}
	if errors.Is(err, errClusterUsage) {
		fmt.Fprint(os.Stderr, clusterUsage)
		os.Exit(2)
	}
	if exit := exitStatus(0); errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plumb-lab:", err)
		os.Exit(2)
	}
}

// An exitStatus is that of a command which plumb-lab ran for the user.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// choice is what flags say about the cluster to build.
type choice struct{ topology, fault string }

func flags(verb string, c *choice) *flag.FlagSet {
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.StringVar(&c.topology, "topology", "", "")
	f.StringVar(&c.fault, "fault", "", "")
	return f
}

// build brings up the cluster that was asked for. The fault, if one was asked for, is not injected yet.
func (c choice) build(legacy bool) (*lab.Lab, fault.Fault, error) {
	f, ok := fault.Named(c.fault)
	if c.fault != "" && !ok {
		return nil, f, fmt.Errorf("no fault is named %q: \"%s faults\" lists them", c.fault, os.Args[0])
	}
	t := f.Topology()
	if c.topology != "" {
		if t, ok = lab.TopologyNamed(c.topology); !ok {
			return nil, f, fmt.Errorf("no topology is named %q", c.topology)
		}
	}
	if !f.Applies(t) {
		return nil, f, fmt.Errorf("the fault %s does not apply to the topology %s", f.Name, t.Name)
	}
	if legacy {
		l, err := lab.UpLegacy(t)
		return l, f, err
	}
	l, err := lab.Up(t)
	return l, f, err
}

func faults([]string) error {
	for _, f := range fault.All() {
		fmt.Printf("%-26s %-21s %s\n", f.Name, f.Check, f.Story)
		fmt.Printf("%-26s %-21s %s\n", "", "", f.Path)
	}
	return nil
}

func record(args []string) error {
	var c choice
	f := flags("record", &c)
	out := f.String("o", "", "")
	legacy := f.Bool("legacy", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() > 0 {
		return flag.ErrHelp
	}
	l, ft, err := c.build(*legacy)
	if err != nil {
		return err
	}
	defer l.Close()
	warm(l)
	if err := inject(l, ft); err != nil {
		return err
	}
	if err := l.Record(*out); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "plumb-lab: %s, fault %q: recorded in %s\n", l.Topology.Name, ft.Name, *out)
	return nil
}

// inject injects a fault, if there is one, and sends a few packets along its path,
// so that neighbour tables and conntrack look as in use.
func inject(l *lab.Lab, f fault.Fault) error {
	if f.Inject == nil {
		return nil
	}
	if err := f.Inject(l); err != nil {
		return err
	}
	p, err := l.PathProbe(f.Path)
	if err != nil {
		return err
	}
	l.ProbeAll([]lab.Probe{p, p, p})
	return nil
}

// warm lets Pods and nodes talk to Pods, Services and the outside once, and returns
// how many connections it tried, and how many of them were made.
func warm(l *lab.Lab) (made, tried int) {
	var ps []lab.Probe
	for _, from := range []string{"shop/web-0", "shop/web-1", "shop/web-2", "node/node-a", "node/node-b", "node/node-c"} {
		for _, to := range []string{"shop/web-0:8080", "shop/web-1:8080", "shop/web-2:8080", "svc/shop/api:http", "svc/kube-system/kube-dns:dns-tcp", "outside:80"} {
			if p, err := l.PathProbe(lab.Path{From: from, To: to}); err == nil {
				ps = append(ps, p)
			}
		}
	}
	for _, o := range l.ProbeAll(ps) {
		if o.Outcome == lab.Delivered {
			made++
		}
	}
	return made, len(ps)
}
