//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
	"github.com/plumbnet/plumb/lab/wire"
)

// Wire puts a wire into a node's uplink that delays, loses or reorders frames, in the place of
// one that may be there, and returns when frames pass through it. It ends with the cluster.
func (c *Cluster) Wire(node string, l wire.Line) error {
	if !slices.Contains(c.Nodes, node) {
		return errors.New("there is no node " + node)
	}
	if err := l.Check(); err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	self, err := c.self()
	if err != nil {
		return err
	}
	if err := c.Unwire(node); err != nil {
		return err
	}
	p := machine.Program{Name: wireOf(node), Args: append([]string{self, wire.Verb}, wire.Args(portOf(node), l)...), Log: c.path(wireOf(node) + ".log")}
	if err := machine.StartProgram(c.Dir, Fabric, p); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		on, err := machine.Output(c.Dir, Fabric, "ip", "-o", "link", "show", "dev", portOf(node))
		if err != nil {
			return err
		}
		if !strings.Contains(on, " master "+fabricBridge+" ") {
			return nil
		}
		if s, err := c.wireState(node); err != nil || !s.Running || time.Now().After(deadline) {
			log, _ := os.ReadFile(p.Log)
			return errors.Join(err, fmt.Errorf("the wire of %s did not come up: %s\n%s", node, s.Ended, lastLines(string(log), 5)))
		}
	}
}

// Unwire takes the wire out of a node's uplink, also where its process was killed, or there is none.
func (c *Cluster) Unwire(node string) error {
	if !slices.Contains(c.Nodes, node) {
		return errors.New("there is no node " + node)
	}
	s, err := c.wireState(node)
	if err != nil || s.Name == "" {
		return err
	}
	if s.Running {
		if err := machine.StopProgram(c.Dir, Fabric, s.Name, 5*time.Second); err != nil {
			return err
		}
	}
	self, err := c.self()
	if err != nil {
		return err
	}
	_, err = machine.Output(c.Dir, Fabric, self, wire.Verb, "--port", portOf(node), "--heal", fabricBridge)
	return err
}

// wireState returns the state of a node's wire; without a name where there never was one.
func (c *Cluster) wireState(node string) (machine.State, error) {
	all, err := machine.Programs(c.Dir, Fabric)
	for _, s := range all {
		if s.Name == wireOf(node) {
			return s, err
		}
	}
	return machine.State{}, err
}

// fabricBridge is the switch of the fabric.
const fabricBridge = "br0"

func wireOf(node string) string { return "wire-" + node }
func portOf(node string) string { return "p-" + node }

// self returns a copy of this program where the machines of the cluster see it.
func (c *Cluster) self() (string, error) {
	path := c.path("plumb-lab")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, copyFile("/proc/self/exe", path, 0o755)
}
