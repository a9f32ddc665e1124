package fib

import (
	"net/netip"
	"slices"
)

// The kernel's words for a lookup that fails.
const (
	errNetwork = "network unreachable" // ENETUNREACH
	errHost    = "host unreachable"    // EHOSTUNREACH
	errAccess  = "permission denied"   // EACCES
	errInvalid = "invalid argument"    // EINVAL
)

// errorOf returns the error that a route of the type stands for (fib_props, fib6_prop).
func errorOf(t RouteType) string {
	switch t {
	case Blackhole, NAT:
		return errInvalid
	case Unreachable:
		return errHost
	case Prohibit:
		return errAccess
	}
	return ""
}

// Lookup answers as the kernel's route lookup would: ip_route_output_key and
// ip6_route_output for a packet of local origin, ip_route_input and
// ip6_route_input for one that came in by q.IIF. What depends on forwarding,
// reverse path filters and whether devices are up is left to the caller. An OIF
// binds as SO_BINDTODEVICE does.
//
// Where the kernel hashes over several hops, the Result has them all. (Linux
// from 6.16 on prefers, among them, those whose own source address is q.Src.)
//
// Two things a listing of IPv6 routes does not show. Routes by a gateway with one
// destination and metric are joined: the source and preference listed are those of
// the first, and other routes that stand between them are left out. And of several
// routes that share a nexthop object, the kernel may answer with the table and
// source of the one that used it first on that CPU (rt6i_pcpu of struct fib6_nh).
func (t *Tables) Lookup(q Query) Result { return t.LookupIn(q, nil) }

// LookupIn does what Lookup does, and puts the Choices into room where they fit
// its capacity: it allocates nothing then. The Result is good until room is used again.
func (t *Tables) LookupIn(q Query, room []Choice) Result {
	x := t.indexed()
	q.Dst, q.Src = q.Dst.WithZone(""), q.Src.WithZone("")
	if !q.Dst.IsValid() || q.Src.IsValid() && q.Src.Is6() != q.Dst.Is6() {
		return Result{Err: errInvalid}
	}
	f := &flow{q: q, is6: q.Dst.Is6(), dst: q.Dst, src: q.Src, iif: q.IIF, oif: q.OIF, room: room[:0]}
	f.hasSrc = q.Src.IsValid() && !q.Src.IsUnspecified()
	if !q.Src.IsValid() {
		f.src = everything(f.is6).Addr()
	}
	switch {
	case f.is6:
		return x.lookup6(f)
	case !f.local():
		return x.input4(f)
	}
	f.iif = "lo"
	return x.output4(f)
}

// local reports whether the flow begins on this host.
func (f *flow) local() bool { return f.q.IIF == "" }

// failed is the Result of a lookup that leads nowhere.
func (f *flow) failed(r *Rule, got found) Result {
	if got.why != "" {
		return Result{Unknown: got.why, Rule: r}
	}
	res := Result{Err: got.err, Rule: r}
	if got.e != nil {
		res.Type = got.e.r.Type
		res.Choices = append(f.room, Choice{Route: got.e.r, Weight: 1})
	}
	return res
}

// one is the Result of a lookup that can go one way.
func (f *flow) one(typ RouteType, r *Rule, c Choice) Result {
	c.Weight = 1
	return Result{Type: typ, Rule: r, Choices: append(f.room, c)}
}

// usable reports whether a hop is neither dead, nor without carrier where that counts.
// For IPv4 the setting of "all" counts for every device, for IPv6 it does not (ip6_ignore_linkdown).
func (x *Index) usable(h *NextHop, is6 bool) bool {
	switch {
	case len(h.Flags) == 0:
		return true
	case slices.Contains(h.Flags, "dead"):
		return false
	case !slices.Contains(h.Flags, "linkdown"):
		return true
	case is6:
		return !x.t.IgnoreLinkdown6[h.Dev]
	}
	return !x.t.IgnoreLinkdown[h.Dev] && !x.t.IgnoreLinkdown["all"]
}

// shares returns the share of flows that each hop gets by its weight
// (fib_rebalance, rt6_upper_bound_set); hops that are not usable get none.
func shares(hops []NextHop, ok func(*NextHop) bool) []float64 {
	out := make([]float64, len(hops))
	total := 0
	for i := range hops {
		if ok(&hops[i]) {
			total += max(hops[i].Weight, 1)
		}
	}
	for i := range hops {
		if ok(&hops[i]) {
			out[i] = float64(max(hops[i].Weight, 1)) / float64(total)
		}
	}
	return out
}

// groupShares returns the share of flows that each member of a nexthop group
// gets (nexthop_select_path_hthr): the flows of a member whose neighbour is not
// valid go to the next one that is, or else to the first.
func (x *Index) groupShares(hops []NextHop) []float64 {
	all := shares(hops, func(*NextHop) bool { return true })
	good := make([]bool, len(hops))
	for i, h := range hops {
		good[i] = x.validNeigh(h)
	}
	first := max(slices.Index(good, true), 0)
	out := make([]float64, len(hops))
	for i, w := range all {
		to := slices.Index(good[i:], true) + i
		if to < i {
			to = first
		}
		out[to] += w
	}
	return out
}

// validNeigh reports whether the neighbour of a hop is valid (NUD_VALID), or not known at all.
func (x *Index) validNeigh(h NextHop) bool {
	n, ok := x.neighs[neighKey{h.Dev, h.Via}]
	if !ok || !h.Via.IsValid() {
		return true
	}
	return n.State != "FAILED" && n.State != "INCOMPLETE" && n.State != "NONE" && n.State != ""
}

// mask returns the network address of a under a prefix length.
func mask(a netip.Addr, bits int) netip.Addr {
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
