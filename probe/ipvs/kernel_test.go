//go:build linux

package ipvs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const rules = `-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 10.10.0.2:6443 -m -w 1
-a -t 10.96.0.1:443 -r 10.10.0.3:6443 -m -w 0
-A -u [fd00::a]:53 -s rr
-a -u [fd00::a]:53 -r [fd00:1::2]:53 -m -w 1
-A -t 10.96.0.2:80 -s rr
`

// TestKernel connects by a service, and reads what the kernel tells of that.
func TestKernel(t *testing.T) {
	ns, place := probetest.NS(t, "node")
	place = probe.Place{Net: place.Net, Host: true}
	if _, err := exec.LookPath("ipvsadm"); err != nil {
		t.Skip(err)
	}
	setUp := ns.Run(rules, "ipvsadm", "--restore") // which has the kernel load the module
	if _, err := os.Stat("/proc/net/ip_vs"); err != nil {
		t.Skip("this kernel has no IPVS:", err)
	}
	must(t, setUp)
	for _, a := range []string{"10.96.0.1", "10.10.0.2"} {
		must(t, ns.Run("", "ip", "addr", "add", a+"/32", "dev", "lo"))
	}
	p := probetest.Open(t, Kind, probe.Env{})

	const times = 7
	must(t, ns.Do(func() error {
		l, err := net.Listen("tcp", "10.10.0.2:6443")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		for range times {
			c, err := net.Dial("tcp", "10.96.0.1:443")
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			s, err := l.Accept()
			if err != nil {
				return err
			}
			t.Cleanup(func() { s.Close() })
		}
		return nil
	}))

	// Packets may still be under way: what ipvsadm has by netlink, before and after, is the truth.
	const backend = `protocol="tcp",service="10.96.0.1:443",backend="10.10.0.2:6443"`
	probetest.Until(t, func() string {
		before := totals(t, ns)
		got := probetest.ReadIn(t, Kind, p, ns, place)
		if totals(t, ns) != before {
			return "the counters do not come to rest"
		}
		return probetest.Diff(fmt.Sprintf(`
ipvs_bytes_total{direction="receive"} %d
ipvs_bytes_total{direction="transmit"} %d
ipvs_connections{%s,state="active"} %d
ipvs_services 3
ipvs_services_without_backends 1
ipvs_total{counter="connections"} %d
ipvs_total{counter="packets_received"} %d
ipvs_total{counter="packets_transmitted"} %d
ipvs_weight{%s} 1
ipvs_weight{protocol="tcp",service="10.96.0.1:443",backend="10.10.0.3:6443"} 0`,
			before[3], before[4], backend, times, times, before[1], before[2], backend), got)
	})
}

// totals returns what ipvsadm says of all services: connections, packets and bytes in and out.
func totals(t *testing.T, ns *sandbox.NS) (sum [5]int) {
	t.Helper()
	out, err := ns.Output("", "ipvsadm", "--list", "--numeric", "--stats", "--exact")
	must(t, err)
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 7 || f[0] != "TCP" && f[0] != "UDP" {
			continue
		}
		for i := range sum {
			n, err := strconv.Atoi(f[2+i])
			must(t, err)
			sum[i] += n
		}
	}
	return sum
}
