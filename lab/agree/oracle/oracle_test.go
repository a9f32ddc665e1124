package oracle

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// flow is one row of the oracle.
type flow struct {
	Name, Src, Dst, Proto, Output, Rules string
	DPort                                uint16
	Masq                                 bool
	NodeIPs                              []netip.Addr
}

// node answers what kube-proxy's rules ask.
type node struct{ addrs []netip.Addr }

func (n node) Conntrack(p packet.Packet, _ uint16) netfilter.Conn {
	t := netfilter.TupleOf(p)
	return netfilter.Conn{Orig: t, Back: t.Invert()}
}

func (n node) AddrType(a netip.Addr, _ string) netfilter.AddrType {
	if slices.Contains(n.addrs, a) || a.IsLoopback() {
		return "LOCAL"
	}
	return "UNICAST"
}

func (node) ReversePath(packet.Packet, string, bool, bool, bool) netfilter.Tri {
	return netfilter.Maybe
}
func (node) MasqueradeSource(string, packet.Packet) (netip.Addr, bool) { return netip.Addr{}, false }
func (node) PrimaryAddr(string, bool) (netip.Addr, bool)               { return netip.Addr{}, false }
func (node) Socket(packet.Packet, bool, bool) netfilter.Tri            { return netfilter.Maybe }
func (node) PathMTU(packet.Packet, string) int                         { return 0 }

// answer is ours in the words of the oracle.
type answer struct {
	output string
	masq   bool
}

func TestKubeProxy(t *testing.T) {
	dir := oracles(t)
	flows := read(t, filepath.Join(dir, "iptables.jsonl.gz"))
	n, wrong := 0, 0
	for _, form := range []struct{ folder, ext string }{{"iptables_rules", ".rules"}, {"iptables_rules_kernel_saved", ".save"}} {
		for i, f := range flows {
			r := rules(t, filepath.Join(dir, form.folder, f.Rules+form.ext), netip.MustParseAddr(f.Src).Is6())
			got, want := ask(r, f), answer{f.Output, f.Masq}
			n++
			if got == want {
				continue
			}
			wrong++
			t.Errorf("%s %d %s\n%s %s > %s:%d (%s)\ngot  %+v\nwant %+v", form.folder, i, f.Name, f.Proto, f.Src, f.Dst, f.DPort, f.Rules, got, want)
		}
	}
	fmt.Printf("agree: kube-proxy oracle: %d comparisons, %d disagreements, 0 explained\n", n, wrong)
}

// ask walks the flow through PREROUTING, and then through INPUT or FORWARD, as
// a kernel does. The tracer that made the oracle enters kube-proxy's filter
// chains without a hook, and has no conntrack; for a connection's first packet
// that comes to the same. It knows no session affinity: a client that was here
// before is left out.
func ask(r *netfilter.Ruleset, f flow) answer {
	env := node{f.NodeIPs}
	proto := map[string]packet.Proto{"tcp": packet.TCP, "udp": packet.UDP, "sctp": packet.SCTP}[f.Proto]
	dst := netip.AddrPortFrom(netip.MustParseAddr(f.Dst), f.DPort)
	p := packet.Packet{Src: netip.AddrPortFrom(netip.MustParseAddr(f.Src), 40000), Dst: dst, Proto: proto, Size: 60, TTL: 64}
	if proto == packet.TCP {
		p.Flags = packet.SYN
	}
	var outputs []string
	masq := false
	for _, pre := range r.Eval(netfilter.Input{Hook: netfilter.PreRouting, Packet: p, In: "eth0", Env: env}) {
		if supposesAffinity(pre) {
			continue
		}
		masq = masq || pre.Packet.Mark&0x4000 != 0
		if pre.Verdict != netfilter.Accept {
			outputs = append(outputs, strings.ToUpper(pre.Verdict.String()))
			continue
		}
		next := netfilter.Input{Hook: netfilter.Forward, Packet: pre.Packet, Conn: &pre.Conn, In: "eth0", Out: "cni0", Env: env}
		if env.AddrType(pre.Packet.Dst.Addr(), "") == "LOCAL" {
			next.Hook, next.Out = netfilter.LocalIn, ""
		}
		for _, fwd := range r.Eval(next) {
			switch {
			case fwd.Verdict != netfilter.Accept:
				outputs = append(outputs, strings.ToUpper(fwd.Verdict.String()))
			case fwd.Packet.Dst != dst:
				outputs = append(outputs, fwd.Packet.Dst.String())
			case fwd.Rules[len(fwd.Rules)-1].Rule != nil: // not the policy
				outputs = append(outputs, "ACCEPT")
			}
		}
	}
	slices.SortStableFunc(outputs, cmp.Compare[string])
	return answer{strings.Join(slices.Compact(outputs), ", "), masq}
}

// supposesAffinity reports whether o is what happens to a client that is on a list of -m recent.
func supposesAffinity(o netfilter.Outcome) bool {
	return slices.ContainsFunc(o.Assumed, func(a netfilter.Assumption) bool {
		return a.Matched && strings.Contains(a.Rule.Text, "-m recent")
	})
}

func rules(t *testing.T, file string, is6 bool) *netfilter.Ruleset {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tables, problems := netfilter.ParseSave(f, is6, netfilter.NFT, file)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &netfilter.Ruleset{Tables: tables}
}

// oracles returns the folder beside the repository that holds the flows.
func oracles(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "..", "shared", "oracles")
	if _, err := fs.Stat(os.DirFS(dir), "iptables.jsonl.gz"); err != nil {
		t.Skipf("the flows of kube-proxy's tests are not here: %v", err)
	}
	return dir
}

func read(t *testing.T, file string) (flows []flow) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(z); s.Scan(); {
		var row flow
		if err := json.Unmarshal(s.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		flows = append(flows, row)
	}
	return flows
}
