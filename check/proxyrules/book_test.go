package proxyrules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/netfilter"
)

func TestBook(t *testing.T) {
	const svc = "-A SERVICES -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j SVC\n"
	for _, tt := range []struct{ name, rules, want string }{
		{"no rules", "", ""},
		{"two endpoints", svc + "-A SVC -j SEP1\n-A SVC -j SEP2\n-A SEP1 -p tcp -j DNAT --to-destination 10.1.0.1:8080\n-A SEP2 -p tcp -j DNAT --to-destination 10.1.0.2:8080\n",
			"tcp 10.0.0.1:80: 10.1.0.1:8080 10.1.0.2:8080"},
		{"one endpoint by two ways", svc + "-A SVC -j SEP1\n-A SVC -j SEP2\n-A SEP1 -p tcp -j DNAT --to-destination 10.1.0.1:8080\n-A SEP2 -p tcp -j DNAT --to-destination 10.1.0.1:8080\n",
			"tcp 10.0.0.1:80: 10.1.0.1:8080"},
		{"two rules for one destination", svc + "-A SERVICES -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j SEP2\n-A SVC -p tcp -j DNAT --to-destination 10.1.0.1:1\n-A SEP2 -p tcp -j DNAT --to-destination 10.1.0.2:2\n",
			"tcp 10.0.0.1:80: 10.1.0.1:1 10.1.0.2:2"},
		{"DNAT at once", "-A SERVICES -d 10.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.1:53\n", "udp 10.0.0.1:53: 10.1.0.1:53"},
		{"session affinity", svc + "-A SVC -m recent --rcheck --seconds 10800 --reap --name SEP1 -j SEP1\n-A SVC -j SEP1\n-A SEP1 -p tcp -m recent --set --name SEP1 -j DNAT --to-destination 10.1.0.1:8080\n",
			"tcp 10.0.0.1:80: 10.1.0.1:8080 bound to 10.1.0.1:8080"},
		{"a chain that only notes clients", svc + "-A SVC -p tcp -m recent --set --name SEP1 -j DNAT --to-destination 10.1.0.1:8080\n", "tcp 10.0.0.1:80: 10.1.0.1:8080"},
		{"a loop", svc + "-A SVC -j SEP1\n-A SEP1 -j SVC\n-A SVC -p tcp -j DNAT --to-destination 10.1.0.1:8080\n", "tcp 10.0.0.1:80: 10.1.0.1:8080"},
		{"nowhere", svc, "tcp 10.0.0.1:80:"},
		{"refused", "-A SERVICES -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT\n", "tcp 10.0.0.1:80:"},
		{"a comment that looks like DNAT", svc + "-A SVC -m comment --comment \" -j DNAT --to-destination 10.9.9.9:9\" -j SEP1\n-A SEP1 -p tcp -j DNAT --to-destination 10.1.0.1:8080\n",
			"tcp 10.0.0.1:80: 10.1.0.1:8080"},
		{"what no hook leads to", "-A SVC -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j SEP1\n-A SEP1 -p tcp -j DNAT --to-destination 10.1.0.1:8080\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const head = "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:SERVICES - [0:0]\n:SVC - [0:0]\n:SEP1 - [0:0]\n:SEP2 - [0:0]\n"
			tables, problems := netfilter.ParseSave(strings.NewReader(head+"-A PREROUTING -j SERVICES\n-A OUTPUT -j SERVICES\n"+tt.rules+"COMMIT\n"), false, netfilter.NFT, "f")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			var got []string
			for d, w := range read(tables[0]).ways {
				s := fmt.Sprintf("%s %s:", d.proto, d.at)
				for _, to := range w.targets {
					s += " " + to.String()
				}
				for _, b := range w.bound {
					s += " bound to " + b.to.String()
				}
				if len(w.rules) != len(w.targets) {
					s += " and as many rules not"
				}
				got = append(got, s)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
