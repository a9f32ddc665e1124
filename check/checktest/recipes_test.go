package checktest

// The files that checks read.
var (
	linksFiles             = []string{"addr.json", "netns.json"}
	linksAndRulesFiles     = []string{"addr.json", "netns.json", "iptables"}
	linksSysctlsRulesFiles = []string{"addr.json", "netns.json", "sysctl", "iptables"}
	linksAndSocketsFiles   = []string{"addr.json", "netns.json", "sockets"}
	walkFiles              = []string{"addr.json", "netns.json", "routes.json", "rules.json", "neigh.json", "fdb.json", "iptables", "sysctl", "sockets"}
	walkWithSetsFiles      = []string{"addr.json", "netns.json", "routes.json", "rules.json", "neigh.json", "fdb.json", "iptables", "sysctl", "sockets", "ipset"}
	littleFiles            = []string{"addr.json"}
)

// The namespaces that cases keep.
var (
	pair  = []string{"node-a/host", "node-a/pod-shop-web-0", "node-b/host", "node-b/pod-shop-web-1"}
	three = []string{"node-a/host", "node-a/pod-shop-web-0", "node-b/host", "node-b/pod-shop-web-1", "node-c/host", "node-c/pod-shop-web-2"}
	toAPI = []string{"node-a/host", "node-a/pod-shop-web-0", "node-b/host", "node-b/pod-shop-api-6c9f7d5b8-9qjtl"}
	hosts = []string{"node-a/host", "node-b/host", "node-c/host"}
	// with all Pods of node-b: where one is not known, nor is who answers on its bridge
	whole = append(pair[:len(pair):len(pair)], "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-b/pod-kube-system-coredns-76f75df574-m4v9z")
)

// podRules are the rules that packets between Pods meet; podSysctls what decides about them.
const (
	podRules      = `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) `
	podSysctls    = `^net\.(ipv4\.ip_forward|ipv4\.conf\.(all|default|eth0|cni0|flannel/1|flannel\.1|veth[0-9a-f]+|cbr0)\.(rp_filter|forwarding|accept_local|route_localnet|proxy_arp|src_valid_mark)|bridge\.bridge-nf-call-iptables|netfilter\.nf_conntrack_max) `
	frontRules    = `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|KUBE-NODEPORTS|FLANNEL-[A-Z]+) |KUBE-NODEPORTS|shop/(front)|kube-dns|KUBE-EXT-`
	nodePortRules = `^-A (PREROUTING|OUTPUT) |KUBE-(EXT|NODEPORTS)|shop/front:`
	localRules    = `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|KUBE-NODEPORTS|FLANNEL-[A-Z]+) |KUBE-NODEPORTS|shop/(front-local)|kube-dns|KUBE-EXT-`
)

