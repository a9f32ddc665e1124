//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"
)

// A table is one table of iptables as it is being written.
type table struct {
	name     string
	builtins []string
	chains   []string
	rules    []string
}

func (t *table) chain(names ...string) { t.chains = append(t.chains, names...) }

// add appends the rules in a script, one a line, but not empty lines.
func (t *table) add(script string) {
	for line := range strings.Lines(lines(script)) {
		t.rules = append(t.rules, strings.TrimSpace(line))
	}
}

// String returns the table in the syntax of iptables-restore.
func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", t.name)
	for _, c := range t.builtins {
		fmt.Fprintf(&b, ":%s ACCEPT [0:0]\n", c)
	}
	for _, c := range t.chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, r := range t.rules {
		b.WriteString(r + "\n")
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// SyncRules makes the rules of every node what kubelet, kube-proxy and the CNI
// would write for the objects as they are. What was there before is lost.
func (l *Lab) SyncRules() error {
	var g errgroup.Group
	for _, n := range l.Nodes {
		g.Go(func() error { return l.SyncNode(n) })
	}
	return g.Wait()
}

// SyncNode is SyncRules for one node.
func (l *Lab) SyncNode(n *Node) error {
	if err := l.poolSets(n); err != nil {
		return err
	}
	if err := n.NS.Run(l.NodeRules(n, false, true), l.IPTables("iptables-restore")...); err != nil {
		return err
	}
	if !l.Topology.IPv6 {
		return nil
	}
	return n.NS.Run(l.NodeRules(n, true, true), l.IPTables("ip6tables-restore")...)
}

// IPTables returns the command line of a program of the iptables family, of the lab's back end.
func (l *Lab) IPTables(program string, args ...string) []string {
	if l.Legacy {
		program = strings.Replace(program, "tables", "tables-legacy", 1)
	} else {
		program = strings.Replace(program, "tables", "tables-nft", 1)
	}
	return append([]string{program}, args...)
}

// NodeRules returns a node's rules as iptables-restore reads them; without proxy,
// those of a node on which kube-proxy never ran.
func (l *Lab) NodeRules(n *Node, v6, proxy bool) string {
	mangle := &table{name: "mangle", builtins: []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}}
	nat := &table{name: "nat", builtins: []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}}
	filter := &table{name: "filter", builtins: []string{"INPUT", "FORWARD", "OUTPUT"}}
	mangle.chain("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")
	filter.chain("KUBE-FIREWALL")
	if proxy {
		mangle.chain("KUBE-PROXY-CANARY")
		l.proxyTables(l.proxyRules(n.Name, v6), nat, filter)
	}
	filter.add(`
		-A INPUT -j KUBE-FIREWALL
		-A OUTPUT -j KUBE-FIREWALL
	`)
	if !v6 {
		filter.add(`-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`)
	}
	switch l.Topology.CNI {
	case "flannel", "hostgw":
		l.flannelRules(n, v6, nat, filter)
	case "kubenet":
		nat.add(`-A POSTROUTING ! -d 10.0.0.0/8 -m comment --comment "kubenet: SNAT for outbound traffic from cluster" -m addrtype ! --dst-type LOCAL -j MASQUERADE`)
	case "ptp":
		l.calicoRules(nat, filter)
	}
	return mangle.String() + nat.String() + filter.String()
}

// proxyTables adds kube-proxy's part to nat and filter.
func (l *Lab) proxyTables(p *proxyRules, nat, filter *table) {
	nat.chain("KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-SERVICES")
	nat.chain(p.chains...)
	nat.add(`
		-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
		-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
		-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
		-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
		-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
	`)
	nat.rules = append(nat.rules, p.services...)
	last := "-m addrtype --dst-type LOCAL"
	if p.v6 {
		last = "! -d ::1/128 " + last
	}
	nat.add(`-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" ` + last + ` -j KUBE-NODEPORTS`)
	nat.rules = append(nat.rules, p.nodePorts...)
	nat.rules = append(nat.rules, p.rules...)

	filter.chain("KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL", "KUBE-SERVICES")
	filter.add(`
		-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
		-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
		-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
		-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
		-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	`)
	filter.rules = append(filter.rules, p.reject...)
	filter.rules = append(filter.rules, p.external...)
	filter.rules = append(filter.rules, p.healthChecks...)
}

