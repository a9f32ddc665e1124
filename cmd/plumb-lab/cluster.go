//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/cluster/fault"
	"github.com/plumbnet/plumb/lab/machine"
	"golang.org/x/sys/unix"
)

const clusterUsage = `usage: plumb-lab cluster VERB [--dir DIR] [flags] [ARGS]

  up     [--nodes N] [--proxy MODE] [--proxy NODE=MODE]… [--backend B]
         [--image FILE.tar]… [--apply FILE.yaml]… [--no-apps] [--policy[=own]]
                                 bring up a real Kubernetes; it stays up
  down                           take it down, however much of it is left
  status                         nodes, their programs, and the Pods
  kubeconfig                     print the path of its kubeconfig
  kubectl ARGS                   run kubectl on it
  exec   MACHINE -- COMMAND      run a command on node-a…, control, outside, office, or fabric
  load   FILE.tar                import images on every node
  stop   MACHINE PROGRAM         end kubelet, containerd, kube-apiserver, …
  start  MACHINE PROGRAM         start it again
  faults                         list the faults that it can be given
  fault  NAME                    give it one, and say what to ask plumb then
  heal                           undo it
  wire   NODE [--delay 20ms] [--jitter 5ms] [--loss 1%] [--reorder 1%] [--rate 10mbit] [--seed N] | NODE --off
                                 delay, lose and reorder what passes its uplink, each way

modes of kube-proxy: iptables nftables; back ends of flannel: vxlan host-gw
--policy: the lab's own enforcer of NetworkPolicy runs on every node; =own: not on the first, and
those of the other nodes know only their own Pods; =own=NODE,NODE…: those of these nodes
`

// clusterVerbs take the cluster's directory and what follows the flags.
var clusterVerbs = map[string]func(dir string, args []string) error{
	"down": clusterDown, "status": clusterStatus, "kubeconfig": clusterKubeconfig, "kubectl": clusterKubectl,
	"exec": clusterExec, "load": clusterLoad, "stop": clusterStop, "start": clusterStart,
	"faults": clusterFaults, "fault": clusterFault, "heal": clusterHeal, "wire": clusterWire,
}

func clusterVerb(args []string) error {
	if len(args) == 0 {
		return errClusterUsage
	}
	verb, args := args[0], args[1:]
	if verb == "up" {
		return clusterUp(args)
	}
	run, ok := clusterVerbs[verb]
	if !ok {
		return errClusterUsage
	}
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", cluster.DefaultDir, "")
	if err := f.Parse(args); err != nil {
		return errors.Join(err, errClusterUsage)
	}
	return run(*dir, f.Args())
}

// errClusterUsage stands for the usage of "cluster", which main prints.
var errClusterUsage = errors.New(strings.TrimSpace(clusterUsage))

// words are the values of a flag that may be given more than once.
type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

func clusterUp(args []string) error {
	o := cluster.Options{Progress: os.Stderr, Proxy: map[string]string{}}
	var proxy words
	f := flag.NewFlagSet("up", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Dir, "dir", cluster.DefaultDir, "")
	f.IntVar(&o.Nodes, "nodes", 3, "")
	f.Var(&proxy, "proxy", "")
	f.StringVar(&o.Backend, "backend", "", "")
	f.Var((*words)(&o.Images), "image", "")
	f.Var((*words)(&o.Manifests), "apply", "")
	f.BoolVar(&o.NoApps, "no-apps", false, "")
	f.Var((*enforced)(&o.Policy), "policy", "")
	if err := f.Parse(args); err != nil {
		return errors.Join(err, errClusterUsage)
	}
	if f.NArg() > 0 {
		return errClusterUsage
	}
	for _, p := range proxy {
		if node, mode, ok := strings.Cut(p, "="); ok {
			o.Proxy[node] = mode
		} else {
			o.ProxyMode = p
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	c, err := cluster.Up(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig())
	return nil
}

func clusterDown(dir string, args []string) error {
	if len(args) > 0 {
		return errClusterUsage
	}
	return cluster.Down(dir)
}

func clusterStatus(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	fmt.Printf("API server: https://%s   kubeconfig: %s\n", c.Server, c.Kubeconfig())
	if name, err := fault.Current(c); err != nil || name != "" {
		fmt.Printf("fault: %s (\"%s cluster heal\" undoes it)\n", name, os.Args[0])
	}
	for _, name := range append([]string{cluster.Control}, c.Nodes...) {
		programs, err := machine.Programs(dir, name)
		if err != nil {
			return err
		}
		var out []string
		for _, p := range programs {
			if p.Running {
				out = append(out, p.Name)
			} else {
				out = append(out, p.Name+" ("+p.Ended+")")
			}
		}
		mode := c.Proxy[name]
		if mode != "" {
			mode = "  kube-proxy: " + mode
		}
		fmt.Printf("%-8s %s%s\n", name, strings.Join(out, ", "), mode)
	}
	return pass(c.KubectlCommand(context.Background(), "get", "nodes,pods", "-A", "-o", "wide"))
}

func clusterKubeconfig(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	fmt.Println(c.Kubeconfig())
	return nil
}

func clusterKubectl(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	return pass(c.KubectlCommand(context.Background(), args...))
}

func clusterExec(dir string, args []string) error {
	if i := slices.Index(args, "--"); i == 1 {
		args = slices.Delete(args, 1, 2)
	}
	if len(args) < 2 {
		return errors.New("exec: want a machine and a command: plumb-lab cluster exec node-a -- ip route")
	}
	name := args[0]
	if name == "fabric" {
		name = cluster.Fabric
	}
	cmd, err := machine.Command(dir, name, args[1:]...)
	if err != nil {
		return err
	}
	return pass(cmd)
}

func clusterLoad(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return errClusterUsage
	}
	for _, a := range args {
		if err := c.Load(context.Background(), a); err != nil {
			return err
		}
	}
	return nil
}

func clusterStop(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	if len(args) != 2 {
		return errClusterUsage
	}
	return c.Stop(args[0], args[1])
}

func clusterStart(dir string, args []string) error {
	c, err := cluster.Open(dir)
	if err != nil {
		return err
	}
	if len(args) != 2 {
		return errClusterUsage
	}
	return c.Start(args[0], args[1])
}

// pass runs a command with this program's input and output, and ends as it does.
func pass(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() > 0 {
		return exitStatus(cmd.ProcessState.ExitCode())
	}
	return err
}
