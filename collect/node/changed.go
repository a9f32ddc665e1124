//go:build linux

package node

import (
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// DecodeRoute reads a message of rtnetlink about a route. Devices are names, by index.
func DecodeRoute(b []byte, devices map[int]string) (fib.Route, bool) { return decodeRoute(b, devices) }

// DecodeRule reads a message of rtnetlink about a policy rule.
func DecodeRule(b []byte) (fib.Rule, bool) { return decodeRule(b) }

// DecodeAddr reads a message of rtnetlink about an address, and returns the index of its device.
func DecodeAddr(b []byte) (device int, a snapshot.LinkAddr, ok bool) { return decodeAddr(b) }

// DecodeNeigh reads a message of rtnetlink about a neighbour, and returns the index of its device.
func DecodeNeigh(b []byte, devices map[int]string) (device int, n fib.Neigh, ok bool) {
	n, ok = decodeNeigh(b, devices)
	if ok {
		device = int(native.Uint32(b[4:]))
	}
	return device, n, ok
}

// DecodeFDB reads a message of rtnetlink about a forwarding entry of a bridge or a VXLAN device.
func DecodeFDB(b []byte, devices map[int]string) (fib.FDBEntry, bool) { return decodeFDB(b, devices) }

// DecodeNextHop reads a message of rtnetlink about a nexthop object.
func DecodeNextHop(b []byte, devices map[int]string) (fib.NextHopObject, bool) {
	return decodeNextHop(b, devices)
}

// DecodeMAC reads the link-layer address of a device or a neighbour; the zero MAC where it is none of Ethernet.
func DecodeMAC(b []byte) packet.MAC { return mac(b) }

// Settings reads the settings that are collected of the network of the thread's namespace, and those of the devices
// that are named ("all", "default"), below a /proc, as "sysctl -a" prints them.
func Settings(proc string, devices ...string) ([]byte, error) {
	w := worker{proc: proc}
	return w.settings(func(string) []string { return devices })
}
