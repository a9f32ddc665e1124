//go:build linux

package observe

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/sink"
)

// A Config says what an agent watches, and where what it sees goes. The zero Config runs the probes that run by default.
type Config struct {
	Labels map[string]string `json:"labels"` // of every metric, beside node: cluster, zone
	Probes ProbesConfig      `json:"probes"`
	Events EventsConfig      `json:"events"`
	Web    WebConfig         `json:"web"`
	Sinks  []sink.Config     `json:"sinks"`

	Recorder RecorderConfig `json:"recorder"`
	Limits   LimitsConfig   `json:"limits"`
	Pprof    bool           `json:"pprof"` // GET /pprof, for who has that right
	kinds    []*probe.Kind
}

// A ProbesConfig says which probes run.
type ProbesConfig struct {
	On        []string          `json:"on"`        // beside those that run by default; "all"
	Off       []string          `json:"off"`       // "all": none but those of On
	Threshold map[string]string `json:"threshold"` // by probe, where not its own: "20ms"

	// Targets are the nodes that pingmesh asks, by their names: their addresses, by the path that leads there.
	Targets map[string]map[string]string `json:"targets"`
}

// An EventsConfig bounds what is told.
type EventsConfig struct {
	PerSecond int `json:"perSecond"` // of one kind of event, above which they are counted as lost; 0 for defaultRate
}

// defaultRate is how many events of a kind are told a second: a person reads none of more, and Loki's default
// is 4 MB a second for everyone.
const defaultRate = 100

// ReadConfig reads a configuration. The error names file, line and key of all that is wrong in it.
func ReadConfig(file string, data []byte, kinds []*probe.Kind) (Config, error) {
	c := Config{kinds: kinds}
	err := manifest.Decode(file, data, &c)
	return c, err
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Faults is for [manifest.Decode].
func (c *Config) Faults() (out []manifest.Fault) {
	bad := func(path, format string, args ...any) {
		out = append(out, manifest.Fault{Path: path, Why: fmt.Sprintf(format, args...)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		path := "labels." + name
		switch {
		case !labelName.MatchString(name) || strings.HasPrefix(name, "__"):
			bad(path, "%q is no name of a label: want letters, digits and _", name)
		case slices.Contains(ownLabels, name) || c.usedLabel(name):
			bad(path, "plumb has a label %q of its own", name)
		}
	}
	for i, name := range c.Probes.On {
		if name != "all" && c.kind(name) == nil {
			bad(fmt.Sprintf("probes.on[%d]", i), "no probe is named %q; there are %s", name, c.names())
		}
	}
	for i, name := range c.Probes.Off {
		if name != "all" && c.kind(name) == nil {
			bad(fmt.Sprintf("probes.off[%d]", i), "no probe is named %q; there are %s", name, c.names())
		}
		if slices.Contains(c.Probes.On, name) {
			bad(fmt.Sprintf("probes.off[%d]", i), "%q is on as well", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Probes.Threshold)) {
		path, k := "probes.threshold."+name, c.kind(name)
		d, err := time.ParseDuration(c.Probes.Threshold[name])
		switch {
		case k == nil:
			bad(path, "no probe is named %q; there are %s", name, c.names())
		case k.Threshold == 0:
			bad(path, "the probe has no threshold")
		case err != nil || d <= 0:
			bad(path, "%q: want a time, such as %v", c.Probes.Threshold[name], k.Threshold)
		}
	}
	whose := map[netip.Addr]string{}
	for _, node := range slices.Sorted(maps.Keys(c.Probes.Targets)) {
		path := "probes.targets." + node
		if n := len(c.Probes.Targets[node]); n == 0 || n > maxPaths {
			bad(path, "want 1 to %d addresses, by path, such as {host: 10.0.0.2}", maxPaths)
		}
		for _, by := range slices.Sorted(maps.Keys(c.Probes.Targets[node])) {
			a := c.Probes.Targets[node][by]
			addr, err := netip.ParseAddr(a)
			if err != nil || !addr.IsGlobalUnicast() {
				bad(path+"."+by, "%q: want an address of the node, such as 10.0.0.2", a)
				continue
			}
			if other := cmp.Or(whose[addr], node); other != node {
				bad(path+"."+by, "%q is a target of %s, too", a, other)
			}
			whose[addr] = node
		}
	}
	if c.Events.PerSecond < 0 {
		bad("events.perSecond", "%d: want 0, for %d, or more", c.Events.PerSecond, defaultRate)
	}
	return slices.Concat(out, c.Web.faults(), sinkFaults(c.Sinks), c.Recorder.faults(), c.Limits.faults())
}

// ownLabels are those that any metric may have.
var ownLabels = []string{"node", "namespace", "pod", "le"}

func (c *Config) usedLabel(name string) bool {
	stats := slices.Clone(Own)
	for _, k := range c.kinds {
		stats = append(stats, k.Stats...)
	}
	return slices.ContainsFunc(stats, func(s *probe.Stat) bool { return slices.Contains(s.Labels, name) })
}

func (c *Config) kind(name string) *probe.Kind {
	if i := slices.IndexFunc(c.kinds, func(k *probe.Kind) bool { return k.Name == name }); i >= 0 {
		return c.kinds[i]
	}
	return nil
}

func (c *Config) names() string {
	var out []string
	for _, k := range c.kinds {
		out = append(out, k.Name)
	}
	return strings.Join(out, ", ")
}

// wants reports whether a probe is to run.
func (c *Config) wants(k *probe.Kind) bool {
	named := func(list []string, name string) bool { return slices.Contains(list, name) }
	switch {
	case named(c.Probes.On, k.Name):
		return true
	case named(c.Probes.Off, k.Name):
		return false
	case named(c.Probes.On, "all"):
		return true
	case named(c.Probes.Off, "all"):
		return false
	}
	return !k.Off
}

// maxPaths bounds the addresses of a node.
const maxPaths = 4

// targets returns the addresses of nodes, sorted.
func (c *Config) targets() (out []probe.Target) {
	for _, node := range slices.Sorted(maps.Keys(c.Probes.Targets)) {
		paths := c.Probes.Targets[node]
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if addr, err := netip.ParseAddr(paths[path]); err == nil {
				out = append(out, probe.Target{Node: node, Path: path, Addr: addr.Unmap()})
			}
		}
	}
	return out
}

// threshold returns that of a probe.
func (c *Config) threshold(k *probe.Kind) time.Duration {
	if d, err := time.ParseDuration(c.Probes.Threshold[k.Name]); err == nil {
		return d
	}
	return k.Threshold
}
