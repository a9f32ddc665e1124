//go:build linux

package rules

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
)

const (
	rulesets = 320 // by default; "make agree" has a hundred times as many
	probes   = 12
)

// kits says which programs load the ruleset of a seed: seed modulo 6. The last
// two load every second table with the one back end, and the others with the other.
var kits = [][]Kit{{{}}, {{V6: true}}, {{Legacy: true}}, {{V6: true, Legacy: true}}, {{}, {Legacy: true}}, {{V6: true}, {V6: true, Legacy: true}}}

// TestKernelAgrees loads random rulesets into the kernel and sends packets through them.
// PLUMB_SEED=N runs one ruleset again, PLUMB_AGREE=full a hundred
// times as many (give -timeout), PLUMB_AGREE=N that many, from
// PLUMB_SEED where both are given.
func TestKernelAgrees(t *testing.T) {
	sandbox.Need(t)
	from, n := 0, rulesets
	switch s := os.Getenv("PLUMB_AGREE"); s {
	case "":
	case "full":
		n *= 100
	default:
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("PLUMB_SEED"); s != "" {
		var err error
		if from, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("PLUMB_AGREE") == "" {
			n = 1
		}
	}
	if err := sandbox.Setup(); err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		total Tally
		wg    sync.WaitGroup
		shown int
	)
	for k := range kits {
		wg.Go(func() {
			w, err := NewWorld(fmt.Sprintf("k%d", k), lab)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			var old []string
			for seed := from; seed < from+n; seed++ {
				if seed%len(kits) != k {
					continue
				}
				tally, text, err := agreeOn(w, kits[k], uint64(seed), &old)
				mu.Lock()
				total.Add(tally)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, d := range tally.Disagreements {
					if shown++; shown <= 10 {
						t.Errorf("PLUMB_SEED=%d %v\n%s\n%s", seed, kits[k], d, text)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Printf("agree: rules: %d rulesets, %d comparisons, %d disagreements, %d of them certain\n", n, total.Comparisons, len(total.Disagreements), total.Certain)
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

// agreeOn runs one ruleset, and returns it as the kernel shows it.
func agreeOn(w *World, ks []Kit, seed uint64, old *[]string) (Tally, string, error) {
	r := Generate(seed, ks[0].V6, probes)
	parts := []string{r.Rules}
	if len(ks) == 2 {
		a, b := Halves(r.Rules, seed%12 < 6)
		parts = []string{a, b}
	}
	var model netfilter.Ruleset
	var text string
	for i, k := range ks {
		saved, sets, err := w.Load(k, parts[i], r.Sets)
		if err != nil {
			return Tally{}, "", fmt.Errorf("%w\n%s\n%s", err, r.Sets, parts[i])
		}
		one, err := ReadSaved(k, saved, sets)
		if err != nil {
			return Tally{}, "", err
		}
		model.Sets = one.Sets
		model.Tables = append(model.Tables, one.Tables...)
		text += sets + saved
	}
	if err := w.Forget(*old); err != nil {
		return Tally{}, "", err
	}
	*old = r.Names
	t, err := w.Agree(&model, r.Probes, r.OneByOne)
	return t, strings.TrimSpace(text), err
}

func TestHalves(t *testing.T) {
	a, b := Halves("*raw\n:OUTPUT DROP [0:0]\n:U - [0:0]\n-A U -j DROP\nCOMMIT\n*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j RETURN\nCOMMIT\n", true)
	if want := "*raw\n:OUTPUT DROP [0:0]\n:U - [0:0]\n-A U -j DROP\nCOMMIT\n*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"; a != want {
		t.Errorf("first: %q", a)
	}
	if want := "*raw\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j RETURN\nCOMMIT\n"; b != want {
		t.Errorf("second: %q", b)
	}
}
