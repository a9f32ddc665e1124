// Package all lists every check.
package all

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/bridgenf"
	"github.com/plumbnet/plumb/check/cidroverlap"
	"github.com/plumbnet/plumb/check/cnimissing"
	"github.com/plumbnet/plumb/check/conntrackfull"
	"github.com/plumbnet/plumb/check/corefile"
	"github.com/plumbnet/plumb/check/criticalpriority"
	"github.com/plumbnet/plumb/check/drift"
	"github.com/plumbnet/plumb/check/drops"
	"github.com/plumbnet/plumb/check/duplicateaddress"
	"github.com/plumbnet/plumb/check/hairpin"
	"github.com/plumbnet/plumb/check/ingress"
	"github.com/plumbnet/plumb/check/ipforward"
	"github.com/plumbnet/plumb/check/link"
	"github.com/plumbnet/plumb/check/listen"
	"github.com/plumbnet/plumb/check/masquerade"
	"github.com/plumbnet/plumb/check/mtu"
	"github.com/plumbnet/plumb/check/nodenotready"
	"github.com/plumbnet/plumb/check/noendpoints"
	"github.com/plumbnet/plumb/check/path"
	"github.com/plumbnet/plumb/check/podcidr"
	"github.com/plumbnet/plumb/check/policy"
	"github.com/plumbnet/plumb/check/proxyevicted"
	"github.com/plumbnet/plumb/check/proxyrules"
	"github.com/plumbnet/plumb/check/resolvconf"
	"github.com/plumbnet/plumb/check/route"
	"github.com/plumbnet/plumb/check/rpfilter"
	"github.com/plumbnet/plumb/check/trafficpolicy"
	"github.com/plumbnet/plumb/check/vtepaddress"
	"github.com/plumbnet/plumb/check/vxlan"
)

// Checks are all the checks, in the order in which they run. Between findings
// of equal weight, those of the earlier check come first: causes in the
// cluster's objects, then agents, devices, tunnels, routes, rules and
// listeners; the path's own word is last.
var Checks = []*check.Check{
	cidroverlap.Check,
	podcidr.Overlap,
	podcidr.Missing,
	podcidr.Exhausted,
	nodenotready.Check,
	proxyevicted.Check,
	cnimissing.Check,
	corefile.Refused,
	corefile.Loop,
	corefile.Hosts,
	corefile.Rewrite,
	resolvconf.Check,
	noendpoints.PortName,
	noendpoints.Check,
	trafficpolicy.Check,
	ingress.Class,
	ingress.Refused,
	ingress.Backend,
	ingress.Twice,
	link.Down,
	link.Detached,
	link.AddressMissing,
	duplicateaddress.Check,
	conntrackfull.Check,
	ipforward.Check,
	rpfilter.Check,
	bridgenf.Check,
	hairpin.Check,
	vxlan.VNI,
	vxlan.Port,
	vtepaddress.Check,
	drift.Neigh,
	drift.FDB,
	route.Policy,
	route.BlackHole,
	route.Wrong,
	route.Missing,
	proxyrules.Missing,
	proxyrules.Leftover,
	proxyrules.Affinity,
	proxyrules.Stale,
	proxyrules.Balancer,
	policy.Denies,
	policy.Stale,
	policy.NoEnforcer,
	policy.NotEnforced,
	drops.NodePort,
	drops.Forward,
	drops.Firewall,
	masquerade.Missing,
	masquerade.Unwanted,
	mtu.Mismatch,
	mtu.BlackHole,
	listen.TargetPort,
	listen.Loopback,
	listen.NotListening,
	corefile.Dead,
	criticalpriority.Check,
	corefile.OneNode,
	corefile.Reverse,
	path.Check,
}
