package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// A target is what -s or -d names, before it is looked up in a snapshot.
type target struct {
	kind string // "pod", "service", "node", "address", "host", "url"
	ns   string // of a Pod or a Service
	name string
	addr netip.Addr
	port string // "" where none was given
}

// hint is the end of every error about a name that cannot be read.
const hint = "write ns/pod, svc/ns/name:port, node/NAME, an address, a host name or a URL"

// parseTarget reads what -s or -d names. flag is "-s" or "-d", for the error. Where namespace
// is not "", a name without a namespace, that is no host's, is a Pod's or a Service's there.
func parseTarget(flag, s, namespace string) (target, error) {
	if s == "" {
		return target{}, fmt.Errorf("%s: nothing given: %s", flag, hint)
	}
	if strings.Contains(s, "://") {
		return target{kind: "url", name: s}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return target{kind: "address", addr: a.Unmap()}, nil
	}
	name, port, err := cutPort(s)
	if err != nil {
		return target{}, fmt.Errorf("%s %q: %w", flag, s, err)
	}
	if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return target{kind: "address", addr: a.Unmap(), port: port}, nil
	}
	parts := strings.Split(name, "/")
	for _, p := range parts {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return target{}, fmt.Errorf("%s %q: %s", flag, s, hint)
		}
	}
	kind := strings.ToLower(parts[0])
	if namespace != "" {
		switch {
		case len(parts) == 1 && !strings.Contains(name, "."):
			parts, kind = []string{namespace, name}, ""
		case len(parts) == 2 && slices.Contains([]string{"svc", "service", "pod", "po"}, kind):
			parts = []string{kind, namespace, parts[1]}
		}
	}
	switch {
	case len(parts) == 1:
		return target{kind: "host", name: name, port: port}, nil
	case len(parts) == 2 && (kind == "node" || kind == "no"):
		return target{kind: "node", name: parts[1], port: port}, nil
	case len(parts) == 2 && (kind == "svc" || kind == "service" || kind == "pod" || kind == "po"):
		return target{}, fmt.Errorf("%s %q: the namespace is missing: write %s/NAMESPACE/%s", flag, s, parts[0], parts[1])
	case len(parts) == 2:
		return target{kind: "pod", ns: parts[0], name: parts[1], port: port}, nil
	case len(parts) == 3 && (kind == "pod" || kind == "po"):
		return target{kind: "pod", ns: parts[1], name: parts[2], port: port}, nil
	case len(parts) == 3 && (kind == "svc" || kind == "service"):
		return target{kind: "service", ns: parts[1], name: parts[2], port: port}, nil
	}
	return target{}, fmt.Errorf("%s %q: %s", flag, s, hint)
}

// cutPort splits "name:port". An IPv6 address with a port is in brackets.
func cutPort(s string) (name, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", nil
	}
	name, port = s[:i], s[i+1:]
	if port == "" {
		return "", "", fmt.Errorf("the port after %q is empty", ":")
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 1 || n > 65535) {
		return "", "", fmt.Errorf("port %d: want 1 to 65535", n)
	}
	return name, port, nil
}

// parseProto reads --proto. An empty name stands for TCP, or for ICMP where no port is named.
func parseProto(s string, havePort, is6 bool) (packet.Proto, error) {
	switch strings.ToLower(s) {
	case "":
		if havePort {
			return packet.TCP, nil
		}
		return icmpOf(is6), nil
	case "tcp":
		return packet.TCP, nil
	case "udp":
		return packet.UDP, nil
	case "sctp":
		return packet.SCTP, nil
	case "icmp", "icmpv6", "ping":
		return icmpOf(is6), nil
	}
	return 0, fmt.Errorf("--proto %q: want tcp, udp, sctp or icmp", s)
}

func icmpOf(is6 bool) packet.Proto {
	if is6 {
		return packet.ICMPv6
	}
	return packet.ICMP
}

// parsePort reads a port's number; ok is false where s is a name.
func parsePort(s string) (port uint16, ok bool, err error) {
	n, aerr := strconv.Atoi(s)
	if aerr != nil {
		return 0, false, nil
	}
	if n < 1 || n > 65535 {
		return 0, false, fmt.Errorf("port %d: want 1 to 65535", n)
	}
	return uint16(n), true, nil
}
