//go:build linux

package routes

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/packet"
)

// masked is a prefix in the form that ip takes.
func masked(addr string, bits int) string {
	return netip.PrefixFrom(netip.MustParseAddr(addr), bits).Masked().String()
}

// query makes a random packet. local are the addresses of the host.
func (s *scene) query(is6 bool, local []netip.Addr) fib.Query {
	addr := func() netip.Addr {
		if is6 {
			return netip.MustParseAddr(s.addr6())
		}
		return netip.MustParseAddr(s.addr4())
	}
	uid := pick(s.rnd, uint32(0), 0, 1000)
	q := fib.Query{
		Dst: addr(), UID: &uid,
		Mark:  pick(s.rnd, uint32(0), 0, 0, 1, 2, 0x10, 0x11, 0x15),
		TOS:   pick(s.rnd, uint8(0), 0, 0, 0x04, 0x08, 0x10, 0x30, 0xf0),
		Proto: pick(s.rnd, packet.TCP, packet.TCP, packet.UDP, icmp(is6)),
	}
	if q.Proto.HasPorts() {
		q.SrcPort = pick(s.rnd, uint16(80), 999, 1000, 1500, 2000, 40000)
		q.DstPort = pick(s.rnd, uint16(80), 443, 8080, 22)
	}
	switch {
	case s.chance(2):
		q.IIF, q.Src = fmt.Sprintf("d%d", s.rnd.IntN(devices)), addr()
		uid = 0
	case s.chance(4):
		q.OIF = fmt.Sprintf("d%d", s.rnd.IntN(devices))
		if !is6 && s.chance(2) { // without a socket the kernel's IPv6 does not insist on OIF where a source is given
			q.Src = pick(s.rnd, local...)
		}
	case s.chance(2):
		q.Src = pick(s.rnd, local...)
		if s.chance(10) {
			q.Src = addr()
		}
	}
	if q.Src.IsValid() && q.Src.IsUnspecified() {
		q.Src = netip.Addr{}
	}
	return q
}

func icmp(is6 bool) packet.Proto {
	if is6 {
		return packet.ICMPv6
	}
	return packet.ICMP
}

// command is the query as "ip route get" takes it.
func command(q fib.Query) string {
	w := []string{"ip route get", q.Dst.String()}
	if q.Dst.Is6() {
		w[0] = "ip -6 route get"
	}
	if q.Src.IsValid() {
		w = append(w, "from", q.Src.String())
	}
	if q.IIF != "" {
		w = append(w, "iif", q.IIF)
	}
	if q.OIF != "" {
		w = append(w, "oif", q.OIF)
	}
	w = append(w, fmt.Sprintf("mark %d tos %#02x ipproto %d", q.Mark, q.TOS, q.Proto))
	if q.SrcPort != 0 {
		w = append(w, fmt.Sprintf("sport %d dport %d", q.SrcPort, q.DstPort))
	}
	return strings.Join(append(w, fmt.Sprintf("uid %d", *q.UID)), " ")
}

// judge says how the kernel's answer and fib's differ; "" means that they agree.
func judge(q fib.Query, k answer, r fib.Result, merged bool) string {
	if r.Unknown != "" {
		return "fib does not know: " + r.Unknown
	}
	if k.Err != r.Err {
		return fmt.Sprintf("error %q, fib has %q", k.Err, r.Err)
	}
	if k.Err != "" {
		return ""
	}
	// The kernel keeps what it made for a next hop, with the type of the packet that it
	// was made for, and may give it to another packet afterwards.
	stale := q.Dst.Is4() && (k.Type == fib.Unicast && r.Type == fib.Multicast || k.Type == fib.Multicast && r.Type == fib.Unicast)
	if k.Type != r.Type && !stale {
		return fmt.Sprintf("type %s, fib has %s", k.Type, r.Type)
	}
	why := "no choice"
	for _, c := range r.Choices {
		if why = differ(q, k, r.Type, c, merged); why == "" {
			return weights(r)
		}
	}
	return why
}

func differ(q fib.Query, k answer, t fib.RouteType, c fib.Choice, merged bool) string {
	isLocal := t == fib.Local || q.IIF != "" && t == fib.Broadcast || q.Dst.Is6() && t == fib.Anycast
	switch {
	case !isLocal && k.Dev != c.Hop.Dev:
		return fmt.Sprintf("device %s, fib has %s", k.Dev, c.Hop.Dev)
	case !isLocal && k.Via != c.Hop.Via:
		return fmt.Sprintf("gateway %s, fib has %s", k.Via, c.Hop.Via)
	case q.IIF == "" && !q.Src.IsValid() && k.Src != c.Src:
		return fmt.Sprintf("source %s, fib has %s", k.Src, c.Src)
	case c.Route != nil && !merged && k.Table != c.Route.Table:
		return fmt.Sprintf("table %d, fib has %d", k.Table, c.Route.Table)
	}
	return ""
}

// weights checks that the shares of all choices add up to 1.
func weights(r fib.Result) string {
	sum := 0.0
	for _, c := range r.Choices {
		sum += c.Weight
	}
	if sum < 0.999999 || sum > 1.000001 {
		return fmt.Sprintf("the weights of fib's choices add up to %g", sum)
	}
	return ""
}

// reasons quotes what fib's answer rests on.
func reasons(r fib.Result) string {
	out := ""
	if r.Rule != nil {
		out += "\n  fib's rule: " + r.Rule.String()
	}
	for _, c := range r.Choices {
		if c.Route != nil {
			out += "\n  fib's route: " + c.Route.String()
		}
	}
	return out
}
