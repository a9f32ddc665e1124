//go:build linux

package main

import (
	"errors"

	"github.com/plumbnet/plumb/lab"
)

const nodeInit = "node-init"

func runNode(args []string) error { return errors.New("node: not built yet") }

type nodes struct{}

func (nodes) stop() {}

func startNodes(l *lab.Lab) (nodes, error) { return nodes{}, nil }

func enterNode(node string, argv []string) error { return errors.New("node: not built yet") }
