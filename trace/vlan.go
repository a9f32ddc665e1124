package trace

import (
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
)

// vlanHeader is the length of an 802.1Q tag, which the kernel allows for beyond a device's MTU.
const vlanHeader = 4

// filters reports whether a bridge looks at VLANs.
func filters(b *network.Iface) bool { return b.Link.Info.Data.VLANFiltering != 0 }

// vlanOf returns what a bridge (b == d) or a port of it has for a VLAN, or nil.
func vlanOf(d *network.Iface, vid int) *snapshot.BridgeVLAN {
	for i := range d.NS.VLANs {
		v := &d.NS.VLANs[i]
		if v.Dev == d.Name() && v.VID <= vid && vid <= max(v.VID, v.VIDEnd) {
			return v
		}
	}
	return nil
}

// pvid returns the VLAN of untagged frames on a port, or 0.
func pvid(d *network.Iface) int {
	for i := range d.NS.VLANs {
		if v := &d.NS.VLANs[i]; v.Dev == d.Name() && v.PVID {
			return v.VID
		}
	}
	return 0
}

// ingressVLAN returns the VLAN of a frame that came with a tag (0: none) by a
// port; ok is false where the port may not take it, known where the snapshot tells.
func ingressVLAN(b, port *network.Iface, tag int) (vid int, ok, known bool) {
	if !filters(b) {
		return tag, true, true
	}
	if len(b.NS.VLANs) == 0 {
		return tag, true, false
	}
	if tag == 0 {
		vid = pvid(port)
		return vid, vid != 0, true
	}
	return tag, vlanOf(port, tag) != nil, true
}

// vlanAllows reports whether a frame of a VLAN may leave by a port, or go up where the port is the bridge itself.
func vlanAllows(b, port *network.Iface, vid int) bool {
	return !filters(b) || len(b.NS.VLANs) == 0 || vlanOf(port, vid) != nil
}

// egressTag returns the tag that a frame leaves a port with.
func egressTag(b, port *network.Iface, vid int) int {
	if !filters(b) {
		return vid
	}
	if untaggedAt(b, port, vid) {
		return 0
	}
	return vid
}

func untaggedAt(b, port *network.Iface, vid int) bool {
	if !filters(b) {
		return false
	}
	v := vlanOf(port, vid)
	return v == nil || v.Untagged
}

// bridgeVLAN returns the VLAN of a frame that the bridge device itself sends.
func bridgeVLAN(b *network.Iface, tag int) int {
	if !filters(b) || tag != 0 {
		return tag
	}
	return pvid(b)
}

// vlanUpper returns the VLAN device on d for a tag, or nil.
func vlanUpper(d *network.Iface, tag int) *network.Iface {
	for _, u := range d.Uppers {
		if u.Kind() == "vlan" && u.Link.Info.Data.ID == tag {
			return u
		}
	}
	return nil
}

// activePort returns the port that a bond sends by, or nil.
func activePort(b *network.Iface) *network.Iface {
	for _, p := range b.Ports {
		if b.Link.Info.Data.ActiveSlave == p.Name() {
			return p
		}
	}
	if b.Link.Info.Data.ActiveSlave != "" {
		return nil
	}
	for _, p := range b.Ports {
		if p.Carrier() {
			return p
		}
	}
	return nil
}
