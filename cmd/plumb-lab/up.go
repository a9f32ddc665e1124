//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func up(args []string) error {
	var c choice
	f := flags("up", &c)
	legacy := f.Bool("legacy", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return flag.ErrHelp
	}
	l, ft, err := c.build(*legacy)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := inject(l, ft); err != nil {
		return err
	}
	nodes, err := startNodes(l)
	if err != nil {
		return err
	}
	defer nodes.stop()
	fmt.Printf("%s: nodes node-a, node-b, node-c are up\n", l.Topology.Doc)
	if ft.Name != "" {
		fmt.Printf("fault %s: %s\nits path: %s\n", ft.Name, ft.Story, ft.Path)
	}
	fmt.Printf("enter one: plumb-lab exec node-a -- ip netns list   (as root, in another terminal; ^C here takes all down)\n")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, unix.SIGTERM)
	<-stop
	return nil
}

func execIn(args []string) error {
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) < 2 {
		return errors.New("exec: want NODE -- COMMAND")
	}
	return enterNode(args[0], args[1:])
}
