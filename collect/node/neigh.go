//go:build linux

package node

import (
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// sizeofNdMsg is the size of struct ndmsg.
const sizeofNdMsg = 12

// NDA_NH_ID, and the bits of ndm_flags and ndm_state that are printed (linux/neighbour.h).
const (
	ndaNHID   = 13
	ntfSticky = 0x40
	nudNoARP  = 0x40
)

// neighStates are the names of NUD_*, as "ip neigh" prints them.
var neighStates = map[uint16]string{
	0x01: "INCOMPLETE", 0x02: "REACHABLE", 0x04: "STALE", 0x08: "DELAY", 0x10: "PROBE", 0x20: "FAILED", nudNoARP: "NOARP", 0x80: "PERMANENT",
}

// neighs reads the ARP and neighbour discovery entries, those that "ip neigh" prints: not
// the ones that need no resolution (NOARP) or have no state.
func (w *worker) neighs(n names) ([]fib.Neigh, error) {
	var out []fib.Neigh
	err := w.route.Dump(unix.RTM_GETNEIGH, make([]byte, sizeofNdMsg), func() { out = nil }, func(b []byte) {
		if e, ok := decodeNeigh(b, n); ok {
			out = append(out, e)
		}
	})
	return out, err
}

// decodeNeigh reads an RTM_NEWNEIGH message of ARP or neighbour discovery.
func decodeNeigh(b []byte, n names) (fib.Neigh, bool) {
	if len(b) < sizeofNdMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return fib.Neigh{}, false
	}
	state, flags := native.Uint16(b[8:]), b[10]
	e := fib.Neigh{Dev: n.of(int(native.Uint32(b[4:]))), State: neighStates[state], Proxy: flags&unix.NTF_PROXY != 0}
	if flags&unix.NTF_ROUTER != 0 {
		e.Flags = append(e.Flags, "router")
	}
	if flags&unix.NTF_EXT_LEARNED != 0 {
		e.Flags = append(e.Flags, "extern_learn")
	}
	if flags&unix.NTF_OFFLOADED != 0 {
		e.Flags = append(e.Flags, "offload")
	}
	for t, v := range netlink.Attrs(b[sizeofNdMsg:]) {
		switch t {
		case unix.NDA_DST:
			e.Dst = addr(v)
		case unix.NDA_LLADDR:
			e.MAC = mac(v)
		}
	}
	shown := e.Proxy || flags&unix.NTF_EXT_LEARNED != 0 || state&^nudNoARP != 0
	return e, shown && e.Dst.IsValid()
}

// fdb reads the forwarding entries of bridges and VXLAN devices.
func (w *worker) fdb(n names) ([]fib.FDBEntry, error) {
	req := make([]byte, sizeofNdMsg)
	req[0] = unix.AF_BRIDGE
	var out []fib.FDBEntry
	err := w.route.Dump(unix.RTM_GETNEIGH, req, func() { out = nil }, func(b []byte) {
		if e, ok := decodeFDB(b, n); ok {
			out = append(out, e)
		}
	})
	return out, err
}

// fdbFlags are the bits of ndm_flags, in the order in which "bridge fdb" prints them.
var fdbFlags = []struct {
	bit  uint8
	name string
}{
	{unix.NTF_SELF, "self"}, {unix.NTF_ROUTER, "router"}, {unix.NTF_EXT_LEARNED, "extern_learn"},
	{unix.NTF_OFFLOADED, "offload"}, {unix.NTF_MASTER, "master"}, {ntfSticky, "sticky"},
}

