// Plumb finds out why connections in a Kubernetes cluster fail, from the real
// state of its nodes.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
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
                   [--snapshot PATH]... [-o wide|json|yaml] [--html FILE] [--http ADDR]
                   [--context NAME] [-n NAMESPACE] [--ephemeral] [--no-probe] [--lang zh]
    plumb check    [--snapshot PATH]... [--external CIDR]... [-o wide|json|yaml] [--lang zh]
    plumb matrix   [-n NAMESPACE] [-p PORT] [--snapshot PATH]... [-o json|yaml] [--html FILE] [--lang zh]
    plumb diff     -f FILE... [--delete KIND/NS/NAME]... [--rollback] [--snapshot PATH]... [-o json|yaml]
    plumb plan     --nodes N [--pods-per-node N] [--external CIDR]... [--node-cidr CIDR] [--dual-stack] |
                   [--snapshot PATH]...
    plumb explain  [CHECK] [--lang zh]
    plumb watch    [-n NAMESPACE] [--pod POD] [--kind KIND,KIND] [--json]
    plumb top      [-n NAMESPACE] [--lang zh]
    plumb record   show | episodes [--since 10m] [--pod POD] [--kind KIND,KIND] [--node NODE | --dir PATH]
                   [--json] [--lang zh]
    plumb snapshot -o FILE.tar.gz [--redact] | --script
    plumb completion bash | zsh | fish
    plumb version

SOURCE and DESTINATION: ns/pod, svc/ns/name:port, node/NAME, an address, a host name.
A snapshot PATH is a folder or a bundle that "plumb snapshot" wrote, one a node, or
the output of "kubectl get ... -o json". Without one, plumb asks the cluster of the
current kubeconfig or, where there is none, reads the node it runs on.

Exit status: 0 nothing is wrong, 1 something is wrong, 2 could not find out.
"plumb VERB -h" tells more.
`

// A verb is one subcommand. run returns the exit status; flags declares its flags, and returns
// those about a cluster, if it has any.
type verb struct {
	name, about string
	run         func(args []string, stdout, stderr io.Writer) int
	flags       func(fs *pflag.FlagSet) *live
}

func verbs() []verb {
	return []verb{
		{"diagnose", "why A does not reach B", diagnoseVerb, func(fs *pflag.FlagSet) *live { var f diagnoseFlags; f.add(fs); return &f.cluster }},
		{"check", "every fault of a cluster", checkVerb, func(fs *pflag.FlagSet) *live { var f checkFlags; f.add(fs); return &f.cluster }},
		{"matrix", "who may talk to whom, by the policies", matrixVerb, func(fs *pflag.FlagSet) *live { var f matrixFlags; f.add(fs); return &f.cluster }},
		{"diff", "what a change of objects would do", diffVerb, func(fs *pflag.FlagSet) *live { var f diffFlags; f.add(fs); return &f.cluster }},
		{"plan", "address ranges that collide with nothing and last", planVerb, func(fs *pflag.FlagSet) *live { var f planFlags; f.add(fs); return &f.cluster }},
		{"explain", "what a fault is, and its cure", explainVerb, func(fs *pflag.FlagSet) *live { langFlag(fs); return nil }},
		{"watch", "what happens in a cluster, as it happens", watchVerb, func(fs *pflag.FlagSet) *live { var f watchFlags; f.add(fs); return &f.cluster }},
		{"top", "which Pods fare worst now", topVerb, func(fs *pflag.FlagSet) *live { var f topFlags; f.add(fs); return &f.cluster }},
		{"record", "what a node's recorder saw, after the fact", recordVerb, func(fs *pflag.FlagSet) *live { var f recordFlags; f.add(fs); return &f.cluster }},
		{"snapshot", "collect the state of a cluster or a node", snapshotVerb, func(fs *pflag.FlagSet) *live { var f snapshotFlags; f.add(fs); return &f.live }},
		{"completion", "print a script for a shell", completionVerb, func(*pflag.FlagSet) *live { return nil }},
		{"version", "print the version", versionVerb, func(*pflag.FlagSet) *live { return nil }},
	}
}

// command is what the user types: kubectl runs plumb by the name kubectl-plumb.
var command = "plumb"

// The names under which kubectl looks for a plugin, and for what completes its arguments.
const (
	pluginName   = "kubectl-plumb"
	completeName = "kubectl_complete-plumb"
)

func main() {
	args := os.Args[1:]
	switch strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") {
	case pluginName:
		command = "kubectl plumb"
	case completeName:
		args = append([]string{completeVerb}, args...)
	}
	os.Exit(run(args, os.Stdout, os.Stderr))
}

// typed is a command line as plumb tells users to type it.
var typed = regexp.MustCompile(`\bplumb (diagnose|check|matrix|diff|plan|explain|watch|top|record|snapshot|completion|version|help|VERB)\b`)

// say returns a text with its command lines as they are to be typed here.
func say(s string) string { return typed.ReplaceAllString(s, command+" $1") }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, say(usage))
		return statusUnsure
	}
	switch args[0] {
	case "help", "-h", "--help":
		fmt.Fprint(stdout, say(usage))
		return statusFine
	case completeVerb:
		return complete(args[1:], stdout)
	case "--version":
		args[0] = "version"
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return v.run(args[1:], stdout, stderr)
		}
	}
	hint := `run "plumb help"`
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	if n := nearest(args[0], names); n != "" {
		hint = fmt.Sprintf("did you mean %q?", "plumb "+n)
	}
	return fail(stderr, fmt.Errorf("no verb %q: %s", args[0], hint))
}

// nearest returns the name that starts like s, or "".
func nearest(s string, names []string) string {
	for _, n := range names {
		if s != "" && (strings.HasPrefix(n, s) || strings.HasPrefix(s, n[:min(4, len(n))])) {
			return n
		}
	}
	return ""
}

// newFlags returns a set of flags that are shown in the order in which they are declared.
func newFlags(name, synopsis string, stderr io.Writer) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "Usage: %s\n%s", say("plumb "+name+" "+synopsis), fs.FlagUsages())
	}
	return fs
}

// parse parses flags that may stand before and after up to positional arguments.
// It returns false, and the exit status, where the verb must not run.
func parse(fs *pflag.FlagSet, args []string, positional int, stderr io.Writer) (rest []string, status int, ok bool) {
	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil, statusFine, false // Usage has printed it
	}
	see := fmt.Sprintf(`see "plumb %s -h"`, fs.Name())
	if err == nil && fs.NArg() > positional {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(positional))
	}
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		var names []string
		fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if n := nearest(unknown.GetSpecifiedName(), names); n != "" {
			see = fmt.Sprintf("did you mean --%s?", n)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, say(fmt.Sprintf("plumb %s: %v: %s", fs.Name(), err, see)))
		return nil, statusUnsure, false
	}
	return fs.Args(), statusFine, true
}

// fail prints err on stderr and returns the status for "could not find out".
func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "plumb:", say(err.Error()))
	return statusUnsure
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// Type names what a value is, where the usage does not.
func (l *list) Type() string { return "value" }
