//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/lab/image"
	"golang.org/x/sys/unix"
)

// defaultImage is the name that deploy/plumb.yaml has.
const defaultImage = "plumbd:v0.1.0"

// makeImage writes an image of plumbd for the nodes of a cluster.
func makeImage(args []string) error {
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	var r image.Release
	var binaries words
	f.Var(&binaries, "plumbd", "")
	f.StringVar(&r.Name, "name", defaultImage, "")
	f.StringVar(&r.Version, "version", "unknown", "")
	f.StringVar(&r.Revision, "revision", "unknown", "")
	out := f.String("o", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() > 0 {
		return flag.ErrHelp
	}
	if len(binaries) == 0 {
		binaries = words{"bin/plumbd"}
	}
	// https://reproducible-builds.org/specs/source-date-epoch/
	epoch, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r.Created = time.Unix(epoch, 0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	images, err := image.Plumbd(ctx, r, binaries...)
	if err != nil {
		return err
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(image.Write(file, images...), file.Close())
}
