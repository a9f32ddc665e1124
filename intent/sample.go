package intent

import (
	"slices"

	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
)

// A Sample is one connection of a Pod with a peer, at a port of the destination.
type Sample struct {
	Peer int // of those that it was sampled from
	Port Port
}

// Limits of the samples of a Pod in one direction. Policies have few rules; one with more is tried in part.
const (
	maxSampled = 64 // connections
	maxDenied  = 3  // peers of which the policies allow none
	maxRanges  = 4  // ports of one rule
)

// Samples returns connections by which it can be tried whether the policies of a Pod are kept in one
// direction and family: for each rule one with the first of peers that it matches, at each of its ports;
// one of these peers at a port where no rule lets it through; and some that nothing lets through.
// For a Pod that no policy limits it is one with each of the first two peers.
func (e *Engine) Samples(pod Peer, sends, is6 bool, peers []Peer) []Sample {
	s := sampler{Engine: e, pod: pod.In(is6), direction: ingress, family: v4}
	if sends {
		s.direction = egress
	}
	if is6 {
		s.family = v6
	}
	if pod.kind != isPod || pod.class[s.family] < 0 {
		return nil
	}
	for i, p := range peers {
		if p.class[s.family] >= 0 && (p.kind != isPod || p.at != pod.at) {
			s.peers = append(s.peers, numbered{p.In(is6), i})
		}
	}
	s.run()
	return s.out
}

// Limits reports whether a policy may select the Pod in one direction.
func (e *Engine) Limits(pod Peer, sends bool) bool {
	d := ingress
	if sends {
		d = egress
	}
	return pod.kind == isPod && slices.ContainsFunc(pod.class[:], func(c int32) bool { return c >= 0 && !e.programs[d][e.classes[c].program[d]].none() })
}

// none reports whether no policy is in the program.
func (p *program) none() bool {
	own := len(p.named) + len(p.others)
	for _, l := range []*layer{&p.admin, &p.baseline} {
		own += len(l[0]) + len(l[1])
	}
	return own == 0
}

// A numbered peer is one of those that are sampled from.
type numbered struct {
	Peer
	i int
}

type sampler struct {
	*Engine
	pod       Peer
	peers     []numbered
	direction int
	family    uint8
	ports     []Port // of all rules, and beside them
	out       []Sample
}

func (s *sampler) run() {
	p := s.programs[s.direction][s.classes[s.pod.class[s.family]].program[s.direction]]
	for _, l := range []*layer{&p.admin, &p.baseline} {
		for _, groups := range l {
			for _, g := range groups {
				s.policies(g)
			}
		}
	}
	s.policies(p.named)
	if len(s.out) == 0 && p.isolated == no {
		for _, peer := range s.peers[:min(2, len(s.peers))] {
			s.add(peer, s.usual(peer))
		}
		return
	}
	denied := 0
	for _, peer := range s.peers {
		ports := append([]Port{s.usual(peer)}, s.ports...)
		i := slices.IndexFunc(ports, func(port Port) bool { return s.answer(peer, port) == Denied })
		if i >= 0 && denied < maxDenied {
			s.add(peer, ports[i])
			denied++
		}
	}
}

func (s *sampler) policies(list []applied) {
	for i := range list {
		rules := list[i].rules[s.direction]
		for j := range rules {
			s.rule(&rules[j])
		}
	}
}

// rule adds connections that a rule is for.
func (s *sampler) rule(r *rule) {
	found := map[int]bool{} // by number of the port
	for _, peer := range s.peers {
		for i, port := range s.portsOf(r, peer) {
			if q := s.query(peer, port); found[i] || s.match(r, &q) != yes {
				continue
			}
			found[i] = true
			s.add(peer, port)
			if beside := (Port{port.Proto, port.Number + 1}); len(r.ports) > 0 && s.answer(peer, beside) == Denied {
				s.add(peer, beside)
			}
		}
	}
}

// portsOf returns a port of each that a rule has.
func (s *sampler) portsOf(r *rule, peer numbered) (out []Port) {
	if len(r.ports) == 0 {
		return []Port{s.usual(peer)}
	}
	dst := s.pod
	if s.direction == egress {
		dst = peer.Peer
	}
	for _, spec := range r.ports[:min(maxRanges, len(r.ports))] {
		switch spec.kind {
		case portRange:
			out = append(out, Port{spec.proto, max(spec.lo, 1)})
		case portNamed, portAnyName:
			for _, p := range s.Engine.ports[s.classes[dst.class[s.family]].ports] {
				if p.name == spec.name {
					out = append(out, Port{p.proto, p.number})
				}
			}
		}
	}
	for _, p := range out {
		if len(s.ports) < maxSampled && !slices.Contains(s.ports, p) {
			s.ports = append(s.ports, p)
		}
	}
	return out
}

// usual returns a port that the destination says it has.
func (s *sampler) usual(peer numbered) Port {
	dst := s.pod
	if s.direction == egress {
		dst = peer.Peer
	}
	if dst.kind == isPod {
		for _, c := range s.pods[dst.at].object.Spec.Containers {
			for _, p := range c.Ports {
				if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
					return Port{packet.TCP, uint16(p.ContainerPort)}
				}
			}
		}
	}
	return Port{packet.TCP, 80}
}

func (s *sampler) query(peer numbered, port Port) query {
	q := query{direction: s.direction, class: s.pod.class[s.family], other: peer.class[s.family], dst: s.pod.class[s.family], family: s.family, proto: port.Proto, number: port.Number}
	if s.direction == egress {
		q.dst = q.other
	}
	return q
}

// answer says what the Pod's own policies do.
func (s *sampler) answer(peer numbered, port Port) Answer {
	q := s.query(peer, port)
	return answerOf(s.side(&q))
}

func (s *sampler) add(peer numbered, port Port) {
	x := Sample{peer.i, port}
	if len(s.out) < maxSampled && !slices.Contains(s.out, x) {
		s.out = append(s.out, x)
	}
}
