//go:build linux

package cluster

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
	"github.com/plumbnet/plumb/lab/policy"
	"github.com/plumbnet/plumb/lab/wire"
)

// mains are what this program is besides, by its first argument.
var mains = map[string]func(args []string) error{policy.Verb: policy.Main, wire.Verb: wire.Main}

// Main is to be called first by a program that calls [Up], [Cluster.Enforce] or [Cluster.Wire]: a cluster's
// machines, its enforcers of NetworkPolicy and its wires are that program, run again.
func Main() {
	machine.Main()
	if len(os.Args) < 2 || mains[os.Args[1]] == nil {
		return
	}
	if err := mains[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Enforce starts the lab's enforcer of NetworkPolicy on a node, which knows the Pods of
// some nodes only, or with nil of all.
func (c *Cluster) Enforce(node string, own []string) error {
	program, err := c.self()
	if err != nil {
		return err
	}
	args := policy.Args(policy.Enforcer{Node: node, Own: own}, "https://"+controlIP+":6443", c.path("pki/ca.crt"), c.path("pki/admin.crt"), c.path("pki/admin.key"))
	return machine.StartProgram(c.Dir, node, machine.Program{
		Name: policy.Verb, Args: append([]string{program, policy.Verb}, args...), Log: "/var/log/policyd.log",
	})
}

// Unenforce ends the enforcer of a node, if there is one; it takes its rules away.
func (c *Cluster) Unenforce(node string) error {
	programs, err := machine.Programs(c.Dir, node)
	if err != nil || !slices.ContainsFunc(programs, func(s machine.State) bool { return s.Name == policy.Verb && s.Running }) {
		return err
	}
	return machine.StopProgram(c.Dir, node, policy.Verb, 5*time.Second)
}

// enforcers returns the nodes that are to have an enforcer, and the nodes whose Pods they
// know; nil: all. What is wanted is "" for none, "all", "own" for all nodes but the first, which
// know each other's Pods only, or "own=NODE,NODE…".
func enforcers(nodes []string, wanted string) (on, own []string, err error) {
	kind, list, named := strings.Cut(wanted, "=")
	switch {
	case wanted == "":
		return nil, nil, nil
	case wanted == "all":
		return nodes, nil, nil
	case kind == "own" && named:
		own = strings.Split(list, ",")
	case kind == "own":
		own = nodes[1:]
	}
	if len(own) == 0 {
		return nil, nil, fmt.Errorf("no enforcers of policies are %q here: want all, own, or own=NODE,NODE", wanted)
	}
	for _, n := range own {
		if !oneOf(n, nodes) {
			return nil, nil, fmt.Errorf("an enforcer of policies on %q: there is no such node", n)
		}
	}
	return own, own, nil
}

// enforceAll starts the enforcers that are wanted.
func (c *Cluster) enforceAll(wanted string) error {
	on, own, err := enforcers(c.Nodes, wanted)
	if err != nil || len(on) == 0 {
		return err
	}
	for _, n := range on {
		if err := c.Enforce(n, own); err != nil {
			return err
		}
	}
	c.say("policies are enforced on %s", strings.Join(on, ", "))
	return nil
}
