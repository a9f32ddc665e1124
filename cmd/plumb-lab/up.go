//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
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
	warm(l)
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
	if err := next(os.Stdout, l, ft); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, unix.SIGTERM)
	<-stop
	return nil
}

// next says how to diagnose the cluster as one would a real one.
func next(w io.Writer, l *lab.Lab, f fault.Fault) error {
	me, plumb := os.Args[0], plumbBeside(os.Args[0])
	fmt.Fprintf(w, "\nAs root, in another terminal (^C here takes the cluster down):\n")
	snapshots := ""
	for _, n := range l.Nodes {
		fmt.Fprintf(w, "  %s exec %s -- %s snapshot -o /tmp/%[2]s.tar.gz\n", me, n.Name, plumb)
		snapshots += " --snapshot /tmp/" + n.Name + ".tar.gz"
	}
	fmt.Fprintf(w, "  %s objects >/tmp/objects.tar.gz\n", me)
	snapshots += " --snapshot /tmp/objects.tar.gz"
	if f.Name == "" {
		f.Path = lab.Path{From: "shop/web-0", To: "svc/shop/api:http"}
	}
	ask, err := question(l, f)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  %s diagnose %s%s\n", plumb, strings.Join(ask, " "), snapshots)
	return nil
}

// plumbBeside returns plumb's path where it is in the folder of plumb-lab, and else its name.
func plumbBeside(me string) string {
	if dir, _ := filepath.Split(me); dir != "" {
		if _, err := os.Stat(dir + "plumb"); err == nil {
			return dir + "plumb"
		}
	}
	return "plumb"
}

// objects writes the bundle of the Kubernetes objects of the cluster that is up.
func objects(args []string) error {
	if len(args) > 0 {
		return flag.ErrHelp
	}
	if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return fmt.Errorf("a bundle is not for a terminal: %s objects >/tmp/objects.tar.gz", os.Args[0])
	}
	return enterNode("node-a", []string{"cat", objectsFile})
}

func execIn(args []string) error {
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) < 2 {
		return errors.New("exec: want a node and a command: plumb-lab exec node-a -- ip netns list")
	}
	return enterNode(args[0], args[1:])
}
