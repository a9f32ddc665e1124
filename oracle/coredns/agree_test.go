package coredns

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/dns"
)

// render writes an answer so that two can be compared: the order of records is chance.
func render(rcode string, answer, extra []string) string {
	slices.Sort(answer)
	slices.Sort(extra)
	s := rcode
	for _, r := range answer {
		s += "\n  " + r
	}
	for _, r := range extra {
		s += "\n  + " + r
	}
	return s
}

func ours(a dns.Answer) string {
	write := func(rs []dns.Record) (out []string) {
		for _, r := range rs {
			out = append(out, strings.ToLower(r.String()))
		}
		return out
	}
	return render(a.Rcode, write(a.Records), write(a.Extra))
}

// ttl is that of a record, as render writes it.
var ttl = regexp.MustCompile(`\t(\d+)\tin\t`)

// older reports whether an answer is another one some seconds later, from a cache: all names and
// values are the same, and no TTL is more.
func older(a, b string) bool {
	if ttl.ReplaceAllString(a, "") != ttl.ReplaceAllString(b, "") {
		return false
	}
	of := ttl.FindAllStringSubmatch(b, -1)
	for i, m := range ttl.FindAllStringSubmatch(a, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(of[i][1])
		if x > y || x < y-60 {
			return false
		}
	}
	return true
}

// count is how many of something the tests make: PLUMB_AGREE=full makes ten times as many.
func count(n int) int {
	if os.Getenv("PLUMB_AGREE") == "full" {
		return 10 * n
	}
	return n
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// upstream answers for the upstreams that the test is.
func upstream(us []dns.Upstream, q dns.Query) dns.Answer { return upstreamAnswer(us[0].Addr.Port(), q) }

// TestAnswers compares answers of a running CoreDNS.
func TestAnswers(t *testing.T) {
	seed := uint64(1)
	if s, err := strconv.ParseUint(os.Getenv("PLUMB_SEED"), 10, 64); err == nil {
		seed = s
	}
	body, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	files := dns.Files{Text: map[string]string{"/etc/hosts": string(body)}, Dirs: []string{"/nonexistent"}}
	g := &gen{ports: [2]int{freePort(t), freePort(t)}, upstreams: [2]uint16{serveUpstream(t), serveUpstream(t)}}
	corefiles, cases, unknown, wrong := 0, 0, 0, 0
	for i := range count(40) {
		g.Rand = rand.New(rand.NewPCG(seed, uint64(i)))
		cluster := g.cluster()
		g.api = serveAPI(t, cluster)
		text := g.corefile()
		c, err := dns.Parse(text, dns.Options{Files: files})
		stop, refusal := start(text)
		if (err == nil) != (refusal == nil) {
			t.Fatalf("seed %d.%d: refused: ours %v, CoreDNS's %v\n%s", seed, i, err, refusal, text)
		}
		if err != nil {
			continue
		}
		corefiles++
		for range 40 {
			q := g.query(cluster)
			q.Client = netip.MustParseAddr("127.0.0.1")
			port := g.ports[min(g.IntN(5), 1)^1]
			q.Port = uint16(port)
			if !strings.Contains(text, fmt.Sprint(":", port)) {
				continue // nobody listens there
			}
			a := c.Ask(q, dns.Env{Cluster: cluster, Upstream: upstream})
			if a.Outcome == dns.Unknown {
				unknown++
				continue
			}
			want, err := ask(port, q)
			if err != nil {
				want = err.Error()
			}
			cases++
			if got := ours(a); got != want && !(strings.Contains(text, "cache") && older(want, got)) {
				if wrong++; wrong <= 5 {
					t.Errorf("seed %d.%d: %s\nours %s\nCoreDNS's %s\nby %+v, steps %v\n%s", seed, i, q, got, want, a.By, a.Steps, text)
				}
			}
		}
		stop()
	}
	fmt.Printf("agree: dns and CoreDNS: %d random Corefiles, %d answers, %d disagreements, 0 explained, %d not judged\n", corefiles, cases, wrong, unknown)
	if least := count(200); cases < least {
		t.Errorf("%d answers were compared: want at least %d", cases, least)
	}
}
