//go:build linux

package wire

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

// Verb is that by which plumb-lab runs a wire in the rack of a cluster.
const Verb = "wire"

// Args returns the arguments of [Main] for a wire at a port.
func Args(port string, l Line) []string { return append([]string{"--port", port}, l.Args()...) }

// Main puts a wire into this process's network namespace, and takes it out again when it is told to
// end. With "--heal BRIDGE" it puts the port back on that bridge instead, whatever is left of an earlier wire.
func Main(args []string) error {
	port, bridge, l, err := parse(args)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if bridge != "" {
		return Heal(port, bridge)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	w, err := Open(port, l)
	if err != nil {
		return err
	}
	<-ctx.Done()
	err = w.Close()
	fmt.Fprintln(os.Stderr, w)
	return err
}

func parse(args []string) (port, heal string, l Line, err error) {
	f := flag.NewFlagSet(Verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&port, "port", "", "")
	f.StringVar(&heal, "heal", "", "")
	l.Flags(f)
	if err := f.Parse(args); err != nil {
		return "", "", l, fmt.Errorf("%s: %w", Verb, err)
	}
	if port == "" || f.NArg() > 0 {
		return "", "", l, fmt.Errorf("%s: want --port, and nothing that is no flag", Verb)
	}
	return port, heal, l, l.Check()
}
