package netfilter

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// Target returns the name of the chain or target that the rule jumps or goes to: "DNAT",
// "KUBE-SERVICES"; "" where it only counts.
func (r *Rule) Target() string { return r.targetName }

// Jump returns the chain that the rule jumps or goes to, or nil.
func (r *Rule) Jump() *Chain { return r.jump }

// Dest returns the one address, port and protocol that the rule is for, without an address where it
// is for any; false where it is for several, or for all but one. Its other conditions are not considered.
func (r *Rule) Dest() (at netip.AddrPort, proto packet.Proto, ok bool) {
	if !r.hasDPort || r.dst.IsValid() && !r.dst.IsSingleIP() || r.not&notDst != 0 {
		return at, 0, false
	}
	return netip.AddrPortFrom(r.dst.Addr(), r.dport), r.proto, true
}

// ofSome reports whether the rule is for packets of some sources alone, or that come in by some devices.
func (r *Rule) ofSome() bool {
	return r.src.IsValid() || r.in != "" || slices.ContainsFunc(r.matches, func(m match) bool {
		t, ok := m.(*addrType)
		return ok && t.src != nil
	})
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
