//go:build linux

package rdma

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

// TestRead reads files as the driver mlx5 has them; no machine with a device was at hand.
func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"two ports", map[string]string{
			"mlx5_0/ports/1/state":                       "4: ACTIVE\n",
			"mlx5_0/ports/1/counters/port_xmit_data":     "25\n",
			"mlx5_0/ports/1/counters/port_rcv_data":      "50\n",
			"mlx5_0/ports/1/counters/port_xmit_wait":     "7\n",
			"mlx5_0/ports/1/counters/symbol_error":       "0\n",
			"mlx5_0/ports/1/counters/VL15_dropped":       "N/A (no PMA)\n",
			"mlx5_0/ports/1/hw_counters/out_of_sequence": "3\n",
			"mlx5_0/ports/1/hw_counters/lifespan":        "10\n",
			"mlx5_0/ports/2/state":                       "1: DOWN\n",
		}, `
rdma_bytes_total{device="mlx5_0",port="1",direction="receive"} 200
rdma_bytes_total{device="mlx5_0",port="1",direction="transmit"} 100
rdma_port_active{device="mlx5_0",port="1"} 1
rdma_port_active{device="mlx5_0",port="2"} 0
rdma_total{device="mlx5_0",port="1",counter="out_of_sequence"} 3
rdma_total{device="mlx5_0",port="1",counter="port_xmit_wait"} 7`},
		{"a port that cannot be read", map[string]string{"rxe0/ports/1/other": ""}, `rdma_port_active{device="rxe0",port="1"} 0`},
		{"no device", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := t.TempDir()
			for name, data := range tt.files {
				file := filepath.Join(sys, "class/infiniband", name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p, err := Kind.Open(&probe.Env{Sys: sys})
			if err != nil {
				t.Fatal(err)
			}
			if diff := probetest.Diff(tt.want, probetest.Collect(t, Kind, p.Read)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHave(t *testing.T) {
	dir := t.TempDir()
	if have(dir) == nil || have(filepath.Join(dir, "none")) == nil {
		t.Error("a device is said to be there")
	}
	if err := os.Mkdir(filepath.Join(dir, "mlx5_0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := have(dir); err != nil {
		t.Error(err)
	}
}
