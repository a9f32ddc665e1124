//go:build linux

// Package all lists the probes that there are.
package all

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/biolatency"
	"github.com/plumbnet/plumb/probe/cgroup"
	"github.com/plumbnet/plumb/probe/changes"
	"github.com/plumbnet/plumb/probe/conntrack"
	"github.com/plumbnet/plumb/probe/dns"
	"github.com/plumbnet/plumb/probe/fd"
	"github.com/plumbnet/plumb/probe/flow"
	"github.com/plumbnet/plumb/probe/icmp"
	"github.com/plumbnet/plumb/probe/io"
	"github.com/plumbnet/plumb/probe/ip"
	"github.com/plumbnet/plumb/probe/ipvs"
	"github.com/plumbnet/plumb/probe/kernellatency"
	"github.com/plumbnet/plumb/probe/neigh"
	"github.com/plumbnet/plumb/probe/netdev"
	"github.com/plumbnet/plumb/probe/packetloss"
	"github.com/plumbnet/plumb/probe/pingmesh"
	"github.com/plumbnet/plumb/probe/qdisc"
	"github.com/plumbnet/plumb/probe/qdisclatency"
	"github.com/plumbnet/plumb/probe/rdma"
	"github.com/plumbnet/plumb/probe/sched"
	"github.com/plumbnet/plumb/probe/sock"
	"github.com/plumbnet/plumb/probe/socketlatency"
	"github.com/plumbnet/plumb/probe/softirq"
	"github.com/plumbnet/plumb/probe/softnet"
	"github.com/plumbnet/plumb/probe/tcp"
	"github.com/plumbnet/plumb/probe/tcpconnect"
	"github.com/plumbnet/plumb/probe/tcpext"
	"github.com/plumbnet/plumb/probe/tcpinfo"
	"github.com/plumbnet/plumb/probe/tcpreset"
	"github.com/plumbnet/plumb/probe/tcpretransmit"
	"github.com/plumbnet/plumb/probe/tcpsummary"
	"github.com/plumbnet/plumb/probe/udp"
	"github.com/plumbnet/plumb/probe/virtcmdlatency"
)

// Kinds are the probes, in the order in which they are shown.
var Kinds = []*probe.Kind{
	netdev.Kind,
	ip.Kind,
	tcp.Kind,
	tcpext.Kind,
	udp.Kind,
	icmp.Kind,
	sock.Kind,
	tcpsummary.Kind,
	tcpinfo.Kind,
	qdisc.Kind,
	conntrack.Kind,
	neigh.Kind,
	ipvs.Kind,
	rdma.Kind,
	cgroup.Kind,
	fd.Kind,
	io.Kind,
	biolatency.Kind,
	virtcmdlatency.Kind,
	softnet.Kind,
	packetloss.Kind,
	tcpretransmit.Kind,
	tcpreset.Kind,
	tcpconnect.Kind,
	dns.Kind,
	flow.Kind,
	socketlatency.Kind,
	kernellatency.Kind,
	qdisclatency.Kind,
	softirq.Kind,
	sched.Kind,
	changes.Kind,
	pingmesh.Kind,
}
