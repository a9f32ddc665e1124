//go:build linux

package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// The messages of linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	sizeofDiagReq    = 56 // struct inet_diag_req_v2
	sizeofDiagMsg    = 72 // struct inet_diag_msg
	diagSKV6Only     = 11 // INET_DIAG_SKV6ONLY
	tcpClose         = 7
	tcpListen        = 10
)

// diagProtos are the protocols whose sockets are listed, in the order in which ss does, with
// the state that is asked for. One more than LISTEN of TCP would have the kernel walk
// its table of connections, which all namespaces share: 2 ms each time.
var diagProtos = []struct {
	name         string
	proto, state uint8
}{{"udp", unix.IPPROTO_UDP, tcpClose}, {"tcp", unix.IPPROTO_TCP, tcpListen}, {"sctp", unix.IPPROTO_SCTP, tcpListen}}

// diagSocket is a socket that listens, or is unconnected.
type diagSocket struct {
	proto          string
	family, state  uint8
	local          netip.AddrPort
	dev            string
	queue, backlog uint32
	inode          uint32
	v6only         bool
}

// sockets returns what "ss -H -O -n -l -t -u -S -e -p" prints, as far as a snapshot reads it.
func (w *worker) sockets(n names) ([]byte, error) {
	diag, err := netlink.Dial(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer diag.Close()
	var out bytes.Buffer
	var failed []error
	for _, p := range diagProtos {
		if p.proto == unix.IPPROTO_SCTP && !exists("/proc/thread-self/net/sctp") {
			continue // a kernel that has not loaded it has no such sockets
		}
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			list, err := diagSockets(diag, p.name, p.proto, p.state, family, n)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s sockets of family %d: %w", p.name, family, err))
			}
			for _, s := range list {
				out.WriteString(w.users.line(s))
			}
		}
	}
	return out.Bytes(), errors.Join(failed...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// diagSockets asks for the sockets of one protocol and family.
func diagSockets(c *netlink.Conn, name string, proto, state, family uint8, n names) ([]diagSocket, error) {
	req := make([]byte, sizeofDiagReq)
	req[0], req[1] = family, proto
	native.PutUint32(req[4:], 1<<state)
	var out []diagSocket
	err := c.Dump(sockDiagByFamily, req, func() { out = nil }, func(b []byte) {
		if s, ok := decodeSocket(b, n); ok {
			s.proto = name
			out = append(out, s)
		}
	})
	return out, err
}

// decodeSocket reads a struct inet_diag_msg with its attributes.
func decodeSocket(b []byte, n names) (diagSocket, bool) {
	if len(b) < sizeofDiagMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return diagSocket{}, false
	}
	s := diagSocket{family: b[0], state: b[1], queue: native.Uint32(b[56:]), backlog: native.Uint32(b[60:]), inode: native.Uint32(b[68:])}
	a := addr(b[8:12])
	if s.family == unix.AF_INET6 {
		a = addr(b[8:24])
	}
	s.local = netip.AddrPortFrom(a, be16(b[4:]))
	s.dev = n.of(int(native.Uint32(b[40:])))
	for t, v := range netlink.Attrs(b[sizeofDiagMsg:]) {
		if t == diagSKV6Only {
			s.v6only = u8(v) != 0
		}
	}
	return s, s.state == tcpListen || s.state == tcpClose
}

// users are the processes that hold a socket, by the socket's inode.
type users map[uint32]user

// user is a process that holds a socket, and its number there.
type user struct {
	comm string
	pid  int
	fd   string
}

// line returns a socket as ss prints it.
func (u users) line(s diagSocket) string {
	a := s.local.Addr()
	host, peer := a.String(), "0.0.0.0:*"
	if s.family == unix.AF_INET6 {
		host, peer = "["+a.String()+"]", "[::]:*"
		if a.IsUnspecified() && !s.v6only {
			host, peer = "*", "*:*"
		}
	}
	if s.dev != "" {
		host += "%" + s.dev
	}
	state := "UNCONN"
	if s.state == tcpListen {
		state = "LISTEN"
	}
	line := fmt.Sprintf("%s %s %d %d %s:%d %s", s.proto, state, s.queue, s.backlog, host, s.local.Port(), peer)
	if p, ok := u[s.inode]; ok {
		line += fmt.Sprintf(` users:(("%s",pid=%d,fd=%s))`, p.comm, p.pid, p.fd)
	}
	line += fmt.Sprintf(" ino:%d", s.inode)
	if s.family == unix.AF_INET6 {
		only := 0
		if s.v6only {
			only = 1
		}
		line += fmt.Sprintf(" v6only:%d", only)
	}
	return line + "\n"
}

// maxOpenFiles bounds how many open files are looked at to name the processes of
// sockets: a busy node has some 100,000, which take 0.3 s.
const maxOpenFiles = 500_000

// findUsers looks through the open files of processes for sockets. Of several
// processes that hold one, the first stays. It reports whether it came to the end.
func findUsers(proc string, pids []int) (users, bool) {
	out := users{}
	left := maxOpenFiles
	buf := make([]byte, 64)
	for _, pid := range pids {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		fds := readDirNames(filepath.Join(dir, "fd"))
		comm := ""
		for _, fd := range fds {
			if left--; left < 0 {
				return out, false
			}
			n, err := unix.Readlink(dir+"/fd/"+fd, buf)
			inode, ok := socketInode(buf[:max(n, 0)])
			if err != nil || !ok {
				continue
			}
			if _, dup := out[inode]; dup {
				continue
			}
			if comm == "" {
				comm = processName(dir)
			}
			out[inode] = user{comm, pid, fd}
		}
	}
	return out, true
}

// processName returns the name of a process, as ss prints it.
func processName(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "?"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' {
			return '?'
		}
		return r
	}, strings.TrimSuffix(string(b), "\n"))
}

// socketInode reads "socket:[4711]".
func socketInode(link []byte) (uint32, bool) {
	rest, ok := bytes.CutPrefix(link, []byte("socket:["))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSuffix(rest, []byte("]"))), 10, 32)
	return uint32(n), err == nil
}

// readDirNames returns what is in a folder, in the folder's order; nothing where it cannot be read.
func readDirNames(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return names
}
