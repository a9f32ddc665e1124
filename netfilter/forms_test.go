//go:build linux

package netfilter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// scenes are all packets that the rows of conditions can be asked about.
var scenes = map[bool]string{
	false: "tcp udp ack sctp echo needfrag multicast broadcast unknown wrong bridged from-bridge output output-root forward reply invalid untracked related natted rst ports dccp redirect random-port echo-conn",
	true:  "tcp6 echo6 blackhole6 local6 multicast6 nowhere6 toobig6 unreachable6",
}

// tools are the programs that print rules.
var tools = []struct {
	name string
	is6  bool
}{{"iptables-nft", false}, {"iptables-legacy", false}, {"ip6tables-nft", true}, {"ip6tables-legacy", true}}

// notLoaded are conditions of the rows that a kernel may not load: it lacks them, or
// the programs refuse them, as they are written wrongly on purpose.
var notLoaded = regexp.MustCompile(`nonesuch|frobnicate|banana|--pol ipsec|restore-skmark|nfacct|cgroup|-f$|-p all|--probability 0$|"1,6 0 0 0"|` +
	`time|realm|connlimit|10\.0\.0\.0/8|tcp-option|chunk-types`)

// TestPrinted loads the rows' conditions with each program, and wants what it
// prints of them to be met by the same packets as what was written.
func TestPrinted(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("printed")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			var written []string
			for _, row := range rowsOf(tool.is6) {
				if row.conditions != "" {
					written = append(written, row.conditions)
				}
			}
			printed := printedBy(t, ns, tool.name, written)
			if len(printed) < len(written)*2/3 {
				t.Errorf("only %d of %d conditions were loaded", len(printed), len(written))
			}
			for n, p := range printed {
				for _, name := range strings.Fields(scenes[tool.is6]) {
					want, got := answer(t, tool.is6, written[n], nil, scene(name)), answer(t, tool.is6, p, nil, scene(name))
					if want != got {
						t.Errorf("%s: %s: %s, but as printed, %s: %s", name, written[n], want, p, got)
					}
				}
			}
		})
	}
}

// printedBy returns how a program prints the conditions that the kernel loads, by their number.
func printedBy(t *testing.T, ns *sandbox.NS, tool string, conditions []string) map[int]string {
	t.Helper()
	for n, c := range conditions {
		rule := fmt.Sprintf("*mangle\n:R%d - [0:0]\n-A R%d %s -j DROP\nCOMMIT\n", n, n, c)
		if err := ns.Run(rule, tool+"-restore", "--noflush"); err != nil && !notLoaded.MatchString(c) {
			t.Errorf("%s: %v", c, err)
		}
	}
	out, err := ns.Output("", tool+"-save", "-t", "mangle")
	if err != nil {
		t.Fatal(err)
	}
	printed := map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^-A R(\d+) ?(.*) -j DROP$`).FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[1])
		printed[n] = m[2]
	}
	return printed
}
