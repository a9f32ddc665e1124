//go:build linux

package observe

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/packetloss"
	"github.com/plumbnet/plumb/probe/tcpreset"
	"github.com/plumbnet/plumb/probe/tcpretransmit"
)

// TestIdle: 100 Pods that the node routes between, each with a connection to the next one that has nothing to say but keep-alives,
// lose nothing, send nothing again and reset nothing.
func TestIdle(t *testing.T) {
	sandbox.Need(t)
	const pods, keepAlives = 100, 5
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(name string) *sandbox.NS {
		ns, err := sandbox.NewNS(name)
		must(err)
		t.Cleanup(func() { _ = ns.Delete() })
		return ns
	}
	host := add("idle-host")
	list := make([]*sandbox.NS, pods)
	netns := make([]node.NetNS, pods)
	wires := ""
	for i := range list {
		list[i] = add(fmt.Sprintf("idle-%d", i))
		netns[i] = node.NetNS{Path: list[i].Path, Pod: fmt.Sprintf("shop/web-%d", i)}
		wires += fmt.Sprintf("link add v%[1]d type veth peer name eth0 netns idle-%[1]d\naddr add 10.244.%[1]d.1/24 dev v%[1]d\nlink set v%[1]d up\n", i)
	}
	must(host.Run("", "sysctl", "-qw", "net.ipv4.ip_forward=1"))
	must(host.Run(wires, "ip", "-batch", "-"))
	addr := func(i int) string { return fmt.Sprintf("10.244.%d.2", i%pods) }
	for i, ns := range list {
		must(ns.Run(fmt.Sprintf("addr add %s/24 dev eth0\nlink set eth0 up\nroute add default via 10.244.%d.1\n", addr(i), i), "ip", "-batch", "-"))
		must(ns.Do(func() error { return hold(t, addr(i)+":80") }))
	}
	places, err := node.NewPlaces(node.Options{Node: "node-a", Host: host.Path, NetNS: netns})
	must(err)
	o := New(Options{Node: "node-a", Kinds: []*probe.Kind{packetloss.Kind, tcpretransmit.Kind, tcpreset.Kind}, Places: places, Log: log.New(io.Discard, "", 0)})
	t.Cleanup(o.Close)
	o.Apply(Config{})
	for _, s := range o.States() {
		if !s.Up {
			if !strings.HasPrefix(s.Why, "needs ") {
				t.Fatalf("probe %s: %s", s.Name, s.Why)
			}
			t.Skipf("probe %s: %s", s.Name, s.Why)
		}
	}
	events := o.Subscribe(1000)
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}}
	for i, ns := range list {
		must(ns.Do(func() error {
			c, err := d.Dial("tcp", addr(i+1)+":80")
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
			return err
		}))
	}
	for _, ns := range list { // by the kernel's own count
		until(t, func() bool {
			out, err := ns.Output("", "nstat", "-asz", "TcpExtTCPKeepAlive")
			must(err)
			f := strings.Fields(out)
			n, _ := strconv.Atoi(f[len(f)-2])
			return n >= keepAlives
		})
	}
	mfs, _, err := o.Gather()
	must(err)
	for _, mf := range mfs {
		if strings.HasPrefix(mf.GetName(), Prefix+"agent_") {
			continue
		}
		for _, m := range mf.Metric {
			if m.GetCounter().GetValue() > 0 && !has(m, []string{event.Unknown}) { // of other namespaces of this machine
				t.Errorf("%s %v", mf.GetName(), m)
			}
		}
	}
	for len(events.C) > 0 {
		if e := <-events.C; e.Pod != event.Unknown {
			t.Errorf("%+v", e)
		}
	}
	must(list[0].Do(func() error { // they do look
		if c, err := d.Dial("tcp", addr(1)+":81"); err == nil {
			c.Close()
			return errors.New("someone answers where nobody listens")
		}
		return nil
	}))
	until(t, func() bool { return len(events.C) > 0 && (<-events.C).Pod == "shop/web-1" })
}

// hold takes connections in the thread's namespace, and keeps them until the test ends.
func hold(t *testing.T, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return nil
}
