//go:build linux

package wild

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func dev(name, addrs, nets string) rules.Dev {
	d := rules.Dev{Name: name}
	for _, a := range strings.Fields(addrs) {
		d.Addrs = append(d.Addrs, netip.MustParseAddr(a))
	}
	for _, n := range strings.Fields(nets) {
		d.Nets = append(d.Nets, netip.MustParsePrefix(n))
	}
	return d
}

var (
	// machine is that of record.sh; for flannel, in0 is the bridge of its Pods.
	machine = rules.Topology{Devs: []rules.Dev{dev("lo", "", ""), dev("in0", "10.1.0.1 fd00:1::1", "10.1.0.0/16 fd00:1::/32"), dev("out0", "10.2.0.1 fd00:2::1", "0.0.0.0/0 ::/0")}}
	docker  = rules.Topology{Devs: []rules.Dev{dev("lo", "", ""), dev("out0", "10.2.0.1", "0.0.0.0/0"), dev("docker0", "172.17.0.1", "172.17.0.0/16"), dev("br-app", "172.18.0.1", "172.18.0.0/16")}}
	node    = rules.Topology{Devs: []rules.Dev{dev("lo", "", ""), dev("eth0", "192.168.0.2 192.168.99.11 2001:db8::1", "0.0.0.0/0 ::/0"), dev("cni0", "10.180.0.254 fd00:10:180::ffff", "10.180.0.0/24 10.0.1.0/24 fd00:10:180::/64")}}
)

// A flow is a packet whose fate everyone who runs the software would tell at once.
type flow struct {
	name     string
	dev      string // "" for one that the machine sends
	src, dst string
	proto    packet.Proto
	fate     rules.Fate
	far      string // the destination, or after "from " the source, that the far side sees
}

var flows = map[string][]flow{
	"ufw": {
		{"ssh in", "out0", "10.2.0.9:1000", "10.2.0.1:22", packet.TCP, rules.Local, ""},
		{"ssh in, IPv6", "out0", "[fd00:2::9]:1000", "[fd00:2::1]:22", packet.TCP, rules.Local, ""},
		{"denied port", "out0", "10.2.0.9:1000", "10.2.0.1:25", packet.TCP, rules.Dropped, ""},
		{"port that nobody allowed", "out0", "10.2.0.9:1000", "10.2.0.1:8080", packet.TCP, rules.Dropped, ""},
		{"DNS in", "out0", "10.2.0.9:1000", "10.2.0.1:53", packet.UDP, rules.Local, ""},
		{"allowed route", "in0", "10.1.0.9:1000", "10.2.0.9:80", packet.TCP, rules.Sent, "10.2.0.9:80"},
		{"no route back", "out0", "10.2.0.9:1000", "10.1.0.9:80", packet.TCP, rules.Dropped, ""},
		{"out", "", "10.2.0.1:1000", "10.2.0.9:80", packet.TCP, rules.Sent, "10.2.0.9:80"},
	},
	"firewalld": {
		{"ssh in", "out0", "10.2.0.9:1000", "10.2.0.1:22", packet.TCP, rules.Local, ""},
		{"http in", "out0", "10.2.0.9:1000", "10.2.0.1:80", packet.TCP, rules.Local, ""},
		{"telnet in", "out0", "10.2.0.9:1000", "10.2.0.1:23", packet.TCP, rules.Rejected, ""},
		{"telnet in, IPv6", "out0", "[fd00:2::9]:1000", "[fd00:2::1]:23", packet.TCP, rules.Rejected, ""},
		{"rich rule", "out0", "10.2.66.9:1000", "10.2.0.1:22", packet.TCP, rules.Rejected, ""},
		{"rich rule, IPv6", "out0", "[fd00:2:66::9]:1000", "[fd00:2::1]:22", packet.TCP, rules.Dropped, ""},
		{"forward port", "out0", "10.2.0.9:1000", "10.2.0.1:8080", packet.TCP, rules.Sent, "10.1.0.2:80"},
		{"out", "", "10.2.0.1:1000", "10.2.0.9:80", packet.TCP, rules.Sent, "10.2.0.9:80"},
	},
	"docker": {
		{"published port", "out0", "10.2.0.9:1000", "10.2.0.1:8080", packet.TCP, rules.Sent, "172.17.0.2:80"},
		{"published port from the machine", "", "10.2.0.1:1000", "10.2.0.1:8080", packet.TCP, rules.Sent, "172.17.0.2:80"},
		{"published UDP port", "out0", "10.2.0.9:1000", "10.2.0.1:53", packet.UDP, rules.Sent, "172.18.0.2:53"},
		{"port published for the machine alone", "out0", "10.2.0.9:1000", "10.2.0.1:5432", packet.TCP, rules.Local, ""},
		{"container to outside", "docker0", "172.17.0.2:1000", "10.2.0.9:80", packet.TCP, rules.Sent, "from 10.2.0.1:1000"},
		{"container to another network", "docker0", "172.17.0.2:1000", "172.18.0.2:80", packet.TCP, rules.Dropped, ""},
		{"outside to a container's port that is not published", "out0", "10.2.0.9:1000", "172.17.0.2:22", packet.TCP, rules.Dropped, ""},
	},
	"flannel": {
		{"Pod to Pod on another node", "in0", "10.1.0.9:1000", "10.1.5.9:80", packet.TCP, rules.Sent, "from 10.1.0.9:1000"},
		{"Pod to Pod on this node", "out0", "10.1.5.9:1000", "10.1.0.9:80", packet.TCP, rules.Sent, "from 10.1.5.9:1000"},
		{"Pod to outside", "in0", "10.1.0.9:1000", "10.2.0.9:80", packet.TCP, rules.Sent, "from 10.2.0.1:"},
		{"node to Pod", "", "10.2.0.1:1000", "10.1.0.9:80", packet.TCP, rules.Sent, "10.1.0.9:80"},
		{"Pod to node", "in0", "10.1.0.9:1000", "10.2.0.1:22", packet.TCP, rules.Local, ""},
	},
}

