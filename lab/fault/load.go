//go:build linux

package fault

import (
	"fmt"
	"os"
	"strings"

	"github.com/plumbnet/plumb/lab"
)

// load are faults of tables that are full.
var load = []Fault{
	{
		Name: "conntrack-full", Check: "conntrack-full", Slow: true, Topologies: []string{"flannel"},
		Story:  "A port scan filled node-b's conntrack table with connections that count as established: new ones are dropped.",
		Path:   acrossNodes,
		Inject: fillConntrack(100),
	},
	{
		Name: "conntrack-nearly-full", Check: "conntrack-full", Slow: true, Preventive: true, Topologies: []string{"flannel"},
		Story:  "Nine tenths of node-b's conntrack table are in use: one burst more, and new connections are dropped.",
		Path:   acrossNodes,
		Inject: fillConntrack(90),
	},
}

// fillConntrack returns an injection that has entries for so many percent of
// node-b's conntrack table loaded by "conntrack -R", in a few seconds.
// The limit of a namespace that is not the first cannot be lowered.
func fillConntrack(percent int) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		b := l.Node("node-b")
		out, err := b.NS.Output("", "sysctl", "-n", "net.netfilter.nf_conntrack_max")
		if err != nil {
			return err
		}
		var limit int
		if _, err := fmt.Sscan(out, &limit); err != nil {
			return fmt.Errorf("nf_conntrack_max: %w", err)
		}
		if limit > 1<<20 {
			return fmt.Errorf("nf_conntrack_max is %d: too many to fill", limit)
		}
		n := limit / 100 * percent
		if percent == 100 {
			n = limit + 100
		}
		f, err := os.CreateTemp("", "conntrack-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		if _, err := f.WriteString(entries(n)); err != nil {
			return err
		}
		// What is there ends by itself within seconds, and then there is room.
		if err := b.NS.Run("", "conntrack", "-F"); err != nil {
			return err
		}
		err = b.NS.Run("", "conntrack", "-R", f.Name())
		if percent == 100 {
			return nil // it fails where the table is full, as it must in the end
		}
		return err
	}
}

// entries returns n connections to node-b in the form of "conntrack -o save".
func entries(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "-A -p tcp -s 198.18.%d.%d -d 192.168.10.12 --sport %d --dport 443 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 86400\n", i>>8&255, i&255, 1024+i>>16)
	}
	return s.String()
}
