//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
)

// A Path names two ends of a lab and what goes between them, in the words that
// "plumb diagnose" takes.
type Path struct {
	From  string       // "shop/web-0", "node/node-a", "outside", "office"
	To    string       // "shop/web-1:8080", "svc/shop/api:http", "node/node-a:30080", "outside:80", "office:80"
	Proto packet.Proto // 0 is TCP
	Size  int          // as in Probe
	IPv6  bool
	Name  string // UDP: as Probe.Lookup
}

// String returns, for example, "shop/web-0 to svc/shop/api:http (tcp)".
func (p Path) String() string {
	s := fmt.Sprintf("%s to %s (%s", p.From, p.To, p.proto())
	if p.Size != 0 {
		s += ", large"
	}
	if p.Name != "" {
		s += ", for " + p.Name
	}
	return s + ")"
}

func (p Path) proto() packet.Proto {
	if p.Proto == 0 {
		return packet.TCP
	}
	return p.Proto
}

// PathProbe returns the probe that a path stands for, as the cluster is now.
func (l *Lab) PathProbe(p Path) (Probe, error) {
	from := l.Namespace(p.From)
	if from == nil {
		return Probe{}, fmt.Errorf("lab: nothing is named %q", p.From)
	}
	to, err := l.Resolve(p.To, p.IPv6, p.proto())
	return Probe{From: from, To: to, Proto: p.proto(), Size: p.Size, Lookup: p.Name}, err
}

// Namespace returns the namespace that a path's end names: "shop/web-0", "node/node-a", "outside"; nil where there is none.
func (l *Lab) Namespace(name string) *sandbox.NS {
	switch name {
	case "outside":
		return l.Outside
	case "office":
		return l.Office
	case "router":
		return l.Router
	}
	if n := l.Node(strings.TrimPrefix(name, "node/")); n != nil {
		return n.NS
	}
	if p := l.Pod(name); p != nil {
		return p.NS
	}
	return nil
}

// Resolve returns the address and port that a path's destination names.
func (l *Lab) Resolve(to string, v6 bool, proto packet.Proto) (netip.AddrPort, error) {
	name, port, _ := strings.Cut(to, ":")
	if svc, ok := strings.CutPrefix(name, "svc/"); ok {
		return l.resolveService(svc, port, v6, proto)
	}
	a := l.address(name, v6)
	n, err := strconv.ParseUint("0"+port, 10, 16)
	if !a.IsValid() || err != nil {
		return netip.AddrPort{}, fmt.Errorf("lab: no address for %q", to)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

func (l *Lab) address(name string, v6 bool) netip.Addr {
	pick := func(a4, a6 netip.Addr) netip.Addr {
		if v6 {
			return a6
		}
		return a4
	}
	switch name {
	case "outside":
		return pick(OutsideIP, OutsideIP6)
	case "office":
		return pick(l.OfficeAt, OfficeIP6)
	}
	if n := l.Node(strings.TrimPrefix(name, "node/")); n != nil {
		return pick(n.IP, n.IP6)
	}
	if p := l.Pod(name); p != nil {
		return pick(p.IP, p.IP6)
	}
	return netip.Addr{}
}

func (l *Lab) resolveService(key, port string, v6 bool, proto packet.Proto) (netip.AddrPort, error) {
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		if s.Namespace+"/"+s.Name != key {
			continue
		}
		ip, err := netip.ParseAddr(clusterIP(s, v6))
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("lab: service %s has no such address", key)
		}
		for _, sp := range s.Spec.Ports {
			if strings.EqualFold(string(sp.Protocol), proto.String()) && (sp.Name == port || strconv.Itoa(int(sp.Port)) == port) {
				return netip.AddrPortFrom(ip, uint16(sp.Port)), nil
			}
		}
	}
	return netip.AddrPort{}, fmt.Errorf("lab: no service %s:%s", key, port)
}