// fixtures returns the files of one recording by the kit that loads them.
func fixtures(t *testing.T, name string) map[rules.Kit]string {
	out := map[rules.Kit]string{}
	for _, k := range []rules.Kit{{}, {V6: true}, {Legacy: true}, {V6: true, Legacy: true}} {
		file := "iptables"
		if k.V6 {
			file = "ip6tables"
		}
		b, err := os.ReadFile(filepath.Join("testdata", name, file))
		if err == nil {
			out[k] = string(b)
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing is recorded of %s", name)
	}
	return out
}

// TestKernelAgrees sends packets through the recorded rules, unchanged.
func TestKernelAgrees(t *testing.T) {
	sandbox.Need(t)
	var total rules.Tally
	for _, row := range []struct {
		name string
		top  rules.Topology
	}{{"ufw", machine}, {"firewalld", machine}, {"docker", docker}, {"flannel", machine}} {
		for kit, text := range fixtures(t, row.name) {
			t.Run(row.name+"/"+kit.String(), func(t *testing.T) { total.Add(agree(t, kit, row.top, text, flows[row.name])) })
		}
	}
	for kit, text := range oracles(t) {
		t.Run("kube-proxy/"+kit, func(t *testing.T) {
			total.Add(agree(t, rules.Kit{V6: strings.Contains(text, "ip6tables-save")}, node, text, nil))
		})
	}
	fmt.Printf("agree: wild: %d comparisons, %d disagreements, %d of them certain\n", total.Comparisons, len(total.Disagreements), total.Certain)
	t.Logf("what the kernel did: %v", total.By)
}

// oracles returns kube-proxy's rules as a kernel shows them, where they are at hand.
func oracles(t *testing.T) map[string]string {
	files, _ := filepath.Glob("../../../../shared/oracles/iptables_rules_kernel_saved/*.save")
	if len(files) == 0 {
		t.Log("no rules of kube-proxy: ../shared/oracles is not here")
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".save")] = string(b)
	}
	return out
}

