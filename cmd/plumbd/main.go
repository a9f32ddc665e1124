//go:build linux

// Plumbd is plumb's daemon on a node: it answers for the state of the node, sends probes from it, and, given a
// configuration, watches it.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/agent"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
)

// version is set at build time: -ldflags "-X main.version=v0.1.0".
var version = ""

const (
	healthFile   = "/run/plumb/health" // in a memory of the Pod's own
	healthTime   = 4 * time.Second     // kubelet's probe gives it 5
	memoryTarget = 200 << 20           // bytes, where neither GOMEMLIMIT nor the cgroup says another: the garbage collector works harder above it
)

const usage = `plumbd answers over HTTPS for the state of the node that it runs on, and, with a configuration, watches it.

Usage:
    plumbd [--node NAME] [--listen ADDR] [--config FILE [--peers]] [--run-token-sha256 HEX --run-for TIME]
    plumbd --config FILE --check-config    says what is wrong with a configuration
    plumbd probes    what there is to watch: what it measures and costs, and whether it runs on this kernel
    plumbd health    asks the plumbd of this container how it is
    plumbd version

`

// The first thread is main's alone. One that has entered a Pod's network namespace ends there, which the
// first cannot; it would stay, and with it the namespace that the process is seen in and kubelet's probes run in.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	err := func() error {
		if len(args) == 1 && args[0] == "health" {
			ctx, cancel := context.WithTimeout(context.Background(), healthTime)
			defer cancel()
			return agent.Health(ctx, healthFile)
		}
		if len(args) == 1 && args[0] == "version" {
			_, err := fmt.Printf("plumbd %s (%s %s/%s)\n", built(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		}
		if len(args) == 1 && args[0] == "probes" {
			return probes(os.Stdout)
		}
		o, err := parse(args, stderr)
		if err != nil {
			return err
		}
		if o.check {
			return check(o.config)
		}
		return serve(o, stderr)
	}()
	switch {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "plumbd:", err)
		return 1
	}
	return 0
}

// built returns the version that this is.
func built() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version)
	}
	return version
}

// options are the flags. The names are those that collect/kube runs an agent with.
type options struct {
	node, listen string
	config       string
	check        bool
	peers        bool
	runToken     []byte
	runFor       time.Duration
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("plumbd", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	fs.StringVar(&o.node, "node", "", "the node's `name` in Kubernetes (default: the host's)")
	fs.StringVar(&o.listen, "listen", ":10270", "the `address` to listen on")
	fs.StringVar(&o.config, "config", "", "watch the node as this `file` says, and as it says then whenever it changes")
	fs.BoolVar(&o.check, "check-config", false, "say what is wrong with the configuration, and end")
	fs.BoolVar(&o.peers, "peers", false, "ask the API server who is at the other end of what happens, and the agent there to keep the same window")
	token := fs.String("run-token-sha256", "", "let in who shows the token of this SHA-256, in `hex`, and nobody else")
	fs.DurationVar(&o.runFor, "run-for", 0, "end after this `time`")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q: want flags, or one of probes, health and version alone", fs.Arg(0))
	}
	if o.peers && o.config == "" {
		return o, fmt.Errorf("--peers: of what happens, which is watched with --config FILE")
	}
	if o.check && o.config == "" {
		return o, fmt.Errorf("--check-config: which is said by --config FILE")
	}
	if *token != "" {
		o.runToken, err = hex.DecodeString(*token)
		if err != nil || len(o.runToken) != sha256.Size {
			return o, fmt.Errorf("--run-token-sha256: want %d hexadecimal digits", 2*sha256.Size)
		}
	}
	if o.runFor < 0 || o.runToken != nil && o.runFor == 0 {
		return o, fmt.Errorf("--run-for: want a time, such as 5m")
	}
	if o.node == "" {
		o.node, err = os.Hostname()
	}
	return o, err
}

// serve answers requests until a signal, or the end of the time to run.
func serve(o options, stderr io.Writer) error {
	if err := agent.Confine(); err != nil {
		return err
	}
	limitMemory()
	a := agent.Options{Version: built(), Collect: node.Options{Node: o.node}, RunToken: o.runToken, Log: log.New(stderr, "plumbd: ", log.LstdFlags|log.LUTC|log.Lmsgprefix)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if o.runFor > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.runFor)
		defer cancel()
	}
	if o.runToken == nil {
		client, err := kube.InCluster(agent.APIServers("/proc/1/root")...) // kube-proxy may be what is wrong
		if err != nil && o.config == "" {
			return fmt.Errorf("%w: without an API server to ask it takes --run-token-sha256", err)
		}
		a.Kube = client // nil outside of Kubernetes
	}
	if o.config != "" {
		end, err := watch(ctx, &a, o)
		if err != nil {
			return err
		}
		defer end()
	}
	if o.runToken == nil && a.Kube == nil {
		a.Log.Printf("%s: node %q, outside of Kubernetes: metrics alone, where the configuration's web.listen says", a.Version, o.node)
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	a.Log.Printf("%s: node %q, listening on %s", a.Version, o.node, l.Addr())
	return agent.New(a).Serve(ctx, l, healthFile)
}
