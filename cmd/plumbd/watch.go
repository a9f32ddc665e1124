//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/plumbnet/plumb/agent"
	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/agent/peers"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// check reads a configuration.
func check(file string) error {
	data, err := os.ReadFile(file)
	if err == nil {
		_, err = observe.ReadConfig(file, data, all.Kinds)
	}
	if err == nil {
		fmt.Println(file + " is in order")
	}
	return err
}

// watch has the agent watch its node as a file says, until end is called. One that starts anew with a file that is not in
// order watches nothing until it is: what else the cluster asks of it has nothing to do with that.
func watch(ctx context.Context, a *agent.Options, flags options) (end func(), err error) {
	file := flags.config
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, refused := observe.ReadConfig(file, data, all.Kinds)
	if refused != nil && a.Kube == nil {
		return nil, refused
	}
	places, err := node.NewPlaces(a.Collect)
	if err != nil {
		return nil, err
	}
	others, err := newPeers(a, flags)
	if err != nil {
		return nil, err
	}
	o := observe.New(observe.Options{Version: a.Version, Node: a.Collect.Node, Sys: machineSys(), Kinds: all.Kinds, Places: places, Peers: others, Log: a.Log})
	a.Observer = o
	if refused == nil {
		o.Apply(config)
		forgetStart()
	} else {
		o.Refuse(refused)
		a.Log.Printf("configuration: nothing is watched until it is in order: %v", refused)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	if others != nil {
		running.Go(func() { others.Run(ctx) })
	}
	running.Go(func() { places.Run(ctx) })
	running.Go(func() { o.Follow(ctx, file, data) })
	running.Go(func() { o.Record(ctx) })
	running.Go(func() { o.Guard(ctx) })
	return func() {
		cancel()
		running.Wait()
		o.Close()
	}, nil
}

// newPeers returns who knows other nodes; nil where nobody is to be asked, or can be.
func newPeers(a *agent.Options, flags options) (*peers.Peers, error) {
	if !flags.peers || a.Kube == nil {
		return nil, nil
	}
	_, port, err := net.SplitHostPort(flags.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return peers.New(peers.Options{Node: a.Collect.Node, Kube: a.Kube, Port: uint16(n), Log: a.Log}), nil
}

// machineSys returns where the node's /sys is: the one of a container shows it its own cgroup as the root of all.
func machineSys() string {
	const node = "/proc/1/root/sys"
	if _, err := os.Stat(node + "/fs/cgroup"); err == nil {
		return node
	}
	return "/sys"
}

// probes prints what there is to watch, and whether it can be watched here.
func probes(w io.Writer) error {
	places, err := node.NewPlaces(node.Options{})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROBE\tRUNS HERE\tMEASURES\tFROM\tCOST")
	for _, k := range all.Kinds {
		title, _, _ := strings.Cut(k.Doc, "\n")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Name, runs(k, places), title, k.Source, k.Cost)
	}
	return t.Flush()
}

// runs opens a probe, and closes it.
func runs(k *probe.Kind, places *node.Places) string {
	for _, f := range k.Needs {
		if err := f.Have(); err != nil {
			return fmt.Sprintf("no: needs %s: %v", f.Name, err)
		}
	}
	p, err := k.Open(&probe.Env{Proc: "/proc", Sys: machineSys(), Threshold: k.Threshold, Places: places})
	if err != nil {
		return "no: " + err.Error()
	}
	answer := "yes"
	if k.Off {
		answer += ", where it is turned on"
	}
	if a, ok := p.(probe.Accounted); ok {
		if account, err := a.Account(); err == nil && len(account.Missing) > 0 {
			answer += ", without " + strings.Join(account.Missing, ", ")
		}
	}
	if err := p.Close(); err != nil {
		return "no: " + err.Error()
	}
	return answer
}
