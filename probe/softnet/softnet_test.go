package softnet

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
)

func read(in string) (out []string, err error) {
	err = parse(strings.NewReader(in), func(s probe.Sample) {
		out = append(out, fmt.Sprintf("%s{cpu=%q} %g", s.Stat.Name, s.Labels[0], s.Value))
	})
	return out, err
}

// The columns are those of Linux 6.18, of a machine of two CPUs whose first is off; and of 4.18, which does not number them.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
		err      string
	}{
		{"6.18", "0002a5b8 00000003 00000007 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000002 00000000 00000001 00000000 00000000\n", []string{
			`softnet_processed_total{cpu="1"} 173496`, `softnet_dropped_total{cpu="1"} 3`, `softnet_time_squeeze_total{cpu="1"} 7`,
			`softnet_received_rps_total{cpu="1"} 1`, `softnet_flow_limit_total{cpu="1"} 2`,
		}, ""},
		{"4.18", "00000010 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n0000000f 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n", []string{
			`softnet_processed_total{cpu="0"} 16`, `softnet_dropped_total{cpu="0"} 0`, `softnet_time_squeeze_total{cpu="0"} 0`, `softnet_received_rps_total{cpu="0"} 0`, `softnet_flow_limit_total{cpu="0"} 0`,
			`softnet_processed_total{cpu="1"} 15`, `softnet_dropped_total{cpu="1"} 1`, `softnet_time_squeeze_total{cpu="1"} 0`, `softnet_received_rps_total{cpu="1"} 0`, `softnet_flow_limit_total{cpu="1"} 0`,
		}, ""},
		{"of another kind", "0002a5b8 00000003\n", nil, "line 1: 2 columns"},
		{"no number", "0002a5b8 x 0\n", nil, "line 1:"},
		{"none", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(tt.in)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHere(t *testing.T) {
	p, err := Kind.Open(&probe.Env{Proc: "/proc"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := p.Read(func(probe.Sample) { n++ }); err != nil || n < 3 {
		t.Errorf("%d samples, %v", n, err)
	}
	if _, err := os.Stat("/proc/net/softnet_stat"); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0002a5b8 00000003 00000007 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000002 00000000 00000001\n")
	f.Fuzz(func(t *testing.T, in string) { _, _ = read(in) })
}
