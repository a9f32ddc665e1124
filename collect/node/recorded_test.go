//go:build linux

package node

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// recordedFile has netlink messages as a kernel sent them, a line each: what it is, then hexadecimal. They
// were recorded from richNode. PLUMB_RECORD=1 records them again, with what is decoded of them.
const (
	recordedFile = "testdata/messages.txt"
	decodedFile  = "testdata/decoded.txt"
)

var recordedNames = names{1: "lo", 2: "cni0", 5: "u0"}

// decoders print what is read of a message, by its kind in the file.
var decoders = map[string]func(b []byte) string{
	"link": func(b []byte) string {
		l, ok := decodeLink(b)
		peer := "none"
		if l.PeerNSID != nil {
			peer = fmt.Sprint(*l.PeerNSID)
		}
		out := l.named(recordedNames, nil)
		out.PeerNSID = nil
		return fmt.Sprintf("%v %+v peer %s", ok, out, peer)
	},
	"addr": func(b []byte) string {
		index, a, ok := decodeAddr(b)
		return fmt.Sprintf("%v %d %+v", ok, index, a)
	},
	"route": func(b []byte) string { r, ok := decodeRoute(b, recordedNames); return fmt.Sprintf("%v %+v", ok, r) },
	"rule": func(b []byte) string {
		r, ok := decodeRule(b)
		uids := r.UIDs
		r.UIDs = nil
		return fmt.Sprintf("%v %+v uids %v", ok, r, uids)
	},
	"nexthop": func(b []byte) string { o, ok := decodeNextHop(b, recordedNames); return fmt.Sprintf("%v %+v", ok, o) },
	"neigh":   func(b []byte) string { e, ok := decodeNeigh(b, recordedNames); return fmt.Sprintf("%v %+v", ok, e) },
	"fdb":     func(b []byte) string { e, ok := decodeFDB(b, recordedNames); return fmt.Sprintf("%v %+v", ok, e) },
	"socket": func(b []byte) string {
		s, ok := decodeSocket(b, recordedNames)
		return fmt.Sprintf("%v %s", ok, strings.TrimSpace(users(nil).line(s)))
	},
}

// recorded reads the messages.
func recorded(t testing.TB, f func(kind string, b []byte)) {
	file, err := os.Open(recordedFile)
	must(t, err)
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		kind, text, _ := strings.Cut(s.Text(), " ")
		b, err := hex.DecodeString(text)
		must(t, err)
		f(kind, b)
	}
	must(t, s.Err())
}

// TestRecorded decodes what a kernel sent, on machines where nothing can be made.
func TestRecorded(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the messages are of a little-endian machine")
	}
	if os.Getenv("PLUMB_RECORD") != "" {
		record(t)
	}
	var got strings.Builder
	seen := map[string]int{}
	recorded(t, func(kind string, b []byte) {
		seen[kind]++
		fmt.Fprintf(&got, "%s %s\n", kind, decoders[kind](b))
	})
	if os.Getenv("PLUMB_RECORD") != "" {
		must(t, os.WriteFile(decodedFile, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(decodedFile)
	must(t, err)
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for kind := range decoders {
		if seen[kind] == 0 {
			t.Errorf("no message of a %s", kind)
		}
	}
}

// TestRecordedCutShort cuts each message anywhere: what is left is decoded without a panic, and never has more than the whole.
func TestRecordedCutShort(t *testing.T) {
	recorded(t, func(kind string, b []byte) {
		for n := range b {
			_ = decoders[kind](b[:n:n])
		}
	})
}

func record(t *testing.T) {
	sandbox.Need(t)
	host, _ := makeNode(t)
	var out strings.Builder
	must(t, host.Do(func() error {
		route, err := netlink.Dial(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer route.Close()
		keep := func(kind string) func([]byte) {
			return func(b []byte) { fmt.Fprintf(&out, "%s %x\n", kind, b) }
		}
		for _, d := range []struct {
			kind string
			typ  uint16
			req  []byte
		}{
			{"link", unix.RTM_GETLINK, netlink.Attr(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_EXT_MASK, n32(1<<3))},
			{"addr", unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg)},
			{"route", unix.RTM_GETROUTE, append([]byte{unix.AF_INET}, make([]byte, unix.SizeofRtMsg-1)...)},
			{"route", unix.RTM_GETROUTE, append([]byte{unix.AF_INET6}, make([]byte, unix.SizeofRtMsg-1)...)},
			{"rule", unix.RTM_GETRULE, append([]byte{unix.AF_INET}, make([]byte, unix.SizeofRtMsg-1)...)},
			{"rule", unix.RTM_GETRULE, append([]byte{unix.AF_INET6}, make([]byte, unix.SizeofRtMsg-1)...)},
			{"nexthop", unix.RTM_GETNEXTHOP, make([]byte, 8)},
			{"neigh", unix.RTM_GETNEIGH, make([]byte, sizeofNdMsg)},
			{"fdb", unix.RTM_GETNEIGH, append([]byte{unix.AF_BRIDGE}, make([]byte, sizeofNdMsg-1)...)},
		} {
			if err := route.Dump(d.typ, d.req, func() {}, keep(d.kind)); err != nil {
				return err
			}
		}
		diag, err := netlink.Dial(unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return err
		}
		defer diag.Close()
		for _, p := range diagProtos[:2] {
			for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
				req := make([]byte, sizeofDiagReq)
				req[0], req[1] = family, p.proto
				native.PutUint32(req[4:], 1<<p.state)
				if err := diag.Dump(sockDiagByFamily, req, func() {}, keep("socket")); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	must(t, os.MkdirAll("testdata", 0o755))
	must(t, os.WriteFile(recordedFile, []byte(out.String()), 0o644))
}
