//go:build linux

package ipvs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

// The files are as net/netfilter/ipvs/ip_vs_ctl.c of Linux 6.1 writes them; the kernel at hand has no IPVS.
const (
	head = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
	some = head + `TCP  0A600001:01BB rr 
  -> 0A0A0A01:192B      Masq    1      5          2         
  -> 0A0A0A02:192B      Masq    1      0          0         
  -> 0A0A0A03:192B      Masq    0      3          0         
UDP  [fd00:0000:0000:0000:0000:0000:0000:000a]:0035 rr persistent 10800 FFFFFFFF
  -> [fd00:0001:0000:0000:0000:0000:0000:0002]:0035      Masq    1      0          9         
TCP  0A600002:0050 rr 
FWM  00000001 wlc 
  -> 0A0A0A03:0050      Route   0      0          0         
`
	stats = "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n      1F       10       20              100              200\n\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n       0        0        0                0                0\n"
)

func TestReadIn(t *testing.T) {
	for _, tt := range []struct {
		name, table, totals, want, err string
	}{
		{"some services", some, stats, `
ipvs_bytes_total{direction="receive"} 256
ipvs_bytes_total{direction="transmit"} 512
ipvs_connections{protocol="tcp",service="10.96.0.1:443",backend="10.10.10.1:6443",state="active"} 5
ipvs_connections{protocol="tcp",service="10.96.0.1:443",backend="10.10.10.1:6443",state="inactive"} 2
ipvs_connections{protocol="tcp",service="10.96.0.1:443",backend="10.10.10.3:6443",state="active"} 3
ipvs_connections{protocol="udp",service="[fd00::a]:53",backend="[fd00:1::2]:53",state="inactive"} 9
ipvs_services 4
ipvs_services_without_backends 2
ipvs_total{counter="connections"} 31
ipvs_total{counter="packets_received"} 16
ipvs_total{counter="packets_transmitted"} 32
ipvs_weight{protocol="fwm",service="fwmark 00000001",backend="10.10.10.3:80"} 0
ipvs_weight{protocol="tcp",service="10.96.0.1:443",backend="10.10.10.1:6443"} 1
ipvs_weight{protocol="tcp",service="10.96.0.1:443",backend="10.10.10.3:6443"} 0
ipvs_weight{protocol="udp",service="[fd00::a]:53",backend="[fd00:1::2]:53"} 1`, ""},
		{"none", head, "", "ipvs_services 0\nipvs_services_without_backends 0\n", "ip_vs_stats: 1 lines"},
		{"an address that is none", head + "TCP  0A60:01BB rr\n", stats, "", `ip_vs: line 4: address "0A60:01BB"`},
		{"a port that is none", head + "TCP  0A600001:1BBBB rr\n", stats, "", "value out of range"},
		{"no port", head + "TCP  0A600001 rr\n", stats, "", `address "0A600001"`},
		{"a backend cut short", head + "TCP  0A600001:01BB rr\n  -> 0A600001:01BB Masq\n", stats, "", "line 5: a backend of 2 columns"},
		{"a weight that is none", head + "TCP  0A600001:01BB rr\n  -> 0A600001:01BB Masq x 0 0\n", stats, "", `column 3: "x"`},
		{"a line of another kind", head + "TCP\n", stats, "", `line 4: "TCP"`},
		{"totals cut short", head, "a\nb\n1 2\n", "ipvs_services 0\nipvs_services_without_backends 0\n", "line 3: 2 columns"},
		{"totals that are none", head, "a\nb\n1 2 3 4 x\n", "", `parsing "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proc := t.TempDir()
			dir := filepath.Join(proc, "thread-self/net")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string]string{"ip_vs": tt.table, "ip_vs_stats": tt.totals} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p, err := Kind.Open(&probe.Env{Proc: proc})
			if err != nil {
				t.Fatal(err)
			}
			got := probetest.Samples{}
			err = p.ReadIn(probe.Place{Host: true}, func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" && tt.want != "" {
				t.Error(diff)
			}
			if err := p.ReadIn(probe.Place{Pod: "shop/web-0"}, func(probe.Sample) { t.Error("of a Pod") }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHave(t *testing.T) {
	if err := have(filepath.Join(t.TempDir(), "ip_vs")); err == nil || !strings.Contains(err.Error(), "ip_vs") {
		t.Error(err)
	}
	if err := have("/proc/net/dev"); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(some), []byte(stats))
	f.Fuzz(func(t *testing.T, table, totals []byte) {
		_ = parse(table, func(probe.Sample) {})
		_ = parseTotals(totals, func(probe.Sample) {})
	})
}
