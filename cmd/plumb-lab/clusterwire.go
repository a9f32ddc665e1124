//go:build linux

package main

import (
	"errors"
	"flag"
	"io"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/wire"
)

// clusterWire puts a wire into a node's uplink, or takes it out.
func clusterWire(dir string, args []string) error {
	if len(args) == 0 {
		return errClusterUsage
	}
	var l wire.Line
	f := flag.NewFlagSet(wire.Verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	l.Flags(f)
	off := f.Bool("off", false, "")
	if err := f.Parse(args[1:]); err != nil {
		return errors.Join(err, errClusterUsage)
	}
	if f.NArg() > 0 || *off && f.NFlag() > 1 {
		return errClusterUsage
	}
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	if *off {
		return c.Unwire(args[0])
	}
	return c.Wire(args[0], l)
}

// enforced says who enforces NetworkPolicy: a flag that may go without a value.
type enforced string

func (e *enforced) String() string   { return string(*e) }
func (e *enforced) IsBoolFlag() bool { return true }

// Set takes "true", which is what the flag without a value means.
func (e *enforced) Set(s string) error {
	if *e = enforced(s); s == "true" {
		*e = "all"
	}
	return nil
}
