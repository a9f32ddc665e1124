//go:build linux

package wire

import (
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// sent gives a direction frames of 1250 bytes, one each millisecond, and returns when each
// leaves; -1 where it is lost.
func sent(d *direction, n int) (out []time.Duration) {
	var q []time.Duration
	for i := range n {
		now := time.Duration(i) * ms
		q = slices.DeleteFunc(q, func(at time.Duration) bool { return at <= now })
		at, ok := d.admit(now, 1250, len(q))
		if !ok {
			out = append(out, -1)
			continue
		}
		q = append(q, at)
		out = append(out, at)
	}
	return out
}

func TestAdmit(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Line
		want []time.Duration // of the first frames
	}{
		{"a cable", Line{}, []time.Duration{0, ms, 2 * ms, 3 * ms}},
		{"delay", Line{Delay: 20 * ms}, []time.Duration{20 * ms, 21 * ms, 22 * ms}},
		{"all are lost", Line{Loss: 1}, []time.Duration{-1, -1, -1}},
		{"rate", Line{Rate: 1e6}, []time.Duration{10 * ms, 20 * ms, 30 * ms}},
		{"rate and delay", Line{Rate: 1e6, Delay: 5 * ms}, []time.Duration{15 * ms, 25 * ms, 35 * ms}},
		{"rate and a queue of two", Line{Rate: 1e6, Queue: 2}, []time.Duration{10 * ms, 20 * ms, -1, -1, -1, -1, -1, -1, -1, -1, 30 * ms, -1}},
		{"all overtake", Line{Delay: 20 * ms, Reorder: 1}, []time.Duration{0, ms, 2 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, sent(newDirection(c.l, 0), len(c.want))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestShares counts what is left to chance, over ten thousand frames.
func TestShares(t *testing.T) {
	const n = 10000
	count := func(l Line, is func(i int, at time.Duration) bool) (c int) {
		for i, at := range sent(newDirection(l, 0), n) {
			if is(i, at) {
				c++
			}
		}
		return c
	}
	lost := func(_ int, at time.Duration) bool { return at < 0 }
	late := func(i int, at time.Duration) bool { return at > time.Duration(i)*ms+20*ms }
	early := func(i int, at time.Duration) bool { return at < time.Duration(i)*ms+20*ms }
	for _, c := range []struct {
		name     string
		l        Line
		is       func(int, time.Duration) bool
		from, to int
	}{
		{"loss of 1%", Line{Loss: 0.01}, lost, 70, 130},
		{"loss of 30%", Line{Loss: 0.3, Seed: 7}, lost, 2850, 3150},
		{"no loss", Line{Delay: 20 * ms, Jitter: 5 * ms}, lost, 0, 0},
		{"late by jitter", Line{Delay: 20 * ms, Jitter: 5 * ms}, late, 7000, 10000}, // order is kept, so frames wait for those before
		{"reordered", Line{Delay: 20 * ms, Reorder: 0.1}, early, 850, 1150},
	} {
		if got := count(c.l, c.is); got < c.from || got > c.to {
			t.Errorf("%s: %d of %d, want %d to %d", c.name, got, n, c.from, c.to)
		}
	}
	last := time.Duration(0)
	for i, at := range sent(newDirection(Line{Delay: 20 * ms, Jitter: 5 * ms}, 0), n) {
		if now := time.Duration(i) * ms; at < last || at < now+15*ms || at > now+25*ms {
			t.Fatalf("frame %d of %s leaves at %s, after %s", i, now, at, last)
		}
		last = at
	}
}

// TestSeed: what befalls a frame follows from the seed.
func TestSeed(t *testing.T) {
	l := Line{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.2, Reorder: 0.1, Seed: 42}
	one := sent(newDirection(l, 0), 500)
	if diff := cmp.Diff(one, sent(newDirection(l, 0), 500)); diff != "" {
		t.Error("the same seed differs: ", diff)
	}
	if cmp.Equal(one, sent(newDirection(l, 1), 500)) {
		t.Error("both directions are alike")
	}
	l.Seed++
	if cmp.Equal(one, sent(newDirection(l, 0), 500)) {
		t.Error("another seed is alike")
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want Line
		err  string
	}{
		{"", Line{}, ""},
		{"--delay 20ms --jitter 5ms --loss 1% --reorder 0.5 --rate 10mbit --queue 7 --seed 9", Line{20 * ms, 5 * ms, 0.01, 0.5, 1e7, 7, 9}, ""},
		{"--rate 64kbit", Line{Rate: 64000}, ""},
		{"--rate 8bit", Line{Rate: 8}, ""},
		{"--rate 1gbit --loss 100%", Line{Rate: 1e9, Loss: 1}, ""},
		{"--loss 101%", Line{}, "no share"},
		{"--loss NaN", Line{}, "no share"},
		{"--loss -1%", Line{}, "no share"},
		{"--rate fast", Line{}, "no rate"},
		{"--rate 9999999999gbit", Line{}, "no rate"},
		{"--jitter 5ms", Line{}, "is more than the delay"},
		{"--delay 2h", Line{}, "a minute"},
		{"--delay -1s", Line{}, "a minute"},
		{"--queue -1", Line{}, "a queue of -1"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var l Line
			f := flag.NewFlagSet("", flag.ContinueOnError)
			f.SetOutput(io.Discard)
			l.Flags(f)
			err := f.Parse(strings.Fields(c.args))
			if err == nil {
				err = l.Check()
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || l != c.want {
				t.Errorf("%+v, %v, want %+v", l, err, c.want)
			}
			port, _, again, err := parse(Args("p-a", l))
			if port != "p-a" || again != l || err != nil {
				t.Errorf("passed on: %s %+v, %v", port, again, err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, args := range []string{"", "--port", "--port p-a more", "--delay 1ms", "--port p-a --delay 1h", "--port p-a --speed 1"} {
		if _, _, _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
