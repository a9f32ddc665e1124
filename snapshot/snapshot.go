// Package snapshot holds the state of a cluster's network at one moment, as
// plain data. It is read from, and written to, a tree of files in the formats
// that the usual tools print, so that a snapshot can be made by hand, by a
// shell script, or by an agent. It decides nothing.
//
//	objects/*.json           kubectl get … -o json, as it is: Lists, objects, several documents.
//	                         A file named for a kind (services.json) says that the kind was
//	                         collected, even where its List is empty
//	nodes/NODE/node.json     {"name", "kernel", "taken": RFC 3339, "gaps": [{"path", "why"}]}; may be absent
//	nodes/NODE/NETNS/        one folder a network namespace; "host" is the node's own
//	    netns.json           {"inode": of /proc/PID/ns/net, "pod": "shop/web-0", "path": "/run/netns/cni-4f2a",
//	                         "nsids": {"0": inode}}; may be absent
//	    addr.json            ip -j -d addr
//	    routes.json          ip -j -d -4 route show table all   (routes6.json: -6)
//	    rules.json           ip -j -d -4 rule                   (rules6.json: -6)
//	    nexthops.json        ip -j -d nexthop
//	    neigh.json           ip -j -d neigh                     (both families)
//	    fdb.json             bridge -j -d fdb
//	    vlan.json            bridge -j vlan
//	    sysctl               sysctl -a, of net.*
//	    sockets              ss -H -O -n -l -t -u -S -e -p
//	    iptables ip6tables   iptables-nft-save, ip6tables-nft-save
//	    iptables-legacy      iptables-legacy-save               (ip6tables-legacy)
//	    nft.json             nft -j list ruleset
//	    ipset                ipset save
//	    ipvs                 /proc/net/ip_vs, or ipvsadm-save -n
//	    stat                 counters, a line each: "conntrack_count 17"
//	    resolv.conf          /etc/resolv.conf of the node, or of a container of the Pod: the lines nameserver, domain,
//	                         search and options. It may be absent, as may of a node systemd-resolv.conf, which is
//	                         /run/systemd/resolve/resolv.conf
//
// A file that is absent was not collected, which is a [Gap]. An empty file is the
// collector's word that there is nothing: no tables, no sets, no such thing in that kernel.
// Where collecting FILE failed, the collector writes why into FILE.error, and in FILE what
// it has, if anything.
package snapshot

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	policyv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// A Cluster is everything that was collected.
type Cluster struct {
	Taken   time.Time // of the oldest part; zero where not known
	Nodes   []*Node   // sorted by name
	Objects Objects
	Gaps    []Gap // what could not be collected or understood, sorted by path
	// Partial says that only what one question touches was asked for: a node without state is
	// no Gap then, unless it was asked and did not answer.
	Partial bool
}

// A Node is one machine and the network namespaces on it.
type Node struct {
	Name   string
	Kernel string // "6.1.0-18-amd64"; "" where not known
	Taken  time.Time
	NetNS  []*NetNS // "host" first, then by name
}

// A NetNS is the state of one network namespace.
type NetNS struct {
	Name      string         // "host", or a name that is unique on the node: "pod-shop-web-0"
	Inode     uint64         // of /proc/PID/ns/net; 0 where not known
	Pod       string         // "shop/web-0"; "" for the node's own, and where not known
	File      string         // where a person on the node finds it: "/run/netns/cni-4f2a"; "" where not known
	PeerNSID  map[int]uint64 // the inodes behind the ids that Link.PeerNSID holds, where known
	Links     []Link         // by index
	FIB       fib.Tables
	Netfilter netfilter.Ruleset
	IPVS      []Virtual         // the virtual services
	Sysctl    map[string]string // "net.ipv4.ip_forward" -> "1"; names as sysctl prints them, "/" for "." within a device's name
	Sockets   []Socket
	VLANs     []BridgeVLAN
	Stat      map[string]uint64 // "conntrack_count", "conntrack_drop" …
	Resolv    map[string]string // what the files ResolvConf and SystemdResolvConf say, of those that were collected
	Dir       string            // the folder it was read from: "nodes/a/host"
}

