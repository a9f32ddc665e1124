package masquerade

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

const (
	rules  = "nodes/node-a/host/iptables"
	masq   = "-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"flanneld masq\" -j MASQUERADE --random-fully\n"
	within = "-A FLANNEL-POSTRTG -s 10.244.0.0/24 -d 10.244.0.0/16 -m comment --comment \"flanneld masq\" -j RETURN\n"
)

func TestMissing(t *testing.T) {
	const says = ": node-a/host: masquerade-missing: packets of the Pod 10.244.0.2 leave the cluster with its own address; on other nodes they are masqueraded"
	gone := []checktest.Swap{{File: rules, Old: masq}}
	for i := range gone {
		gone[i].New = "-A FLANNEL-POSTRTG -s 198.51.100.0/24 -j MASQUERADE\n"
	}
	other := func(node string) checktest.Swap {
		return checktest.Swap{File: "nodes/" + node + "/host/iptables", Old: masq, New: gone[0].New}
	}
	const out = "from shop/web-0\nto 203.0.113.10:80"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing}, []checktest.Row{
		{Name: "as recorded", Ask: out},
		{Name: "on the path", Swap: gone, Ask: out, Want: "error on path" + says, Fix: []string{"kubectl -n kube-flannel delete pod kube-flannel-ds-node-a"}},
		{Name: "on all nodes: a router outside may do it", Swap: []checktest.Swap{gone[0], other("node-b"), other("node-c")}, Ask: out},
		{Name: "on two of three", Swap: []checktest.Swap{gone[0], other("node-b")}, Ask: out, Want: "error on path" + says},
		{Name: "a path of another node", Swap: gone, Ask: "from shop/web-1\nto 203.0.113.10:80"},
		{Name: "a path inside", Swap: gone, Ask: "from shop/web-0\nto 10.244.1.2:8080"},
		{Name: "the rules were not collected", Ask: out, Without: []string{rules}, Want: "? nodes/node-a/host/iptables: masquerade-missing: not collected"},
	})
}

func TestUnwanted(t *testing.T) {
	all := []checktest.Swap{{File: rules, Old: within, New: "-A FLANNEL-POSTRTG -s 10.244.0.0/16 -j MASQUERADE\n"}}
	const pod = "from shop/web-0\nto 10.244.1.2:8080"
	const says = "warning on path: node-a/host: masquerade-unwanted: packets to the Pod 10.244.1.2 come from 10.244.0.0, not from the Pod that sends them"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Unwanted}, []checktest.Row{
		{Name: "as recorded", Ask: pod},
		{Name: "between nodes", Swap: all, Ask: pod, Want: says, Fix: []string{"iptables -t nat -D FLANNEL-POSTRTG -s 10.244.0.0/16 -j MASQUERADE"}},
		{Name: "to the outside, where it is wanted", Swap: all, Ask: "from shop/web-0\nto 203.0.113.10:80"},
		{Name: "from the node itself, to which it does no harm", Swap: all, Ask: "from node/node-a\nto 10.244.1.2:8080"},
		{Name: "through a Service, where kube-proxy may have to", Swap: all, Ask: "from shop/web-0\nto 10.96.0.24:80"},
	})
}

func TestTrimA(t *testing.T) {
	for in, want := range map[string]string{"-A POSTROUTING -j MASQUERADE": "POSTROUTING -j MASQUERADE", "-P X": "-P X", "": "", "-A ": "-A "} {
		if got := trimA(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
