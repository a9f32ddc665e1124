//go:build linux

package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/plumbnet/plumb/lab/observe"
	"golang.org/x/sys/unix"
)

// observeTime bounds what "observe" takes; it takes two minutes where all is seen.
const observeTime = 15 * time.Minute

// watched shows faults to agents and a Prometheus, and ends with status 1 where a panel or an alert does not tell of its fault.
func watched(names []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), observeTime)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM)
	defer stop()
	ok, err := observe.Run(ctx, os.Stdout, names...)
	if err == nil && !ok {
		return exitStatus(1)
	}
	return err
}
