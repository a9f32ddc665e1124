package redact

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// device are the names of devices that stay: those that kernels, CNI plugins and udev give, with numbers in them.
var device = regexp.MustCompile(`^(` + strings.Join(strings.Fields(`
	lo all default host any none
	eth\d+ en[os]\d+(np\d+|f\d+|d\d+)* en(P\d+)?p\d+s\d+(np\d+|f\d+|d\d+)* wlan\d+ wlp\d+s\d+ ww(an)?\d+ ppp\d+ usb\d+ ib\d+
	if\d+ net\d+ veth\d{0,4} dummy\d+ ifb\d+ tun\d+ tap\d+ wg\d+ vlan\d+ vxlan\d* macvlan\d+ ipvlan\d+ vrf\d+ bond\d+ team\d+ br\d* bridge\d+
	virbr\d+(-nic)? lxcbr\d+ lxdbr\d+ podman\d+ docker\d+ docker_gwbridge cni\d+ cni-podman\d+ cbr\d+ nodelocaldns
	kube-bridge kube-ipvs\d+ kube-dummy-if flannel flannel-v6 flannel-wg(-v6)? cilium_(host|net|vxlan|geneve|wg\d|ipip\d) lxc_health
	tunl\d+ vxlan-\d+ vxlan\.calico vxlan-v6\.calico wireguard\.cali wg-v6\.cali weave datapath vethwe-(bridge|datapath) antrea-(gw|egress)\d+
	genev?e?_sys_\d+ vxlan_sys_\d+ ovn-k8s-mp\d+ ovn\d+ br-(int|ex|tun|local) ovs-system egress\.calico
	ip6tnl\d+ sit\d+ gre\d+ gretap\d+ erspan\d+ ip_vti\d+ ip6_vti\d+ ip6gre\d+ ip6gretap\d+ teql\d+ nlmon\d+`), "|") + `)(\.\d{1,4})?$`)

// hashed are the names that a CNI plugin makes of a hash, which may be one of a Pod's name, or of a MAC address.
var hashed = regexp.MustCompile(`^(veth|vethwepl|vethwe|cali|lxc|eni|azv|br-|tap|tun|gke|cni|dp|lxd|nk|vip|ovn)([0-9a-f]{6,14})$`)

// macNamed is the name that udev makes of a MAC address.
var macNamed = regexp.MustCompile(`^(en|wl|ww)x([0-9a-f]{12})$`)

// stems are the beginnings of names of devices that stay, where a rule asks for all such devices.
var stems = set(`lo eth en ens eno enp enx wl veth vethwe cali lxc eni azv br- br docker cni flannel flannel. flannel- cilium_ cilium tunl vxlan kube- kube weave
	wg tun tap bond team vlan dummy virbr podman ppp antrea- genev_sys_ ovn- ovn wireguard gke nodelocal`)

// iface redacts the name of a device.
func (r *redactor) iface(dev string) string {
	to := r.rename(dev)
	if to == dev {
		return to
	}
	a, b := scan{text: dev}, scan{text: to}
	for a.next() && b.next() {
		if a.tok != b.tok && r.partOf[a.tok] != b.tok {
			r.aliasOf[a.tok] = b.tok
		}
	}
	return to
}

// rename renames a device. A kind of device keeps its prefix and what follows is a
// hash of the same length; of a name that is somebody's own the number at its end stays.
func (r *redactor) rename(dev string) string {
	if i := strings.IndexAny(dev, "@:"); i > 0 { // "eth0@if3", the label "eth0:1"
		return r.iface(dev[:i]) + dev[i:i+1] + r.iface(dev[i+1:])
	}
	if stem := strings.TrimRight(dev, "+*"); stem != dev {
		if stem == "" || stems[stem] {
			return dev
		}
		return r.stem(stem) + dev[len(stem):]
	}
	switch m := hashed.FindStringSubmatch(dev); {
	case dev == "" || device.MatchString(dev) || isNumber(dev):
		return dev
	case m != nil:
		return m[1] + r.digits(m[2])
	}
	if m := macNamed.FindStringSubmatch(dev); m != nil {
		b, _ := hex.DecodeString(m[2])
		to := r.mac([6]byte(b))
		return m[1] + "x" + hex.EncodeToString(to[:])
	}
	return r.stem(dev)
}

// digits redacts hexadecimal digits, as many as there are. Two never become one: they may be
// short, and a cluster has a hundred thousand.
func (r *redactor) digits(text string) string {
	n := len(text)
	if r.hashes[n] == nil {
		r.hashes[n] = newTree(derive(r.names, "digits/"+strconv.Itoa(n)))
	}
	b, err := hex.DecodeString(text + "0"[:n%2])
	if err != nil {
		return r.part(text)
	}
	return hex.EncodeToString(r.hashes[n].permute(b, func(depth int) bool { return depth < 4*n }))[:n]
}

// stem redacts a name that may end in numbers: "lan0", "lan0.100".
func (r *redactor) stem(dev string) string {
	stem := strings.TrimRight(dev, "0123456789.")
	if to, ok := r.one(dev); ok {
		return to
	}
	if stem == "" || len(dev)-len(stem) > 8 {
		return r.name(dev)
	}
	return r.name(stem) + dev[len(stem):]
}
