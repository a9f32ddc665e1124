//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Record writes the whole cluster as a snapshot tree, by the usual commands.
func (l *Lab) Record(dir string) error {
	if err := l.WriteObjects(filepath.Join(dir, "objects")); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, n := range l.Nodes {
		root := filepath.Join(dir, "nodes", n.Name)
		g.Go(func() error { return l.recordNetNS(n, n.NS, "", filepath.Join(root, "host")) })
		for _, p := range n.Pods {
			g.Go(func() error { return l.recordNetNS(n, p.NS, p.Key(), filepath.Join(root, p.netns())) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range l.Nodes {
		if err := writeNode(filepath.Join(dir, "nodes", n.Name), n.Name); err != nil {
			return err
		}
	}
	return nil
}

func writeNode(dir, name string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	b, err := json.MarshalIndent(struct {
		Name   string    `json:"name"`
		Kernel string    `json:"kernel"`
		Taken  time.Time `json:"taken"`
	}{name, unix.ByteSliceToString(u.Release[:]), time.Now().UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "node.json"), append(b, '\n'), 0o644)
}

// commands are the files of a namespace and what prints them.
var commands = []struct{ file, argv string }{
	{"addr.json", "ip -j -d addr"},
	{"routes.json", "ip -j route show table all"},
	{"routes6.json", "ip -6 -j route show table all"},
	{"rules.json", "ip -j -d rule"},
	{"rules6.json", "ip -6 -j -d rule"},
	{"nexthops.json", "ip -j nexthop"},
	{"neigh.json", "ip -j neigh"},
	{"fdb.json", "bridge -j fdb"},
	{"vlan.json", "bridge -j vlan"},
	{"sockets", "ss -H -n -l -t -u -e"},
	{"iptables", "iptables-nft-save"},
	{"ip6tables", "ip6tables-nft-save"},
	{"iptables-legacy", "iptables-legacy-save"},
	{"ip6tables-legacy", "ip6tables-legacy-save"},
	{"nft.json", "nft -j list ruleset"},
	{"ipset", "ipset save"},
	{"ipvs", "ipvsadm-save -n"},
}

func (l *Lab) recordNetNS(n *Node, ns *sandbox.NS, pod, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range commands {
		out := ""
		if has, err := present(ns, c.file); err != nil {
			return err
		} else if has {
			if out, err = ns.Output("", strings.Fields(c.argv)...); err != nil {
				return err
			}
		}
		if strings.TrimSpace(out) == "" && strings.HasSuffix(c.file, ".json") {
			out = "[]\n"
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(out), 0o644); err != nil {
			return err
		}
	}
	if err := recordSysctl(ns, dir); err != nil {
		return err
	}
	return l.recordIDs(n, ns, pod, dir)
}

// present reports whether there is something for a command to print. The legacy
// programs would load their tables where there are none, which changes the namespace.
func present(ns *sandbox.NS, file string) (bool, error) {
	names := map[string]string{"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names", "ipvs": "ip_vs"}[file]
	if names == "" {
		return true, nil
	}
	var tables []byte
	err := ns.Do(func() (err error) {
		tables, err = os.ReadFile("/proc/thread-self/net/" + names)
		return err
	})
	if os.IsNotExist(err) {
		return false, nil
	}
	return len(tables) > 0, err
}

// recordIDs writes netns.json: who the namespace is, and whom it knows by number.
func (l *Lab) recordIDs(n *Node, ns *sandbox.NS, pod, dir string) error {
	var self unix.Stat_t
	if err := unix.Stat(ns.Path, &self); err != nil {
		return err
	}
	out, err := ns.Output("", "ip", "-j", "netns", "list-id")
	if err != nil {
		return err
	}
	var ids []struct {
		NSID int    `json:"nsid"`
		Name string `json:"name"`
	}
	if out = strings.TrimSpace(out); out != "" {
		if err := json.Unmarshal([]byte(out), &ids); err != nil {
			return fmt.Errorf("ip netns list-id: %w", err)
		}
	}
	peers := map[string]uint64{}
	for _, id := range ids {
		var st unix.Stat_t
		if id.Name != "" && unix.Stat(filepath.Join(filepath.Dir(ns.Path), id.Name), &st) == nil {
			peers[fmt.Sprint(id.NSID)] = st.Ino
		}
	}
	b, err := json.MarshalIndent(struct {
		Inode uint64            `json:"inode"`
		Pod   string            `json:"pod,omitempty"`
		Peers map[string]uint64 `json:"nsids,omitempty"`
	}{self.Ino, pod, peers}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "netns.json"), append(b, '\n'), 0o644)
}

// recordSysctl writes the files "sysctl" and "stat".
func recordSysctl(ns *sandbox.NS, dir string) error {
	out, err := ns.Output("", "sysctl", "-a", "--pattern", "^net[.]")
	if err != nil {
		return err
	}
	keep := func(line string) bool {
		return !strings.Contains(line, "sysctl:") && strings.Contains(line, " = ")
	}
	all := slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(s string) bool { return !keep(s) })
	if err := os.WriteFile(filepath.Join(dir, "sysctl"), []byte(strings.Join(all, "")), 0o644); err != nil {
		return err
	}
	stat := ""
	for _, line := range all {
		if k, v, _ := strings.Cut(line, " = "); k == "net.netfilter.nf_conntrack_count" {
			stat = "conntrack_count " + v
		}
	}
	drops, err := conntrackDrops(ns)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "stat"), []byte(stat+drops), 0o644)
}

// conntrackDrops returns the line "conntrack_drop N" of "stat": how many packets found the table full, on all CPUs.
func conntrackDrops(ns *sandbox.NS) (string, error) {
	out, err := ns.Output("", "conntrack", "-S")
	if err != nil {
		return "", err
	}
	sum := 0
	for _, field := range strings.Fields(out) {
		if n, ok := strings.CutPrefix(field, "drop="); ok {
			v, err := strconv.Atoi(n)
			if err != nil {
				return "", fmt.Errorf("conntrack -S: %w", err)
			}
			sum += v
		}
	}
	return fmt.Sprintf("conntrack_drop %d\n", sum), nil
}
