//go:build linux

package fault

import (
	"fmt"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/packet"
)

// filters are rules that drop or change what they should not.
var filters = []Fault{
	{
		Name: "forward-policy-drop", Check: "forward-drop", Topologies: []string{"kubenet"},
		Story:  "Docker was started on node-b and set the policy of FORWARD to DROP.",
		Path:   acrossNodes,
		Inject: iptables("node-b", "-P", "FORWARD", "DROP"),
	},
	{
		Name: "forward-drop", Check: "forward-drop",
		Story:  "A hardening script on node-b drops what is forwarded to its Pods.",
		Path:   acrossNodes,
		Inject: iptables("node-b", "-I", "FORWARD", "-d", "10.244.1.0/24", "-j", "DROP"),
	},
	{
		Name: "forward-reject", Check: "forward-drop", Incident: 2,
		Story:  "The distribution's iptables service was restarted on node-b; its saved rules end FORWARD with REJECT.",
		Path:   acrossNodes,
		Inject: iptables("node-b", "-I", "FORWARD", "-j", "REJECT", "--reject-with", "icmp-host-prohibited"),
	},
	{
		Name: "unknown-identity", Check: "forward-drop", Incident: 4,
		Story: "The policy agent of node-b knows only the Pods of its own nodes; Pods of node-a are 'world' to it and are dropped at the veth.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			b := l.Node("node-b")
			if err := b.NS.Run("create known-identities hash:net\nadd known-identities 10.244.1.0/24\nadd known-identities 10.244.2.0/24\n", "ipset", "restore"); err != nil {
				return err
			}
			return iptables("node-b", "-I", "FORWARD", "-d", l.Pod(webB).IP.String(), "-m", "set", "!", "--match-set", "known-identities", "src", "-j", "DROP")(l)
		},
	},
	{
		Name: "input-drop-vxlan", Check: "firewall-drop", Topologies: vxlan,
		Story:  "The host firewall of node-b does not allow VXLAN in.",
		Path:   acrossNodes,
		Inject: iptables("node-b", "-I", "INPUT", "-p", "udp", "--dport", "8472", "-j", "DROP"),
	},
	{
		Name: "raw-drop", Check: "firewall-drop",
		Story:  "A rule in raw PREROUTING of node-b drops what comes from node-a's Pods, before any other table sees it.",
		Path:   acrossNodes,
		Inject: iptables("node-b", "-t", "raw", "-A", "PREROUTING", "-s", "10.244.0.0/24", "-j", "DROP"),
	},
	{
		Name: "output-drop", Check: "firewall-drop",
		Story:  "node-a's firewall drops what the node itself sends to port 8080 of Pods: its probes of other nodes' Pods fail.",
		Path:   lab.Path{From: "node/node-a", To: webB + ":8080"},
		Inject: iptables("node-a", "-I", "OUTPUT", "-p", "tcp", "-d", "10.244.0.0/16", "--dport", "8080", "-j", "DROP"),
	},
	{
		Name: "input-reject-kubelet", Check: "firewall-drop",
		Story:  "node-b's firewall rejects connections to the kubelet.",
		Path:   lab.Path{From: "node/node-a", To: "node/node-b:10250"},
		Inject: iptables("node-b", "-I", "INPUT", "-p", "tcp", "--dport", "10250", "-j", "REJECT"),
	},
	{
		Name: "pod-firewall", Check: "firewall-drop",
		Story: "An init container left a rule in web-1's own namespace that drops port 8080.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			return l.Pod(webB).NS.Run("", l.IPTables("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP")...)
		},
	},
	{
		Name: "udp-only-drop", Check: "firewall-drop",
		Story:  "node-a drops UDP to port 53 of Pods, but not TCP: names do not resolve.",
		Path:   lab.Path{From: webA, To: "svc/kube-system/kube-dns:dns", Proto: packet.UDP},
		Inject: iptables("node-a", "-t", "mangle", "-A", "FORWARD", "-p", "udp", "--dport", "53", "-j", "DROP"),
	},
	{
		Name: "nodeport-firewall", Check: "nodeport-firewall",
		Story:  "node-a's firewall drops the range of node ports on the uplink.",
		Path:   lab.Path{From: "outside", To: "node/node-a:30080"},
		Inject: iptables("node-a", "-t", "mangle", "-A", "PREROUTING", "-i", "eth0", "-p", "tcp", "--dport", "30000:32767", "-j", "DROP"),
	},
	{
		Name: "masquerade-missing", Check: "masquerade-missing", Topologies: []string{"flannel", "hostgw", "ptp", "dualstack", "dualstack-hostgw"},
		Story:  "The rule that masquerades Pods towards the outside is gone from node-a; the router does not know Pod addresses.",
		Path:   lab.Path{From: webA, To: "outside:80"},
		Inject: removeMasquerade,
	},
	{
		Name: "masquerade-unwanted", Check: "masquerade-unwanted",
		Story:  "A rule on node-a masquerades traffic between Pods: servers see the node's address in place of the client's.",
		Path:   acrossNodes,
		Inject: iptables("node-a", "-t", "nat", "-I", "POSTROUTING", "-s", "10.244.0.0/24", "-d", "10.244.0.0/16", "-j", "MASQUERADE"),
	},
	{
		Name: "leftover-rules", Check: "leftover-rules",
		Story: "node-b was moved from iptables-legacy to nf_tables, and the old rules were never removed: both run, and the old FORWARD policy is DROP.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			program := "iptables-legacy-restore"
			if l.Legacy {
				program = "iptables-nft-restore"
			}
			return l.Node("node-b").NS.Run(leftover, program)
		},
	},
}

const leftover = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
COMMIT
`

// removeMasquerade deletes from node-a the rule by which its CNI masquerades.
func removeMasquerade(l *lab.Lab) error {
	chain, n := map[string]string{"flannel": "FLANNEL-POSTRTG", "hostgw": "FLANNEL-POSTRTG", "ptp": "cali-nat-outgoing"}[l.Topology.CNI], "5"
	if l.Topology.CNI == "ptp" {
		n = "1"
	}
	if chain == "" {
		return fmt.Errorf("fault: %s has no masquerading chain", l.Topology.Name)
	}
	return iptables("node-a", "-t", "nat", "-D", chain, n)(l)
}
