//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/cluster/fault"
	"golang.org/x/sys/unix"
)

func clusterFaults(_ string, args []string) error {
	if len(args) > 0 {
		return errClusterUsage
	}
	for _, f := range fault.All() {
		check := f.Check
		if check == "" {
			check = "(only a probe can tell)"
		}
		fmt.Printf("%-24s %-24s %s\n%-24s %-24s %s\n", f.Name, check, f.Story, "", "", f.Question)
	}
	return nil
}

func clusterFault(dir string, args []string) error {
	if len(args) != 1 {
		return errClusterUsage
	}
	f, ok := fault.Named(args[0])
	if !ok {
		return fmt.Errorf("no fault is named %q: \"%s cluster faults\" lists them", args[0], os.Args[0])
	}
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	if err := f.Inject(ctx, c); err != nil {
		return err
	}
	ask, err := f.Question.Args(ctx, c)
	if err != nil {
		return err
	}
	fmt.Printf("%s\nKUBECONFIG=%s %s diagnose %s\n", f.Story, c.Kubeconfig(), plumbBeside(os.Args[0]), strings.Join(ask, " "))
	return nil
}

func clusterHeal(dir string, args []string) error {
	if len(args) > 0 {
		return errClusterUsage
	}
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	name, err := fault.Current(c)
	if err != nil {
		return err
	}
	f, ok := fault.Named(name)
	if !ok {
		return errors.New("the cluster has no fault")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	return f.Heal(ctx, c)
}
