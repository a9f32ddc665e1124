package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
)

// The files that say how names are looked up.
const (
	ResolvConf        = "resolv.conf"
	SystemdResolvConf = "systemd-resolv.conf" // of a node whose own resolv.conf leads to systemd's stub
)

// netnsFile is netns.json.
type netnsFile struct {
	Inode uint64         `json:"inode,omitempty"`
	Pod   string         `json:"pod,omitempty"`
	Path  string         `json:"path,omitempty"`
	NSIDs map[int]uint64 `json:"nsids,omitempty"`
}

// EncodeNetNS returns the content of netns.json; file is [NetNS.File].
func EncodeNetNS(inode uint64, pod, file string, nsids map[int]uint64) []byte {
	out, err := json.Marshal(netnsFile{inode, pod, NetNSPath(file), nsids})
	if err != nil {
		panic(err) // numbers and strings only
	}
	return append(out, '\n')
}

// NetNSPath returns where a person on the node finds a network namespace by its name in the file system, as it is
// written in netns.json: "/run/netns/cni-4f2a"; "" where the path leads elsewhere or is not for a command.
func NetNSPath(file string) string {
	if rest, ok := strings.CutPrefix(file, "/var/run/"); ok {
		file = "/run/" + rest
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_.:-", r)
	}
	if !strings.HasPrefix(file, "/run/") || strings.Contains(file, "/../") || strings.TrimLeftFunc(file, plain) != "" {
		return ""
	}
	return file
}

// Enter returns what a person on the node puts before a command to run it in the namespace; "" in the node's own.
func (ns *NetNS) Enter() string {
	switch {
	case ns.Name == "host":
		return ""
	case ns.File != "":
		return "nsenter --net=" + ns.File + " "
	}
	return "ip netns exec " + ns.Name + " "
}

// netns reads the folder of one namespace.
func (r *reader) netns(dir string) *NetNS {
	ns := &NetNS{Name: path.Base(dir), Dir: dir}
	file := func(base string) string { return path.Join(dir, base) }
	if data, ok := r.read(file("netns.json"), true); ok {
		var f netnsFile
		if err := json.Unmarshal(data, &f); err != nil {
			r.gap(file("netns.json"), "%s", err)
		}
		ns.Inode, ns.Pod, ns.File, ns.PeerNSID = f.Inode, f.Pod, NetNSPath(f.Path), f.NSIDs
	}
	r.parse(file("addr.json"), into(&ns.Links, ParseLinks))
	r.parse(file("sysctl"), into(&ns.Sysctl, ParseSysctl))
	r.parse(file("sockets"), into(&ns.Sockets, ParseSockets))
	r.parse(file("vlan.json"), into(&ns.VLANs, ParseVLANs))
	r.parse(file("stat"), into(&ns.Stat, ParseStat))
	for _, name := range []string{ResolvConf, SystemdResolvConf} {
		if data, ok := r.read(file(name), true); ok {
			if ns.Resolv == nil {
				ns.Resolv = map[string]string{}
			}
			ns.Resolv[name] = string(data)
		}
	}
	r.fib(ns, file)
	r.netfilter(ns, file)
	return ns
}

// into makes a parser store what it could read, also where it fails in the middle.
func into[T any](to *T, parse func(io.Reader) (T, error)) func(io.Reader) error {
	return func(in io.Reader) error {
		got, err := parse(in)
		*to = got
		return err
	}
}

// also is into for a second file of the same kind.
func also[T any](to *[]T, parse func(io.Reader) ([]T, error)) func(io.Reader) error {
	return func(in io.Reader) error {
		got, err := parse(in)
		*to = append(*to, got...)
		return err
	}
}

// fib reads the routing state.
func (r *reader) fib(ns *NetNS, file func(string) string) {
	t := &ns.FIB
	for _, v := range []struct {
		is6    bool
		suffix string
	}{{false, ".json"}, {true, "6.json"}} {
		r.parse(file("routes"+v.suffix), also(&t.Routes, func(in io.Reader) ([]fib.Route, error) { return fib.ParseRoutes(in, v.is6) }))
		r.parse(file("rules"+v.suffix), also(&t.Rules, func(in io.Reader) ([]fib.Rule, error) { return fib.ParseRules(in, v.is6) }))
	}
	r.parse(file("nexthops.json"), also(&t.NextHops, fib.ParseNextHops))
	r.parse(file("neigh.json"), also(&t.Neighs, fib.ParseNeighs))
	r.parse(file("fdb.json"), also(&t.FDB, fib.ParseFDB))
	t.Addrs = addrs(ns.Links)
	ns.fibSettings()
	t.Index()
}

// addrs returns the addresses of all devices as a route lookup wants them.
func addrs(links []Link) []fib.Addr {
	var out []fib.Addr
	for _, l := range links {
		for _, a := range l.Addrs {
			out = append(out, a.fib(l.Name))
		}
	}
	return out
}

// fib returns the address in the form of package fib.
func (a LinkAddr) fib(dev string) fib.Addr {
	out := fib.Addr{Dev: dev, Prefix: netip.PrefixFrom(a.Local, a.Len), Scope: a.Scope, Secondary: a.Secondary}
	if a.Scope == "global" {
		out.Scope = ""
	}
	if a.Peer.IsValid() && a.Peer != a.Local {
		out.Prefix = netip.PrefixFrom(a.Local, a.Local.BitLen())
		out.Peer = netip.PrefixFrom(a.Peer, a.Len)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{a.Temporary, "temporary"}, {a.Deprecated, "deprecated"}, {a.Tentative, "tentative"},
		{a.DADFailed, "dadfailed"}, {a.NoDAD, "nodad"}, {a.Dynamic, "dynamic"},
	} {
		if f.on {
			out.Flags = append(out.Flags, f.name)
		}
	}
	return out
}

