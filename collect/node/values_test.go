//go:build linux

package node

import "testing"

// TestShortValues wants zero of an attribute that is too short for what it is read as.
func TestShortValues(t *testing.T) {
	for n := range 4 {
		b := make([]byte, n)
		for i := range b {
			b[i] = 0xff
		}
		if got := u32(b); got != 0 {
			t.Errorf("u32 of %d bytes: %d", n, got)
		}
		if got := u16(b); n < 2 && got != 0 {
			t.Errorf("u16 of %d bytes: %d", n, got)
		}
		if got := be16(b); n < 2 && got != 0 {
			t.Errorf("be16 of %d bytes: %d", n, got)
		}
		if addr(b).IsValid() || mac(b) != mac(nil) {
			t.Errorf("an address of %d bytes", n)
		}
	}
	if u8(nil) != 0 || str([]byte("ab\x00cd")) != "ab" || str(nil) != "" {
		t.Error("u8 or str")
	}
	if got := prefix(nil, 0, true).String() + " " + prefix(nil, 0, false).String() + " " + prefix([]byte{10, 0, 0, 0}, 8, false).String(); got != "::/0 0.0.0.0/0 10.0.0.0/8" {
		t.Errorf("prefixes %s", got)
	}
	if prefix([]byte{10, 0, 0, 0}, 77, false).IsValid() {
		t.Error("a prefix of 77 bits")
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "": "_", ".": "_", "..": "_", "a/b": "a_b", `a\b`: "a_b", "a b\n": "a_b_", "\x7f": "_", "\xff": "_", "...": "...", "ü": "ü",
	} {
		if got := pathName(in); got != want {
			t.Errorf("pathName(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]uint64{"net:[5]": 5, "mnt:[5]": 0, "net:[x]": 0, "net:[": 0, "net:[-5]": 0, "": 0} {
		if got, ok := nsInode(in); got != want || ok != (want != 0) {
			t.Errorf("nsInode(%q) = %d, %v", in, got, ok)
		}
	}
	for in, want := range map[string]string{`a\040b`: "a b", `a\04`: `a\04`, `\999`: `\999`, `\134`: `\`, "": ""} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int]string{0: "", 1: "lo", 9: "if9"} {
		if got := (names{1: "lo"}).of(in); got != want {
			t.Errorf("device %d: %q, want %q", in, got, want)
		}
	}
}
