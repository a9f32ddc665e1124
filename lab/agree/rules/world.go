//go:build linux

package rules

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
)

// A Dev is a device of the router.
type Dev struct {
	Name  string
	Addrs []netip.Addr   // the first of a family is its primary address
	Nets  []netip.Prefix // what is reached by it
	Bcast netip.Addr     // a broadcast address of it, or invalid
}

// A Topology is what the router is connected to. The loopback device is the Dev named "lo".
type Topology struct{ Devs []Dev }

// A World is a router namespace, and the far ends of its devices.
type World struct {
	Top     Topology
	Router  *sandbox.NS
	far     *sandbox.NS
	log     int
	caps    []int // a packet socket for each device but lo, in Top's order
	proxies []int
	raw     map[[2]int]int // by family and user: sockets that send from the router
	buf     []byte
}

// proxyPort is where the sockets listen that TPROXY may name, and proxyMark
// the bit of a mark that the router's policy rules take for "deliver here".
const (
	proxyPort = 7777
	proxyMark = 0x100
)

// RouterMAC returns the address of the i-th device, which frames are sent to.
func RouterMAC(i int) packet.MAC { return packet.MAC{2, 0, 0, 0, byte(i), 1} }

// NewWorld makes the namespaces. name must be unique in the sandbox.
func NewWorld(name string, top Topology) (*World, error) {
	w := &World{Top: top, raw: map[[2]int]int{}, buf: make([]byte, 1<<17)}
	var err error
	if w.Router, err = sandbox.NewNS(name + "r"); err != nil {
		return nil, err
	}
	if w.far, err = sandbox.NewNS(name + "w"); err != nil {
		return nil, err
	}
	if err := w.far.Do(quietFar); err != nil {
		return nil, err
	}
	if err := w.Router.Do(routerSysctls); err != nil {
		return nil, err
	}
	if err := w.Router.Run(w.batch(), "ip", "-batch", "-"); err != nil {
		return nil, err
	}
	if err := w.Router.Run(watch, "nft", "-f", "-"); err != nil {
		return nil, err
	}
	if err := w.Router.Do(w.openRouter); err != nil {
		return nil, err
	}
	if err := w.far.Do(w.openFar); err != nil {
		return nil, err
	}
	return w, w.ready()
}

// ready waits until every device carries packets, which is some time after it is up.
func (w *World) ready() error {
	var waiting []Dev
	for _, d := range w.Top.Devs {
		if d.Name != "lo" {
			waiting = append(waiting, d)
		}
	}
	for range 200 {
		for _, d := range waiting {
			a := d.Nets[0].Addr().Next().Next()
			p := packet.Packet{Src: netip.AddrPortFrom(a, 9), Dst: netip.AddrPortFrom(a, 9), Proto: packet.UDP, TTL: 9}
			if err := w.Send(d.Name, packet.MAC{2, 0, 0, 0, 0xff, 1}, p, 1); err != nil {
				return err
			}
		}
		seen, err := w.Watch(10 * time.Millisecond)
		if err != nil {
			return err
		}
		waiting = slices.DeleteFunc(waiting, func(d Dev) bool {
			return slices.ContainsFunc(seen, func(s Sight) bool { return s.Where == d.Name })
		})
		if len(waiting) == 0 {
			return w.Flush()
		}
	}
	return fmt.Errorf("rules: device %s carries no packets", waiting[0].Name)
}

// batch returns what "ip -batch" does in the router.
func (w *World) batch() string {
	var b strings.Builder
	for i, d := range w.Top.Devs {
		if d.Name != "lo" {
			fmt.Fprintf(&b, "link add %s address %s type veth peer name p%d address 02:00:00:00:%02x:aa netns %s\n", d.Name, RouterMAC(i), i, i, w.far.Name)
			fmt.Fprintf(&b, "link set %s up\n", d.Name)
		}
		for _, a := range d.Addrs {
			nodad := ""
			if a.Is6() {
				nodad = "nodad"
			}
			fmt.Fprintf(&b, "addr add %s/%d dev %s %s\n", a, a.BitLen(), d.Name, nodad)
		}
		if d.Bcast.IsValid() {
			fmt.Fprintf(&b, "route add broadcast %s dev %s table local\n", d.Bcast, d.Name)
		}
	}
	return b.String()
}