// recipes are the cases of all checks.
var recipes = []recipe{
	{
		dir: "noendpoints", fault: "selector-matches-nothing", twin: "healthy-flannel",
		story: "The Service's selector says app=api-v2, and no Pod has that label.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `services/shop/.*|endpointslices/shop/.*|pods/shop/web.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/endpointslices.json"},
	},
	{
		dir: "noendpoints", fault: "none-ready", twin: "healthy-flannel",
		story: "All API Pods fail their readiness probe.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `services/shop/.*|endpointslices/shop/.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/pods.json"},
	},
	{
		dir: "noendpoints", fault: "port-name", twin: "healthy-flannel",
		story: "The Service's targetPort is the name 'web', and no container names a port so.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `services/shop/.*|endpointslices/shop/.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/pods.json"},
	},
	{
		dir: "proxyevicted", fault: "proxy-evicted", twin: "healthy-flannel",
		story: "kube-proxy's DaemonSet has no critical priority: on node-b, added by the autoscaler, its Pod lost its place and is Pending.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `nodes//.*|pods/kube-system/kube-proxy.*|daemonsets/kube-system/kube-proxy`, Rules: "", Sysctl: ""},
		gap: []string{"objects/pods.json"},
	},
	{
		dir: "criticalpriority", fault: "critical-priority", twin: "healthy-flannel",
		story: "kube-proxy's DaemonSet has no critical priority. Nothing is broken until a node runs full.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `daemonsets/.*|deployments/.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/daemonsets.json", "objects/deployments.json"},
	},
	{
		dir: "cnimissing", fault: "cni-missing", twin: "healthy-flannel",
		story: "flannel's Pod on node-c crashes; after a reboot nobody has made flannel.1 and its routes there.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `nodes//.*|pods/kube-flannel/.*|daemonsets/kube-flannel/.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "podcidr", fault: "podcidr-missing", twin: "healthy-flannel",
		story: "The controller manager gives node-c no Pod range (its cluster CIDR is used up): flannel does not start there, and Pods stay without address.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `nodes//.*|pods/shop/.*|pods/kube-system/coredns.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "podcidr", fault: "podcidr-overlap", twin: "healthy-flannel",
		story: "node-c was joined with node-b's Pod range: the other nodes send to whichever registered last.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `nodes//.*|pods/shop/.*|pods/kube-system/coredns.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "podcidr", fault: "podcidr-exhausted", twin: "healthy-flannel",
		story: "node-c's Pod range is a /29, and each of its addresses is taken: the next Pod stays without.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host"}, Files: littleFiles, Objects: `nodes//.*|pods/.*`, Rules: "", Sysctl: ""},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "cidroverlap", fault: "office-overlaps-pods", twin: "healthy-flannel",
		story: "The partner's office uses 10.244.1.0/24, which is also node-b's Pod range: packets for the office never leave the cluster.",
		query: "external 10.244.1.0/24\nfrom shop/web-0\nto 10.244.1.50:80\n", twinQuery: "external 10.20.0.0/16\nfrom shop/web-0\nto 10.20.0.50:80\n",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))|configmaps/kube-system/kubeadm-config|services/shop/web`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "cidroverlap", fault: "office-replies-lost", twin: "healthy-flannel",
		story: "The same, seen from the office: its connections to a node port arrive, and the replies go to a Pod range.",
		query: "external 10.244.1.0/24\nfrom 10.244.1.50\nto 192.168.10.11:30080\n", twinQuery: "external 10.20.0.0/16\nfrom 10.20.0.50\nto 192.168.10.11:30080\n",
		Cut: Cut{NetNS: three, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*|configmaps/kube-system/kubeadm-config|services/shop/front|endpointslices/shop/front-.*`, Rules: frontRules, Sysctl: podSysctls},
		gap: []string{"objects/nodes.json"},
	},
	{
		dir: "conntrackfull", fault: "conntrack-full", twin: "healthy-flannel",
		story: "A port scan filled node-b's conntrack table with connections that count as established.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-b/host"}, Files: []string{"sysctl", "stat"}, Sysctl: `^net\.netfilter\.nf_conntrack_max `},
		gap: []string{"nodes/node-b/host/stat"},
	},
	{
		dir: "conntrackfull", fault: "conntrack-nearly-full", twin: "healthy-flannel",
		story: "Nine tenths of node-b's conntrack table are in use.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-b/host"}, Files: []string{"sysctl", "stat"}, Sysctl: `^net\.netfilter\.nf_conntrack_max `},
		gap: []string{"nodes/node-b/host/sysctl"},
	},
	{
		dir: "ipforward", fault: "ip-forward-off", twin: "healthy-flannel",
		story: "A sysctl profile turned ip_forward off on node-b.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/sysctl"},
	},
	{
		dir: "bridgenf", fault: "bridge-nf-off", twin: "healthy-flannel",
		story: "br_netfilter's call to iptables is off on node-a: answers of a Service's Pod on the same bridge come back from the wrong address.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: linksSysctlsRulesFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) |KUBE-SERVICES`, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/sysctl"},
	},
	{
		dir: "link", fault: "veth-down", twin: "healthy-flannel",
		story: "The node's end of web-1's veth is down.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: whole, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "link", fault: "tunnel-down", twin: "healthy-flannel",
		story: "node-b's flannel.1 is down.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "link", fault: "veth-detached", twin: "healthy-flannel",
		story: "web-1's veth is no longer a port of the bridge.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: whole, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "link", fault: "address-missing", twin: "healthy-flannel",
		story: "A network manager took the address of node-b's Pod bridge away: its Pods have no gateway.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "duplicateaddress", fault: "duplicate-address", twin: "healthy-flannel",
		story: "node-c was given node-b's address too, and answers ARP for it: node-a sends to the wrong machine.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host", "node-c/host", "node-a/pod-shop-web-0", "node-b/pod-shop-web-1"}, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-c/host/addr.json"},
	},
	{
		dir: "duplicateaddress", fault: "duplicate-address-hostgw", twin: "healthy-hostgw",
		story: "node-c was given node-b's address too, and answers ARP for it: node-a sends to the wrong machine, whose route to node-b's Pods has its own address for a gateway now.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host", "node-c/host", "node-a/pod-shop-web-0", "node-b/pod-shop-web-1"}, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-c/host/addr.json"},
	},
	{
		dir: "duplicateaddress", fault: "duplicate-pod-address", twin: "healthy-flannel",
		story: "The address manager of node-b's CNI lost its records: the API Pod got the address that web-1 has, and took its traffic.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-a/pod-shop-web-0", "node-b/host", "node-b/pod-shop-web-1", "node-b/pod-shop-api-6c9f7d5b8-9qjtl"}, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))|pods/shop/api-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/pod-shop-api-6c9f7d5b8-9qjtl/addr.json"},
	},
	{
		dir: "hairpin", fault: "hairpin-off", twin: "healthy-flannel",
		story: "Hairpin mode is off for web-0's bridge port: a third of its connections to its own Service fail.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-a/pod-shop-web-0", "node-a/pod-shop-api-6c9f7d5b8-4xk2p"}, Files: linksFiles, Objects: `nodes//node-a|pods/shop/(web-0|api-.*4xk2p)`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-a/host/addr.json"},
	},
	{
		dir: "vxlan", fault: "vni-mismatch", twin: "healthy-flannel",
		story: "node-b was joined with another net-conf.json: its VXLAN has the VNI 2.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: hosts, Files: linksFiles, Objects: `nodes//.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "vxlan", fault: "vxlan-port-mismatch", twin: "healthy-flannel",
		story: "node-b's VXLAN uses port 4789, the others' 8472.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: hosts, Files: linksFiles, Objects: `nodes//.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "vtepaddress", fault: "vtep-two-addresses", twin: "healthy-flannel",
		story: "node-b's uplink has a static and a DHCP address; flanneld registered the one, the kernel sends VXLAN from the other, and the nodes' firewalls accept VXLAN from registered addresses only.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host", "node-c/host", "node-a/pod-shop-web-0", "node-b/pod-shop-web-1"}, Files: walkWithSetsFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"objects/nodes.json", "nodes/node-a/host/fdb.json", "nodes/node-c/host/fdb.json"},
	},
	{
		dir: "vtepaddress", fault: "vtep-address-gone", twin: "healthy-flannel",
		story: "flanneld registered the DHCP address of node-b's uplink; the lease was not renewed, and the peers still send there.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host", "node-c/host", "node-a/pod-shop-web-0", "node-b/pod-shop-web-1"}, Files: walkWithSetsFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"objects/nodes.json", "nodes/node-a/host/fdb.json", "nodes/node-c/host/fdb.json"},
	},
	{
		dir: "drift", fault: "fdb-missing", twin: "healthy-flannel",
		story: "node-a's flannel.1 lost the forwarding entry for node-b's VTEP.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/fdb.json"},
	},
	{
		dir: "drift", fault: "fdb-wrong", twin: "healthy-flannel",
		story: "node-a's forwarding entry for node-b's VTEP leads to the address that node-b had before.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/fdb.json"},
	},
	{
		dir: "drift", fault: "neigh-missing", twin: "healthy-flannel",
		story: "node-a lost the permanent neighbour entry for node-b's VTEP.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/neigh.json", "nodes/node-b/host/neigh.json"},
	},
	{
		dir: "drift", fault: "neigh-wrong", twin: "healthy-flannel",
		story: "node-b's flannel.1 was made anew with another MAC address; node-a still writes to the old one.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/neigh.json", "nodes/node-b/host/neigh.json"},
	},
	{
		dir: "route", fault: "route-missing", twin: "healthy-flannel",
		story: "node-a lost its route to node-b's Pods.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/routes.json"},
	},
	{
		dir: "route", fault: "route-blackhole", twin: "healthy-flannel",
		story: "A blackhole route to node-b's Pods was left on node-a.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/routes.json"},
	},
	{
		dir: "route", fault: "route-unreachable", twin: "healthy-flannel",
		story: "node-a has an unreachable route to web-1, longer than the route to its node's Pods.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/routes.json"},
	},
	{
		dir: "route", fault: "route-wrong", twin: "healthy-hostgw",
		story: "node-a's route to node-b's Pods names the next hop that node-b had before it was replaced.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/routes.json"},
	},
	{
		dir: "route", fault: "policy-route", twin: "healthy-flannel",
		story: "A policy rule on node-a sends all that its Pods send by a table that knows only the router.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/routes.json"},
	},
	{
		dir: "route", fault: "uplink-restart", twin: "healthy-hostgw",
		story: "Someone edited /etc/hosts on node-b and restarted its network card: the routes by eth0 went with it, and nobody put them back.",
		query: "from shop/web-1\nto 10.244.0.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/routes.json"},
	},
	{
		dir: "route", fault: "uplink-restart-ptp", twin: "healthy-ptp",
		story: "The same where Pods' gateway is known by proxy ARP only: a node without a route to it does not answer for it.",
		query: "from shop/web-1\nto 10.244.0.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls + `|^net\.ipv4\.conf\.cali[0-9a-f]+\.(rp_filter|forwarding|accept_local|proxy_arp|arp_ignore) `},
		gap: []string{"nodes/node-b/host/routes.json"},
	},
	{
		dir: "route", fault: "default-route-missing", twin: "healthy-flannel",
		story: "Restarting its uplink cost node-b the default route: Pods reach each other, but nothing outside.",
		query: "from shop/web-1\nto 203.0.113.10:80\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/routes.json"},
	},
	{
		dir: "rpfilter", fault: "rp-filter", twin: "healthy-flannel",
		story: "node-b got a second uplink that leads to the office, and rp_filter=1: what the office sends still comes by eth0, and is dropped.",
		query: "from 10.20.0.50\nto 192.168.10.12:10250\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-b/host"}, Files: walkFiles, Objects: `nodes//node-b`, Rules: podRules, Sysctl: `^net\.(ipv4\.ip_forward|ipv4\.conf\.(all|default|eth0|eth1|cni0|flannel/1|flannel\.1|veth[0-9a-f]+|cbr0)\.(rp_filter|forwarding|accept_local|route_localnet|proxy_arp|src_valid_mark)|bridge\.bridge-nf-call-iptables|netfilter\.nf_conntrack_max) `},
		gap: []string{"nodes/node-b/host/sysctl"},
	},
	{
		dir: "proxyrules", fault: "proxy-rules-missing", twin: "healthy-flannel",
		story: "Something flushed node-b's iptables, and kube-proxy, which looks healthy, has not written its rules again.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: hosts, Files: append(linksAndRulesFiles[:len(linksAndRulesFiles):len(linksAndRulesFiles)], "nft.json"), Objects: `nodes//.*|services/shop/.*|endpointslices/shop/.*|pods/kube-system/kube-proxy.*`, Rules: `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) |shop/`, Sysctl: ""},
		gap: []string{"nodes/node-a/host/iptables", "nodes/node-b/host/iptables", "nodes/node-c/host/iptables"},
	},
	{
		dir: "policy", fault: "policy-stale-rule", twin: "policy-ingress",
		story: "A NetworkPolicy that kept the web Pods from the API was deleted; node-b's enforcer hangs, and still drops what they send.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: toAPI, Files: append(walkFiles[:len(walkFiles):len(walkFiles)], "nft.json"), Objects: `nodes//.*|namespaces//.*|networkpolicies/.*|pods/shop/(web-0|api-.*9qjtl)`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/nft.json"},
	},
	{
		dir: "policy", fault: "policy-missing-rule", twin: "policy-ingress",
		story: "A NetworkPolicy was changed to keep the web Pods from the API; node-b's enforcer hangs, and still lets them in.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: toAPI, Files: append(walkFiles[:len(walkFiles):len(walkFiles)], "nft.json"), Objects: `nodes//.*|namespaces//.*|networkpolicies/.*|pods/shop/(web-0|api-.*9qjtl)`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/nft.json"},
	},
	{
		dir: "policy", fault: "no-policy-enforcer", twin: "policy-ingress",
		story: "A NetworkPolicy keeps the web Pods from the API, the API server took it, and flannel alone enforces none.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: toAPI, Files: append(walkFiles[:len(walkFiles):len(walkFiles)], "nft.json"), Objects: `nodes//.*|namespaces//.*|networkpolicies/.*|pods/shop/(web-0|api-.*9qjtl)`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/nft.json"},
	},
	{
		dir: "proxyrules", fault: "one-service-missing", twin: "healthy-flannel",
		story: "node-b's rules lack one Service, made after kube-proxy there lost its watch.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: hosts, Files: linksAndRulesFiles, Objects: `nodes//.*|services/shop/.*|endpointslices/shop/.*|pods/kube-system/kube-proxy.*`, Rules: `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) |shop/`, Sysctl: ""},
		gap: []string{"nodes/node-a/host/iptables", "nodes/node-b/host/iptables", "nodes/node-c/host/iptables"},
	},
	{
		dir: "proxyrules", fault: "nodeport-rule-missing", twin: "healthy-flannel",
		story: "The Service was given a node port, after kube-proxy on node-b lost its watch: from outside node-b refuses it, its cluster IP works.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host"}, Files: linksAndRulesFiles, Objects: `nodes//node-[ab]|services/shop/front|endpointslices/shop/front-[^l].*|pods/kube-system/kube-proxy.*`, Rules: nodePortRules, Sysctl: ""},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "proxyrules", fault: "stale-endpoint-on-nodeport", twin: "healthy-flannel",
		story: "kube-proxy on node-b hangs: its rules send the node port to the addresses that the web Pods had before the last rollout.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host"}, Files: linksAndRulesFiles, Objects: `nodes//node-[ab]|services/shop/front|endpointslices/shop/front-[^l].*|pods/kube-system/kube-proxy.*`, Rules: nodePortRules, Sysctl: ""},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "proxyrules", fault: "nodeport-remains", twin: "healthy-flannel",
		story: "The Service and its Pods' addresses are gone, and kube-proxy on node-b hangs: what listens on the former node port gets nothing.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host"}, Files: linksAndRulesFiles, Objects: `nodes//node-[ab]|services/shop/(front|db)|endpointslices/shop/(front-[^l]|db-).*|pods/kube-system/kube-proxy.*`, Rules: nodePortRules, Sysctl: ""},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "proxyrules", fault: "proxy-rules-stale", twin: "healthy-flannel",
		story: "kube-proxy on node-b hangs: its rules send the Service to the addresses that its Pods had before the last rollout.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: hosts, Files: linksAndRulesFiles, Objects: `nodes//.*|services/shop/.*|endpointslices/shop/.*|pods/kube-system/kube-proxy.*`, Rules: `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) |shop/`, Sysctl: ""},
		gap: []string{"nodes/node-a/host/iptables", "nodes/node-b/host/iptables", "nodes/node-c/host/iptables"},
	},
	{
		dir: "drops", fault: "forward-drop", twin: "healthy-flannel",
		story: "A hardening script on node-b drops what is forwarded to its Pods.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "forward-reject", twin: "healthy-flannel",
		story: "The distribution's iptables service was restarted on node-b; its saved rules end FORWARD with REJECT.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "raw-drop", twin: "healthy-flannel",
		story: "A rule in raw PREROUTING of node-b drops what comes from node-a's Pods, before any other table sees it.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "pod-firewall", twin: "healthy-flannel",
		story: "An init container left a rule in web-1's own namespace that drops port 8080.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/pod-shop-web-1/iptables"},
	},
	{
		dir: "drops", fault: "input-drop-vxlan", twin: "healthy-flannel",
		story: "The host firewall of node-b does not allow VXLAN in.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "forward-policy-drop", twin: "healthy-kubenet",
		story: "Docker was started on node-b and set the policy of FORWARD to DROP.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "unknown-identity", twin: "healthy-flannel",
		story: "The policy agent of node-b knows only the Pods of its own nodes; Pods of node-a are 'world' to it and are dropped at the veth.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkWithSetsFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/iptables"},
	},
	{
		dir: "drops", fault: "nodeport-firewall", twin: "healthy-flannel",
		story: "node-a's firewall drops the range of node ports on the uplink.",
		query: "from 203.0.113.10\nto 192.168.10.11:30080\n", twinQuery: "",
		Cut: Cut{NetNS: three, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*|services/shop/front|endpointslices/shop/front-.*`, Rules: frontRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/iptables"},
	},
	{
		dir: "masquerade", fault: "masquerade-missing", twin: "healthy-flannel",
		story: "The rule that masquerades Pods towards the outside is gone from node-a; the router does not know Pod addresses.",
		query: "from shop/web-0\nto 203.0.113.10:80\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/iptables"},
	},
	{
		dir: "masquerade", fault: "masquerade-unwanted", twin: "healthy-flannel",
		story: "A rule on node-a masquerades traffic between Pods: servers see the node's address in place of the client's.",
		query: "from shop/web-0\nto 10.244.1.2:8080\n", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/iptables"},
	},
	{
		dir: "mtu", fault: "mtu-mismatch", twin: "healthy-flannel",
		story: "node-b's uplink has an MTU of 1400, all else is made for 1500: connections open, large messages hang.",
		query: "from shop/web-0\nto 10.244.1.2:8080\nsize -1\n", twinQuery: "",
		Cut: Cut{NetNS: three, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/host/addr.json"},
	},
	{
		dir: "mtu", fault: "jumbo-pod", twin: "healthy-flannel",
		story: "web-0's device was made before the overlay and has an MTU of 1500; flannel.1 has 1450, and cni0 does not tell.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: pair, Files: walkFiles, Objects: `nodes//node-[ab]|pods/shop/(web-[01]|api-.*(4xk2p|9qjtl))`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-b/pod-shop-web-1/addr.json", "nodes/node-a/pod-shop-web-0/addr.json"},
	},
	{
		dir: "mtu", fault: "pmtu-blackhole", twin: "healthy-flannel",
		story: "node-a's way out is smaller than its Pods' devices, and a rule drops the ICMP errors that would tell them.",
		query: "from shop/web-0\nto 10.244.1.2:8080\nsize -1\n", twinQuery: "",
		Cut: Cut{NetNS: three, Files: walkFiles, Objects: `nodes//.*|pods/shop/web-.*`, Rules: podRules, Sysctl: podSysctls},
		gap: []string{"nodes/node-a/host/iptables"},
	},
	{
		dir: "listen", fault: "not-listening", twin: "healthy-flannel",
		story: "The process in web-1 runs, but its server never opened port 8080.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/pod-shop-web-0", "node-b/pod-shop-web-1", "node-c/pod-shop-web-2", "node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"}, Files: linksAndSocketsFiles, Objects: `services/shop/(web|api)|endpointslices/shop/(web|api)-.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-a/pod-shop-web-0/sockets", "nodes/node-b/pod-shop-web-1/sockets", "nodes/node-c/pod-shop-web-2/sockets", "nodes/node-a/pod-shop-api-6c9f7d5b8-4xk2p/sockets", "nodes/node-b/pod-shop-api-6c9f7d5b8-9qjtl/sockets", "nodes/node-c/pod-shop-api-6c9f7d5b8-zw7hc/sockets"},
	},
	{
		dir: "listen", fault: "listen-loopback", twin: "healthy-flannel",
		story: "web-1's server listens on 127.0.0.1 only.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/pod-shop-web-0", "node-b/pod-shop-web-1", "node-c/pod-shop-web-2", "node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"}, Files: linksAndSocketsFiles, Objects: `services/shop/(web|api)|endpointslices/shop/(web|api)-.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-a/pod-shop-web-0/sockets", "nodes/node-b/pod-shop-web-1/sockets", "nodes/node-c/pod-shop-web-2/sockets", "nodes/node-a/pod-shop-api-6c9f7d5b8-4xk2p/sockets", "nodes/node-b/pod-shop-api-6c9f7d5b8-9qjtl/sockets", "nodes/node-c/pod-shop-api-6c9f7d5b8-zw7hc/sockets"},
	},
	{
		dir: "listen", fault: "target-port", twin: "healthy-flannel",
		story: "The Service's targetPort is 8081; the Pods listen on 8080.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/pod-shop-web-0", "node-b/pod-shop-web-1", "node-c/pod-shop-web-2", "node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"}, Files: linksAndSocketsFiles, Objects: `services/shop/(web|api)|endpointslices/shop/(web|api)-.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-a/pod-shop-web-0/sockets", "nodes/node-b/pod-shop-web-1/sockets", "nodes/node-c/pod-shop-web-2/sockets", "nodes/node-a/pod-shop-api-6c9f7d5b8-4xk2p/sockets", "nodes/node-b/pod-shop-api-6c9f7d5b8-9qjtl/sockets", "nodes/node-c/pod-shop-api-6c9f7d5b8-zw7hc/sockets"},
	},
	{
		dir: "listen", fault: "one-endpoint-not-listening", twin: "healthy-flannel",
		story: "One of three API Pods is ready, but does not listen: a third of all connections is refused.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/pod-shop-web-0", "node-b/pod-shop-web-1", "node-c/pod-shop-web-2", "node-a/pod-shop-api-6c9f7d5b8-4xk2p", "node-b/pod-shop-api-6c9f7d5b8-9qjtl", "node-c/pod-shop-api-6c9f7d5b8-zw7hc"}, Files: linksAndSocketsFiles, Objects: `services/shop/(web|api)|endpointslices/shop/(web|api)-.*|pods/shop/.*`, Rules: "", Sysctl: ""},
		gap: []string{"nodes/node-a/pod-shop-web-0/sockets", "nodes/node-b/pod-shop-web-1/sockets", "nodes/node-c/pod-shop-web-2/sockets", "nodes/node-a/pod-shop-api-6c9f7d5b8-4xk2p/sockets", "nodes/node-b/pod-shop-api-6c9f7d5b8-9qjtl/sockets", "nodes/node-c/pod-shop-api-6c9f7d5b8-zw7hc/sockets"},
	},
	{
		dir: "trafficpolicy", fault: "traffic-policy-local", twin: "healthy-flannel",
		story: "The Service's externalTrafficPolicy is Local, and node-b has no ready endpoint: its node port drops.",
		query: "from 203.0.113.10\nto 192.168.10.12:30090\n", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-b/host", "node-b/pod-shop-web-1"}, Files: walkFiles, Objects: `nodes//node-b|pods/shop/web-1|services/shop/front-local|endpointslices/shop/front-local-.*`, Rules: localRules, Sysctl: podSysctls},
		gap: []string{"objects/endpointslices.json"},
	},
	{
		dir: "proxyrules", fault: "leftover-rules", twin: "healthy-flannel",
		story: "node-b was moved from iptables-legacy to nf_tables, and the old rules were never removed: both run, and the old FORWARD policy is DROP.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-a/host", "node-b/host"}, Files: []string{"addr.json", "netns.json", "iptables", "iptables-legacy"}, Objects: `nodes//node-[ab]|services/shop/api|endpointslices/shop/api-.*`, Rules: `^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|KUBE-(FORWARD|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-FIREWALL)|FLANNEL-[A-Z]+) |shop/api`, Sysctl: ""},
		gap: []string{"nodes/node-b/host/iptables", "nodes/node-b/host/iptables-legacy"},
	},
	{
		dir: "proxyrules", fault: "nft-rules-stale", twin: "healthy-mixed",
		story: "kube-proxy in nftables mode was stopped on node-b, and the Pods of a Deployment were replaced: the rules send to addresses that no Pod has, and a set remembers a client for one.",
		query: "", twinQuery: "",
		Cut: Cut{NetNS: []string{"node-b/host"}, Files: append(linksAndRulesFiles[:len(linksAndRulesFiles):len(linksAndRulesFiles)], "nft.json"), Objects: `nodes//node-b|services/.*|endpointslices/.*|pods/kube-system/kube-proxy-l45xj`},
		gap: []string{"nodes/node-b/host/nft.json"},
	},
}
