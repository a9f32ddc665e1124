package netfilter

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// kubeRules writes the chain of a Service with n endpoints as kube-proxy does;
// with ClientIP affinity where sticky.
func kubeRules(n int, sticky bool) string {
	var b strings.Builder
	b.WriteString("*nat\n:SVC - [0:0]\n")
	for i := range n {
		fmt.Fprintf(&b, ":SEP%d - [0:0]\n", i)
	}
	b.WriteString("-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j SVC\n")
	for i := range n {
		if sticky {
			fmt.Fprintf(&b, "-A SVC -m recent --rcheck --seconds 10800 --reap --name SEP%d --mask 255.255.255.255 --rsource -j SEP%d\n", i, i)
		}
	}
	for i := range n {
		share := ""
		if left := n - i; left > 1 {
			share = fmt.Sprintf("-m statistic --mode random --probability %.11f ", 1/float64(left))
		}
		fmt.Fprintf(&b, "-A SVC %s-j SEP%d\n", share, i)
	}
	for i := range n {
		set := ""
		if sticky {
			set = fmt.Sprintf("-m recent --set --name SEP%d --mask 255.255.255.255 --rsource ", i)
		}
		fmt.Fprintf(&b, "-A SEP%d -p tcp %s-m tcp -j DNAT --to-destination 10.244.%d.%d:8080\n", i, set, i/250, i%250+1)
	}
	return b.String()
}

// TestEndpoints wants each endpoint of a Service to have the same share, and all together the whole.
func TestEndpoints(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 16, 100, 600} {
		for _, sticky := range []bool{false, true} {
			if sticky && n > 100 {
				continue // 100 show it
			}
			t.Run(fmt.Sprintf("%d,sticky=%t", n, sticky), func(t *testing.T) {
				out := load(t, false, kubeRules(n, sticky)).Eval(Input{Hook: PreRouting, Packet: tcp("10.1.0.1:40000", "10.96.0.1:80")})
				to, sum := map[string]float64{}, 0.0
				for _, o := range out {
					to[o.Packet.Dst.String()] += o.Weight
					sum += o.Weight
					if len(o.Assumed) > 0 {
						t.Errorf("%s supposes %s", o.Packet, o.Assumed[0].Why)
					}
				}
				if len(to) != n || math.Abs(sum-1) > 1e-9 {
					t.Fatalf("%d endpoints, weights add up to %v", len(to), sum)
				}
				for dst, w := range to {
					// With affinity, a list that holds the client leads to its endpoint now and then.
					if math.Abs(w*float64(n)-1) > 0.1 || !sticky && math.Abs(w*float64(n)-1) > 1e-4 {
						t.Errorf("%s: %v", dst, w)
					}
				}
			})
		}
	}
}

// TestShare has what -m statistic leaves of the packets.
func TestShare(t *testing.T) {
	for _, row := range []struct{ name, rules, want string }{
		{"1/3, 1/2, 1", "-m statistic --mode random --probability 0.33333333349 -j MARK --set-mark 0x1;-m mark --mark 0x0 -m statistic --mode random --probability 0.50000000000 -j MARK --set-mark 0x2;-m mark --mark 0x0 -j MARK --set-mark 0x3",
			"0x1 0.333, 0x2 0.333, 0x3 0.333"},
		{"twice the same rule", "-m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1;-m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1", "0x0 0.250, 0x1 0.750"},
		{"two in one rule", "-m statistic --mode random --probability 0.5 -m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1", "0x0 0.750, 0x1 0.250"},
		{"independent", "-m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1;-m statistic --mode random --probability 0.5 -j MARK --or-mark 0x2",
			"0x0 0.250, 0x1 0.250, 0x2 0.250, 0x3 0.250"},
		{"the mark of both is the same", "-m statistic --mode random --probability 0.5 -j MARK --xor-mark 0x1;-m statistic --mode random --probability 0.5 -j MARK --xor-mark 0x1", "0x0 0.500, 0x1 0.500"},
		{"every fourth", "-m statistic --mode nth --every 4 --packet 2 -j MARK --or-mark 0x1", "0x0 0.750, 0x1 0.250"},
		{"not every fourth", "-m statistic --mode nth ! --every 4 --packet 0 -j MARK --or-mark 0x1", "0x0 0.250, 0x1 0.750"},
		{"every one", "-m statistic --mode nth --every 1 -j MARK --or-mark 0x1", "0x1 1.000"},
		{"not met otherwise", "-p udp -m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1", "0x0 1.000"},
		{"no mode that is known", "-m statistic --mode perhaps -j MARK --or-mark 0x1", "0x0 0.500, 0x1 0.500"},
		{"more than all", "-m statistic --mode random --probability 1.5 -j MARK --or-mark 0x1", "0x0 0.500, 0x1 0.500"},
		{"a share of a chance", "-m cpu --cpu 0 -m statistic --mode random --probability 0.5 -j MARK --or-mark 0x1", "0x0 0.750, 0x1 0.250"},
	} {
		t.Run(row.name, func(t *testing.T) {
			rules := "*mangle\n-A FORWARD " + strings.ReplaceAll(row.rules, ";", "\n-A FORWARD ")
			weights := [4]float64{}
			for _, o := range load(t, false, rules).Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")}) {
				weights[o.Packet.Mark] += o.Weight
			}
			var got []string
			for m, w := range weights {
				if w > 0 {
					got = append(got, fmt.Sprintf("%#x %.3f", m, w))
				}
			}
			if s := strings.Join(got, ", "); s != row.want {
				t.Errorf("%s, want %s", s, row.want)
			}
		})
	}
}