// A Link is a network device, in the form that "ip -j -d addr" prints.
type Link struct {
	Index     int        `json:"ifindex"`
	Name      string     `json:"ifname"`
	PeerIndex int        `json:"link_index,omitempty"`   // the other end of a veth, where it is in another namespace; the lower device of a VLAN or macvlan there
	PeerName  string     `json:"link,omitempty"`         // the same within this namespace
	PeerNSID  *int       `json:"link_netnsid,omitempty"` // this namespace's id for the one that PeerIndex is in
	Flags     []string   `json:"flags"`                  // "UP", "LOWER_UP", "NO-CARRIER" …
	MTU       int        `json:"mtu"`
	QDisc     string     `json:"qdisc,omitempty"`
	Master    string     `json:"master,omitempty"` // the bridge or bond it is a port of
	OperState string     `json:"operstate,omitempty"`
	Group     string     `json:"group,omitempty"`     // "default" for 0, or a number; "" where not known
	Type      string     `json:"link_type,omitempty"` // "ether", "loopback", "ipip", "gre" …
	MAC       packet.MAC `json:"address,omitzero"`
	Info      LinkInfo   `json:"linkinfo,omitzero"`
	Addrs     []LinkAddr `json:"addr_info,omitempty"`
}

// LinkInfo is what is particular to a kind of device.
type LinkInfo struct {
	Kind      string   `json:"info_kind,omitempty"` // "veth", "bridge", "vxlan" …; "" for a physical device
	Data      LinkData `json:"info_data,omitzero"`
	SlaveKind string   `json:"info_slave_kind,omitempty"` // "bridge" or "bond"
	SlaveData PortData `json:"info_slave_data,omitzero"`
}

// LinkData holds the settings of all kinds; those of other kinds are zero.
type LinkData struct {
	// vxlan, ipip, gre, sit
	ID       int        `json:"id,omitempty"` // vxlan: the VNI; vlan: the VLAN
	Group    netip.Addr `json:"group,omitzero"`
	Group6   netip.Addr `json:"group6,omitzero"`
	Remote   string     `json:"remote,omitempty"` // an address, or "any"
	Remote6  netip.Addr `json:"remote6,omitzero"`
	Local    string     `json:"local,omitempty"`
	Local6   netip.Addr `json:"local6,omitzero"`
	Link     string     `json:"link,omitempty"` // the device that carries the tunnel
	Port     int        `json:"port,omitempty"` // vxlan: the destination port
	Learning bool       `json:"learning,omitempty"`
	External bool       `json:"external,omitempty"`
	TTL      int        `json:"ttl,omitempty"`
	PMTUDisc bool       `json:"pmtudisc,omitempty"`
	IKey     string     `json:"ikey,omitempty"`
	OKey     string     `json:"okey,omitempty"`
	// vlan, macvlan, ipvlan
	Protocol string `json:"protocol,omitempty"`
	Mode     string `json:"mode,omitempty"` // macvlan: "bridge" …; ipvlan: "l2" …; bond: "active-backup" …
	// bond
	ActiveSlave string `json:"active_slave,omitempty"`
	// bridge
	VLANFiltering   int `json:"vlan_filtering,omitempty"`
	VLANDefaultPVID int `json:"vlan_default_pvid,omitempty"`
	STPState        int `json:"stp_state,omitempty"`
	NFCallIPTables  int `json:"nf_call_iptables,omitempty"`
	NFCallIP6Tables int `json:"nf_call_ip6tables,omitempty"`
	NFCallARPTables int `json:"nf_call_arptables,omitempty"`
	// vrf
	Table int `json:"table,omitempty"`
}

// PortData is the state of a port of a bridge or bond.
type PortData struct {
	State         string `json:"state,omitempty"` // bridge: "forwarding", "blocking", "disabled" …; bond: "ACTIVE", "BACKUP"
	Hairpin       bool   `json:"hairpin,omitempty"`
	Guard         bool   `json:"guard,omitempty"`
	Learning      bool   `json:"learning,omitempty"`
	Flood         bool   `json:"flood,omitempty"`
	Isolated      bool   `json:"isolated,omitempty"`
	NeighSuppress bool   `json:"neigh_suppress,omitempty"`
}

