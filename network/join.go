package network

import "fmt"

// joinAll finds the other end of every device.
func (n *Network) joinAll() {
	inodes := map[nodeInode]*NS{}
	for _, ns := range n.NS {
		if ns.Inode != 0 {
			inodes[nodeInode{ns.Node.Name, ns.Inode}] = ns
		}
	}
	byNode := map[string][]*NS{}
	for _, ns := range n.NS {
		byNode[ns.Node.Name] = append(byNode[ns.Node.Name], ns)
	}
	for _, ns := range n.NS {
		for _, d := range ns.Ifaces {
			n.joinMaster(d)
			n.joinOther(d, inodes, byNode[ns.Node.Name])
		}
	}
}

type nodeInode struct {
	node  string
	inode uint64
}

func (n *Network) joinMaster(d *Iface) {
	m := d.NS.byName[d.Link.Master]
	if d.Link.Master == "" || m == nil {
		return
	}
	d.Master = m
	m.Ports = append(m.Ports, d)
}

// hasOther names the kinds of devices whose link is another device: the peer, or the one below.
var hasOther = map[string]bool{"veth": true, "netkit": true, "vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true}

func (n *Network) joinOther(d *Iface, inodes map[nodeInode]*NS, ns []*NS) {
	kind := d.Kind()
	if !hasOther[kind] {
		return
	}
	other, why := n.other(d, inodes, ns)
	if kind == "veth" || kind == "netkit" {
		d.Peer, d.PeerWhy = other, why
		return
	}
	d.Lower, d.PeerWhy = other, why
	if other != nil {
		other.Uppers = append(other.Uppers, d)
	}
}

func (n *Network) other(d *Iface, inodes map[nodeInode]*NS, ns []*NS) (*Iface, string) {
	l := d.Link
	if l.PeerName != "" && l.PeerNSID == nil {
		if o := d.NS.byName[l.PeerName]; o != nil {
			return o, ""
		}
		return nil, fmt.Sprintf("%s is not in the namespace", l.PeerName)
	}
	if l.PeerIndex == 0 {
		return nil, "the snapshot holds no index of its other end"
	}
	if l.PeerNSID == nil { // an index in the same namespace, for want of a name
		if o := d.NS.byIndex[l.PeerIndex]; o != nil && fits(d, o) {
			return o, ""
		}
		return match(d, ns)
	}
	if inode, ok := d.NS.PeerNSID[*l.PeerNSID]; ok {
		o := inodes[nodeInode{d.NS.Node.Name, inode}]
		if o == nil {
			return nil, fmt.Sprintf("its other end is in namespace %d, which was not collected", inode)
		}
		if p := o.byIndex[l.PeerIndex]; p != nil {
			return p, ""
		}
		return nil, fmt.Sprintf("device %d is not in %s", l.PeerIndex, o)
	}
	return match(d, ns)
}

// match looks through a node's namespaces for a device that d and it agree on:
// each holds the other's index. Where only one fits it is that one.
func match(d *Iface, ns []*NS) (*Iface, string) {
	var found *Iface
	for _, other := range ns {
		o := other.byIndex[d.Link.PeerIndex]
		if o == nil || o == d || !fits(d, o) || other == d.NS && d.Link.PeerNSID != nil {
			continue
		}
		if !sameID(d, o) {
			continue
		}
		if found != nil {
			return nil, fmt.Sprintf("device %d exists in %s and in %s, and nothing tells which is meant", d.Link.PeerIndex, found.NS, o.NS)
		}
		found = o
	}
	if found == nil {
		return nil, fmt.Sprintf("no collected namespace of the node holds its other end, device %d", d.Link.PeerIndex)
	}
	return found, ""
}

// fits reports whether o may be the other end of d: the two ends of a pair hold each other's index.
func fits(d, o *Iface) bool {
	if d.Kind() != "veth" && d.Kind() != "netkit" {
		return true
	}
	return o.Kind() == d.Kind() && (o.Link.PeerIndex == d.Link.Index || o.Link.PeerName == d.Link.Name && o.NS == d.NS)
}

// sameID reports whether devices that hold the same id for a namespace hold the same namespace, as far as is known.
func sameID(d, o *Iface) bool {
	if o.Link.PeerNSID == nil {
		return true
	}
	inode, ok := o.NS.PeerNSID[*o.Link.PeerNSID]
	return !ok || d.NS.Inode == 0 || inode == d.NS.Inode
}
