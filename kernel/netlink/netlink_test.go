//go:build linux

package netlink

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// datagram is a netlink message of a sequence number.
func datagram(typ, flags uint16, seq uint32, body []byte) []byte {
	b := n32(uint32(unix.SizeofNlMsghdr + len(body)))
	b = append(append(b, n16(typ)...), n16(flags)...)
	b = append(append(b, n32(seq)...), n32(0)...)
	b = append(b, body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func n16(n uint16) []byte { return Native.AppendUint16(nil, n) }

func n32(n uint32) []byte { return Native.AppendUint32(nil, n) }

func TestMessages(t *testing.T) {
	data := datagram(unix.RTM_NEWLINK, 0, 7, []byte("abcd"))
	end := datagram(unix.NLMSG_DONE, 0, 7, n32(0))
	eperm := -int32(unix.EPERM)
	for _, tt := range []struct {
		name       string
		in         []byte
		dump       bool
		bodies     int
		done, intr bool
		err        string
	}{
		{"a part of a list", slices.Concat(data, data), true, 2, false, false, ""},
		{"its end", slices.Concat(data, end), true, 1, true, false, ""},
		{"one answer", data, false, 1, true, false, ""},
		{"refused", datagram(unix.NLMSG_ERROR, 0, 7, n32(uint32(eperm))), true, 0, true, false, "operation not permitted"},
		{"acknowledged", datagram(unix.NLMSG_ERROR, 0, 7, n32(0)), false, 0, true, false, ""},
		{"an end that is an error", datagram(unix.NLMSG_DONE, 0, 7, n32(uint32(eperm))), true, 0, true, false, "operation not permitted"},
		{"changed under it", slices.Concat(datagram(unix.RTM_NEWLINK, unix.NLM_F_DUMP_INTR, 7, nil), end), true, 1, true, true, ""},
		{"of an earlier request", slices.Concat(datagram(unix.RTM_NEWLINK, 0, 6, nil), datagram(unix.NLMSG_DONE, 0, 6, n32(0))), true, 0, false, false, ""},
		{"nothing to do", datagram(unix.NLMSG_NOOP, 0, 7, nil), true, 0, false, false, ""},
		{"longer than the datagram", data[:len(data)-4], true, 0, false, false, "a message of 20 bytes in 16"},
		{"shorter than its header", append(n32(4), make([]byte, 12)...), true, 0, false, false, "a message of 4 bytes in 16"},
		{"empty", nil, true, 0, false, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, bodies := Conn{seq: 7}, 0
			done, intr, err := c.messages(tt.in, tt.dump, func([]byte) { bodies++ })
			if done != tt.done || intr != tt.intr || bodies != tt.bodies {
				t.Errorf("done %v, interrupted %v, %d messages", done, intr, bodies)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
		})
	}
}

// FuzzMessages: no answer makes it panic or go on without end.
func FuzzMessages(f *testing.F) {
	f.Add(datagram(unix.RTM_NEWLINK, 0, 0, []byte("abcd")))
	f.Add(datagram(unix.NLMSG_ERROR, unix.NLM_F_DUMP_INTR, 0, n32(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, seen := Conn{}, 0
		if _, _, err := c.messages(b, true, func([]byte) { seen++ }); err == nil && seen > len(b)/unix.SizeofNlMsghdr {
			t.Errorf("%d messages in %d bytes", seen, len(b))
		}
		for range Attrs(b) {
			seen++
		}
	})
}

// TestDial asks the kernel for the loopback device.
func TestDial(t *testing.T) {
	c, err := Dial(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	names := []string{}
	err = c.Dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func() { names = names[:0] }, func(b []byte) {
		for typ, v := range Attrs(b[unix.SizeofIfInfomsg:]) {
			if typ == unix.IFLA_IFNAME {
				names = append(names, strings.TrimRight(string(v), "\x00"))
			}
		}
	})
	if err != nil || !slices.Contains(names, "lo") {
		t.Errorf("%q, %v", names, err)
	}
}
