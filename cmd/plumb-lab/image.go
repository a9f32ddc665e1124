//go:build linux

package main

import (
	"errors"
	"flag"
	"io"
	"os"

	"github.com/plumbnet/plumb/lab/image"
)

// makeImage writes an image of plumbd for the nodes of a cluster.
func makeImage(args []string) error {
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	binary := f.String("plumbd", "bin/plumbd", "")
	name := f.String("name", "plumbd:VERSION", "") // as deploy/plumb.yaml has it
	out := f.String("o", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() > 0 {
		return flag.ErrHelp
	}
	l, i, err := image.Plumbd(*binary, *name)
	if err != nil {
		return err
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(image.Write(file, l, i), file.Close())
}
