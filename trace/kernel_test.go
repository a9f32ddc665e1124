//go:build linux

package trace_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

var record = flag.Bool("record", false, "write what was collected, and what became of the packets, to testdata")

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestKernel sends real packets through real namespaces, follows the same
// packets through what was collected of them, and wants the same fates.
func TestKernel(t *testing.T) {
	sandbox.Need(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

// A topology is a few namespaces, and packets to send through them.
type topology struct {
	name  string
	story string   // what it shows
	setup []string // "NODE/NETNS: commands" in order; a namespace without a node is not collected
	send  []probe
}

// A probe is one packet that is sent for real and followed in the model.
type probe struct {
	from, to string // namespaces: "a/p1"
	addr     string // the destination that from asks for
	port     uint16 // where to listens; 0: as addr's
	proto    string // "tcp", "udp", "ping"
	size     int    // ping: of the IP packet
	df       bool
	fate     trace.Fate // what is expected: guards against both being wrong in the same way
	reply    trace.Fate // where fate is Delivered
}

type world struct {
	t  *testing.T
	ns map[string]*sandbox.NS
}

func (c *topology) run(t *testing.T) {
	w := &world{t: t, ns: map[string]*sandbox.NS{}}
	defer w.close()
	for _, block := range c.setup {
		name, script, _ := strings.Cut(block, ":")
		w.sh(strings.TrimSpace(name), script)
	}
	w.settle()
	var outcomes []string
	stop := w.listen(c.send)
	files := w.collect()
	cl, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(cl)
	for _, p := range c.send {
		outcomes = append(outcomes, w.compare(n, p))
	}
	stop()
	if *record && !t.Failed() {
		c.record(t, files, outcomes)
	}
}

func (w *world) name(ns string) string { return strings.ReplaceAll(ns, "/", "-") }

func (w *world) sh(ns, script string) {
	w.t.Helper()
	n := w.ns[ns]
	if n == nil {
		var err error
		if n, err = sandbox.NewNS(w.name(ns)); err != nil {
			w.t.Fatal(err)
		}
		w.ns[ns] = n
		for _, quiet := range []string{"net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"} {
			if err := n.Run("", "sysctl", "-qw", quiet); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if err := n.Run("set -e\n"+script, "sh", "-s"); err != nil {
		w.t.Fatalf("%s: %v", ns, err)
	}
}

func (w *world) close() {
	for _, n := range w.ns {
		if err := n.Delete(); err != nil {
			w.t.Error(err)
		}
	}
}

// settle waits until no address is tentative any more.
func (w *world) settle() {
	deadline := time.Now().Add(5 * time.Second)
	for _, n := range w.ns {
		for time.Now().Before(deadline) {
			out, err := n.Output("", "ip", "-o", "addr", "show", "tentative")
			if err != nil || out == "" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// listen opens the probes' sockets and returns a function that closes them.
func (w *world) listen(probes []probe) func() {
	var closers []func() error
	for i := range probes {
		p := &probes[i]
		if p.proto == "ping" || p.fate == trace.NoListener {
			continue
		}
		c, err := w.open(p)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		closers = append(closers, c)
	}
	return func() {
		for _, c := range closers {
			c()
		}
	}
}

// saw is what the servers noted: the peers' addresses.
var saw = make(chan netip.AddrPort, 1000)

func (w *world) open(p *probe) (func() error, error) {
	var close func() error
	err := w.ns[p.to].Do(func() error {
		addr := fmt.Sprintf(":%d", p.listenPort())
		if p.proto == "udp" {
			c, err := net.ListenPacket("udp", addr)
			if err != nil {
				return err
			}
			close = c.Close
			go echo(c)
			return nil
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		close = l.Close
		go accept(l)
		return nil
	})
	return close, err
}

func (p *probe) listenPort() uint16 {
	if p.port != 0 {
		return p.port
	}
	return netip.MustParseAddrPort(p.addr).Port()
}

func echo(c net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		saw <- from.(*net.UDPAddr).AddrPort()
		c.WriteTo(buf[:n], from)
	}
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		saw <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
		c.Close()
	}
}

// An outcome is what became of a real packet.
type outcome struct {
	answered bool
	told     bool // an error came back: a reset, an ICMP message
	peer     netip.Addr
	err      string
}

func (w *world) real(p probe) outcome {
	for len(saw) > 0 {
		<-saw
	}
	var o outcome
	if p.proto == "ping" {
		o = w.ping(p)
	} else {
		o = w.connect(p)
	}
	wait := 30 * time.Millisecond // what the server saw of a packet whose answer was lost
	if o.answered && p.proto != "ping" {
		wait = 2 * time.Second
	}
	select {
	case a := <-saw:
		o.peer = a.Addr().Unmap()
	case <-time.After(wait):
	}
	return o
}

func (w *world) ping(p probe) outcome {
	head := 28
	if netip.MustParseAddr(p.addr).Is6() {
		head = 48
	}
	m := "dont"
	if p.df {
		m = "do"
	}
	size := max(p.size-head, 56)
	out, err := w.ns[p.from].Output("", "ping", "-n", "-c1", "-W1", "-M", m, "-s", fmt.Sprint(size), p.addr)
	told := strings.Contains(out, "nreachable") || strings.Contains(out, "rag needed") || strings.Contains(out, "oo big") || strings.Contains(out, "exceeded") || strings.Contains(out, "rohibited") || strings.Contains(out, "iltered")
	return outcome{answered: err == nil, told: told, err: out}
}

// patience is how long a connection may take: a little more than the first
// retransmission of a SYN, because an error that comes back at once finds the socket busy.
const patience = 1300 * time.Millisecond

func (w *world) connect(p probe) outcome {
	var o outcome
	w.ns[p.from].Do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, err := (&net.Dialer{}).DialContext(ctx, p.proto, p.addr)
		if err == nil && p.proto == "udp" {
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err = c.Write(make([]byte, max(p.size-28, 1))); err == nil {
				_, err = c.Read(make([]byte, 65536))
			}
		}
		o.answered = err == nil
		if err != nil {
			var no syscall.Errno
			o.told, o.err = errors.As(err, &no) && no != syscall.ETIMEDOUT, err.Error()
		}
		return nil
	})
	return o
}

// compare sends a probe and follows it, and says what the model said in one line.
func (w *world) compare(n *network.Network, p probe) string {
	w.t.Helper()
	q := p.query(n)
	r := trace.Run(n, q)
	line := p.String() + ": " + summary(r)
	got := w.real(p)
	if len(r.Paths) == 0 {
		w.t.Errorf("%s: no path", p)
		return line
	}
	path := r.Paths[0]
	answered := path.End == trace.Delivered && len(path.Reply) > 0 && path.Reply[0].End == trace.Delivered
	if path.End != p.fate {
		w.t.Errorf("%s: the model says %s, want %s\n%s", p, path.End, p.fate, explain(r))
	}
	if path.End == trace.Delivered && len(path.Reply) > 0 && path.Reply[0].End != p.wantReply() {
		w.t.Errorf("%s: the model says of the answer %s, want %s\n%s", p, path.Reply[0].End, p.wantReply(), explain(r))
	}
	if answered != got.answered {
		w.t.Errorf("%s: the model says answered=%t, the kernel %t (%s)\n%s", p, answered, got.answered, got.err, explain(r))
	}
	if got.peer.IsValid() && path.End != trace.Delivered {
		w.t.Errorf("%s: the model says %s, but the server was reached from %s\n%s", p, path.End, got.peer, explain(r))
	}
	if got.peer.IsValid() && path.Final.Src.Addr() != got.peer {
		w.t.Errorf("%s: the model says the server sees %s, it saw %s\n%s", p, path.Final.Src.Addr(), got.peer, explain(r))
	}
	if p.proto == "udp" && path.End == trace.Delivered && !got.peer.IsValid() {
		w.t.Errorf("%s: the model says delivered, and the server saw nothing (%s)\n%s", p, got.err, explain(r))
	}
	if told := len(path.ICMP) > 0 && path.ICMP[0].End == trace.Delivered; !got.answered && told != got.told && len(path.ICMP) > 0 && path.End != trace.NoNeighbour {
		w.t.Errorf("%s: the model says told=%t, the kernel %t (%s)\n%s", p, told, got.told, got.err, explain(r))
	}
	return line
}

func (p probe) wantReply() trace.Fate {
	if p.reply == trace.Unknown {
		return trace.Delivered
	}
	return p.reply
}

func (p probe) String() string {
	s := p.from + " " + p.proto + " " + p.addr
	if p.size != 0 {
		s += fmt.Sprintf(" size %d", p.size)
	}
	if p.df {
		s += " df"
	}
	return s
}

func (p probe) query(n *network.Network) trace.Query { return parseProbe(n, p.String()) }

// parseProbe reads what probe.String prints.
func parseProbe(n *network.Network, s string) trace.Query {
	f := strings.Fields(s)
	node, ns, _ := strings.Cut(f[0], "/")
	q := trace.Query{}
	for _, have := range n.NS {
		if have.Node.Name == node && have.Name == ns {
			q.From = have
		}
	}
	switch f[1] {
	case "ping":
		a := netip.MustParseAddr(f[2])
		q.Dst, q.Proto = netip.AddrPortFrom(a, 0), packet.ICMP
		if a.Is6() {
			q.Proto = packet.ICMPv6
		}
	case "udp":
		q.Dst, q.Proto, q.DF = netip.MustParseAddrPort(f[2]), packet.UDP, true
		q.ReplySize = 0
	case "tcp":
		q.Dst, q.Proto, q.DF = netip.MustParseAddrPort(f[2]), packet.TCP, true
	}
	for i := 3; i < len(f); i++ {
		if f[i] == "size" {
			fmt.Sscan(f[i+1], &q.Size)
		}
		if f[i] == "df" {
			q.DF = true
		}
	}
	return q
}

// summary says in one line where a packet and its answer end.
func summary(r trace.Result) string {
	var all []string
	for _, p := range r.Paths {
		s := fmt.Sprintf("%.3g %s at %s: %s", p.Weight, p.End, p.At, p.Why)
		for _, b := range p.Reply {
			s += fmt.Sprintf(" | answer %s at %s: %s", b.End, b.At, b.Why)
		}
		for _, b := range p.ICMP {
			s += fmt.Sprintf(" | message %s at %s: %s", b.End, b.At, b.Why)
		}
		for _, a := range p.Assumed {
			s += " | assumed: " + a.What.String()
		}
		all = append(all, s)
	}
	return strings.Join(all, " || ")
}

func explain(r trace.Result) string {
	var b strings.Builder
	var walk func(ps []trace.Path, indent string)
	walk = func(ps []trace.Path, indent string) {
		for _, p := range ps {
			fmt.Fprintf(&b, "%s%.3g %s at %s: %s\n", indent, p.Weight, p.End, p.At, p.Why)
			for _, h := range p.Hops {
				fmt.Fprintf(&b, "%s  %s/%s in %q out %q\n", indent, h.Node, h.NetNS, h.In, h.Out)
				for _, s := range h.Steps {
					fmt.Fprintf(&b, "%s    %-12s %-6s %s\n", indent, s.Stage, s.Link, s.What)
					for _, e := range s.Evidence() {
						fmt.Fprintf(&b, "%s        %s:%d %s   $ %s\n", indent, e.File, e.Line, e.Text, e.Command)
					}
				}
			}
			walk(p.Reply, indent+"  < ")
			walk(p.ICMP, indent+"  ! ")
		}
	}
	walk(r.Paths, "")
	return b.String()
}

// The sysctls that the model looks at, so that fixtures stay small.
var sysctls = regexp.MustCompile(`^net\.(ipv4\.(ip_forward|ip_forward_use_pmtu|icmp_echo_ignore_all|conf\.[^ ]*\.(forwarding|rp_filter|src_valid_mark|accept_local|route_localnet|proxy_arp|arp_ignore|arp_filter|ignore_routes_with_linkdown))|ipv6\.conf\.[^ ]*\.(forwarding|disable_ipv6|mtu|proxy_ndp|ignore_routes_with_linkdown)|bridge\.bridge-nf-call-[^ ]*) = `)

// collectors are what is collected of a namespace: files and the commands that print them.
var collectors = []struct{ file, cmd string }{
	{"addr.json", "ip -j -d addr"},
	{"routes.json", "ip -j -d route show table all"},
	{"routes6.json", "ip -6 -j -d route show table all"},
	{"rules.json", "ip -j -d rule"},
	{"rules6.json", "ip -6 -j -d rule"},
	{"nexthops.json", "ip -j nexthop"},
	{"neigh.json", "ip -j neigh"},
	{"fdb.json", "bridge -j fdb"},
	{"vlan.json", "bridge -j vlan"},
	{"sysctl", "sysctl -a 2>/dev/null"},
	{"sockets", "ss -H -n -a -e -p -l -t -u; ss -H -n -a -e -p -l -w"},
	{"iptables", "iptables-nft-save 2>/dev/null"},
	{"ip6tables", "ip6tables-nft-save 2>/dev/null"},
	{"iptables-legacy", "iptables-legacy-save 2>/dev/null"},
	{"ip6tables-legacy", "ip6tables-legacy-save 2>/dev/null"},
	{"ipset", "ipset save"},
	{"nft.json", ":"},
	{"ipvs", ":"},
	{"stat", ":"},
}

func (w *world) collect() snapshot.Files {
	files := snapshot.Files{}
	inodes := map[string]uint64{}
	for name, n := range w.ns {
		var st syscall.Stat_t
		if err := syscall.Stat(n.Path, &st); err != nil {
			w.t.Fatal(err)
		}
		inodes[w.name(name)] = st.Ino
	}
	for name, n := range w.ns {
		node, ns, ok := strings.Cut(name, "/")
		if !ok {
			continue
		}
		dir := "nodes/" + node + "/" + ns + "/"
		for _, c := range collectors {
			out, err := n.Output(c.cmd, "sh", "-s")
			if err != nil && c.file != "sysctl" {
				w.t.Fatalf("%s: %v", name, err)
			}
			files[dir+c.file] = cut(c.file, []byte(out))
		}
		files[dir+"netns.json"] = w.netns(n, inodes)
		files["nodes/"+node+"/node.json"] = []byte(fmt.Sprintf("{\"name\":%q}\n", node))
	}
	return files
}

func (w *world) netns(n *sandbox.NS, inodes map[string]uint64) []byte {
	out, err := n.Output("", "ip", "-j", "netns", "list-id")
	if err != nil {
		w.t.Fatal(err)
	}
	var list []struct {
		ID   int    `json:"nsid"`
		Name string `json:"name"`
	}
	json.Unmarshal([]byte(out), &list)
	ids := map[int]uint64{}
	for _, l := range list {
		if inodes[l.Name] != 0 {
			ids[l.ID] = inodes[l.Name]
		}
	}
	return snapshot.EncodeNetNS(inodes[n.Name], "", "", ids)
}

// cut leaves out what the model does not look at.
func cut(file string, out []byte) []byte {
	switch file {
	case "sysctl":
		var keep []string
		for _, l := range strings.Split(string(out), "\n") {
			if sysctls.MatchString(l) {
				keep = append(keep, l)
			}
		}
		return []byte(strings.Join(keep, "\n") + "\n")
	case "addr.json":
		return cutLinks(out)
	}
	return out
}

func cutLinks(out []byte) []byte {
	var links []map[string]any
	if json.Unmarshal(out, &links) != nil {
		return out
	}
	var b strings.Builder
	b.WriteString("[")
	for i, l := range links {
		if i > 0 {
			b.WriteString(",\n")
		}
		one, _ := json.Marshal(prune(l))
		b.Write(one)
	}
	b.WriteString("]\n")
	return []byte(b.String())
}

// kept are the members of "ip -d addr" that decide where packets go.
var kept = map[string]bool{}

func init() {
	for _, k := range strings.Fields(`ifindex ifname link_index link link_netnsid flags mtu master operstate link_type address linkinfo info_kind info_data
		info_slave_kind info_slave_data addr_info family local prefixlen scope secondary temporary deprecated tentative dadfailed nodad id group group6 remote remote6
		local6 port learning external ttl df pmtudisc ikey okey protocol mode active_slave vlan_filtering vlan_default_pvid stp_state nf_call_iptables nf_call_ip6tables
		nf_call_arptables table state hairpin flood isolated neigh_suppress`) {
		kept[k] = true
	}
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if !kept[k] || k == "group" && x == "default" {
				delete(v, k)
				continue
			}
			v[k] = prune(x)
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

// record writes a fixture: what was collected, and what the kernel and the model agree on.
func (c *topology) record(t *testing.T, files snapshot.Files, outcomes []string) {
	a := &txtar.Archive{Comment: []byte(c.story + "\nRecorded from real namespaces by: go test ./trace -run TestKernel -record\n\n")}
	for _, name := range files.Names() {
		if len(files[name]) == 0 || strings.Contains(name, "-legacy") {
			files[name] = []byte{}
		}
		a.Files = append(a.Files, txtar.File{Name: name, Data: files[name]})
	}
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(strings.Join(outcomes, "\n") + "\n")})
	if err := os.WriteFile(filepath.Join("testdata", c.name+".txtar"), txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
