//go:build linux

package changes

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// nftGroup is NFNLGRP_NFTABLES.
const nftGroup = 7

// Messages of nftables and their attributes (linux/netfilter/nf_tables.h). In all of them the first attribute is the table.
const (
	nftTable    = 1
	nftElements = 3
	nftGenPID   = 2
	nftGenName  = 3
)

// An object is what a message is about: what there is one more or one less of.
type object struct {
	name    string
	deleted bool
}

var nftObjects = map[uint16]object{
	unix.NFT_MSG_NEWTABLE: {"table", false}, unix.NFT_MSG_DELTABLE: {"table", true},
	unix.NFT_MSG_NEWCHAIN: {"chain", false}, unix.NFT_MSG_DELCHAIN: {"chain", true},
	unix.NFT_MSG_NEWRULE: {"rule", false}, unix.NFT_MSG_DELRULE: {"rule", true},
	unix.NFT_MSG_NEWSET: {"set", false}, unix.NFT_MSG_DELSET: {"set", true},
	unix.NFT_MSG_NEWSETELEM: {"element", false}, unix.NFT_MSG_DELSETELEM: {"element", true},
	unix.NFT_MSG_NEWOBJ: {"object", false}, unix.NFT_MSG_DELOBJ: {"object", true},
	22: {"flowtable", false}, 24: {"flowtable", true},
}

// families are those of tables, by NFPROTO_*.
var families = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// A commit is what a transaction has changed so far: the message of its end comes last.
type commit struct {
	tables []string // in the order in which they came
	counts map[string]map[object]int
}

// mostTables bounds those of a transaction that are told apart.
const mostTables = 64

func (t *commit) add(table string, o object, n int) {
	if t.counts == nil {
		t.counts = map[string]map[object]int{}
	}
	if t.counts[table] == nil {
		if len(t.tables) >= mostTables {
			return
		}
		t.counts[table] = map[object]int{}
		t.tables = append(t.tables, table)
	}
	t.counts[table][o] += n
}

// shown is the order in which objects are told.
var shown = []string{"rule", "chain", "set", "element", "object", "flowtable", "table"}

func (t *commit) String() string {
	var all []string
	for _, table := range t.tables {
		var parts []string
		for _, deleted := range []bool{false, true} {
			var some []string
			for _, name := range shown {
				if n := t.counts[table][object{name, deleted}]; n == 1 {
					some = append(some, "1 "+name)
				} else if n > 1 {
					some = append(some, fmt.Sprintf("%d %ss", n, name))
				}
			}
			if verb := map[bool]string{false: " added", true: " deleted"}[deleted]; some != nil {
				parts = append(parts, strings.Join(some, ", ")+verb)
			}
		}
		all = append(all, table+": "+strings.Join(parts, ", "))
	}
	return strings.Join(all, ", ")
}

// nft takes a message of nftables, and tells a transaction at its end.
func (s *space) nft(typ uint16, b []byte, note noter) {
	const sizeofNfgenmsg = 4
	if typ>>8 != unix.NFNL_SUBSYS_NFTABLES || len(b) < sizeofNfgenmsg {
		return
	}
	attrs := b[sizeofNfgenmsg:]
	if typ &= 0xff; typ == unix.NFT_MSG_NEWGEN {
		done := s.commit
		s.commit = commit{}
		note(ofNFTables, func() string { return strings.TrimSpace(done.String() + by(attrs)) })
		return
	}
	o, ok := nftObjects[typ]
	if !ok {
		return
	}
	table, n := "", 1
	for t, v := range netlink.Attrs(attrs) {
		switch {
		case t == nftTable:
			table, _, _ = strings.Cut(string(v), "\x00")
		case t == nftElements && o.name == "element":
			n = 0
			for range netlink.Attrs(v) {
				n++
			}
		}
	}
	s.commit.add(families[b[0]]+" "+table, o, n)
}

// by names the process that made a transaction.
func by(attrs []byte) string {
	name, pid := "", uint32(0)
	for t, v := range netlink.Attrs(attrs) {
		switch {
		case t == nftGenPID && len(v) == 4:
			pid = binary.BigEndian.Uint32(v)
		case t == nftGenName:
			name, _, _ = strings.Cut(string(v), "\x00")
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" by %s[%d]", name, pid)
}
