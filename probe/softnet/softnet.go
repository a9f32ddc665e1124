// Package softnet counts what the kernel's receive queues of the CPUs did with packets, before any protocol saw them.
package softnet

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/probe"
)

var (
	processed = stat("processed", "Packets that the CPU took off its queues.")
	dropped   = stat("dropped", "Packets dropped because the CPU's backlog was full (net.core.netdev_max_backlog).")
	squeezed  = stat("time_squeeze", "Times that the softirq ended with work left, its budget or time used up.")
	rps       = stat("received_rps", "Times that another CPU handed packets over (RPS).")
	limited   = stat("flow_limit", "Packets dropped because their flow had more than its share of the backlog.")
)

// columns are those of softnet_stat that are told (net/core/net-procfs.c, softnet_seq_show), in hexadecimal.
var columns = []struct {
	at   int
	stat *probe.Stat
}{{0, processed}, {1, dropped}, {2, squeezed}, {9, rps}, {10, limited}}

func stat(name, help string) *probe.Stat {
	return &probe.Stat{Name: "softnet_" + name + "_total", Help: help, Labels: []string{"cpu"}, Node: true, Second: name == "dropped" || name == "time_squeeze"}
}

// Kind is the softnet probe.
var Kind = &probe.Kind{
	Name: "softnet",
	Doc: `packets before the protocols saw them, by CPU

A rise of dropped says that a CPU could not keep up with its receive queue; of time_squeeze, that packets waited for
the softirq's next turn. Both are the node's, whatever Pod the packets were for.`,
	Source: "/proc/net/softnet_stat",
	Cost:   "0.02 ms a scrape, and 0.2 µs more for each CPU",
	Stats:  []*probe.Stat{processed, dropped, squeezed, rps, limited},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return softnet{file: filepath.Join(e.Proc, "net/softnet_stat")}, nil
	},
}

type softnet struct {
	probe.Quiet
	file string
}

func (s softnet) Read(emit func(probe.Sample)) error {
	f, err := os.Open(s.file)
	if err != nil {
		return err
	}
	defer f.Close()
	return parse(f, emit)
}

// indexColumn has the number of the CPU, since Linux 5.10: lines of CPUs that are off are left out.
const indexColumn = 12

func parse(r io.Reader, emit func(probe.Sample)) error {
	s := bufio.NewScanner(r)
	for line := 0; s.Scan(); line++ {
		f := strings.Fields(s.Text())
		values := make([]uint64, len(f))
		for i, word := range f {
			n, err := strconv.ParseUint(word, 16, 64)
			if err != nil {
				return fmt.Errorf("softnet_stat: line %d: %w", line+1, err)
			}
			values[i] = n
		}
		if len(f) < 3 {
			return fmt.Errorf("softnet_stat: line %d: %d columns, want 3 or more", line+1, len(f))
		}
		cpu := uint64(line)
		if len(f) > indexColumn {
			cpu = values[indexColumn]
		}
		labels := []string{strconv.FormatUint(cpu, 10)}
		for _, c := range columns {
			if c.at < len(values) {
				emit(probe.Sample{Stat: c.stat, Labels: labels, Value: float64(values[c.at])})
			}
		}
	}
	return s.Err()
}
