//go:build linux

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/plumbnet/plumb/lab/soak"
	"golang.org/x/sys/unix"
)

// The first thread is main's alone: what plumbd takes for the node's network is that of the sandbox's first process.
func init() { runtime.LockOSThread() }

// soaked has plumbd withstand what it has to, and ends with status 1 where it did not.
func soaked(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o := soak.Options{Log: os.Stdout}
	f.StringVar(&o.Plumbd, "plumbd", filepath.Join(filepath.Dir(self), "plumbd"), "")
	f.StringVar(&o.Plumb, "plumb", filepath.Join(filepath.Dir(self), "plumb"), "")
	f.BoolVar(&o.Short, "short", false, "")
	doc := f.Bool("doc", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	began, load := time.Now(), soak.Load()
	results, err := soak.Run(ctx, o, f.Args()...)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	soak.Doc(&page, began, load, results)
	if *doc {
		if err := os.WriteFile("doc/soak.md", page.Bytes(), 0o644); err != nil {
			return err
		}
	}
	for _, r := range results {
		if r.Err != nil {
			fmt.Printf("soak: %s: %v\n", r.Name, r.Err)
			err = exitStatus(1)
		}
	}
	return err
}
