//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
)

// incidents are short names for the faults of the incidents that plumb began with.
var incidents = map[string]string{
	"":             "proxy-evicted",
	"mtu":          "mtu-mismatch",
	"vtep":         "vtep-two-addresses",
	"overlap":      "office-overlaps-pods",
	"restart":      "uplink-restart",
	"mixed":        "unknown-identity",
	"no-endpoints": "selector-matches-nothing",
}

// demo breaks a cluster and lets plumb say why, from bundles that plumb itself collected on each node.
func demo(args []string) error {
	var c choice
	f := flags("demo", &c)
	plumb := f.String("plumb", "plumb", "")
	out := f.String("o", "demo", "")
	lang := f.String("lang", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 1 {
		return flag.ErrHelp
	}
	c.fault = f.Arg(0)
	if name, ok := incidents[c.fault]; ok {
		c.fault = name
	}
	if _, ok := fault.Named(c.fault); !ok {
		return fmt.Errorf("no incident is named %q: choose %s, or a fault that \"%s faults\" lists", c.fault, incidentNames(), os.Args[0])
	}
	if _, err := exec.LookPath(*plumb); err != nil {
		return fmt.Errorf("--plumb: %w", err)
	}
	l, ft, err := c.build(false)
	if err != nil {
		return err
	}
	defer l.Close()
	return d{l: l, fault: ft, plumb: *plumb, dir: *out, lang: *lang}.run()
}

// d is one demonstration.
type d struct {
	l          *lab.Lab
	fault      fault.Fault
	plumb, dir string
	lang       string
}

func (d d) run() error {
	made, tried := warm(d.l)
	say("a cluster of three nodes is up (%s); %d of %d connections in it and out of it work", d.l.Topology.Doc, made, tried)
	if err := inject(d.l, d.fault); err != nil {
		return err
	}
	say("fault: %s", d.fault.Story)
	p, err := d.l.PathProbe(d.fault.Path)
	if err != nil {
		return err
	}
	o := d.l.Probe(p)
	say("a real connection, %s: %s", d.fault.Path, o.Outcome)
	snapshots, err := d.collect()
	if err != nil {
		return err
	}
	ask, err := question(d.l, d.fault)
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"diagnose"}, ask, snapshots)
	html := filepath.Join(d.dir, "report.html")
	args = append(args, "--html", html)
	if d.lang != "" {
		args = append(args, "--lang", d.lang)
	}
	say("$ %s %s", d.plumb, strings.Join(args, " "))
	status := d.exec(args...)
	if exit := exitStatus(0); status != nil && !(errors.As(status, &exit) && exit == 1) {
		return status
	}
	d.next(html, snapshots)
	return nil // status 1: plumb found what is wrong
}

// next says where the report is and what to try.
func (d d) next(html string, snapshots []string) {
	say("the same as a page: %s", html)
	say("the fault was %s. What to try next:", d.fault.Name)
	fmt.Fprintf(os.Stderr, "     %s explain %s\n", d.plumb, d.fault.Check)
	outside := ""
	for _, e := range d.fault.External {
		outside += " --external " + e
	}
	fmt.Fprintf(os.Stderr, "     %s check%s %s\n", d.plumb, outside, strings.Join(snapshots, " "))
	fmt.Fprintf(os.Stderr, "     make demo INCIDENT=no-endpoints     # or another: %s\n", incidentNames())
	fmt.Fprintf(os.Stderr, "     %s faults     # lists %d more; each is an INCIDENT too\n", os.Args[0], len(fault.All())-len(incidents))
}

// incidentNames returns "mixed, mtu, …".
func incidentNames() string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(incidents)), func(s string) bool { return s == "" })
	return strings.Join(names, ", ")
}

// say writes a line about the demonstration itself.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "== "+format+"\n", args...)
}

func (d d) exec(args ...string) error {
	cmd := exec.Command(d.plumb, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exitStatus(exit.ExitCode())
	}
	return err
}

// collect runs "plumb snapshot" on each node, writes the objects beside, and returns the flags that name them all.
func (d d) collect() ([]string, error) {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	ns, err := startNodes(d.l)
	if err != nil {
		return nil, err
	}
	defer ns.stop()
	var out []string
	for _, n := range d.l.Nodes {
		file := filepath.Join(d.dir, n.Name+".tar.gz")
		if err := ns.run(n.Name, d.plumb, "snapshot", "-o", file); err != nil && !errors.Is(err, exitStatus(1)) {
			return nil, fmt.Errorf("plumb snapshot on %s: %w", n.Name, err)
		}
		out = append(out, "--snapshot", file)
	}
	objects := filepath.Join(d.dir, "cluster")
	if err := d.l.WriteObjects(filepath.Join(objects, "objects")); err != nil {
		return nil, err
	}
	return append(out, "--snapshot", objects), nil
}

// question returns what "plumb diagnose" is to be asked about a fault's path.
func question(l *lab.Lab, f fault.Fault) ([]string, error) {
	ask, err := f.Ask(l)
	if err != nil {
		return nil, err
	}
	out := []string{"-s", ask.Src, "-d", ask.Dst}
	if ask.Proto != "tcp" {
		out = append(out, "--proto", ask.Proto)
	}
	for _, e := range ask.External {
		out = append(out, "--external", e.String())
	}
	return out, nil
}
