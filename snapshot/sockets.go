package snapshot

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// ssProtos are the protocols by the name that ss gives them in its first column.
var ssProtos = map[string]packet.Proto{"tcp": packet.TCP, "udp": packet.UDP, "sctp": packet.SCTP}

// ParseSockets reads what "ss -H -O -n -l -t -u -S -e -p" prints, with or without the
// header: a line a socket. Sockets in other states and of other protocols are passed over.
func ParseSockets(in io.Reader) ([]Socket, error) {
	var out []Socket
	err := lines(in, "sockets", func(n int, line string) error {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "Netid" || ssProtos[f[0]] == 0 {
			return nil
		}
		if len(f) < 5 {
			return fmt.Errorf("want Netid State Recv-Q Send-Q Local, have %q", short(line))
		}
		if f[1] != "LISTEN" && f[1] != "UNCONN" {
			return nil
		}
		s, err := parseSocket(f)
		if err != nil {
			return err
		}
		s.Line, s.Process = n, firstUser(line)
		out = append(out, s)
		return nil
	})
	return out, err
}

// firstUser returns the name of the first process in users:(("a b",pid=1,fd=3)).
func firstUser(line string) string {
	_, rest, _ := strings.Cut(line, `users:(("`)
	name, _, _ := strings.Cut(rest, `"`)
	return strings.ToValidUTF8(name, "?")
}

// parseSocket reads the columns of one line.
func parseSocket(f []string) (Socket, error) {
	s := Socket{Proto: ssProtos[f[0]], State: f[1]}
	var err error
	if s.Queue, err = strconv.Atoi(f[2]); err != nil {
		return s, fmt.Errorf("Recv-Q %q: want a number", short(f[2]))
	}
	if s.Backlog, err = strconv.Atoi(f[3]); err != nil {
		return s, fmt.Errorf("Send-Q %q: want a number", short(f[3]))
	}
	if s.State != "LISTEN" {
		s.Queue, s.Backlog = 0, 0 // they are bytes then
	}
	var only6 bool
	if s.Local, s.Dev, only6, err = parseLocal(f[4]); err != nil {
		return s, err
	}
	s.V6Only = only6
	for _, extra := range f[5:] {
		if v, ok := strings.CutPrefix(extra, "v6only:"); ok {
			s.V6Only = v == "1"
		}
	}
	return s, nil
}

// parseLocal reads "127.0.0.1:80", "*:81", "[::]:82", "0.0.0.0%eth0:53" or "[fe80::1]%eth0:546".
// A "*" is an IPv6 wildcard that takes IPv4 as well; "[::]" is one that does not.
func parseLocal(s string) (local netip.AddrPort, dev string, only6 bool, err error) {
	bad := func() (netip.AddrPort, string, bool, error) {
		return netip.AddrPort{}, "", false, fmt.Errorf("local address %q: want ADDRESS:PORT", short(s))
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return bad()
	}
	host, portText := s[:i], s[i+1:]
	port, err := strconv.ParseUint(portText, 10, 16)
	if portText == "*" {
		port, err = 0, nil
	}
	if err != nil {
		return bad()
	}
	host, dev, _ = strings.Cut(host, "%")
	if dev2, ok := strings.CutSuffix(dev, "]"); ok { // [fe80::1%eth0]:546, as older ones print
		dev, host = dev2, host+"]"
	}
	if host == "*" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), dev, false, nil
	}
	inner, bracket := strings.CutPrefix(host, "[")
	inner = strings.TrimSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	if err != nil {
		return bad()
	}
	// An IPv4 address on an IPv6 socket (::ffff:10.0.0.1) takes IPv4 packets only.
	a = a.Unmap()
	return netip.AddrPortFrom(a, uint16(port)), dev, bracket && a.IsUnspecified(), nil
}
