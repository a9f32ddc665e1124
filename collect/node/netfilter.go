//go:build linux

package node

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// iptablesTables are the tables that iptables-nft keeps in nf_tables.
var iptablesTables = []string{"filter", "nat", "mangle", "raw", "security"}

// nftTable is a table of nf_tables.
type nftTable struct {
	family uint8 // NFPROTO_*
	name   string
}

var nftFamilies = map[uint8]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

func (t nftTable) String() string { return nftFamilies[t.family] + " " + t.name }

// ofIPTables reports whether the table is one that iptables-nft-save prints.
func (t nftTable) ofIPTables() bool {
	return (t.family == 2 || t.family == 10) && slices.Contains(iptablesTables, t.name)
}

// nfnetlink asks a subsystem of netfilter for a list. A kernel without it has an empty one.
func nfnetlink(subsys, cmd uint8, req []byte, f func(family uint8, b []byte)) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return ifSupported(err)
	}
	defer c.Close()
	msg := append([]byte{unix.AF_UNSPEC, 0, 0, 0}, req...) // struct nfgenmsg
	err = c.Dump(uint16(subsys)<<8|uint16(cmd), msg, func() {}, func(b []byte) {
		if len(b) >= 4 {
			f(b[0], b[4:])
		}
	})
	// An unknown subsystem is EINVAL (nfnetlink_rcv_msg).
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return ifSupported(err)
}

// notSupported reports whether the kernel does not know what it was asked for.
func notSupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT)
}

func ifSupported(err error) error {
	if notSupported(err) {
		return nil
	}
	return err
}

// nftTables lists the tables of nf_tables. It costs a few bytes, where a program costs milliseconds.
func nftTables() ([]nftTable, error) {
	var out []nftTable
	const getTable, attrName = 1, 1
	err := nfnetlink(unix.NFNL_SUBSYS_NFTABLES, getTable, nil, func(family uint8, b []byte) {
		for t, v := range netlink.Attrs(b) {
			if t == attrName {
				out = append(out, nftTable{family, str(v)})
			}
		}
	})
	return slices.Compact(out), err
}

// haveIPSets reports whether there are sets.
func haveIPSets() (bool, error) {
	const (
		list     = 7 // IPSET_CMD_LIST
		protocol = 1 // IPSET_ATTR_PROTOCOL
		flags    = 6 // IPSET_ATTR_FLAGS
		byteswap = 0x4000
		justName = 1 << 1 // IPSET_FLAG_LIST_SETNAME
	)
	req := netlink.Attr(nil, protocol, []byte{6})
	req = netlink.Attr(req, flags|byteswap, []byte{0, 0, 0, justName})
	n := 0
	err := nfnetlink(unix.NFNL_SUBSYS_IPSET, list, req, func(_ uint8, b []byte) { n++ })
	return n > 0, err
}

// netfilter writes the files of iptables, nft and ipset. A program is run only where the kernel has what it would print.
func (w *worker) netfilter() {
	w.firewall()
	switch have, err := haveIPSets(); {
	case err != nil || !have:
		w.put("ipset", nil, err)
	default:
		w.run("ipset", "ipset", "save")
	}
	ipvs, err := readNet("ip_vs")
	w.put("ipvs", ipvs, err)
}

// firewall writes the files of iptables and nft.
func (w *worker) firewall() {
	tables, err := nftTables()
	w.saveNFT(tables, err)
	for _, f := range []struct{ iptables, kernel string }{{"iptables", "ip_tables_names"}, {"ip6tables", "ip6_tables_names"}} {
		file := f.iptables + "-legacy"
		names, err := readNet(f.kernel)
		if err != nil || len(bytes.TrimSpace(names)) == 0 {
			w.put(file, nil, err)
			continue
		}
		w.save(file, f.iptables, "-legacy")
	}
}

// saveNFT writes iptables, ip6tables and nft.json.
func (w *worker) saveNFT(tables []nftTable, err error) {
	has := func(family uint8) bool {
		return slices.ContainsFunc(tables, func(t nftTable) bool { return t.family == family && t.ofIPTables() })
	}
	native := slices.ContainsFunc(tables, func(t nftTable) bool { return !t.ofIPTables() })
	for _, f := range []struct {
		file   string
		family uint8
	}{{"iptables", 2}, {"ip6tables", 10}} {
		if err != nil || !has(f.family) {
			w.put(f.file, nil, err)
			continue
		}
		w.save(f.file, f.file, "-nft")
		// "# Table `filter' is incompatible, use 'nft' tool."
		native = native || bytes.Contains(w.files[f.file], []byte("is incompatible, use 'nft' tool"))
	}
	if err != nil || !native {
		w.put("nft.json", nil, err)
		return
	}
	if !w.run("nft.json", "nft", "-j", "list", "ruleset") {
		w.gaps = append(w.gaps, gap{"nft.json", fmt.Sprintf("there are tables that iptables does not know: %s", tableList(tables))})
	}
}

// tableList names the tables that are not those of iptables.
func tableList(tables []nftTable) string {
	var out []string
	for _, t := range tables {
		if !t.ofIPTables() {
			out = append(out, t.String())
		}
	}
	return strings.Join(out, ", ")
}
