//go:build linux

package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// netlink writes what the route and socket families of netlink tell.
func (w *worker) netlink(s space) {
	links, names, err := w.links()
	text, jsonErr := formatLinks(links)
	w.put("addr.json", text, errors.Join(err, jsonErr))
	w.netnsJSON(s, links)
	for _, v := range []struct {
		is6    bool
		suffix string
	}{{false, ".json"}, {true, "6.json"}} {
		routes, err := w.routes(names, v.is6)
		putList(w, "routes"+v.suffix, routes, err, fib.FormatRoutes)
		rules, err := w.rules(v.is6)
		fib.SortRules(rules)
		text, formatErr := formatRules(rules)
		w.put("rules"+v.suffix, text, errors.Join(err, formatErr))
	}
	hops, err := w.nextHops(names)
	putList(w, "nexthops.json", hops, err, fib.FormatNextHops)
	neighs, err := w.neighs(names)
	putList(w, "neigh.json", neighs, err, fib.FormatNeighs)
	entries, err := w.fdb(names)
	putList(w, "fdb.json", entries, err, fib.FormatFDB)
	vlans, err := w.vlans()
	text, formatErr := snapshot.FormatVLANs(vlans)
	w.put("vlan.json", text, errors.Join(err, formatErr))
	text, err = w.sockets(names)
	w.put("sockets", text, err)
}

// putList writes a list of package fib.
func putList[T any](w *worker, file string, list []T, err error, format func(io.Writer, []T) error) {
	var b bytes.Buffer
	err = errors.Join(err, format(&b, list))
	w.put(file, b.Bytes(), err)
}

// Of linux/net_namespace.h.
const (
	rtmGetNSID = 90
	netnsaNSID = 1
	netnsaFD   = 3
)

// nsids finds the namespaces behind the ids that links of this namespace have for the
// namespaces of their peers. The kernel answers only the other way round, so the others are tried, the node's own first.
func (w *worker) nsids(here space, links []snapshot.Link) (map[int]uint64, error) {
	var wanted []int
	for _, l := range links {
		if l.PeerNSID != nil && *l.PeerNSID >= 0 && !slices.Contains(wanted, *l.PeerNSID) {
			wanted = append(wanted, *l.PeerNSID)
		}
	}
	out := map[int]uint64{}
	for _, s := range w.spaces {
		if len(out) == len(wanted) {
			break
		}
		id, err := w.nsid(s)
		if err != nil {
			return out, fmt.Errorf("the id of namespace %s: %w", s.name, err)
		}
		if id >= 0 && slices.Contains(wanted, id) {
			out[id] = s.inode
		}
	}
	return out, nil
}

// nsid returns the id that this namespace has for another, -1 for none.
func (w *worker) nsid(s space) (int, error) {
	req := netlink.Attr([]byte{unix.AF_UNSPEC, 0, 0, 0}, netnsaFD, native.AppendUint32(nil, uint32(s.file.Fd())))
	id := -1
	err := w.route.Ask(rtmGetNSID, unix.NLM_F_REQUEST, req, func(b []byte) {
		for t, v := range netlink.Attrs(b[min(len(b), 4):]) {
			if t == netnsaNSID {
				id = int(int32(u32(v)))
			}
		}
	})
	return id, err
}
