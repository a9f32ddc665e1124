//go:build linux

package pingmesh

import "slices"

// peersOf returns the nodes that one asks in a turn: degree of them, or all others where there are no more. Each node is asked by
// as many as it asks, and after so many turns as there are others, over degree, each has asked each. It takes no more
// than that all have the same list, in any order, and the same clock.
func peersOf(nodes []string, self string, degree, turn int) (out []string) {
	all := append(slices.Clone(nodes), self)
	slices.Sort(all)
	all = slices.Compact(all)
	others := len(all) - 1
	at := slices.Index(all, self)
	for i := range min(degree, others) {
		away := (turn*degree+i)%others + 1
		out = append(out, all[(at+away)%len(all)])
	}
	return out
}
