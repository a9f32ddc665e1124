package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// Target returns the name of the chain or target that the rule jumps or goes to: "DNAT",
// "KUBE-SERVICES"; "" where it only counts.
func (r *Rule) Target() string { return r.targetName }

// Jump returns the chain that the rule jumps or goes to, or nil.
func (r *Rule) Jump() *Chain { return r.jump }

// Dest returns the one address, port and protocol that the rule is for; false where it
// is for several, or for all but one. Its other conditions are not considered.
func (r *Rule) Dest() (at netip.AddrPort, proto packet.Proto, ok bool) {
	if !r.hasDPort || !r.dst.IsSingleIP() || r.not&notDst != 0 {
		return at, 0, false
	}
	return netip.AddrPortFrom(r.dst.Addr(), r.dport), r.proto, true
}

// DNAT returns the one address and port that the rule sends a connection to; false where
// it does no DNAT, or to a range.
func (r *Rule) DNAT() (to netip.AddrPort, ok bool) {
	t, ok := r.target.(*natTarget)
	if !ok || t.m != manipDst || !t.to.lo.IsValid() || t.to.lo != t.to.hi || !t.to.hasPorts || t.to.plo != t.to.phi {
		return to, false
	}
	return netip.AddrPortFrom(t.to.lo, t.to.plo), true
}