// agree loads text and compares. It returns the tally, whose disagreements it has reported.
func agree(t *testing.T, kit rules.Kit, top rules.Topology, text string, flows []flow) rules.Tally {
	w, err := rules.NewWorld("w", top)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, _, err := w.Load(kit, text, ""); err != nil {
		t.Fatal(err)
	}
	model, err := rules.ReadSaved(kit, text, "")
	if err != nil {
		t.Fatal(err)
	}
	probes := Around(text, top, kit.V6)
	tally, err := w.Agree(model, probes, false)
	if err != nil {
		t.Fatal(err)
	}
	tally.Add(typical(t, w, model, kit.V6, flows))
	for i, d := range tally.Disagreements {
		if i < 5 {
			t.Error(d)
		}
	}
	if n := tally.Comparisons; n < 20 || tally.Certain*100 < n*95 {
		t.Errorf("%d comparisons, %d certain", n, tally.Certain)
	}
	return tally
}

// typical sends the flows that must be judged without any supposition.
func typical(t *testing.T, w *rules.World, model *netfilter.Ruleset, v6 bool, flows []flow) (all rules.Tally) {
	for i, f := range flows {
		p := rules.Probe{Dev: f.dev, MAC: packet.MAC{2, 0, 0, 0, 1, 2}}
		p.P = packet.Packet{Src: netip.MustParseAddrPort(f.src), Dst: netip.MustParseAddrPort(f.dst), Proto: f.proto, TTL: 64, Size: 80 + i}
		if f.proto == packet.TCP {
			p.P.Flags = packet.SYN
		}
		if p.P.Is6() != v6 {
			continue
		}
		p.P.DF = v6
		tally, err := w.Agree(model, []rules.Probe{p}, true)
		if err != nil {
			t.Fatal(err)
		}
		all.Add(tally)
		if len(tally.Firsts) != 1 {
			t.Errorf("%s: %d answers", f.name, len(tally.Firsts))
			continue
		}
		got := tally.Firsts[0]
		far := got.P.Dst.String()
		if strings.HasPrefix(f.far, "from ") {
			far = "from " + got.P.Src.String()
		}
		if got.Fate != f.fate || !strings.HasPrefix(far, f.far) && f.far != "" {
			t.Errorf("%s: the kernel %s it to %s", f.name, got.Fate, far)
		}
		if !got.Certain {
			t.Errorf("%s: not certain", f.name)
		}
	}
	return all
}

// TestNothingIsStrange wants every rule understood, but for those that ask what no one can know.
func TestNothingIsStrange(t *testing.T) {
	for _, name := range []string{"ufw", "firewalld", "docker", "flannel"} {
		for kit, text := range fixtures(t, name) {
			strange(t, name+"/"+kit.String(), kit.V6, text)
		}
	}
	for name, text := range oracles(t) {
		strange(t, "kube-proxy/"+name, strings.Contains(text, "ip6tables-save"), text)
	}
}

func strange(t *testing.T, name string, v6 bool, text string) {
	tables, problems := netfilter.ParseSave(strings.NewReader(text), v6, netfilter.NFT, name)
	for _, p := range problems {
		t.Error(p)
	}
	for _, table := range tables {
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				if why := r.Unknown(); strings.Contains(why, "not understood") {
					t.Errorf("%s: %s: %s", name, r.Text, why)
				}
			}
		}
	}
}

// TestFirewalldOnNFT wants every rule that firewalld writes with nft itself to be understood, and the flows to go as under iptables.
func TestFirewalldOnNFT(t *testing.T) {
	text, err := os.ReadFile("testdata/firewalld-nft/nft.json")
	if err != nil {
		t.Fatal(err)
	}
	r := &netfilter.Ruleset{}
	for _, p := range r.ReadNFT(strings.NewReader(string(text)), "nft.json") {
		t.Error(p)
	}
	for _, table := range r.NFTables {
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				if why := rule.Unknown(); why != "" {
					t.Errorf("%s: %s: %s", c.Name, rule.Text, why)
				}
			}
		}
	}
}
