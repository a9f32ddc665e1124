//go:build linux

package lab

import (
	"fmt"

	"github.com/plumbnet/plumb/lab/sandbox"
)

// RemakeVXLAN makes a node's flannel.1 anew with another VNI and port, and all that flanneld sets up around it.
func (l *Lab) RemakeVXLAN(n *Node, vni, port int) error {
	script := fmt.Sprintf("link del flannel.1\nlink add flannel.1 address %s mtu 1450 type vxlan id %d local %s dev eth0 dstport %d nolearning\n", n.VTEP, vni, n.IP, port)
	script += fmt.Sprintf("link set flannel.1 up\naddr add %s/32 dev flannel.1\n", n.PodCIDR.Addr())
	fdb := ""
	for _, o := range l.others(n) {
		script += fmt.Sprintf("route add %s via %s dev flannel.1 onlink\nneigh add %[2]s lladdr %s dev flannel.1 nud permanent\n", o.PodCIDR, o.PodCIDR.Addr(), o.VTEP)
		fdb += fmt.Sprintf("fdb append %s dev flannel.1 dst %s self permanent\n", o.VTEP, o.IP)
	}
	if err := IPBatch(n.NS, script); err != nil {
		return err
	}
	return BridgeBatch(n.NS, fdb)
}

// AddPod makes a further Pod on a node, with the next free address and a server on port 8080.
func (l *Lab) AddPod(n *Node, namespace, name, app string) error {
	p := n.newPod(l.Topology, [3]string{namespace, name, app}, len(n.Pods)+2)
	for used := true; used; {
		used = false
		for _, o := range n.Pods {
			if o.IP == p.IP {
				p.IP, used = p.IP.Next(), true
			}
		}
	}
	var err error
	if p.NS, err = sandbox.NewNS(p.netns()); err != nil {
		return err
	}
	n.Pods = append(n.Pods, p)
	if err := l.wirePod(p); err != nil {
		return err
	}
	if err := l.Listen(p.NS, "tcp", ":8080"); err != nil {
		return err
	}
	l.Objects.Pods = append(l.Objects.Pods, l.podObject(p))
	return nil
}
