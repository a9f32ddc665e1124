//go:build linux

package node

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// TestChurn collects while namespaces, processes and devices come and go. Each namespace of the snapshot is whole or
// has a gap, and what stays is there each time, without one.
func TestChurn(t *testing.T) {
	sandbox.Need(t)
	host, stays := newNS(t, "churn-host"), newNS(t, "churn-stays")
	sh(t, host, "ip link add br0 type bridge\nip link set br0 up")
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	churn := func(f func(i int) error) {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := f(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	churn(func(i int) error {
		ns, err := sandbox.NewNS(fmt.Sprintf("churn-%d", i))
		if err != nil {
			return err
		}
		if err := host.Run("", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", ns.Name); err != nil {
			return err
		}
		if err := host.Run("", "ip", "link", "del", "v0"); err != nil {
			return err
		}
		return ns.Delete()
	})
	churn(func(int) error { return exec.Command("unshare", "-n", "true").Run() })
	for range 10 {
		files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path})
		must(t, err)
		c, err := snapshot.Read(files)
		must(t, err)
		there := map[uint64]bool{}
		for _, ns := range c.Nodes[0].NetNS {
			there[ns.Inode] = true
			_, gap := c.GapAt("nodes/n/" + ns.Name + "/addr.json")
			if (ns.Link("lo") == nil || len(ns.FIB.Rules) == 0) && !gap {
				t.Errorf("%s is half there, and no gap says so", ns.Name)
			}
		}
		inode, err := inodeOf(stays.Path)
		must(t, err)
		if n := c.Nodes[0].Host(); !there[inode] || n == nil || n.Link("br0") == nil {
			t.Error("what stays is not there")
		}
		if g, ok := c.GapAt("nodes/n/churn-stays/addr.json"); ok {
			t.Errorf("gap: %v", g)
		}
	}
	stop()
	wg.Wait()
}