// decodeFDB reads an RTM_NEWNEIGH message of a bridge or VXLAN device.
func decodeFDB(b []byte, n names) (fib.FDBEntry, bool) {
	if len(b) < sizeofNdMsg || b[0] != unix.AF_BRIDGE {
		return fib.FDBEntry{}, false
	}
	e := fib.FDBEntry{Dev: n.of(int(native.Uint32(b[4:]))), State: fdbState(native.Uint16(b[8:]))}
	for _, f := range fdbFlags {
		if b[10]&f.bit != 0 {
			e.Flags = append(e.Flags, f.name)
		}
	}
	known := false
	for t, v := range netlink.Attrs(b[sizeofNdMsg:]) {
		switch t {
		case unix.NDA_LLADDR:
			e.MAC, known = mac(v), true
		case unix.NDA_DST:
			e.Dst = addr(v)
		case unix.NDA_VLAN:
			e.VLAN = int(u16(v))
		case unix.NDA_PORT:
			e.Port = int(be16(v))
		case unix.NDA_VNI:
			e.VNI = int(u32(v))
		case unix.NDA_SRC_VNI:
			e.SrcVNI = int(u32(v))
		case unix.NDA_IFINDEX:
			e.Via = n.of(int(u32(v)))
		case unix.NDA_MASTER:
			e.Master = n.of(int(u32(v)))
		case ndaNHID:
			e.NHID = u32(v)
		}
	}
	return e, known
}

// fdbState names a state as "bridge fdb" does.
func fdbState(state uint16) string {
	switch {
	case state&0x80 != 0:
		return "permanent"
	case state&nudNoARP != 0:
		return "static"
	case state&0x04 != 0:
		return "stale"
	}
	return ""
}

// vlans reads which VLANs the bridges and their ports are in.
func (w *worker) vlans() ([]snapshot.BridgeVLAN, error) {
	req := make([]byte, unix.SizeofIfInfomsg)
	req[0] = unix.AF_BRIDGE
	const compressed = 1 << 2 // RTEXT_FILTER_BRVLAN_COMPRESSED
	req = netlink.Attr(req, unix.IFLA_EXT_MASK, native.AppendUint32(nil, compressed))
	var out []snapshot.BridgeVLAN
	err := w.route.Dump(unix.RTM_GETLINK, req, func() { out = nil }, func(b []byte) { out = append(out, decodeVLANs(b)...) })
	if notSupported(err) {
		return nil, nil // a kernel without bridges
	}
	return out, err
}

// The flags of struct bridge_vlan_info (linux/if_bridge.h).
const (
	bridgeVLANInfo   = 2 // IFLA_BRIDGE_VLAN_INFO
	vlanPVID         = 1 << 1
	vlanUntagged     = 1 << 2
	vlanRangeBegin   = 1 << 3
	vlanRangeEnd     = 1 << 4
	sizeofBridgeVLAN = 4
)

// decodeVLANs reads an RTM_NEWLINK message of family AF_BRIDGE.
func decodeVLANs(b []byte) []snapshot.BridgeVLAN {
	if len(b) < unix.SizeofIfInfomsg {
		return nil
	}
	var dev string
	var out []snapshot.BridgeVLAN
	for t, v := range netlink.Attrs(b[unix.SizeofIfInfomsg:]) {
		switch t {
		case unix.IFLA_IFNAME:
			dev = str(v)
		case unix.IFLA_AF_SPEC:
			out = vlanInfos(v)
		}
	}
	for i := range out {
		out[i].Dev = dev
	}
	return out
}

// vlanInfos reads IFLA_AF_SPEC: VLANs, and ranges as a first and a last one.
func vlanInfos(b []byte) []snapshot.BridgeVLAN {
	var out []snapshot.BridgeVLAN
	begin := 0
	for t, v := range netlink.Attrs(b) {
		if t != bridgeVLANInfo || len(v) < sizeofBridgeVLAN {
			continue
		}
		flags, vid := native.Uint16(v), int(native.Uint16(v[2:]))
		if flags&vlanRangeBegin != 0 {
			begin = vid
			continue
		}
		e := snapshot.BridgeVLAN{VID: vid, VIDEnd: vid, PVID: flags&vlanPVID != 0, Untagged: flags&vlanUntagged != 0}
		if flags&vlanRangeEnd != 0 && begin > 0 {
			e.VID = begin
		}
		out = append(out, e)
	}
	return out
}
