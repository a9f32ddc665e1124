// Plumb finds out why connections in a Kubernetes cluster fail, from the real
// state of its nodes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// The exit statuses: the same for every verb.
const (
	statusFine   = 0 // nothing is wrong
	statusWrong  = 1 // something is wrong
	statusUnsure = 2 // could not find out: the question, the snapshot or the machine does not allow it
)

const usage = `plumb finds out why A does not reach B in a Kubernetes cluster.

Usage:
    plumb diagnose -s SOURCE -d DESTINATION [-p PORT] [--proto tcp|udp|sctp|icmp]
                   [--snapshot PATH]... [--json | --html FILE | --http ADDR] [--lang zh]
                   [--context NAME] [-n NAMESPACE] [--ephemeral] [--no-probe]
    plumb check    [--snapshot PATH]... [--external CIDR]... [--json] [--lang zh]
    plumb explain  [CHECK] [--lang zh]
    plumb snapshot -o FILE.tar.gz | --script
    plumb version

SOURCE and DESTINATION: ns/pod, svc/ns/name:port, node/NAME, an address, a host name.
A snapshot PATH is a folder or a bundle that "plumb snapshot" wrote, one a node, or
the output of "kubectl get ... -o json". Without one, plumb asks the cluster of the
current kubeconfig or, where there is none, reads the node it runs on.

Exit status: 0 nothing is wrong, 1 something is wrong, 2 could not find out.
"plumb VERB -h" tells more.
`

// A verb is one subcommand. run returns the exit status.
type verb struct {
	name string
	run  func(args []string, stdout, stderr io.Writer) int
}

var verbs = []verb{
	{"diagnose", diagnoseVerb},
	{"check", checkVerb},
	{"explain", explainVerb},
	{"snapshot", snapshotVerb},
	{"version", versionVerb},
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return statusUnsure
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return statusFine
	case "--version":
		args[0] = "version"
	}
	for _, v := range verbs {
		if v.name == args[0] {
			return v.run(args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "plumb: no verb %q%s\n", args[0], didYouMean(args[0]))
	return statusUnsure
}

// didYouMean suggests the verb that starts like s.
func didYouMean(s string) string {
	for _, v := range verbs {
		if s != "" && (strings.HasPrefix(v.name, s) || strings.HasPrefix(s, v.name[:4])) {
			return fmt.Sprintf(": did you mean %q?", "plumb "+v.name)
		}
	}
	return `: run "plumb help"`
}

// newFlags returns a flag set that prints its errors with "plumb: ".
func newFlags(name, synopsis string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fs.SetOutput(stderr)
		fmt.Fprintf(stderr, "Usage: plumb %s %s\n", name, synopsis)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
	}
	return fs
}

// parse parses flags that may stand before and after up to positional arguments.
// It returns false, and the exit status, where the verb must not run.
func parse(fs *flag.FlagSet, args []string, positional int, stdout, stderr io.Writer) (rest []string, status int, ok bool) {
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, statusFine, false // Usage has printed it
		}
		if err != nil {
			fmt.Fprintf(stderr, "plumb %s: %v: see \"plumb %s -h\"\n", fs.Name(), err, fs.Name())
			return nil, statusUnsure, false
		}
		if fs.NArg() == 0 {
			return rest, statusFine, true
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
		if len(rest) > positional {
			fmt.Fprintf(stderr, "plumb %s: unexpected argument %q: see \"plumb %s -h\"\n", fs.Name(), rest[positional], fs.Name())
			return nil, statusUnsure, false
		}
	}
}

// fail prints err on stderr and returns the status for "could not find out".
func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "plumb:", err)
	return statusUnsure
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }
