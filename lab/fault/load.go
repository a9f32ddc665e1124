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
		Inject: fillConntrack,
	},
}

// fillConntrack fills node-b's conntrack table by "conntrack -R", in a few seconds.
// The limit of a namespace that is not the first cannot be lowered.
func fillConntrack(l *lab.Lab) error {
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
	var s strings.Builder
	for i := range limit + 100 {
		fmt.Fprintf(&s, "-A -p tcp -s 198.18.%d.%d -d 192.168.10.12 --sport %d --dport 443 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 86400\n", i>>8&255, i&255, 1024+i>>16)
	}
	f, err := os.CreateTemp("", "conntrack-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString(s.String()); err != nil {
		return err
	}
	b.NS.Run("", "conntrack", "-R", f.Name()) // it fails where the table is full, as it must in the end
	return nil
}
