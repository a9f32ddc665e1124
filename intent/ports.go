package intent

import (
	"fmt"
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// A PortRange is ports of one protocol that no policy tells apart.
type PortRange struct {
	Proto  packet.Proto
	Lo, Hi uint16
}

// Port returns one of them.
func (r PortRange) Port() Port { return Port{r.Proto, r.Lo} }

// String returns "tcp 80" or "udp 1-52".
func (r PortRange) String() string {
	if r.Lo == r.Hi {
		return fmt.Sprintf("%s %d", r.Proto, r.Lo)
	}
	return fmt.Sprintf("%s %d-%d", r.Proto, r.Lo, r.Hi)
}

// Ports returns all ports of TCP, UDP and SCTP, as few ranges as the policies allow.
func (e *Engine) Ports() (out []PortRange) {
	for _, proto := range withPorts {
		starts := []int{1}
		e.eachPort(func(s *portSpec) {
			if s.kind == portRange && s.proto == proto {
				starts = append(starts, max(1, int(s.lo)), int(s.hi)+1)
			}
		})
		for _, list := range e.ports {
			for _, p := range list {
				if p.proto == proto {
					starts = append(starts, int(p.number), int(p.number)+1)
				}
			}
		}
		slices.Sort(starts)
		starts = slices.Compact(starts)
		for i, lo := range starts {
			hi := 65535
			if i+1 < len(starts) {
				hi = starts[i+1] - 1
			}
			if lo <= 65535 {
				out = append(out, PortRange{proto, uint16(lo), uint16(hi)})
			}
		}
	}
	return out
}

// eachPort calls f for the ports of every rule.
func (e *Engine) eachPort(f func(*portSpec)) {
	for i := range e.policies {
		for d := range e.policies[i].rules {
			for j := range e.policies[i].rules[d] {
				ports := e.policies[i].rules[d][j].ports
				for k := range ports {
					f(&ports[k])
				}
			}
		}
	}
}

// joinPorts joins ranges that touch, of a sorted list.
func joinPorts(list []PortRange) (out []PortRange) {
	for _, r := range list {
		if n := len(out); n > 0 && out[n-1].Proto == r.Proto && int(out[n-1].Hi)+1 == int(r.Lo) {
			out[n-1].Hi = r.Hi
			continue
		}
		out = append(out, r)
	}
	return out
}
