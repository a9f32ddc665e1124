//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	program, err := exec.LookPath(*plumb)
	if err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	l, ft, err := c.build(false)
	if err != nil {
		return err
	}
	defer l.Close()
	return d{l: l, fault: ft, plumb: program, dir: *out, lang: *lang}.run()
}

// d is one demonstration.
type d struct {
	l          *lab.Lab
	fault      fault.Fault
	plumb, dir string
	lang       string
}

func (d d) run() error {
	say("a cluster of three nodes is up (%s); each Pod and each node reaches the others", d.l.Topology.Doc)
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
	ask, err := d.ask()
	if err != nil {
		return err
	}
	args := append([]string{"diagnose"}, ask...)
	for _, s := range snapshots {
		args = append(args, "--snapshot", s)
	}
	html := filepath.Join(d.dir, "report.html")
	args = append(args, "--html", html)
	if d.lang != "" {
		args = append(args, "--lang", d.lang)
	}
	say("$ plumb %s", strings.Join(args, " "))
	status := d.exec(args...)
	if exit := exitStatus(0); status != nil && !(errors.As(status, &exit) && exit == 1) {
		return status
	}
	return nil // status 1: plumb found what is wrong
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

// collect runs "plumb snapshot" on each node, and writes the objects beside.
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
		abs, err := filepath.Abs(file) // nsenter begins in the root
		if err != nil {
			return nil, err
		}
		if err := ns.run(n.Name, d.plumb, "snapshot", "-o", abs); err != nil && !errors.Is(err, exitStatus(1)) {
			return nil, fmt.Errorf("plumb snapshot on %s: %w", n.Name, err)
		}
		out = append(out, file)
	}
	objects := filepath.Join(d.dir, "cluster")
	if err := d.l.WriteObjects(filepath.Join(objects, "objects")); err != nil {
		return nil, err
	}
	return append(out, objects), nil
}

// ask returns what "plumb diagnose" is to be asked.
func (d d) ask() ([]string, error) {
	ask, err := d.fault.Ask(d.l)
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