// flannelRules adds what flanneld writes (pkg/trafficmngr/iptables).
func (l *Lab) flannelRules(n *Node, v6 bool, nat, filter *table) {
	network, subnet, multicast := ClusterCIDR, n.PodCIDR, "224.0.0.0/4"
	if v6 {
		network, subnet, multicast = ClusterCIDR6, n.PodCIDR6, "ff00::/8"
	}
	l.flannelMasquerade(network, subnet, multicast, nat)
	filter.chain("FLANNEL-FWD")
	filter.add(fmt.Sprintf(`
		-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
		-A FLANNEL-FWD -s %s -m comment --comment "flanneld forward" -j ACCEPT
		-A FLANNEL-FWD -d %[1]s -m comment --comment "flanneld forward" -j ACCEPT
	`, network))
}

func (l *Lab) flannelMasquerade(network, subnet netip.Prefix, multicast string, nat *table) {
	nat.chain("FLANNEL-POSTRTG")
	nat.add(fmt.Sprintf(`
		-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
		-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
		-A FLANNEL-POSTRTG -s %[2]s -d %[1]s -m comment --comment "flanneld masq" -j RETURN
		-A FLANNEL-POSTRTG -s %[1]s -d %[2]s -m comment --comment "flanneld masq" -j RETURN
		-A FLANNEL-POSTRTG ! -s %[1]s -d %[2]s -m comment --comment "flanneld masq" -j RETURN
		-A FLANNEL-POSTRTG -s %[1]s ! -d %[3]s -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
		-A FLANNEL-POSTRTG ! -s %[1]s -d %[1]s -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
	`, network, subnet, multicast))
}

// poolSets makes the sets that Calico's rules refer to.
func (l *Lab) poolSets(n *Node) error {
	if l.Topology.CNI != "ptp" {
		return nil
	}
	return n.NS.Run(fmt.Sprintf(`create cali40masq-ipam-pools hash:net family inet hashsize 1024 maxelem 1048576
create cali40all-ipam-pools hash:net family inet hashsize 1024 maxelem 1048576
add cali40masq-ipam-pools %s
add cali40all-ipam-pools %[1]s
`, ClusterCIDR), "ipset", "-exist", "restore")
}

// calicoRules adds the part of Felix's rules that touches Pods without policy.
func (l *Lab) calicoRules(nat, filter *table) {
	nat.chain("cali-POSTROUTING", "cali-nat-outgoing")
	nat.add(`
		-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j cali-POSTROUTING
		-A cali-POSTROUTING -m comment --comment "cali:Z-c7XtVd2Bq7s_hA" -j cali-nat-outgoing
		-A cali-nat-outgoing -m comment --comment "cali:flqWnvo8yq4ULQLa" -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE --random-fully
	`)
	filter.chain("cali-FORWARD", "cali-from-wl-dispatch", "cali-to-wl-dispatch")
	filter.add(`
		-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
		-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT
		-A FORWARD -m comment --comment "cali:mp77cMpurHhyjLrM" -j MARK --set-xmark 0x10000/0x10000
		-A cali-FORWARD -m comment --comment "cali:vjrMJCRpqwy5oRoX" -j MARK --set-xmark 0x0/0xe0000
		-A cali-FORWARD -i cali+ -m comment --comment "cali:8ZoYfO5HKXWbB3pk" -j cali-from-wl-dispatch
		-A cali-FORWARD -o cali+ -m comment --comment "cali:jdEuaPBe14V2hutn" -j cali-to-wl-dispatch
		-A cali-from-wl-dispatch -m comment --comment "cali:lMzOzGyCqdcyXLqo" -j MARK --set-xmark 0x10000/0x10000
		-A cali-to-wl-dispatch -m comment --comment "cali:yQlUEXmZzpVnlhTM" -j MARK --set-xmark 0x10000/0x10000
	`)
}