// routes returns what "ip -batch" does once the far ends are up. Every far
// address is behind one gateway, which is a permanent neighbour.
func (w *World) routes() string {
	var b strings.Builder
	for i, d := range w.Top.Devs {
		if d.Name == "lo" {
			continue
		}
		for _, gw := range []string{fmt.Sprintf("169.254.%d.1", i), "fe80::1"} {
			fmt.Fprintf(&b, "neigh add %s lladdr 02:00:00:00:%02x:02 nud permanent dev %s\n", gw, i, d.Name)
		}
		for _, n := range d.Nets {
			gw := fmt.Sprintf("169.254.%d.1", i)
			if n.Addr().Is6() {
				gw = "fe80::1"
			}
			fmt.Fprintf(&b, "route add %s via %s dev %s onlink\n", n, gw, d.Name)
		}
	}
	b.WriteString("route add local 0.0.0.0/0 dev lo table 100\nroute add local ::/0 dev lo table 100\n")
	return b.String()
}

func quietFar() error {
	return sysctls("ipv6/conf/all/disable_ipv6=1", "ipv6/conf/default/disable_ipv6=1")
}

func routerSysctls() error {
	return sysctls("ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1", "ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0",
		"ipv4/conf/all/send_redirects=0", "ipv4/conf/default/send_redirects=0", "ipv4/icmp_ratemask=0", "ipv4/icmp_ratelimit=0",
		"ipv6/icmp/ratelimit=0", "ipv4/icmp_echo_ignore_broadcasts=0", "netfilter/nf_conntrack_tcp_be_liberal=1",
		"ipv6/conf/all/accept_ra=0", "ipv6/conf/default/router_solicitations=0")
}

func sysctls(kv ...string) error {
	for _, s := range kv {
		k, v, _ := strings.Cut(s, "=")
		if err := os.WriteFile("/proc/sys/net/"+k, []byte(v), 0o644); err != nil {
			return fmt.Errorf("rules: %w", err)
		}
	}
	return nil
}

func (w *World) openRouter() (err error) {
	if w.log, err = nflogOpen(); err != nil {
		return err
	}
	for _, uid := range []int{0, 1000} {
		// The owner match reads the file system user of the socket's maker.
		if err := unix.Setfsuid(uid); err != nil {
			return err
		}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return fmt.Errorf("rules: raw socket: %w", err)
			}
			if family == unix.AF_INET {
				_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
			}
			w.raw[[2]int{family, uid}] = fd
		}
	}
	if err := unix.Setfsuid(0); err != nil {
		return err
	}
	return w.openProxies()
}

// openProxies opens the transparent sockets that TPROXY hands datagrams to.
func (w *World) openProxies() error {
	for _, s := range []struct {
		level, option int
		addr          unix.Sockaddr
	}{
		{unix.SOL_IP, unix.IP_TRANSPARENT, &unix.SockaddrInet4{Port: proxyPort}},
		{unix.SOL_IPV6, unix.IPV6_TRANSPARENT, &unix.SockaddrInet6{Port: proxyPort}},
	} {
		family := unix.AF_INET
		if s.level == unix.SOL_IPV6 {
			family = unix.AF_INET6
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("rules: proxy socket: %w", err)
		}
		if family == unix.AF_INET6 {
			_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
		}
		if err := unix.SetsockoptInt(fd, s.level, s.option, 1); err != nil {
			return fmt.Errorf("rules: proxy socket: %w", err)
		}
		if err := unix.Bind(fd, s.addr); err != nil {
			return fmt.Errorf("rules: proxy socket: %w", err)
		}
		w.proxies = append(w.proxies, fd)
	}
	return nil
}

func (w *World) openFar() error {
	var up strings.Builder
	for i, d := range w.Top.Devs {
		if d.Name != "lo" {
			fmt.Fprintf(&up, "link set p%d up arp off\n", i)
		}
	}
	if err := w.far.Run(up.String(), "ip", "-batch", "-"); err != nil {
		return err
	}
	for i, d := range w.Top.Devs {
		if d.Name == "lo" {
			w.caps = append(w.caps, -1)
			continue
		}
		ifc, err := net.InterfaceByName(fmt.Sprintf("p%d", i))
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("rules: packet socket: %w", err)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		const all = 0x0300 // htons(ETH_P_ALL)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifc.Index}); err != nil {
			return fmt.Errorf("rules: packet socket: %w", err)
		}
		w.caps = append(w.caps, fd)
	}
	for _, family := range []string{"-4", "-6"} {
		mark := fmt.Sprintf("%#x/%#x", proxyMark, proxyMark)
		if err := w.Router.Run("", "ip", family, "rule", "add", "fwmark", mark, "lookup", "100"); err != nil {
			return err
		}
	}
	return w.Router.Run(w.routes(), "ip", "-batch", "-")
}

// Close lets go of the namespaces.
func (w *World) Close() {
	_ = unix.Close(w.log)
	for _, fd := range w.caps {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	for _, fd := range w.raw {
		_ = unix.Close(fd)
	}
	for _, fd := range w.proxies {
		_ = unix.Close(fd)
	}
	_ = w.Router.Delete()
	_ = w.far.Delete()
}
