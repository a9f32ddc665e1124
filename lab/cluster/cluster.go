//go:build linux

// Package cluster runs a real Kubernetes on this machine: level 2 of the lab. Its
// nodes are namespaces (package machine) in which a real kubelet and containerd
// run; kube-proxy and flannel are DaemonSets, CoreDNS a Deployment, and a small
// shop runs in it. The programs are built from lab/hyper, the images made by hand.
//
//	control   192.168.10.10   etcd, API server, controller manager, scheduler
//	node-a…   192.168.10.11…  containerd, kubelet; Pods: kube-flannel, kube-proxy, shop/web-N, shop/api-…
//	outside   203.0.113.10    a web server and a name server, behind the router
//	office    10.20.0.50      a web server, behind the router
//
// Nothing enforces NetworkPolicy unless the lab's own enforcer is asked for (package policy), and
// uplinks are as fast as the machine unless a wire is put into them, which delays and
// loses frames (package wire): "cluster up --policy", "cluster wire node-a --delay 20ms --loss 1%".
//
// A program that calls [Up] must call [Main] first.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
	"golang.org/x/sync/errgroup"
)

// patience is how long each step of a cluster's start may take. On an idle
// machine of two cores all of them together take 25 s.
const patience = 5 * time.Minute

// The modes of kube-proxy and the back ends of flannel that the lab runs.
var (
	ProxyModes = []string{"iptables", "nftables"}
	Backends   = []string{"vxlan", "host-gw"}
)

// Options say what cluster is wanted. The zero value is one of three nodes with kube-proxy in iptables mode and VXLAN.
type Options struct {
	Dir       string            // where everything of it is kept; DefaultDir
	Cache     string            // where programs and images are kept between clusters; DefaultCache
	Source    string            // a folder in plumb's sources; the working directory
	Nodes     int               // 1 to 26; 3
	ProxyMode string            // of kube-proxy: one of ProxyModes
	Proxy     map[string]string // of kube-proxy on single nodes
	Backend   string            // of flannel: one of Backends
	Images    []string          // archives of further images, for every node
	Manifests []string          // files of further objects, which must be running before the cluster is Ready
	NoApps    bool              // without the shop
	Policy    string            // who enforces NetworkPolicy: "" nobody, "all" nodes, "own" or "own=NODE,NODE…" some that know only their own Pods
	Progress  io.Writer         // where to say what is being done; nil: nowhere
}

// A Cluster is one that is up, or about to be.
type Cluster struct {
	Dir     string
	Nodes   []string
	Proxy   map[string]string // kube-proxy's mode on each node
	Backend string
	Server  string // host:port of the API server, on this machine's loopback

	Source, Cache string `json:"-"`
	bin           string
	progress      io.Writer
	begun         time.Time
}

// DefaultDir is where a cluster is kept unless its options say otherwise.
const DefaultDir = "/var/lib/plumb-lab"

// DefaultCache returns where programs and images are kept.
func DefaultCache() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "plumb-lab")
	}
	return filepath.Join(os.TempDir(), "plumb-lab-cache")
}

// plan checks the options and completes them.
func plan(o Options) (*Cluster, error) {
	c := &Cluster{Dir: o.Dir, Backend: o.Backend, Source: o.Source, Cache: o.Cache, Proxy: map[string]string{}, progress: o.Progress, begun: time.Now()}
	for p, fallback := range map[*string]string{&c.Dir: DefaultDir, &c.Backend: Backends[0], &c.Source: ".", &c.Cache: DefaultCache(), &o.ProxyMode: ProxyModes[0]} {
		if *p == "" {
			*p = fallback
		}
	}
	if c.progress == nil {
		c.progress = io.Discard
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Nodes < 1 || o.Nodes > 26 {
		return nil, fmt.Errorf("%d nodes: want 1 to 26", o.Nodes)
	}
	c.Nodes = nodeNames(o.Nodes)
	for _, n := range c.Nodes {
		c.Proxy[n] = o.ProxyMode
	}
	for n, mode := range o.Proxy {
		if c.Proxy[n] == "" {
			return nil, fmt.Errorf("kube-proxy's mode on %s: there is no such node", n)
		}
		c.Proxy[n] = mode
	}
	for _, mode := range c.Proxy {
		if !oneOf(mode, ProxyModes) {
			return nil, fmt.Errorf("kube-proxy has no mode %q here: choose %s", mode, strings.Join(ProxyModes, " or "))
		}
	}
	if !oneOf(c.Backend, Backends) {
		return nil, fmt.Errorf("flannel has no back end %q here: choose %s", c.Backend, strings.Join(Backends, " or "))
	}
	if _, _, err := enforcers(c.Nodes, o.Policy); err != nil {
		return nil, err
	}
	var err error
	c.Dir, err = filepath.Abs(c.Dir)
	return c, err
}

func oneOf(s string, list []string) bool {
	for _, l := range list {
		if s == l {
			return true
		}
	}
	return false
}

// Up brings a cluster up, and returns when everything in it is Ready. What it
// started stays up when this process ends; where it fails, nothing does.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	c, err := plan(o)
	if err != nil {
		return nil, err
	}
	if err := Needs(); err != nil {
		return nil, err
	}
	if machine.Alive(c.Dir) {
		return nil, fmt.Errorf("a cluster is up in %s: take it down first", c.Dir)
	}
	if _, err := os.Stat(c.path("rack.json")); err == nil { // of a cluster that was killed
		if err := machine.Remove(c.Dir); err != nil {
			return nil, err
		}
	}
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty, and holds no cluster", c.Dir)
	}
	if c.bin, err = c.build(ctx); err != nil {
		return nil, err
	}
	seed, err := c.seed(ctx)
	if err != nil {
		return nil, err
	}
	c.begun = time.Now()
	if err := c.bringUp(ctx, seed, o); err != nil {
		if _, exists := os.Stat(c.path("rack.json")); exists == nil {
			err = errors.Join(err, machine.Remove(c.Dir))
		}
		return nil, err
	}
	return c, nil
}

