//go:build linux

package node

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// The settings that decide where packets go, below /proc/sys/net. The kernel shows those
// of the network namespace of the thread that reads (net/sysctl_net.c). collect.sh has the same lists.
var (
	sysctls = strings.Fields(`
		core/somaxconn core/netdev_max_backlog
		ipv4/ip_forward ipv4/ip_default_ttl ipv4/ip_no_pmtu_disc ipv4/ip_forward_use_pmtu ipv4/ip_nonlocal_bind
		ipv4/ip_local_port_range ipv4/ip_local_reserved_ports ipv4/ip_unprivileged_port_start
		ipv4/fib_multipath_hash_policy ipv4/fib_multipath_use_neigh ipv4/fwmark_reflect ipv4/icmp_echo_ignore_all
		ipv4/tcp_fwmark_accept ipv4/tcp_l3mdev_accept ipv4/udp_l3mdev_accept ipv4/tcp_mtu_probing ipv4/tcp_max_syn_backlog
		ipv4/neigh/default/gc_thresh1 ipv4/neigh/default/gc_thresh2 ipv4/neigh/default/gc_thresh3
		ipv4/vs/conntrack ipv4/vs/conn_reuse_mode ipv4/vs/expire_nodest_conn
		ipv6/bindv6only ipv6/ip_nonlocal_bind ipv6/fib_multipath_hash_policy ipv6/fwmark_reflect
		ipv6/neigh/default/gc_thresh1 ipv6/neigh/default/gc_thresh2 ipv6/neigh/default/gc_thresh3
		bridge/bridge-nf-call-iptables bridge/bridge-nf-call-ip6tables bridge/bridge-nf-call-arptables bridge/bridge-nf-filter-vlan-tagged
		netfilter/nf_conntrack_max netfilter/nf_conntrack_buckets netfilter/nf_conntrack_tcp_be_liberal netfilter/nf_conntrack_tcp_loose`)
	devSysctls4 = strings.Fields(`forwarding rp_filter accept_local route_localnet src_valid_mark arp_ignore arp_announce arp_filter
		proxy_arp proxy_arp_pvlan accept_redirects send_redirects ignore_routes_with_linkdown disable_policy`)
	devSysctls6 = strings.Fields(`forwarding disable_ipv6 accept_ra proxy_ndp ignore_routes_with_linkdown keep_addr_on_down use_tempaddr mtu`)
)

// sysctlText returns the settings as "sysctl -a" prints them, with "/" for "." in the name of a device.
func (w *worker) sysctlText() ([]byte, error) {
	return w.settings(func(dir string) []string { return readDirNames(w.proc + "/sys/net/" + dir) })
}

// settings returns those of the namespace, and of devices: of each entry of the folder "ipv4/conf/", or of those that matter.
func (w *worker) settings(devices func(dir string) []string) ([]byte, error) {
	var out bytes.Buffer
	var failed []error
	read := func(path, name string) {
		err := w.sysctl(&out, path, name)
		if err != nil && len(failed) < 3 {
			failed = append(failed, err)
		}
	}
	for _, s := range sysctls {
		read(s, "net."+strings.ReplaceAll(s, "/", "."))
	}
	for _, v := range []struct {
		family string
		list   []string
	}{{"ipv4", devSysctls4}, {"ipv6", devSysctls6}} {
		dir := v.family + "/conf/"
		devs := devices(dir)
		sort.Strings(devs)
		for _, dev := range devs {
			for _, s := range v.list {
				read(dir+dev+"/"+s, "net."+v.family+".conf."+strings.ReplaceAll(dev, ".", "/")+"."+s)
			}
		}
	}
	if out.Len() == 0 {
		failed = append(failed, errors.New("nothing below "+w.proc+"/sys/net can be read"))
	}
	return out.Bytes(), errors.Join(failed...)
}

// sysctl writes one setting. One that this kernel, or this namespace, does not have is passed over.
func (w *worker) sysctl(out *bytes.Buffer, path, name string) error {
	full := w.proc + "/sys/net/" + path
	fd, err := unix.Open(full, unix.O_RDONLY|unix.O_CLOEXEC, 0) // not os.Open: a thousand files a node, and none is polled
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: full, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, w.scratch[:])
	if err != nil {
		return &fs.PathError{Op: "read", Path: full, Err: err}
	}
	out.WriteString(name)
	out.WriteString(" = ")
	out.Write(bytes.TrimSpace(w.scratch[:n]))
	out.WriteByte('\n')
	return nil
}

// readNet returns a file of /proc/net of the namespace that the thread is in; nothing where the kernel has no such file.
func readNet(name string) ([]byte, error) {
	b, err := os.ReadFile("/proc/thread-self/net/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}
