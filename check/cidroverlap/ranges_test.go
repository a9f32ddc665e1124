package cidroverlap

import (
	"net/netip"
	"testing"
)

func TestFree(t *testing.T) {
	p := netip.MustParsePrefix
	use := func(cs ...string) (out []usedRange) {
		for _, c := range cs {
			out = append(out, usedRange{prefix: p(c)})
		}
		return out
	}
	tests := []struct {
		name    string
		bits    int
		outside []netip.Prefix
		in      []usedRange
		want    string
	}{
		{"the first", 16, nil, use("10.244.0.0/16"), "100.64.0.0/16"},
		{"after one in use", 16, nil, use("100.64.0.0/16"), "100.65.0.0/16"},
		{"after one outside", 24, []netip.Prefix{p("100.64.0.0/24")}, use("10.244.0.0/16"), "100.64.1.0/24"},
		{"the next pool", 12, nil, use("100.64.0.0/10"), "172.16.0.0/12"},
		{"across a byte", 25, []netip.Prefix{p("100.64.0.0/24")}, use("10.0.0.0/8"), "100.64.1.0/25"},
		{"nothing that large", 7, nil, use("10.0.0.0/8"), "invalid Prefix"},
		{"IPv6", 48, nil, use("fd64::/48"), "fd64:0:1::/48"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := free(tt.bits, tt.outside, tt.in).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name, data string
		setting    setting
		want       int
	}{
		{"YAML", "networking:\n  podSubnet: 10.244.0.0/16\n", settings[0], 1},
		{"two of them", "  serviceSubnet: 10.96.0.0/16,fd00:10:96::/112\n", settings[1], 2},
		{"JSON", "{\n  \"Network\": \"10.244.0.0/16\",\n}", settings[3], 1},
		{"another key", "dnsDomain: cluster.local\n", settings[0], 0},
		{"not a range", "podSubnet: many\n", settings[0], 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.setting.find(tt.data); len(got) != tt.want {
				t.Errorf("got %v, want %d", got, tt.want)
			}
		})
	}
}
