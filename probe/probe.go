// Package probe defines what watches a node: counters that are read at each scrape, and events that are
// told as they happen. A probe knows its own source in the kernel, and neither Prometheus nor where events go.
package probe

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/plumbnet/plumb/event"
)

// A Kind describes one kind of probe. It is a constant: nothing is loaded or opened until Open.
type Kind struct {
	Name      string        // "softnet", "tcpretransmit": as in the configuration, and the Kind of its events
	Doc       string        // a title, a blank line, then what it means when it rises
	Source    string        // where it looks: "/proc/net/softnet_stat", "tp_btf/kfree_skb"
	Cost      string        // what it costs, as measured: "0.2 ms a scrape of 100 Pods", "150 ns a drop"
	Off       bool          // it runs only where the configuration asks for it
	Heavy     bool          // it costs something with every packet, or every turn of a task: it is paused where that is too much
	Needs     []Feature     // what the kernel must offer; else the probe is skipped, and says so
	Stats     []*Stat       // every metric that it can give, for the docs and the tests
	Events    string        // what its events tell; "" for a probe that has none
	Threshold time.Duration // beyond it there is an event; may be configured. 0 for a probe that has none
	Open      func(*Env) (Probe, error)
}

// A Feature is something that a kernel may lack. Have returns nil where it is there, and else an error that says why not.
type Feature struct {
	Name string
	Have func() error
}

// A Type is what a metric's value is.
type Type uint8

// The types.
const (
	Counter   Type = iota // it only rises; its name ends in _total
	Gauge                 // it is as it now is
	Histogram             // how often what took how long
)

// A Stat is one metric. Its series are told apart by Pod, and by Labels.
type Stat struct {
	Name   string // without the common prefix: "softnet_dropped_total"
	Type   Type
	Help   string   // one sentence
	Labels []string // beside those of the Pod
	Node   bool     // it is the node's, not one Pod's: no labels of a Pod
	Second bool     // it is kept by the second in the recorder: cheap to read that often, and worth it
	Event  string   // of a Histogram: the key by which its probe's events tell the time that they are for, beside their labels: "took"
	Alarm  bool     // of one that is: it counts what should not happen, or is a wait; far above what is usual for a Pod, the window is frozen
}

// A Sample is one value of a metric.
type Sample struct {
	Stat   *Stat    // one of the kind's
	Pod    string   // "shop/web-0", "netns" for a namespace that is no Pod's; "" for the node itself
	Labels []string // values, in the order of Stat.Labels. It is not kept, nor changed
	Value  float64
	Hist   *Hist // of a Histogram, in place of Value
}

// A Hist is the value of a histogram.
type Hist struct {
	Bounds []float64 // the upper bounds, rising, in the Stat's unit; all but that of the last bucket
	Counts []uint64  // in each bucket alone, one more than there are bounds
	Sum    float64
}

// A Place is a network namespace of the node: the node's own, or a Pod's.
type Place struct {
	Pod  string // "shop/web-0"; "" for the node's own; a name without "/" for one that is no Pod's
	Net  uint64 // its cookie where the kernel tells that (SO_NETNS_COOKIE, Linux 5.14), else its inode
	Host bool   // the node's own
}

// An Env is what a probe may use of the machine that it runs on.
type Env struct {
	Node      string
	Proc, Sys string        // the machine's /proc and /sys, or a test's
	Threshold time.Duration // as configured, or the kind's own
	Places    Places
	// Targets returns the nodes that now may be asked whether they answer, this one among them, sorted by node; nil where none is known. They are not changed.
	Targets func() []Target
}

// A Target is an address of a node, and by which way it leads there.
type Target struct {
	Node string
	Path string // as the configuration names it: "host", "overlay"
	Addr netip.Addr
}

// A Cgroup is the cgroup of a Pod; those of its containers are below it.
type Cgroup struct {
	Pod  string // "shop/web-0"
	Path string // below the root of a hierarchy: "kubepods.slice/kubepods-pod….slice". The same in each where there are several (version 1)
}

// Places tells whose a network namespace, a cgroup or an address is.
type Places interface {
	// ByNet returns the place of a network namespace that is or lately was, by its Net.
	ByNet(uint64) (Place, bool)
	// ByCgroup returns the Pod of a cgroup, by its id in the unified hierarchy.
	ByCgroup(uint64) (pod string, ok bool)
	// ByDevice returns the Pod at the other end of a veth, by the device's index in the node's own namespace.
	ByDevice(ifindex int) (pod string, ok bool)
	// ByAddr returns the Pod that has an address, as far as this node knows.
	ByAddr(netip.Addr) (pod string, ok bool)
	// Cookies reports whether Net is a cookie. Where not, it is an inode, which another namespace may have later.
	Cookies() bool
	// All returns the places that now are, the node's own first.
	All() []Place
	// In calls f on a thread that is in the network namespace of a place that now is, and ends with f.
	In(p Place, f func() error) error
	// Cgroups returns the cgroups of the Pods that now are, by Pod.
	Cgroups() []Cgroup
}

// A Probe is an opened probe. Its methods may be called at the same time as each other, and each not twice at once.
type Probe interface {
	// Read tells the counters as they now are of all places, or of the node. What it told before an error holds.
	Read(emit func(Sample)) error
	// ReadIn tells the counters of one place. The thread is in its network namespace, and /proc/thread-self/net is the place's.
	ReadIn(p Place, emit func(Sample)) error
	// Watch calls emit for each event until ctx is done. Emit does not wait. That of a probe without events returns at once.
	Watch(ctx context.Context, emit func(event.Event)) error
	// Close takes the probe off the kernel, after Watch has returned.
	io.Closer
}

// Quiet is embedded by probes for the methods that they do not need.
type Quiet struct{}

// Read tells nothing.
func (Quiet) Read(func(Sample)) error { return nil }

// ReadIn tells nothing.
func (Quiet) ReadIn(Place, func(Sample)) error { return nil }

// Watch returns at once.
func (Quiet) Watch(context.Context, func(event.Event)) error { return nil }

// Close does nothing.
func (Quiet) Close() error { return nil }

// Accounted is implemented by probes whose work is done in the kernel, by programs that it runs.
type Accounted interface {
	Account() (Account, error)
}

// An Account is what a probe's programs have cost since it was opened, and which events they did not tell.
type Account struct {
	Runs uint64        // counted only while the kernel is asked to (kernel.bpf_stats_enabled), as Time
	Time time.Duration // that they ran
	Lost []Loss

	// Missing are tracepoints and functions that this kernel has not. Of what they would tell there is nothing.
	Missing []string
}

// A Loss is how many events were not told, and at which stage: "rate", by the probe's own limit; "ring", the buffer to
// the agent was full; "table", there was no room to count them under a key of their own; "nested", they interrupted the
// program at another one, where the kernel does not run it (told since Linux 5.12). Those of the last two are not counted either.
type Loss struct {
	Stage  string
	Events uint64
}
