package route

import (
	"net/netip"
	"strconv"

	"github.com/plumbnet/plumb/fib"
)

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// typeName returns the type of a route that discards, as ip prints it.
func typeName(t fib.RouteType) string {
	return map[fib.RouteType]string{fib.Blackhole: "blackhole", fib.Unreachable: "unreachable", fib.Prohibit: "prohibit"}[t]
}

// ruleText returns a rule as "ip rule" prints it, as far as Pods' packets are concerned.
func ruleText(r *fib.Rule) string {
	s := itoa(r.Priority) + ": "
	if r.Not {
		s += "not "
	}
	s += "from " + anyOr(r.Src)
	if r.Dst.IsValid() {
		s += " to " + r.Dst.String()
	}
	if r.Mask != 0 {
		s += " fwmark 0x" + strconv.FormatUint(uint64(r.Mark), 16)
	}
	if r.IIF != "" {
		s += " iif " + r.IIF
	}
	if r.OIF != "" {
		s += " oif " + r.OIF
	}
	if r.Action != "" {
		return s + " " + r.Action
	}
	return s + " lookup " + itoa(r.Table)
}

func anyOr(c netip.Prefix) string {
	if !c.IsValid() || c.Bits() == 0 {
		return "all"
	}
	return c.String()
}