// DevSysctl returns net.FAMILY.conf.DEV.NAME, where it is known. The family is
// "ipv4" or "ipv6"; dev may be "all" or "default".
func (ns *NetNS) DevSysctl(family, dev, name string) (string, bool) {
	v, ok := ns.Sysctl["net."+family+".conf."+strings.ReplaceAll(dev, ".", "/")+"."+name]
	return v, ok
}

// Link returns the device of that name, or nil.
func (ns *NetNS) Link(name string) *Link {
	for i := range ns.Links {
		if ns.Links[i].Name == name {
			return &ns.Links[i]
		}
	}
	return nil
}

// Path returns the path of a file of this namespace: Path("iptables") is "nodes/a/host/iptables".
func (ns *NetNS) Path(base string) string { return path.Join(ns.Dir, base) }

// netfilterFiles are the four files of iptables-save.
var netfilterFiles = []struct {
	base    string
	is6     bool
	backend netfilter.Backend
}{
	{"iptables", false, netfilter.NFT},
	{"ip6tables", true, netfilter.NFT},
	{"iptables-legacy", false, netfilter.Legacy},
	{"ip6tables-legacy", true, netfilter.Legacy},
}

// netfilter reads the rules.
func (r *reader) netfilter(ns *NetNS, file func(string) string) {
	rs := &ns.Netfilter
	for _, f := range netfilterFiles {
		name := file(f.base)
		r.parse(name, func(in io.Reader) error {
			tables, problems := netfilter.ParseSave(in, f.is6, f.backend, name)
			rs.Tables = append(rs.Tables, tables...)
			return r.problems(problems)
		})
	}
	r.parse(file("ipset"), func(in io.Reader) error {
		sets, problems := netfilter.ParseIPSet(in, file("ipset"))
		rs.Sets = sets
		return r.problems(problems)
	})
	r.parse(file("nft.json"), func(in io.Reader) error {
		return r.problems(rs.ReadNFT(in, file("nft.json")))
	})
	r.parse(file("ipvs"), func(in io.Reader) (err error) {
		ns.IPVS, err = parseIPVS(in)
		rs.Opaque = append(rs.Opaque, opaqueIPVS(ns.IPVS)...)
		return err
	})
}

// problems makes a Gap of each problem, up to a number that a person would read.
func (r *reader) problems(all []netfilter.Problem) error {
	const enough = 20
	for i, p := range all {
		if i == enough {
			r.gap(p.File, "and %d more problems", len(all)-enough)
			break
		}
		if p.Line == 0 {
			r.gap(p.File, "%s", p.Why)
			continue
		}
		r.gap(p.File, "line %d: %s", p.Line, p.Why)
	}
	return nil
}

// maxLine bounds a line of a text file: the sockets of a process with many threads, a long comment.
const maxLine = 1 << 20

// lines calls f for each line, with its number from 1. It goes on after an error, and returns the first one.
func lines(in io.Reader, what string, f func(n int, line string) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	var first error
	n := 0
	for s.Scan() {
		n++
		if err := f(n, string(bytes.TrimRight(s.Bytes(), "\r"))); err != nil && first == nil {
			first = fmt.Errorf("%s: line %d: %w", what, n, err)
		}
	}
	if err := s.Err(); err != nil && first == nil {
		first = fmt.Errorf("%s: line %d: %w", what, n+1, err)
	}
	return first
}

// ParseSysctl reads what "sysctl -a" prints. What it says of values that it may not read is passed over.
func ParseSysctl(in io.Reader) (map[string]string, error) {
	out := make(map[string]string, sizeOf(in)/sysctlLine)
	err := lines(in, "sysctl", func(_ int, line string) error {
		if line == "" || strings.HasPrefix(line, "sysctl:") {
			return nil
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return fmt.Errorf("want NAME = VALUE, have %q", short(line))
		}
		out[name] = oneSpaced(value)
		return nil
	})
	return out, err
}

// sysctlLine is the length of a line of sysctl, seldom less, in bytes.
const sysctlLine = 50

// sizeOf returns how much in still holds, or 0 where it does not tell.
func sizeOf(in io.Reader) int {
	if sized, ok := in.(interface{ Len() int }); ok {
		return sized.Len()
	}
	return 0
}

// oneSpaced returns the words of s with one space between them.
func oneSpaced(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "\t ") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// ParseStat reads lines of a name and a count.
func ParseStat(in io.Reader) (map[string]uint64, error) {
	out := map[string]uint64{}
	err := lines(in, "stat", func(_ int, line string) error {
		f := strings.Fields(line)
		if len(f) == 0 {
			return nil
		}
		if len(f) != 2 {
			return fmt.Errorf("want NAME COUNT, have %q", short(line))
		}
		n, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			return fmt.Errorf("count %q: want a number", short(f[1]))
		}
		out[f[0]] = n
		return nil
	})
	return out, err
}

// short cuts a text that an error quotes.
func short(s string) string {
	const enough = 80
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
