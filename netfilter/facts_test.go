package netfilter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// facts says what a rule tells of itself.
func facts(r *Rule) string {
	s := []string{r.Target()}
	if c := r.Jump(); c != nil {
		s = append(s, "jump "+c.Name)
	}
	if at, proto, ok := r.Dest(); ok {
		s = append(s, fmt.Sprintf("for %s %s", proto, at))
	}
	if to, ok := r.DNAT(); ok {
		s = append(s, "to "+to.String())
	}
	return strings.Join(s, ", ")
}

func TestRuleFacts(t *testing.T) {
	const svc = "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 "
	for _, c := range []struct {
		name, rule string
		is6        bool
		want       string
	}{
		{"a Service", svc + "-j MINE", false, "MINE, jump MINE, for tcp 10.0.0.1:80"},
		{"with a comment that looks like options", `-m comment --comment "x -d 10.0.0.9/32 -j DROP" ` + svc + "-j MINE", false, "MINE, jump MINE, for tcp 10.0.0.1:80"},
		{"other conditions", svc + "! -s 10.1.0.0/16 -j MINE", false, "MINE, jump MINE, for tcp 10.0.0.1:80"},
		{"UDP", "-d 10.0.0.1/32 -p udp -m udp --dport 53 -j MINE", false, "MINE, jump MINE, for udp 10.0.0.1:53"},
		{"IPv6", "-d fd00::1/128 -p tcp -m tcp --dport 80 -j MINE", true, "MINE, jump MINE, for tcp [fd00::1]:80"},
		{"goto", svc + "-g MINE", false, "MINE, jump MINE, for tcp 10.0.0.1:80"},
		{"a network", "-d 10.0.0.0/24 -p tcp -m tcp --dport 80 -j MINE", false, "MINE, jump MINE"},
		{"a range of ports", "-d 10.0.0.1/32 -p tcp -m tcp --dport 80:81 -j MINE", false, "MINE, jump MINE"},
		{"all but one address", "! -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j MINE", false, "MINE, jump MINE"},
		{"all but one port", "-d 10.0.0.1/32 -p tcp -m tcp ! --dport 80 -j MINE", false, "MINE, jump MINE"},
		{"no port", "-d 10.0.0.1/32 -p tcp -j MINE", false, "MINE, jump MINE"},
		{"DNAT", "-p tcp -m tcp -j DNAT --to-destination 10.1.0.2:8080", false, "DNAT, to 10.1.0.2:8080"},
		{"DNAT of IPv6", "-p tcp -m tcp -j DNAT --to-destination [fd00::2]:8080", true, "DNAT, to [fd00::2]:8080"},
		{"DNAT to an address", "-p tcp -j DNAT --to-destination 10.1.0.2", false, "DNAT"},
		{"DNAT to addresses", "-p tcp -j DNAT --to-destination 10.1.0.2-10.1.0.3:80", false, "DNAT"},
		{"DNAT to ports", "-p tcp -j DNAT --to-destination 10.1.0.2:80-81", false, "DNAT"},
		{"SNAT", "-p tcp -j SNAT --to-source 10.1.0.2:80", false, "SNAT"},
		{"a verdict", "-j DROP", false, "DROP"},
		{"no target", "-p tcp", false, ""},
		{"a chain that is not there", "-j OTHER", false, "OTHER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables, problems := ParseSave(strings.NewReader("*nat\n:PREROUTING ACCEPT [0:0]\n:MINE - [0:0]\n-A PREROUTING "+c.rule+"\nCOMMIT\n"), c.is6, NFT, "f")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if diff := cmp.Diff(c.want, facts(tables[0].Chains["PREROUTING"].Rules[0])); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
