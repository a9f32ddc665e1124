//go:build linux

package routes

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// size returns how many scenes are made, and how many packets of a family each is asked for.
func size() (scenes, packets int) {
	if os.Getenv("PLUMB_AGREE") == "full" {
		return 1000, 560
	}
	return 60, 150
}

// TestAgreement compares fib with the kernel. PLUMB_AGREE=full makes 10^6
// comparisons; PLUMB_SEED=N begins with another scene.
func TestAgreement(t *testing.T) {
	sandbox.Need(t)
	seed := uint64(1)
	if s := os.Getenv("PLUMB_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	scenes, packets := size()
	total, bad := 0, 0
	for i := range uint64(scenes) {
		n, diffs := play(t, seed+i, packets)
		total += n
		for _, d := range diffs {
			if bad++; bad <= 10 {
				t.Errorf("seed %d (PLUMB_SEED=%d): %s", seed+i, seed+i, d)
			}
		}
	}
	fmt.Printf("agree: routes: %d comparisons, %d disagreements\n", total, bad)
	if bad > 0 {
		t.Errorf("%d disagreements", bad)
	}
}

// play makes one scene and compares the answers for packets of each family. It
// returns what differs, the first with the commands that make the scene.
func play(t *testing.T, seed uint64, packets int) (int, []string) {
	t.Helper()
	s := &scene{rnd: rand.New(rand.NewPCG(seed, 0x706c756d62))}
	ns, err := sandbox.NewNS(fmt.Sprintf("agree%d", seed))
	must(t, err)
	defer func() { must(t, ns.Delete()) }()
	must(t, settings(ns))
	must(t, ns.Run(strings.Join(s.links(), "\n"), "ip", "-batch", "-"))
	carrier(t, ns)
	ignore, down := s.chance(2), s.chance(3)
	must(t, linkdown(ns, ignore, down))
	cmds := s.commands()
	batch4, batch6 := batches(cmds)
	ns.Output(batch4, "ip", "-force", "-batch", "-") // some are refused, and so not listed afterwards
	ns.Output(batch6, "ip", "-6", "-force", "-batch", "-")
	tb, err := settled(ns)
	must(t, err)
	tb.Forwarding6 = true
	tb.Groups = map[string]int{"d1": 7, "d2": 9}
	if ignore {
		tb.IgnoreLinkdown = map[string]bool{"all": true}
		tb.IgnoreLinkdown6 = map[string]bool{"d3": true}
	}
	tb.Index()
	n, diffs, err := compare(ns, s, tb, packets)
	must(t, err)
	if len(diffs) > 0 {
		diffs[0] += "\n" + strings.Join(cmds, "\n")
	}
	return n, diffs
}

// batches are the commands without "-6", and those with it: a line of "ip -batch" cannot say
// of which family it is.
func batches(cmds []string) (batch4, batch6 string) {
	for _, c := range cmds {
		if rest, ok := strings.CutPrefix(c, "-6 "); ok {
			batch6 += rest + "\n"
			continue
		}
		batch4 += c + "\n"
	}
	return batch4, batch6
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settings lets the kernel forward, and take what a reverse path filter would not:
// fib answers for the routes alone.
func settings(ns *sandbox.NS) error {
	return sysctl(ns, map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv4/conf/all/accept_local": "1",
		"ipv4/conf/all/send_redirects": "0", "ipv4/conf/default/send_redirects": "0", // they make the kernel ask for the way back
		"ipv4/conf/default/route_localnet": "0", "ipv4/conf/all/route_localnet": "0",
		"ipv6/conf/all/forwarding": "1", "ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/addr_gen_mode": "1", "ipv6/conf/default/router_solicitations": "0",
		"ipv6/conf/default/disable_ipv6": "0", "ipv6/conf/all/disable_ipv6": "0",
	})
}

func linkdown(ns *sandbox.NS, ignore, down bool) error {
	if ignore {
		err := sysctl(ns, map[string]string{"ipv4/conf/all/ignore_routes_with_linkdown": "1", "ipv6/conf/d3/ignore_routes_with_linkdown": "1"})
		if err != nil {
			return err
		}
	}
	if !down {
		return nil
	}
	if err := ns.Run("", "ip", "link", "set", "p3", "down"); err != nil {
		return err
	}
	return state(ns, "d3", "LOWERLAYERDOWN", "DOWN")
}

func sysctl(ns *sandbox.NS, set map[string]string) error {
	return ns.Do(func() error {
		for k, v := range set {
			if err := os.WriteFile("/proc/sys/net/"+k, []byte(v), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// carrier waits until all links are up.
func carrier(t *testing.T, ns *sandbox.NS) {
	t.Helper()
	for i := range devices {
		must(t, state(ns, fmt.Sprintf("d%d", i), "UP"))
	}
}

func state(ns *sandbox.NS, dev string, want ...string) error {
	var links []struct {
		Oper string `json:"operstate"`
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		out, err := ns.Output("", "ip", "-j", "link", "show", dev)
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(out), &links); err != nil {
			return err
		}
		for _, w := range want {
			if links[0].Oper == w {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is %s, want %v", dev, links[0].Oper, want)
}

// settled waits until the kernel has made the routes of all its IPv6 addresses,
// which it does in the background, and returns the state then.
func settled(ns *sandbox.NS) (*fib.Tables, error) {
	missing := netip.Addr{}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		tb, err := collect(ns)
		if err != nil {
			return nil, err
		}
		if missing = withoutRoute(tb); !missing.IsValid() {
			return tb, nil
		}
	}
	return nil, fmt.Errorf("%s has no local route, or no anycast route of its subnet", missing)
}

// withoutRoute returns an IPv6 address that the local table lacks, or whose
// subnet's router address it lacks.
func withoutRoute(tb *fib.Tables) netip.Addr {
	have := map[netip.Addr]bool{}
	for _, r := range tb.Routes {
		if r.Table == fib.TableLocal && r.Protocol == "kernel" && r.Dst.IsSingleIP() {
			have[r.Dst.Addr()] = true
		}
	}
	for _, a := range tb.Addrs {
		tentative := len(a.Flags) > 0 && a.Flags[len(a.Flags)-1] == "tentative"
		subnet := a.Prefix.Masked().Addr()
		if !a.Prefix.Addr().Is6() || have[a.Prefix.Addr()] && !tentative && (have[subnet] || a.Prefix.Bits() >= 127 || subnet.IsUnspecified()) {
			continue
		}
		return a.Prefix.Addr()
	}
	return netip.Addr{}
}

// collect reads the namespace's state back, as ip prints it.
func collect(ns *sandbox.NS) (*fib.Tables, error) {
	tb := &fib.Tables{}
	steps := []struct {
		args string
		read func(io.Reader) error
	}{
		{"-4 -j -d route show table all", routes(tb, false)},
		{"-6 -j -d route show table all", routes(tb, true)},
		{"-j -d rule", rules(tb, false)},
		{"-6 -j -d rule", rules(tb, true)},
		{"-j -d nexthop", func(r io.Reader) (err error) { tb.NextHops, err = fib.ParseNextHops(r); return err }},
		{"-j neigh show nud all", func(r io.Reader) (err error) { tb.Neighs, err = fib.ParseNeighs(r); return err }},
		{"-j addr", func(r io.Reader) (err error) { tb.Addrs, err = addrs(r); return err }},
	}
	for _, s := range steps {
		out, err := ns.Output("", append([]string{"ip"}, strings.Fields(s.args)...)...)
		if err != nil {
			return nil, err
		}
		if err := s.read(strings.NewReader(out)); err != nil {
			return nil, err
		}
	}
	return tb, nil
}

func routes(tb *fib.Tables, is6 bool) func(io.Reader) error {
	return func(r io.Reader) error {
		list, err := fib.ParseRoutes(r, is6)
		tb.Routes = append(tb.Routes, list...)
		return err
	}
}

func rules(tb *fib.Tables, is6 bool) func(io.Reader) error {
	return func(r io.Reader) error {
		list, err := fib.ParseRules(r, is6)
		tb.Rules = append(tb.Rules, list...)
		return err
	}
}

// addrs reads "ip -j addr".
func addrs(r io.Reader) ([]fib.Addr, error) {
	var links []struct {
		Name  string `json:"ifname"`
		Addrs []struct {
			Local      netip.Addr `json:"local"`
			Peer       netip.Addr `json:"address"`
			Len        int        `json:"prefixlen"`
			Scope      string     `json:"scope"`
			Secondary  bool       `json:"secondary"`
			Deprecated bool       `json:"deprecated"`
			Tentative  bool       `json:"tentative"`
		} `json:"addr_info"`
	}
	if err := json.NewDecoder(r).Decode(&links); err != nil {
		return nil, err
	}
	var out []fib.Addr
	for _, l := range links {
		for _, a := range l.Addrs {
			f := fib.Addr{Dev: l.Name, Prefix: netip.PrefixFrom(a.Local, a.Len), Scope: a.Scope, Secondary: a.Secondary}
			if a.Peer.IsValid() {
				f.Peer = netip.PrefixFrom(a.Peer, a.Len)
			}
			if a.Deprecated {
				f.Flags = append(f.Flags, "deprecated")
			}
			if a.Tentative {
				f.Flags = append(f.Flags, "tentative")
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// compare asks the kernel and fib about random packets of both families.
func compare(ns *sandbox.NS, s *scene, tb *fib.Tables, packets int) (n int, diffs []string, err error) {
	err = ns.Do(func() error {
		devs, err := indexes()
		if err != nil {
			return err
		}
		k, err := openKernel(devs)
		if err != nil {
			return err
		}
		defer k.close()
		for _, is6 := range []bool{false, true} {
			local, merged := localAddrs(tb, is6), !is6 && ownRules(tb)
			for range packets {
				q := s.query(is6, local)
				if q.IIF != "" && q.Dst.IsMulticast() {
					continue // group membership decides, not routes
				}
				a, err := k.ask(q)
				if err != nil {
					return fmt.Errorf("%s: %w", command(q), err)
				}
				r := tb.Lookup(q)
				if strings.Contains(r.Unknown, "hash") {
					continue // which hop is chosen decides the rule
				}
				n++
				if d := judge(q, a, r, merged); d != "" {
					diffs = append(diffs, fmt.Sprintf("%s: the kernel has %s%s", command(q), d, reasons(r)))
				}
			}
		}
		return nil
	})
	return n, diffs, err
}

func indexes() (map[string]int, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, i := range list {
		out[i.Name] = i.Index
	}
	return out, nil
}

func localAddrs(tb *fib.Tables, is6 bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range tb.Addrs {
		if a.Prefix.Addr().Is6() == is6 {
			out = append(out, a.Prefix.Addr())
		}
	}
	return out
}

// ownRules reports whether IPv4 has the kernel's own rules only: local and main
// are then one table, and the kernel does not say which of them it used.
func ownRules(tb *fib.Tables) bool {
	n := 0
	for _, r := range tb.Rules {
		if !r.Is6 {
			n++
		}
	}
	return n == 3
}
