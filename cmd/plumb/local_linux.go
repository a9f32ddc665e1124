package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
)

// local collects the node that plumb runs on.
func local(stderr io.Writer) (*snapshot.Cluster, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("no --snapshot is given, and reading the state of this node needs root")
	}
	fmt.Fprintln(stderr, "plumb: no --snapshot is given: reading the state of this node")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	files, err := node.Collect(ctx, node.Options{})
	if err != nil {
		return nil, err
	}
	return snapshot.Read(files)
}
