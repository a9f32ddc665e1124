//go:build linux

package pingmesh

import (
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// mtu returns that of the route to an address: of the route itself, or of its device. What the kernel has learnt of the
// path since is not heeded, for that would hide what is wrong with it. It is 0 where there is no route.
func (m *mesh) mtu(dst, src netip.Addr) (n int) {
	req := make([]byte, unix.SizeofRtMsg)
	req[0], req[1] = unix.AF_INET, byte(dst.BitLen())
	if dst.Is6() {
		req[0] = unix.AF_INET6
	}
	const fibMatch = 0x2000 // RTM_F_FIB_MATCH: the route, and not what is cached of the address
	netlink.Native.PutUint32(req[8:], fibMatch)
	req = netlink.Attr(req, unix.RTA_DST, dst.AsSlice())
	if src.IsValid() {
		req[2] = byte(src.BitLen())
		req = netlink.Attr(req, unix.RTA_SRC, src.AsSlice())
	}
	device := 0
	_ = m.routes.Ask(unix.RTM_GETROUTE, unix.NLM_F_REQUEST, req, func(b []byte) {
		if r, ok := node.DecodeRoute(b, nil); ok && len(r.Hops) > 0 {
			n = r.MTU
			_, _ = fmt.Sscanf(r.Hops[0].Dev, "if%d", &device) // as one without a name is called
		}
	})
	if n == 0 && device > 0 {
		ask := make([]byte, unix.SizeofIfInfomsg)
		netlink.Native.PutUint32(ask[4:], uint32(device))
		_ = m.routes.Ask(unix.RTM_GETLINK, unix.NLM_F_REQUEST, ask, func(b []byte) {
			for t, v := range netlink.Attrs(b[min(len(b), unix.SizeofIfInfomsg):]) {
				if t == unix.IFLA_MTU && len(v) == 4 {
					n = int(netlink.Native.Uint32(v))
				}
			}
		})
	}
	return min(n, largest)
}
