package drops

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
)

// rule puts a rule before the first of a chain in a node's rules.
func rule(node, chain, rest string) checktest.Swap {
	old := "-A " + chain + " "
	return checktest.Swap{File: "nodes/" + node + "/host/iptables", Old: old, New: "-A " + chain + " " + rest + "\n" + old}
}

func TestRules(t *testing.T) {
	all := []*check.Check{NodePort, Forward, Firewall}
	const ask = "from shop/web-0\nto 10.244.1.2:8080"
	const packet = "tcp 10.244.0.2:40000 > 10.244.1.2:8080"
	fwd := rule("node-b", "FORWARD", "-p tcp -m tcp --dport 8080 -j DROP")
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "as recorded", Ask: ask},
		{Name: "FORWARD drops", Swap: []checktest.Swap{fwd}, Ask: ask,
			Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -p tcp -m tcp --dport 8080 -j DROP",
			Fix:  []string{"iptables -t filter -D FORWARD -p tcp -m tcp --dport 8080 -j DROP"}},
		{Name: "FORWARD refuses", Swap: []checktest.Swap{rule("node-b", "FORWARD", "-d 10.244.1.2/32 -j REJECT --reject-with icmp-port-unreachable")}, Ask: ask,
			Want: "error on path: node-b/host: forward-drop: " + packet + " is refused by -A FORWARD -d 10.244.1.2/32 -j REJECT --reject-with icmp-port-unreachable"},
		{Name: "FORWARD's policy", Swap: []checktest.Swap{{File: "nodes/node-b/host/iptables", Old: "\n:FORWARD ACCEPT [0:0]", New: "\n:FORWARD DROP [0:0]"},
			{File: "nodes/node-b/host/iptables", Old: "-A FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD\n", New: "-A FORWARD -i docker0 -j ACCEPT\n"}}, Ask: ask,
			Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -P FORWARD DROP", Fix: []string{"iptables -t filter -P FORWARD ACCEPT"}},
		{Name: "another port is dropped", Swap: []checktest.Swap{rule("node-b", "FORWARD", "-p tcp -m tcp --dport 8081 -j DROP")}, Ask: ask},
		{Name: "a node beside the path drops", Swap: []checktest.Swap{rule("node-c", "FORWARD", "-j DROP")}, Ask: ask},
		{Name: "INPUT drops the tunnel", Swap: []checktest.Swap{rule("node-b", "INPUT", "-p udp -m udp --dport 8472 -j DROP")}, Ask: ask,
			Want: "error on path: node-b/host: firewall-drop: udp 192.168.10.11:50000 > 192.168.10.12:8472 is dropped by -A INPUT -p udp -m udp --dport 8472 -j DROP",
			Fix:  []string{"iptables -t filter -D INPUT -p udp -m udp --dport 8472 -j DROP"}},
		{Name: "a node port is dropped", Swap: []checktest.Swap{{File: "nodes/node-b/host/iptables", Old: "*filter\n", New: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 30000:32767 -j DROP\nCOMMIT\n*filter\n"}},
			Ask:  "from 203.0.113.10\nto 192.168.10.12:30080",
			Want: "error on path: node-b/host: nodeport-firewall: tcp 203.0.113.10:40000 > 192.168.10.12:30080 is dropped by -A PREROUTING -p tcp -m tcp --dport 30000:32767 -j DROP",
			Fix:  []string{"iptables -t raw -D PREROUTING -p tcp -m tcp --dport 30000:32767 -j DROP"}},
		{Name: "a port of a node that no Service has", Swap: []checktest.Swap{rule("node-b", "INPUT", "-p tcp -m tcp --dport 10250 -j DROP")},
			Ask:  "from shop/web-0\nto 192.168.10.12:10250",
			Want: "error on path: node-b/host: firewall-drop: tcp 192.168.10.11:40000 > 192.168.10.12:10250 is dropped by -A INPUT -p tcp -m tcp --dport 10250 -j DROP"},
		{Name: "kube-proxy's own refusal is meant", Swap: []checktest.Swap{rule("node-a", "FORWARD", "-d 10.244.1.2/32 -m comment --comment \"shop/web has no endpoints\" -j REJECT --reject-with icmp-port-unreachable")}, Ask: ask},
		{Name: "nobody asked: a probe meets it", Swap: []checktest.Swap{fwd},
			Want: "error: node-b/host: forward-drop: tcp 10.244.1.4:40000 > 10.244.2.3:8080 is dropped by -A FORWARD -p tcp -m tcp --dport 8080 -j DROP"},
		{Name: "nobody asked, and a policy may mean it", Swap: []checktest.Swap{fwd}, Edit: func(f *checktest.Facts) {
			f.Objects.NetworkPolicies = make([]networkingv1.NetworkPolicy, 1)
		}, Want: "info: node-b/host: forward-drop: tcp 10.244.1.4:40000 > 10.244.2.3:8080 is dropped by -A FORWARD -p tcp -m tcp --dport 8080 -j DROP"},
		{Name: "not collected: the path is not known to die", Swap: nil, Ask: ask, Without: []string{"nodes/node-b/host/iptables"},
			Want: "? nodes/node-b/host/iptables: firewall-drop: not collected\n? nodes/node-b/host/iptables: forward-drop: not collected\n? nodes/node-b/host/iptables: nodeport-firewall: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, all, []checktest.Row{
		{Name: "IPv6", Swap: []checktest.Swap{{File: "nodes/node-b/host/ip6tables", Old: "-A FORWARD ", New: "-A FORWARD -p tcp -j DROP\n-A FORWARD "}}, Ask: "from shop/web-0\nto [fd00:10:244:1::2]:8080",
			Want: "error on path: node-b/host: forward-drop: tcp [fd00:10:244::2]:40000 > [fd00:10:244:1::2]:8080 is dropped by -A FORWARD -p tcp -j DROP",
			Fix:  []string{"ip6tables -t filter -D FORWARD -p tcp -j DROP"}},
	})
	checktest.Rows(t, checktest.Kubenet, all, []checktest.Row{
		{Name: "behind a router: as recorded", Ask: ask},
		{Name: "behind a router: FORWARD", Swap: []checktest.Swap{fwd}, Ask: ask, Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -p tcp -m tcp --dport 8080 -j DROP"},
		{Name: "behind a router: the Pod's own rules", Ask: ask,
			Swap: []checktest.Swap{{File: "nodes/node-b/pod-shop-web-1/iptables", New: "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"}},
			Want: "error on path: node-b/pod-shop-web-1: firewall-drop: " + packet + " is dropped by -P INPUT DROP", Fix: []string{"ip netns exec pod-shop-web-1 iptables -t filter -P INPUT ACCEPT"}},
		{Name: "behind a router: a rule that knows another Pod", Swap: []checktest.Swap{rule("node-b", "FORWARD", "-d 10.244.1.3/32 -j DROP")}, Ask: ask},
	})
}

func TestMeant(t *testing.T) {
	for text, want := range map[string]bool{
		`-A KUBE-SERVICES -d 10.96.0.20/32 -m comment --comment "shop/api has no endpoints" -j REJECT`:                        true,
		`-A KUBE-EXTERNAL-SERVICES -m comment --comment "shop/front:http has no local endpoints" -j DROP`:                     true,
		`-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -j DROP`: true,
		`-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP`:                                                              true,
		`-A FORWARD -m conntrack --ctstate INVALID -j DROP`:                                                                   false,
		`-A INPUT -j DROP`: false,
	} {
		if got := meant(snapshot.Evidence{Text: text}); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

// TestFix: a rule is deleted from the table and by the program that it was read with.
func TestFix(t *testing.T) {
	ns := checktest.Host()
	for _, tt := range []struct {
		name, file, text, command string
		want                      string // "" for no command
	}{
		{"nft", "nodes/a/host/iptables", "-A INPUT -j DROP", "iptables-save -t filter", "iptables -t filter -D INPUT -j DROP"},
		{"legacy", "nodes/a/host/iptables-legacy", "-A INPUT -j DROP", "iptables-legacy-save -t raw", "iptables-legacy -t raw -D INPUT -j DROP"},
		{"legacy of IPv6", "nodes/a/host/ip6tables-legacy", "-A INPUT -j DROP", "ip6tables-legacy-save -t filter", "ip6tables-legacy -t filter -D INPUT -j DROP"},
		{"words with spaces", "nodes/a/host/iptables", `-A INPUT -m comment --comment "a b" ! -i lo -j DROP`, "iptables-save -t filter", "iptables -t filter -D INPUT -m comment --comment 'a b' ! -i lo -j DROP"},
		{"a command in a comment", "nodes/a/host/iptables", `-A INPUT -m comment --comment "$(reboot)" -j DROP`, "iptables-save", "iptables -D INPUT -m comment --comment '$(reboot)' -j DROP"},
		{"a policy", "nodes/a/host/iptables", "-P FORWARD DROP", "iptables-save -t filter", "iptables -t filter -P FORWARD ACCEPT"},
		{"something else", "nodes/a/host/nft.json", "drop", "nft list ruleset", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fix(ns, snapshot.Evidence{File: tt.file, Text: tt.text, Command: tt.command})
			got := ""
			if len(f.Commands) > 0 {
				got = f.Commands[0]
			}
			if got != tt.want || f.What.IsZero() {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	for _, tt := range []struct{ name, command, text, want string }{
		{"iptables", "iptables -t filter -S FORWARD", "-A FORWARD -j DROP", "-A FORWARD -j DROP"},
		{"a rule of nf_tables", "nft -a list chain inet fw input", `tcp dport 80 drop comment "no web" # handle 7`, `inet fw input: tcp dport 80 drop comment "no web" # handle 7`},
		{"a policy of nf_tables", "nft -a list chain ip t fwd", "type filter hook forward priority 0; policy drop;", "ip t fwd: type filter hook forward priority 0; policy drop;"},
	} {
		if got := named(snapshot.Evidence{Command: tt.command, Text: tt.text}); got != tt.want {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}
