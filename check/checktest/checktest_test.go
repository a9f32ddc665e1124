package checktest

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"golang.org/x/tools/txtar"
)

func TestFormat(t *testing.T) {
	r := check.Result{
		Findings: []check.Finding{{
			Check: "ip-forward", Severity: check.Error, Where: "a/host", OnPath: true, What: text.F("%s is 0", "net.ipv4.ip_forward"),
			Fix:          check.Fix{What: text.F("set it to 1"), Commands: []string{"sysctl -w net.ipv4.ip_forward=1"}},
			Evidence:     []snapshot.Evidence{{File: "nodes/a/host/sysctl", Line: 7, Text: "net.ipv4.ip_forward = 0", Command: "sysctl net.ipv4.ip_forward"}},
			Consequences: []check.Finding{{Check: "path-broken", Severity: check.Error, Where: "a/host", What: text.F("it ends here")}},
		}},
		Unjudged: []check.Unjudged{{Check: "ip-forward", Where: "nodes/b", Why: "not collected"}},
	}
	want := `error on path: a/host: ip-forward: net.ipv4.ip_forward is 0
    fix: set it to 1
    $ sysctl -w net.ipv4.ip_forward=1
    nodes/a/host/sysctl:7: net.ipv4.ip_forward = 0 [sysctl net.ipv4.ip_forward]
  > error: a/host: path-broken: it ends here
? nodes/b: ip-forward: not collected
`
	if diff := cmp.Diff(want, Format(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCut(t *testing.T) {
	const (
		pods  = `{"items":[{"metadata":{"name":"web-0","namespace":"shop"},"spec":{}},{"metadata":{"name":"api-0","namespace":"shop"}}]}`
		rules = "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n:KEPT - [0:0]\n:GONE - [0:0]\n-A INPUT -j KEPT\n-A GONE -j DROP\nCOMMIT\n"
	)
	tests := []struct {
		name, file, data string
		cut              Cut
		want             string // "" for a file that does not stay
	}{
		{"another namespace", "nodes/b/host/fdb.json", "[]", Cut{NetNS: []string{"a/host"}, Files: []string{"fdb.json"}}, ""},
		{"another file", "nodes/a/host/neigh.json", "[]", Cut{NetNS: []string{"a/host"}, Files: []string{"fdb.json"}}, ""},
		{"the gap", "nodes/a/host/fdb.json", "[]", Cut{NetNS: []string{"a/host"}, Files: []string{"fdb.json"}, Drop: []string{"nodes/a/host/fdb.json"}}, ""},
		{"multicast entries", "nodes/a/host/fdb.json", `[{"mac":"33:33:00:00:00:01"},{"mac":"66:57:0f:f0:5a:20","flags":[]}]`,
			Cut{NetNS: []string{"a/host"}, Files: []string{"fdb.json"}}, "[{\"mac\":\"66:57:0f:f0:5a:20\"}]\n"},
		{"sysctls", "nodes/a/host/sysctl", "net.ipv4.ip_forward = 1\nnet.core.somaxconn = 4096\n", Cut{NetNS: []string{"a/host"}, Files: []string{"sysctl"}, Sysctl: "ip_forward"}, "net.ipv4.ip_forward = 1\n"},
		{"rules", "nodes/a/host/iptables", rules, Cut{NetNS: []string{"a/host"}, Files: []string{"iptables"}, Rules: "^-A INPUT"}, "*filter\n:INPUT ACCEPT [0:0]\n:KEPT - [0:0]\n-A INPUT -j KEPT\nCOMMIT\n"},
		{"nf_tables", "nodes/a/host/nft.json", `{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"table": {"family": "ip", "name": "nat"}}, {"chain": {"table": "nat", "name": "OUTPUT", "hook": "output", "prio": -100}}, {"chain": {"table": "nat", "name": "X"}}, {"rule": {"table": "nat", "chain": "X", "expr": [{"drop": null}]}}, {"rule": {"table": "kube-proxy", "chain": "x", "expr": [{"drop": null}]}}]}`,
			Cut{NetNS: []string{"a/host"}, Files: []string{"nft.json"}},
			"{\"nftables\": [{\"metainfo\": {\"json_schema_version\": 1}},\n {\"table\": {\"family\": \"ip\", \"name\": \"nat\"}},\n {\"chain\": {\"table\": \"nat\", \"name\": \"OUTPUT\", \"hook\": \"output\", \"prio\": -100}},\n {\"rule\": {\"table\": \"kube-proxy\", \"chain\": \"x\", \"expr\": [{\"drop\": null}]}}]}\n"},
		{"links", "nodes/a/host/addr.json", `[{"ifindex":2,"ifname":"eth0","flags":["UP"],"mtu":1500,"txqlen":1000}]`,
			Cut{NetNS: []string{"a/host"}, Files: []string{"addr.json"}}, "[{\"ifindex\":2,\"ifname\":\"eth0\",\"flags\":[\"UP\"],\"mtu\":1500}]\n"},
		{"objects", "objects/pods.json", pods, Cut{Objects: "pods/shop/web-.*"}, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":\n[{\"metadata\":{\"name\":\"web-0\",\"namespace\":\"shop\"}}]\n}\n"},
		{"no objects", "objects/pods.json", pods, Cut{Objects: "nodes//.*"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.cut.Of(fstest.MapFS{tt.file: {Data: []byte(tt.data)}})
			if err != nil {
				t.Fatal(err)
			}
			var want []txtar.File
			if tt.want != "" {
				want = []txtar.File{{Name: tt.file, Data: []byte(tt.want)}}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
