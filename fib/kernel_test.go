//go:build linux

package fib

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// The kernel that runs this test answers lookupCases as they want it, given the rules
// and routes by the ip command.
func TestKernelAgrees(t *testing.T) {
	sandbox.Need(t)
	for i, c := range lookupCases {
		if c.only != "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			ns, err := sandbox.NewNS(fmt.Sprintf("fib%d", i))
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Delete()
			if err := c.load(ns); err != nil {
				t.Fatal(err)
			}
			out, err := ns.Output("", strings.Fields("ip route get "+c.get)...)
			if err != nil {
				out = err.Error()
			}
			if why := disagrees(c.want, out, err != nil); why != "" {
				t.Errorf("ip route get %s: %s, want %q:\n%s", c.get, why, c.want, out)
			}
		})
	}
}

// load makes the devices and addresses that tables has, and what the case adds.
func (c lookupCase) load(ns *sandbox.NS) error {
	err := ns.Do(func() error {
		for k, v := range map[string]string{
			"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv4/conf/all/accept_local": "1",
			"ipv4/conf/default/send_redirects": "0", "ipv4/conf/all/send_redirects": "0",
			"ipv6/conf/all/forwarding": "1", "ipv6/conf/default/addr_gen_mode": "1", "ipv6/conf/default/accept_dad": "0",
		} {
			if err := os.WriteFile("/proc/sys/net/"+k, []byte(v), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	lines := []string{
		"link add name a type veth peer name pa", "link add name b type veth peer name pb", "link set dev b group 7",
		"link set dev pa up", "link set dev pb up", "link set dev a up", "link set dev b up",
		"addr add 10.0.0.1/24 dev a", "addr add 10.1.0.1/24 dev b",
		"addr add fd00:a::1/64 dev a nodad", "addr add fe80::a/64 dev a nodad", "addr add fd00:b::1/64 dev b nodad", "addr add fe80::b/64 dev b nodad",
	}
	if err := ns.Run(strings.Join(lines, "\n"), "ip", "-batch", "-"); err != nil {
		return err
	}
	if err := settled(ns); err != nil {
		return err
	}
	batch := map[string]string{}
	for _, r := range c.routes {
		batch[familyOf(r)] += "route append " + r + "\n"
	}
	for _, r := range c.rules {
		priority, rest, _ := strings.Cut(r, ": ")
		batch[familyOf(c.get)] += "rule add priority " + priority + " " + strings.ReplaceAll(rest, "lookup [l3mdev-table]", "l3mdev") + "\n"
	}
	for family, in := range batch {
		if err := ns.Run(in, "ip", family, "-batch", "-"); err != nil {
			return err
		}
	}
	return nil
}

// settled waits for the local routes of the IPv6 addresses, which the kernel makes in the background.
func settled(ns *sandbox.NS) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		out, err := ns.Output("", "ip", "-6", "route", "show", "table", "local")
		if err != nil {
			return err
		}
		if strings.Count(out, "local f") >= 4 && strings.Count(out, "anycast f") >= 4 {
			return nil
		}
	}
	return errors.New("the IPv6 addresses have no local routes")
}

func familyOf(s string) string {
	if strings.Contains(s, "::") && !strings.Contains(s, "inet6") {
		return "-6"
	}
	return "-4"
}

// kernelWords are the kernel's errors as ip prints them.
var kernelWords = map[string]string{
	errNetwork: "Network is unreachable", errHost: "No route to host", errAccess: "Permission denied", errInvalid: "Invalid argument",
}

// disagrees compares what brief prints with what "ip route get" does; "" means that
// the kernel took one of the ways that brief has.
func disagrees(want, out string, failed bool) string {
	ways := strings.Split(want, " | ")
	if word, isErr := kernelWords[ways[0]]; isErr || failed {
		if !isErr || !strings.Contains(out, word) {
			return "another end"
		}
		return ""
	}
	w := strings.Fields(out)
	typ := Unicast
	if got, ok := ParseRouteType(w[0]); ok {
		typ, w = got, w[1:]
	}
	if typ.String() != ways[0] {
		return "type " + typ.String()
	}
	for _, way := range ways[1:] {
		if sameWay(strings.Fields(way)[1:], w, typ) {
			return ""
		}
	}
	return "another way"
}

// sameWay compares the gateway, the device and the source. The device that the kernel shows
// for local packets is not that of the route.
func sameWay(want, got []string, typ RouteType) bool {
	for _, key := range []string{"via", "dev", "src"} {
		a, b := after(want, key), after(got, key)
		if a == "" && (key == "src" || key == "dev" && typ != Unicast) {
			continue
		}
		if a != b {
			return false
		}
	}
	return true
}

// after returns the word after key.
func after(w []string, key string) string {
	for i := range len(w) - 1 {
		if w[i] == key && w[i+1] != "inet6" {
			return w[i+1]
		}
		if w[i] == key && i+2 < len(w) {
			return w[i+2]
		}
	}
	return ""
}