// LinkAddr is one address of a device.
type LinkAddr struct {
	Family     string     `json:"family"` // "inet" or "inet6"
	Local      netip.Addr `json:"local"`
	Peer       netip.Addr `json:"address,omitzero"` // of a point-to-point address
	Len        int        `json:"prefixlen"`
	Scope      string     `json:"scope,omitempty"`
	Label      string     `json:"label,omitempty"`
	Dynamic    bool       `json:"dynamic,omitempty"` // by DHCP or router advertisement
	Secondary  bool       `json:"secondary,omitempty"`
	Temporary  bool       `json:"temporary,omitempty"`
	Deprecated bool       `json:"deprecated,omitempty"`
	Tentative  bool       `json:"tentative,omitempty"`
	DADFailed  bool       `json:"dadfailed,omitempty"`
	NoDAD      bool       `json:"nodad,omitempty"`
}

// A Socket is one that may take packets from anywhere: listening, or unconnected UDP.
type Socket struct {
	Proto   packet.Proto
	Local   netip.AddrPort // the address is unspecified (0.0.0.0 or ::) for a wildcard socket
	Dev     string         // the device it is bound to; "" for any
	V6Only  bool
	State   string // "LISTEN" or "UNCONN"
	Queue   int    // LISTEN: connections waiting for accept
	Backlog int    // LISTEN: how many may wait
	Process string // "nginx"; "" where not known
	Line    int    // in the file "sockets", from 1
}

// A BridgeVLAN is one VLAN that a bridge or a port of it is in ("bridge vlan").
type BridgeVLAN struct {
	Dev      string
	VID      int
	VIDEnd   int // of a range; else VID
	PVID     bool
	Untagged bool
}

// Objects are the Kubernetes objects, each kind sorted by namespace and name, without their
// managedFields and last-applied annotation.
type Objects struct {
	Pods            []corev1.Pod
	Nodes           []corev1.Node
	Services        []corev1.Service
	EndpointSlices  []discoveryv1.EndpointSlice
	ConfigMaps      []corev1.ConfigMap
	Namespaces      []corev1.Namespace
	DaemonSets      []appsv1.DaemonSet
	Deployments     []appsv1.Deployment
	ReplicaSets     []appsv1.ReplicaSet
	StatefulSets    []appsv1.StatefulSet
	NetworkPolicies []networkingv1.NetworkPolicy
	Ingresses       []networkingv1.Ingress
	// Policies of the whole cluster, and their predecessors (policy.networking.k8s.io).
	ClusterNetworkPolicies       []policyv1alpha2.ClusterNetworkPolicy
	AdminNetworkPolicies         []policyv1alpha1.AdminNetworkPolicy
	BaselineAdminNetworkPolicies []policyv1alpha1.BaselineAdminNetworkPolicy
	// Policies of other APIs, which CNI plugins have of their own.
	CiliumNetworkPolicies, CiliumClusterwideNetworkPolicies []OtherPolicy
	CalicoNetworkPolicies, CalicoGlobalNetworkPolicies      []OtherPolicy
	// How connections from outside get in (gateway.networking.k8s.io, and the classes of Ingresses).
	IngressClasses  []networkingv1.IngressClass
	GatewayClasses  []gatewayv1.GatewayClass
	Gateways        []gatewayv1.Gateway
	HTTPRoutes      []gatewayv1.HTTPRoute
	TCPRoutes       []gatewayv1alpha2.TCPRoute
	ReferenceGrants []gatewayv1beta1.ReferenceGrant
	// Have holds the kinds that were collected, even where there are no objects: "Pod", "Service" …
	Have map[string]bool
	// Source holds the file that each object was read from, by [Key]: "Pod/shop/web-0".
	Source map[string]string
}

// An OtherPolicy is a policy of an API whose types this program does not have.
type OtherPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              json.RawMessage   `json:"spec,omitempty"`
	Specs             []json.RawMessage `json:"specs,omitempty"` // of Cilium: several in one object
}

// A Gap is something that was not collected or not understood, and why.
type Gap struct {
	Path string // the file that would have held it, or does: "nodes/a/host/iptables"
	Why  string
}

// Evidence is what a statement rests on, so that a sceptic can look for himself.
type Evidence struct {
	File    string `json:"file"`           // in the snapshot: "nodes/a/host/iptables"
	Line    int    `json:"line,omitempty"` // from 1; 0 where the format has no lines
	Text    string `json:"text"`           // the line, the route or the rule, as the usual tool prints it
	Command string `json:"command"`        // what a person would run to see it: "ip route get 10.0.0.1"
}
