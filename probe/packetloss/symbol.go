//go:build linux

package packetloss

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// symbols names places in the kernel's code. The program tells them since Linux 5.13, whoever runs it; before, they are
// looked up in a table that is long, and that the kernel shows only to who has CAP_SYSLOG.
type symbols struct {
	told  func(addr uint64) string // "nf_hook_slow+0xab/0x100 [nf_tables]"
	file  string
	mu    sync.Mutex
	known map[uint64]symbol
}

// A symbol is a place in a function.
type symbol struct {
	name   string // "unknown" where the kernel does not tell (kernel.kptr_restrict)
	offset uint64
}

func newSymbols(proc string) *symbols {
	return &symbols{file: filepath.Join(proc, "kallsyms"), known: map[uint64]symbol{}, told: func(uint64) string { return "" }}
}

func (s *symbols) lookup(addr uint64) symbol {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sym, ok := s.known[addr]; ok {
		return sym
	}
	sym := parse(s.told(addr))
	if sym.name != "unknown" {
		s.known[addr] = sym
		return sym
	}
	if f, err := os.Open(s.file); err == nil {
		sym = find(f, addr)
		f.Close()
	}
	s.known[addr] = sym
	return sym
}

// parse reads a place as the kernel prints it. Where it knows no name, that is a number.
func parse(s string) symbol {
	s, _, _ = strings.Cut(s, " ")
	s, _, _ = strings.Cut(s, "/")
	name, hex, ok := strings.Cut(s, "+0x")
	offset, err := strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil || strings.HasPrefix(name, "0x") {
		return symbol{name: "unknown"}
	}
	return symbol{name, offset}
}

// String returns a place as the kernel's own traces have it.
func (s symbol) String() string {
	if s.offset == 0 {
		return s.name
	}
	return fmt.Sprintf("%s+%#x", s.name, s.offset)
}

// maxFunction is above the size of the kernel's functions: what is farther from a symbol is not in it.
const maxFunction = 1 << 20

// find returns the last symbol that starts at or before addr.
func find(r io.Reader, addr uint64) symbol {
	best, name := uint64(0), []byte(nil)
	s := bufio.NewScanner(r)
	for s.Scan() {
		hex, rest, _ := bytes.Cut(s.Bytes(), []byte(" "))
		at, err := strconv.ParseUint(string(hex), 16, 64)
		if err != nil || at > addr || at <= best || len(rest) < 3 {
			continue
		}
		word, _, _ := bytes.Cut(rest[2:], []byte("\t"))
		best, name = at, append(name[:0], word...)
	}
	if best == 0 || addr-best > maxFunction {
		return symbol{name: "unknown"}
	}
	return symbol{string(name), addr - best}
}
