package proxyrules

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
)

// TestDualStack: a node port of IPv6 is missing, that of IPv4 is there.
func TestDualStack(t *testing.T) {
	const rule = `-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/front:http" -m tcp --dport 30080 -j KUBE-EXT-LQHX3O73FPKHOFRJ` + "\n"
	row := checktest.Row{Swap: []checktest.Swap{{File: "nodes/node-b/host/ip6tables", Old: rule}}}
	if r := checktest.RunRow(t, checktest.DualStack, checktest.Row{}, Missing, Stale, Leftover, Balancer); len(r.Findings) > 0 {
		t.Errorf("healthy: %s", checktest.Brief(r))
	}
	r := checktest.RunRow(t, checktest.DualStack, row, []*check.Check{Missing, Stale, Leftover, Balancer}...)
	want := snapshot.Evidence{File: "nodes/node-b/host/ip6tables", Text: "(no rule for 30080)", Command: "ip6tables-save -t nat | grep 30080"}
	if len(r.Findings) != 1 || r.Findings[0].Check != Missing.Name || r.Findings[0].Evidence[0] != want {
		t.Errorf("%s\n%+v", checktest.Brief(r), r.Findings)
	}
}
