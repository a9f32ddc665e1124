package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"strings"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
)

// collectInto adds the state of this node to files, and says on stderr what could not be collected.
func collectInto(files snapshot.Files, name string, stderr io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("reading the state of a node needs root: sudo plumb snapshot -o bundle.tar.gz")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	state, err := node.Collect(ctx, node.Options{Node: name})
	if err != nil {
		return err
	}
	for _, file := range state.Names() {
		if of, ok := strings.CutSuffix(file, ".error"); ok {
			fmt.Fprintf(stderr, "plumb: not collected: %s: %s\n", of, strings.TrimSpace(string(state[file])))
		}
	}
	maps.Copy(files, state)
	return nil
}