// Needs says what this machine lacks for a cluster.
func Needs() error {
	if os.Getuid() != 0 {
		return errors.New("a cluster needs root: its nodes are namespaces")
	}
	var missing []string
	for _, p := range []string{"containerd", "runc", "ctr", "ip", "nsenter", "unshare", "iptables", "ipset", "nft", "conntrack", "mount"} {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("these programs are missing: %s (\"sh lab/deps.sh cluster\" installs them)", strings.Join(missing, ", "))
	}
	return nil
}

// bringUp starts everything.
func (c *Cluster) bringUp(ctx context.Context, seed string, o Options) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	r := c.rack()
	if err := r.Declare(); err != nil { // from here on Remove knows what this directory is
		return err
	}
	if err := c.prepare(seed); err != nil {
		return err
	}
	at, err := r.Start()
	if err != nil {
		return err
	}
	c.Server = at.String()
	if err := c.writePKI(c.Server); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	c.say("%d machines are up", len(r.Machines))
	first, second := c.controlPlane()
	if err := c.startAll(Control, first); err != nil {
		return err
	}
	if err := c.startOutside(); err != nil {
		return err
	}
	if err := c.startNodes(ctx, o.Images); err != nil {
		return err
	}
	if err := c.await(ctx, "the API server", c.serverReady); err != nil {
		return err
	}
	c.say("the API server answers")
	if err := c.startAll(Control, second); err != nil {
		return err
	}
	for i, n := range c.Nodes {
		if err := c.startAll(n, []machine.Program{kubelet(c, i)}); err != nil {
			return err
		}
	}
	if err := c.deploy(ctx, o); err != nil {
		return err
	}
	return c.enforceAll(o.Policy)
}

// startAll starts programs on a machine.
func (c *Cluster) startAll(name string, programs []machine.Program) error {
	for _, p := range programs {
		if err := machine.StartProgram(c.Dir, name, p); err != nil {
			return err
		}
	}
	return nil
}

// startOutside starts servers on the machines that are not of the cluster.
func (c *Cluster) startOutside() error {
	return errors.Join(c.startAll(Outside, c.programs(Outside)), c.startAll(Office, c.programs(Office)))
}

// startNodes starts containerd on the nodes, and gives them images.
func (c *Cluster) startNodes(ctx context.Context, images []string) error {
	for _, n := range c.Nodes {
		if err := c.startAll(n, []machine.Program{containerd(c)}); err != nil {
			return err
		}
	}
	for _, i := range images {
		if err := c.Load(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// Load imports an archive of images on every node.
func (c *Cluster) Load(ctx context.Context, archive string) error {
	var g errgroup.Group
	for _, n := range c.Nodes {
		g.Go(func() error {
			return c.await(ctx, "containerd on "+n, func(context.Context) error {
				_, err := machine.Output(c.Dir, n, "ctr", "version")
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		g.Go(func() error {
			f, err := os.Open(archive)
			if err != nil {
				return err
			}
			defer f.Close()
			cmd, err := machine.Command(c.Dir, n, "ctr", "-n", "k8s.io", "images", "import", "-")
			if err != nil {
				return err
			}
			cmd.Stdin = f
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: import %s: %w: %s", n, archive, err, out)
			}
			return nil
		})
	}
	return g.Wait()
}

// deploy applies the manifests and waits for what they ask for.
func (c *Cluster) deploy(ctx context.Context, o Options) error {
	names := system
	if !o.NoApps {
		names = append(names[:len(names):len(names)], apps...)
	}
	text, err := c.manifests(names)
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, text); err != nil {
		return err
	}
	for _, m := range o.Manifests {
		b, err := os.ReadFile(m)
		if err != nil {
			return err
		}
		if err := c.Apply(ctx, string(b)); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	if err := c.await(ctx, "the nodes", c.nodesReady); err != nil {
		return err
	}
	c.say("%d nodes are Ready", len(c.Nodes))
	if err := c.await(ctx, "the Pods", c.workloadsReady); err != nil {
		return err
	}
	c.say("everything is Ready")
	return nil
}

// save writes down what the cluster is, for other processes.
func (c *Cluster) save() error {
	b, err := json.MarshalIndent(struct {
		*Cluster
		Bin string
	}{c, c.bin}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("cluster.json"), b, 0o600)
}

// Open returns the cluster that is up in a directory; "" is DefaultDir.
func Open(dir string) (*Cluster, error) {
	if dir == "" {
		dir = DefaultDir
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if !machine.Alive(dir) {
		return nil, fmt.Errorf("no cluster is up in %s", dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{progress: io.Discard, begun: time.Now()}
	extra := struct {
		*Cluster
		Bin string
	}{Cluster: c}
	if err := json.Unmarshal(b, &extra); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "cluster.json"), err)
	}
	c.bin = extra.Bin
	return c, nil
}

// Down takes down the cluster of a directory, however much of it is left, and
// leaves nothing on this machine but the cache; "" is DefaultDir.
func Down(dir string) error {
	if dir == "" {
		dir = DefaultDir
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return machine.Remove(dir)
}

// say tells what has been done, and when since the machines were started.
func (c *Cluster) say(format string, args ...any) {
	fmt.Fprintf(c.progress, "%6.1fs  %s\n", time.Since(c.begun).Seconds(), fmt.Sprintf(format, args...))
}
