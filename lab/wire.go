//go:build linux

package lab

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// wireFabric joins nodes, router and outside hosts.
func (l *Lab) wireFabric() error {
	var b strings.Builder
	b.WriteString("link add br0 type bridge\nlink set br0 up\n")
	for _, n := range l.Nodes {
		fmt.Fprintf(&b, "link add p-%s type veth peer name eth0 address %s netns %[1]s\n", n.Name, n.MAC)
	}
	fmt.Fprintf(&b, "link add p-router type veth peer name eth0 address %s netns router\n", mac("router"))
	for _, name := range append(l.nodeNames(), "router") {
		fmt.Fprintf(&b, "link set p-%s master br0 up\n", name)
	}
	if err := l.Sysctl(l.Fabric, map[string]string{
		"net.bridge.bridge-nf-call-iptables": "0", "net.bridge.bridge-nf-call-ip6tables": "0",
	}); err != nil {
		return err
	}
	if err := IPBatch(l.Fabric, b.String()); err != nil {
		return err
	}
	return l.wireRouter()
}

func (l *Lab) nodeNames() []string {
	var out []string
	for _, n := range l.Nodes {
		out = append(out, n.Name)
	}
	return out
}

func (l *Lab) wireRouter() error {
	script := `
		link add eth1 type veth peer name eth0 netns outside
		link add eth2 type veth peer name eth0 netns office
		link set eth0 up
		link set eth1 up
		link set eth2 up
		addr add 192.168.10.1/24 dev eth0
		addr add 203.0.113.1/24 dev eth1
		addr add 10.20.0.1/16 dev eth2
		addr add fd00:192:168:10::1/64 dev eth0
		addr add 2001:db8:113::1/64 dev eth1
		addr add fd00:20::1/64 dev eth2
	`
	if l.Topology.Apart { // the nodes would otherwise learn of each other
		if err := l.Sysctl(l.Router, map[string]string{"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.default.send_redirects": "0", "net.ipv4.conf.eth0.send_redirects": "0"}); err != nil {
			return err
		}
	}
	if l.Topology.CNI == "kubenet" {
		for _, n := range l.Nodes {
			script += fmt.Sprintf("route add %s via %s\n", n.PodCIDR, n.IP)
		}
	}
	if err := IPBatch(l.Router, lines(script)); err != nil {
		return err
	}
	if err := l.forwarding(l.Router); err != nil {
		return err
	}
	if err := l.host(l.Outside, "203.0.113.10/24", "203.0.113.1", "2001:db8:113::10/64", "2001:db8:113::1"); err != nil {
		return err
	}
	return l.host(l.Office, "10.20.0.50/16", "10.20.0.1", "fd00:20::50/64", "fd00:20::1")
}

// host gives a namespace addresses and a default route of each family.
func (l *Lab) host(ns *sandbox.NS, ip4, gw4, ip6, gw6 string) error {
	if err := IPBatch(ns, lines(fmt.Sprintf(`
		link set eth0 up
		addr add %s dev eth0
		addr add %s dev eth0 nodad
		route add default via %s
		route add default via %s
	`, ip4, ip6, gw4, gw6))); err != nil {
		return err
	}
	return NoOffload(ns, "eth0")
}

func (l *Lab) forwarding(ns *sandbox.NS) error {
	return l.Sysctl(ns, map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})
}

// wireNodes sets up the uplink of every node, and its Pods, a node at a time on each core.
func (l *Lab) wireNodes() error {
	var g errgroup.Group
	for _, n := range l.Nodes {
		g.Go(func() error { return l.wireNode(n) })
	}
	return g.Wait()
}

func (l *Lab) wireNode(n *Node) error {
	uplink := fmt.Sprintf("link set eth0 up\naddr add %s/24 brd + dev eth0\nroute add default via %s\n", n.IP, RouterIP)
	if l.Topology.Apart {
		uplink = fmt.Sprintf("link set eth0 up\naddr add %s/32 dev eth0\nroute add %s dev eth0 scope link\nroute add default via %[2]s\n", n.IP, RouterIP)
	}
	if l.Topology.IPv6 {
		uplink += fmt.Sprintf("addr add %s/64 dev eth0 nodad\nroute add default via %s\n", n.IP6, RouterIP6)
	}
	if err := l.forwarding(n.NS); err != nil {
		return err
	}
	if err := l.Sysctl(n.NS, map[string]string{"net.ipv4.conf.all.route_localnet": "1"}); err != nil {
		return err
	}
	if err := IPBatch(n.NS, uplink+l.cniScript(n)); err != nil {
		return err
	}
	if err := NoOffload(n.NS, "eth0"); err != nil {
		return err
	}
	if l.Topology.CNI == "flannel" {
		if err := l.flannelFDB(n); err != nil {
			return err
		}
	}
	for _, p := range n.Pods {
		if err := l.wirePod(p); err != nil {
			return err
		}
	}
	return nil
}

// lines drops empty lines and the space around others.
func lines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// NoOffload turns off segmentation offloads of devices, so that each packet is
// as large as it would be on a wire: a larger one is refused where it would be on a wire.
func NoOffload(ns *sandbox.NS, devs ...string) error {
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, dev := range devs {
			for _, cmd := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO, unix.ETHTOOL_STXCSUM} {
				if err := ethtoolOff(fd, dev, cmd); err != nil {
					return fmt.Errorf("%s: offloads of %s: %w", ns.Name, dev, err)
				}
			}
		}
		return nil
	})
}

// ethtoolOff sets one feature of a device to 0 (SIOCETHTOOL with a struct ethtool_value).
func ethtoolOff(fd int, dev string, cmd uint32) error {
	value := struct{ cmd, data uint32 }{cmd, 0}
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		pad  [16]byte
	}
	copy(ifr.name[:], dev)
	ifr.data = unsafe.Pointer(&value)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	if errno != 0 && errno != unix.EOPNOTSUPP {
		return errno
	}
	return nil
}
