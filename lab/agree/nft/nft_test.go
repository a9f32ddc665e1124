//go:build linux

package nft

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

const (
	rulesets = 320 // by default; "make agree" has a hundred times as many
	probes   = 12
)

// A mix is what rules there are beside those of nft.
type mix struct {
	v6   bool
	kits []rules.Kit
}

// mixes are by seed modulo their number: nft alone, and beside iptables' two back ends at the same hooks.
var mixes = []mix{
	{}, {v6: true}, {}, {v6: true},
	{kits: []rules.Kit{{}}}, {v6: true, kits: []rules.Kit{{V6: true}}},
	{kits: []rules.Kit{{Legacy: true}}}, {kits: []rules.Kit{{Legacy: true}, {}}},
}

// TestKernelAgrees loads random rulesets into the kernel and sends packets through them.
// PLUMB_SEED=N runs one ruleset again, PLUMB_AGREE=full a hundred
// times as many (give -timeout), PLUMB_AGREE=N that many, from
// PLUMB_SEED where both are given.
func TestKernelAgrees(t *testing.T) {
	sandbox.Need(t)
	from, n := size(t)
	if err := sandbox.Setup(); err != nil {
		t.Fatal(err)
	}
	var (
		mu           sync.Mutex
		total, mixed rules.Tally
		wg           sync.WaitGroup
		shown, loads int
	)
	for k := range mixes {
		wg.Go(func() {
			w, err := rules.NewWorld(fmt.Sprintf("n%d", k), rules.Lab())
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			run := &runner{w: w, mix: mixes[k]}
			for seed := from; seed < from+n; seed++ {
				if seed%len(mixes) != k {
					continue
				}
				tally, err := run.seed(uint64(seed))
				mu.Lock()
				loads++
				if total.Add(tally); len(mixes[k].kits) > 0 {
					mixed.Add(tally)
				}
				if err != nil {
					t.Errorf("PLUMB_SEED=%d: %v", seed, err)
				}
				for _, d := range tally.Disagreements {
					if shown++; shown <= 10 {
						t.Errorf("PLUMB_SEED=%d %+v\n%s\n%s", seed, mixes[k], d, run.listed)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Printf("agree: nftables: %d rulesets, %d comparisons, %d disagreements, %d of them certain; beside iptables: %d comparisons\n",
		loads, total.Comparisons, len(total.Disagreements), total.Certain, mixed.Comparisons)
	t.Logf("what the kernel did: %v", total.By)
	if n > 1 && total.Comparisons < 10*n {
		t.Errorf("only %d comparisons", total.Comparisons)
	}
	if n > 1 && total.Certain*10 < total.Comparisons*8 {
		t.Errorf("only %d of %d comparisons are certain", total.Certain, total.Comparisons)
	}
	if len(total.Disagreements) > 0 {
		t.Errorf("%d disagreements", len(total.Disagreements))
	}
}

// size returns the first seed, and how many rulesets to load.
func size(t *testing.T) (from, n int) {
	t.Helper()
	number := func(s string) int {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	n = rulesets
	switch s := os.Getenv("PLUMB_AGREE"); s {
	case "":
	case "full":
		n *= 100
	default:
		n = number(s)
	}
	if s := os.Getenv("PLUMB_SEED"); s != "" {
		from = number(s)
		if os.Getenv("PLUMB_AGREE") == "" {
			n = 1
		}
	}
	return from, n
}

// A runner runs one ruleset after another in its world.
type runner struct {
	w      *rules.World
	mix    mix
	tables []string // that are loaded
	sets   []string // of ipset
	listed string   // all that is loaded
}

// seed runs the ruleset of a seed.
func (r *runner) seed(seed uint64) (rules.Tally, error) {
	model := &netfilter.Ruleset{}
	r.listed = ""
	oneByOne := false
	if len(r.mix.kits) > 0 {
		other := rules.Generate(seed, r.mix.v6, 1)
		oneByOne = other.OneByOne
		if err := r.loadIPTables(model, other, seed); err != nil {
			return rules.Tally{}, err
		}
	}
	random := Generate(seed, r.mix.v6)
	json, listed, err := Load(r.w, r.tables, random.Text)
	if err != nil {
		return rules.Tally{}, fmt.Errorf("%w\n%s", err, random.Text)
	}
	r.tables = random.Tables
	r.listed += ours(listed)
	if err := Read(model, json); err != nil {
		return rules.Tally{}, err
	}
	if err := sameText(model, listed); err != nil {
		return rules.Tally{}, err
	}
	packets := rules.Packets(seed, r.mix.v6, probes, false)
	if len(r.mix.kits) > 0 { // -m pkttype takes what goes to a broadcast address for a broadcast, and here it comes in a frame of our own
		top := rules.Lab()
		packets = slices.DeleteFunc(packets, func(p rules.Probe) bool {
			return slices.ContainsFunc(top.Devs, func(d rules.Dev) bool { return d.Bcast == p.P.Dst.Addr() })
		})
	}
	return r.w.Agree(model, packets, oneByOne || random.OneByOne)
}

// loadIPTables loads a ruleset of iptables, dealt out to the kits.
func (r *runner) loadIPTables(model *netfilter.Ruleset, other rules.Random, seed uint64) error {
	parts := []string{other.Rules}
	if len(r.mix.kits) == 2 {
		a, b := rules.Halves(other.Rules, seed%16 < 8)
		parts = []string{a, b}
	}
	for i, k := range r.mix.kits {
		saved, sets, err := r.w.Load(k, parts[i], other.Sets)
		if err != nil {
			return fmt.Errorf("%w\n%s\n%s", err, other.Sets, parts[i])
		}
		one, err := rules.ReadSaved(k, saved, sets)
		if err != nil {
			return err
		}
		model.Sets = one.Sets
		model.Tables = append(model.Tables, one.Tables...)
		r.listed += sets + saved
	}
	err := r.w.Forget(r.sets)
	r.sets = other.Names
	return err
}

// ours leaves out of a listing the tables that are not under test.
func ours(listed string) string {
	var b strings.Builder
	show := true
	for line := range strings.Lines(listed) {
		if strings.HasPrefix(line, "table ") {
			f := strings.Fields(line)
			show = strings.HasPrefix(f[2], "t") && len(f[2]) == 2
		}
		if show {
			b.WriteString(line)
		}
	}
	return b.String()
}

// sameText wants each rule's text to be what nft lists, but for what it has counted.
func sameText(model *netfilter.Ruleset, listed string) error {
	in := map[string]bool{}
	for line := range strings.Lines(listed) {
		in[counts.ReplaceAllString(strings.TrimSpace(line), "counter")] = true
	}
	for _, t := range model.NFTables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				// Of two comparisons of neighbours in a header nft 1.0 lists one range without sense.
				if !in[r.Text] && !strings.Contains(r.Unknown(), "not understood") {
					return fmt.Errorf("not what nft lists: table %s %s, chain %s: %s", t.Family, t.Name, c.Name, r.Text)
				}
			}
		}
	}
	return nil
}

var counts = regexp.MustCompile(`counter packets \d+ bytes \d+`)

func TestOneNegation(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"ip ttl != 9 ip protocol != tcp drop", "ip ttl != 9 ip protocol tcp drop"},
		{"tcp dport > 100 meta mark != 0x0 ip saddr <= 10.0.0.1 accept", "tcp dport > 100 meta mark != 0x0 ip saddr 10.0.0.1 accept"},
		{"ct state != new accept", "ct state != new accept"},
	} {
		if got := oneNegation(row.in); got != row.want {
			t.Errorf("%s: %s", row.in, got)
		}
	}
}

func TestLeaveOut(t *testing.T) {
	lines := []string{"table ip t {\n", "\t\tbad\n", "\t\tgood\n"}
	if !leaveOut(lines, [][]string{{"", "2"}}) || lines[1] != "\n" || lines[2] != "\t\tgood\n" {
		t.Errorf("%q", lines)
	}
	if leaveOut(lines, [][]string{{"", "1"}}) {
		t.Error("what is no rule is not left out")
	}
}
