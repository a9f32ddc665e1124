package intent

// A Target is a port of a Pod, as a Service sends connections to it.
type Target struct {
	Namespace, Pod string
	Port           Port
}

// Reach says how many of some targets somebody reaches.
type Reach uint8

// What somebody reaches. ReachUnknown is the zero value.
const (
	ReachUnknown Reach = iota
	ReachNone
	ReachSome
	ReachAll
)

// A ReachChange is Pods that reach more, or less, of a Service than before.
type ReachChange struct {
	From          []Member
	Before, After Reach
}

// CompareReach says whose reach changes where connections go to other targets than before. Its
// cost grows with the classes times the different targets. Of a Pod without an address of
// IPv4, it is the reach by IPv6.
func CompareReach(was, is *Engine, before, after []Target) (out []ReachChange) {
	engines, targets := [2]*Engine{was, is}, [2][]Target{before, after}
	for _, family := range [2]uint8{v4, v6} {
		list := joints(engines, family)
		groups := map[[2]Reach][]int32{}
		for i := range list {
			j := &list[i]
			if j.kind != isPod || family == v6 && was.classes[j.class[0]].parts[v4] != -1 {
				continue
			}
			var key [2]Reach
			for k, e := range engines {
				key[k] = e.reach(j.class[k], targets[k], family)
			}
			if key[0] != key[1] {
				groups[key] = append(groups[key], int32(i))
			}
		}
		n := newNamer(was, list)
		for _, b := range [4]Reach{ReachUnknown, ReachNone, ReachSome, ReachAll} {
			for _, a := range [4]Reach{ReachUnknown, ReachNone, ReachSome, ReachAll} {
				if in := groups[[2]Reach{b, a}]; len(in) > 0 {
					out = append(out, ReachChange{n.members(in), b, a})
				}
			}
		}
	}
	return out
}

// reach says how many of the targets Pods of a class reach. Classes are asked once.
func (e *Engine) reach(from int32, targets []Target, family uint8) Reach {
	type asked struct {
		class int32
		port  Port
	}
	seen, by := map[asked]bool{}, [3]int{}
	for _, t := range targets {
		at, ok := e.byPod[podName{t.Namespace, t.Pod}]
		if !ok || e.pods[at].peer.class[family] < 0 {
			continue
		}
		to := e.pods[at].peer.class[family]
		if seen[asked{to, t.Port}] {
			continue
		}
		seen[asked{to, t.Port}] = true
		q := query{direction: egress, class: from, other: to, dst: to, family: family, proto: t.Port.Proto, number: t.Port.Number}
		out, in := e.side(&q), mayAllow
		if e.classes[to].kind == isPod {
			q.direction, q.class, q.other = ingress, to, from
			in = e.side(&q)
		}
		by[join(out, in)]++
	}
	switch {
	case by[Unknown] > 0:
		return ReachUnknown
	case by[Allowed] == 0:
		return ReachNone
	case by[Denied] > 0:
		return ReachSome
	}
	return ReachAll
}
