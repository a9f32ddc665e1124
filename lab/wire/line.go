//go:build linux

// Package wire is a cable of the lab that delays, loses and reorders frames, for
// kernels that have no netem. It takes the place of a bridge's port: frames go
// through two TAP devices and a bounded queue in this process.
//
//	       PORT (a node's end of its uplink)
//	        │
//	bridge w-NAME ── wn-NAME ─┐ this process ┌─ wf-NAME ── the bridge that PORT was on
//	                          └──────────────┘
//
// The kernel cuts and checks what it hands to a TAP: frames are as large here as on
// a wire. What befalls the n-th frame of a direction follows from the seed alone,
// but for the queue being full.
package wire

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Line says what befalls frames, in each direction. The zero value lets them pass as they are.
type Line struct {
	Delay   time.Duration
	Jitter  time.Duration // a frame's delay is up to so much more or less; jitter alone does not change the order
	Loss    float64       // the share of frames that is lost, 0 to 1
	Reorder float64       // the share that does not wait the delay, and so overtakes
	Rate    int64         // bits per second; 0: any
	Queue   int           // frames that may wait; more are lost. 0: defaultQueue
	Seed    uint64
}

// defaultQueue is that of netem.
const defaultQueue = 1000

// Flags adds the flags that set a Line.
func (l *Line) Flags(f *flag.FlagSet) {
	f.DurationVar(&l.Delay, "delay", l.Delay, "")
	f.DurationVar(&l.Jitter, "jitter", l.Jitter, "")
	f.Var((*share)(&l.Loss), "loss", "")
	f.Var((*share)(&l.Reorder), "reorder", "")
	f.Var((*rate)(&l.Rate), "rate", "")
	f.IntVar(&l.Queue, "queue", l.Queue, "")
	f.Uint64Var(&l.Seed, "seed", l.Seed, "")
}

// Args returns the flags that say the same.
func (l Line) Args() []string {
	return []string{
		"--delay", l.Delay.String(), "--jitter", l.Jitter.String(), "--loss", (*share)(&l.Loss).String(), "--reorder", (*share)(&l.Reorder).String(),
		"--rate", strconv.FormatInt(l.Rate, 10), "--queue", strconv.Itoa(l.Queue), "--seed", strconv.FormatUint(l.Seed, 10),
	}
}

// Check says what about a Line cannot be.
func (l Line) Check() error {
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.Delay > time.Minute || l.Jitter > time.Minute:
		return errors.New("a delay and its jitter are between 0 and a minute")
	case l.Jitter > l.Delay:
		return fmt.Errorf("a jitter of %s is more than the delay of %s", l.Jitter, l.Delay)
	case l.Queue < 0 || l.Queue > 1<<20:
		return fmt.Errorf("a queue of %d frames", l.Queue)
	case l.Rate < 0:
		return fmt.Errorf("a rate of %d bits per second", l.Rate)
	}
	return nil
}

// A share is written "1%" or "0.01".
type share float64

func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'g', -1, 64) + "%" }

// Set reads what String writes.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is no share: want 1%% or 0.01", text)
	}
	*s = share(v)
	return nil
}

// A rate is written "10mbit", as tc does, or in bits per second.
type rate int64

func (r *rate) String() string { return strconv.FormatInt(int64(*r), 10) }

// Set reads a rate.
func (r *rate) Set(text string) error {
	number, unit := text, int64(1)
	for _, u := range []struct {
		name string
		bits int64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}} {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.bits
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > 1e12/unit {
		return fmt.Errorf("%q is no rate: want 10mbit", text)
	}
	*r = rate(v * unit)
	return nil
}

// A direction is the state of one way through a wire. Times are since any moment, the same for all frames.
type direction struct {
	Line
	random *rand.Rand
	free   time.Duration // when the last bit of the frame before is on its way
	last   time.Duration // when the frame before arrives
}

// newDirection returns the n-th direction of a wire.
func newDirection(l Line, n uint64) *direction {
	if l.Queue == 0 {
		l.Queue = defaultQueue
	}
	return &direction{Line: l, random: rand.New(rand.NewPCG(l.Seed, n))}
}

// admit decides about a frame of size bytes that comes at a time when others wait: when it leaves, or that it is
// lost. Each frame takes three random numbers, whatever becomes of it.
func (d *direction) admit(now time.Duration, size, waiting int) (leaves time.Duration, ok bool) {
	lost, overtakes, jitter := d.random.Float64() < d.Loss, d.random.Float64() < d.Reorder, 2*d.random.Float64()-1
	if lost || waiting >= d.Queue {
		return 0, false
	}
	d.free = max(d.free, now)
	if d.Rate > 0 {
		d.free += time.Duration(float64(size) * 8 / float64(d.Rate) * float64(time.Second))
	}
	if overtakes {
		return d.free, true
	}
	d.last = max(d.last, d.free+d.Delay+time.Duration(jitter*float64(d.Jitter)))
	return d.last, true
}
