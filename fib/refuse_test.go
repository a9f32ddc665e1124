package fib

import (
	"io"
	"strings"
	"testing"
)

// refusal is a text that a parser refuses, and its word for it.
type refusal struct{ name, in, want string }

func refuses[T any](t *testing.T, parse func(io.Reader) ([]T, error), list []refusal) {
	t.Helper()
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(strings.NewReader(c.in))
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestParseRoutesRefuses(t *testing.T) {
	refuses(t, ofFamily(false, ParseRoutes), []refusal{
		{"cut off", `[{"dst":"10.0.0.0/8"`, "routes: line 1: unexpected EOF"},
		{"cut off after an object", `[{"dst":"10.0.0.0/8"},`, "routes: line 1: unexpected EOF"},
		{"cut off on the second line", "[{\"dst\":\"10.0.0.0/8\"},\n{\"dst", "routes: line 1: unexpected EOF"},
		{"not an array", `{"dst":"10.0.0.0/8"}`, "routes: line 1: found {, want an array"},
		{"not objects", `[1]`, `routes: line 1: found "1", want an object`},
		{"an array in an array", `[[]]`, `routes: line 1: found "[]", want an object`},
		{"not JSON", "10.0.0.0/8 dev a", "routes: line 1: found 10, want an array"},
		{"a bad prefix", "[{\"dst\":\"default\"},\n{\"dst\":\"10.0.0.0/33\"}]", `routes: line 2: dst: "10.0.0.0/33" is not a prefix`},
		{"a name for an address", `[{"dst":"example"}]`, `routes: line 1: dst: "example" is not an address`},
		{"an address with a zone", `[{"dst":"10.0.0.0/8","gateway":"fe80::1%a"}]`, `routes: line 1: gateway: "fe80::1%a" is not an address`},
		{"an unknown type", `[{"type":"odd","dst":"10.0.0.0/8"}]`, `routes: line 1: type: "odd" is not known`},
		{"no destination", `[{"dev":"a"}]`, "routes: line 1: route without a destination"},
		{"a source of the other family", `[{"dst":"10.0.0.0/8","from":"fd00::/8"}]`, "routes: line 1: from: fd00::/8 is of the other family"},
		{"a weight of 0", `[{"dst":"10.0.0.0/8","nexthops":[{"dev":"a","weight":0}]}]`, "routes: line 1: weight: 0 is out of range"},
		{"a weight that is too large", `[{"dst":"10.0.0.0/8","nexthops":[{"dev":"a","weight":65537}]}]`, "routes: line 1: weight: 65537 is out of range"},
		{"a bad gateway of the second hop", `[{"dst":"10.0.0.0/8","nexthops":[{"dev":"a"},{"gateway":"x"}]}]`, `routes: line 1: gateway: "x" is not an address`},
		{"hops that are no list", `[{"dst":"10.0.0.0/8","nexthops":7}]`, "routes: line 1: nexthops: json: cannot unmarshal number into Go value of type []json.RawMessage"},
		{"a hop that is no object", `[{"dst":"10.0.0.0/8","nexthops":[7]}]`, `routes: line 1: nexthops: found "7", want an object`},
		{"a gateway of another family without a host", `[{"dst":"10.0.0.0/8","via":{"family":"inet6"}}]`, "routes: line 1: via: no host"},
		{"a gateway of another family that is no object", `[{"dst":"10.0.0.0/8","via":"x"}]`, `routes: line 1: found "\"x\"", want an object`},
		{"a tos that is too large", `[{"dst":"10.0.0.0/8","tos":"0x100"}]`, "routes: line 1: tos: 256 is more than 255"},
		{"a metric that is too large", `[{"dst":"10.0.0.0/8","metric":4294967296}]`, `routes: line 1: metric: "4294967296" is not a number`},
		{"a negative metric", `[{"dst":"10.0.0.0/8","metric":-1}]`, `routes: line 1: metric: "-1" is not a number`},
		{"an MTU that is too large", `[{"dst":"10.0.0.0/8","metrics":[{"mtu":2147483648}]}]`, `routes: line 1: mtu: "2147483648" is not a number in range`},
		{"metrics that are no list", `[{"dst":"10.0.0.0/8","metrics":{}}]`, "routes: line 1: metrics: json: cannot unmarshal object into Go value of type []json.RawMessage"},
		{"flags that are no list", `[{"dst":"10.0.0.0/8","flags":7}]`, "routes: line 1: flags: json: cannot unmarshal number into Go value of type []string"},
		{"the first error of several", "[{\"dst\":\"x\"},\n{\"dst\":\"y\"}]", `routes: line 1: dst: "x" is not an address`},
	})
	refuses(t, ofFamily(true, ParseRoutes), []refusal{
		{"a source of IPv4", `[{"dst":"fd00::/8","from":"10.0.0.0/8"}]`, "routes: line 1: from: 10.0.0.0/8 is of the other family"},
	})
}

func TestParseRulesRefuses(t *testing.T) {
	refuses(t, ofFamily(false, ParseRules), []refusal{
		{"a length without an address", `[{"priority":5,"srclen":33}]`, "rules: line 1: srclen: 33 is more than 32"},
		{"a length that is no number", `[{"priority":5,"dst":"10.0.0.0","dstlen":"x"}]`, `rules: line 1: dstlen: "\"x\"" is not a number`},
		{"of the other family", `[{"priority":5,"src":"fd00::"}]`, "rules: line 1: from fd00::/128 to 0.0.0.0/0: of the other family"},
		{"a priority that is no number", "[\n{\"priority\":\"first\"}]", `rules: line 2: priority: "\"first\"" is not a number`},
		{"a mark that is no number", `[{"priority":5,"fwmark":"0xx"}]`, `rules: line 1: fwmark: "\"0xx\"" is not a number`},
		{"a mask that is no number", `[{"priority":5,"fwmask":null}]`, `rules: line 1: fwmask: "null" is not a number`},
		{"a tos that is too large", `[{"priority":5,"tos":256}]`, "rules: line 1: tos: 256 is more than 255"},
		{"a port that is too large", `[{"priority":5,"dport":65536}]`, "rules: line 1: dport: 65536 is more than 65535"},
		{"the end of a range that is too large", `[{"priority":5,"sport_start":1,"sport_end":65536}]`, "rules: line 1: sport_end: 65536 is more than 65535"},
		{"a user that is no number", `[{"priority":5,"uid_start":"root"}]`, `rules: line 1: uid_start: "\"root\"" is not a number`},
		{"a goto that is no number", `[{"priority":5,"goto":"main"}]`, `rules: line 1: goto: "\"main\"" is not a number`},
		{"a negative length to suppress", `[{"priority":5,"suppress_prefixlen":-1}]`, `rules: line 1: suppress_prefixlen: "-1" is not a number in range`},
	})
}

func TestParseOthersRefuse(t *testing.T) {
	refuses(t, ParseNextHops, []refusal{
		{"no id", `[{"dev":"a"}]`, "nexthops: line 1: nexthop without an id"},
		{"an id that is no number", `[{"id":"x"}]`, `nexthops: line 1: id: "\"x\"" is not a number`},
		{"a group that is no list", `[{"id":1,"group":2}]`, "nexthops: line 1: group: json: cannot unmarshal number into Go value of type []json.RawMessage"},
		{"a member without a number", `[{"id":1,"group":[{"id":"a"}]}]`, `nexthops: line 1: id: "\"a\"" is not a number`},
		{"a member's weight", "[{\"id\":2},\n\n{\"id\":1,\"group\":[{\"id\":2,\"weight\":0}]}]", "nexthops: line 3: weight: 0 is out of range"},
		{"flags that are no list", `[{"id":1,"flags":{}}]`, "nexthops: line 1: flags: json: cannot unmarshal object into Go value of type []string"},
	})
	refuses(t, ParseNeighs, []refusal{
		{"no address", `[{"dev":"a","state":["STALE"]}]`, "neigh: line 1: neighbour without an address"},
		{"a bad address", `[{"dst":"10.0.0"}]`, `neigh: line 1: dst: "10.0.0" is not an address`},
		{"a state that is no list", `[{"dst":"10.0.0.1","state":7}]`, "neigh: line 1: state: json: cannot unmarshal number into Go value of type []string"},
	})
	refuses(t, ParseFDB, []refusal{
		{"a bad VTEP", `[{"mac":"00:11:22:33:44:55","dst":"nowhere"}]`, `fdb: line 1: dst: "nowhere" is not an address`},
		{"a VLAN that is no number", `[{"vlan":"x"}]`, `fdb: line 1: vlan: "\"x\"" is not a number in range`},
		{"flags that are no list", `[{"flags":1}]`, "fdb: line 1: flags: json: cannot unmarshal number into Go value of type []string"},
	})
}
