package snapshot

import (
	"encoding/json"
	"io"
	"path"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
)

// A CountedLink is a device with its counts, as "ip -j -s addr" prints it.
type CountedLink struct {
	Index int        `json:"ifindex"`
	Name  string     `json:"ifname"`
	Stats *LinkStats `json:"stats64,omitempty"` // nil where they were not asked for
}

// LinkStats are the counts of a device.
type LinkStats struct {
	RX LinkCount `json:"rx"`
	TX LinkCount `json:"tx"`
}

// LinkCount counts one direction.
type LinkCount struct {
	Bytes   uint64 `json:"bytes"`
	Packets uint64 `json:"packets"`
}

// Counters are how many packets devices and rules have counted up to one moment. They are read from a
// snapshot whose addr.json has "stats64" (ip -s), and whose iptables-save ran with -c.
type Counters struct {
	links map[string]LinkStats        // by "nodes/a/host/eth0"
	rules map[string]netfilter.Counts // by file: "nodes/a/host/iptables"
}

// ReadCounters reads the counters of all namespaces in a tree of files. What cannot be read counts nothing.
func ReadCounters(fsys Files) Counters {
	c := Counters{links: map[string]LinkStats{}, rules: map[string]netfilter.Counts{}}
	for _, name := range fsys.Names() {
		if ok, _ := path.Match("nodes/*/*/*", name); !ok {
			continue
		}
		f, err := fsys.Open(name)
		if err == nil {
			c.file(name, io.LimitReader(f, maxFile))
			f.Close()
		}
	}
	return c
}

func (c *Counters) file(name string, in io.Reader) {
	dir, base := path.Split(name)
	switch {
	case base == "addr.json":
		links, _ := parseList(in, "addr", func(l *CountedLink, raw []byte) error { return json.Unmarshal(raw, l) }, func(l CountedLink) bool { return l.Name != "" })
		for _, l := range links {
			if l.Stats != nil {
				c.links[dir+l.Name] = *l.Stats
			}
		}
	case base == "nft.json":
		c.rules[name], _ = netfilter.ParseNFTCounts(in)
	case strings.HasPrefix(base, "iptables") || strings.HasPrefix(base, "ip6tables"):
		c.rules[name], _ = netfilter.ParseCounts(in)
	}
}

// Link returns the counts of a device of a namespace, by its folder; false where they are not known.
func (c *Counters) Link(dir, dev string) (LinkStats, bool) {
	s, ok := c.links[dir+"/"+dev]
	return s, ok
}

// Rule returns how many packets have met the rule that e quotes; false where that is not known: it
// does not count, or has changed its place.
func (c *Counters) Rule(e Evidence) (packets uint64, ok bool) {
	key := netfilter.LineKey(e.Line, e.Text)
	if path.Base(e.File) == "nft.json" {
		key = netfilter.ChainKey(e.Command, e.Text)
	}
	packets, ok = c.rules[e.File][key]
	return packets, ok
}

// Merge adds the counters of other namespaces.
func (c *Counters) Merge(o Counters) {
	if c.links == nil {
		*c = Counters{map[string]LinkStats{}, map[string]netfilter.Counts{}}
	}
	for k, v := range o.links {
		c.links[k] = v
	}
	for k, v := range o.rules {
		c.rules[k] = v
	}
}
