//go:build linux

package node

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// stat returns the counters: conntrack's, and how often the tables of neighbours were full.
func (w *worker) stat() ([]byte, error) {
	var out bytes.Buffer
	for _, name := range []string{"count", "max"} {
		b, err := os.ReadFile(w.proc + "/sys/net/netfilter/nf_conntrack_" + name)
		if err == nil {
			fmt.Fprintf(&out, "conntrack_%s %s\n", name, bytes.TrimSpace(b))
		}
	}
	for _, s := range []struct {
		file, prefix string
		only         string // "" for all columns
	}{{"stat/nf_conntrack", "conntrack_", ""}, {"stat/arp_cache", "arp_", "table_fulls"}, {"stat/ndisc_cache", "ndisc_", "table_fulls"}} {
		b, err := readNet(s.file)
		if err != nil {
			return out.Bytes(), err
		}
		for _, c := range sumColumns(string(b)) {
			if s.only == "" || c.name == s.only {
				fmt.Fprintf(&out, "%s%s %d\n", s.prefix, c.name, c.sum)
			}
		}
	}
	return out.Bytes(), nil
}

type column struct {
	name string
	sum  uint64
}

// sumColumns adds up the lines, one a CPU, of a file of /proc/net/stat: a line of names, then hexadecimal
// numbers. The column "entries" stands in every line for all CPUs, and is left out.
func sumColumns(text string) []column {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var out []column
	for _, name := range strings.Fields(lines[0]) {
		out = append(out, column{name: name})
	}
	for _, line := range lines[1:] {
		for i, f := range strings.Fields(line) {
			n, err := strconv.ParseUint(f, 16, 64)
			if err == nil && i < len(out) {
				out[i].sum += n
			}
		}
	}
	return slices.DeleteFunc(out, func(c column) bool { return c.name == "entries" })
}
