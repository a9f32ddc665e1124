package dns

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cache bounds how long answers may be kept. What it holds from earlier is not known.
type cache struct {
	zones          zones
	success        lifetime
	denial         lifetime
	stale, prefers bool
}

// lifetime is how long answers are kept: seconds.
type lifetime struct{ low, high uint32 }

// leastTTL is what an answer without records is kept for.
const leastTTL = 5

func setCache(in *input) (handler, error) {
	c := &cache{success: lifetime{leastTTL, 3600}, denial: lifetime{leastTTL, 1800}}
	return c, in.once(func() error {
		args := in.RemainingArgs()
		if len(args) > 0 {
			if ttl, err := strconv.Atoi(args[0]); err == nil {
				if ttl <= 0 {
					return fmt.Errorf("cache TTL can not be zero or negative: %d", ttl)
				}
				c.success.high, c.denial.high = uint32(ttl), uint32(ttl)
				args = args[1:]
			}
		}
		c.zones = in.zones(args)
		if err := in.each(func(property string) error { return c.property(in, property) }); err != nil {
			return err
		}
		if c.prefers && !c.stale {
			return errors.New("serve_stale_policy requires serve_stale")
		}
		return nil
	})
}

func (c *cache) property(in *input, name string) error {
	args := in.RemainingArgs()
	wrong := in.argErr()
	switch name {
	case "success":
		return c.success.read(args, wrong)
	case "denial":
		return c.denial.read(args, wrong)
	case "prefetch":
		return prefetch(args, wrong)
	case "serve_stale":
		c.stale = true
		return serveStale(args, wrong)
	case "serve_stale_policy":
		if c.prefers {
			return errors.New("serve_stale_policy can only be specified once")
		}
		c.prefers = true
		if len(args) != 1 {
			return wrong
		}
		return isOneOf(strings.ToLower(args[0]), "prefer_positive")
	case "servfail":
		if len(args) != 1 {
			return wrong
		}
		d, err := time.ParseDuration(args[0])
		if err == nil && (d < 0 || d > 5*time.Minute) {
			err = errors.New("caching SERVFAIL responses below 0 or over 5 minutes is not permitted")
		}
		return err
	case "disable":
		if len(args) < 1 {
			return wrong
		}
		return isOneOf(args[0], "success", "denial")
	case "keepttl":
		if len(args) != 0 {
			return wrong
		}
		return nil
	}
	return wrong
}

// read reads "CAPACITY [TTL [MINTTL]]".
func (l *lifetime) read(args []string, wrong error) error {
	if len(args) == 0 {
		return wrong
	}
	for i, a := range args[:min(3, len(args))] {
		n, err := strconv.Atoi(a)
		switch {
		case err != nil:
			return err
		case i == 1 && n <= 0:
			return fmt.Errorf("cache TTL can not be zero or negative: %d", n)
		case i == 2 && n < 0:
			return fmt.Errorf("cache min TTL can not be negative: %d", n)
		case i == 1:
			l.high = uint32(n)
		case i == 2:
			l.low = uint32(n)
		}
	}
	return nil
}

// prefetch reads "AMOUNT [DURATION [PERCENTAGE%]]".
func prefetch(args []string, wrong error) error {
	if len(args) == 0 || len(args) > 3 {
		return wrong
	}
	if err := isCount(args[0]); err != nil {
		return err
	}
	if len(args) > 1 {
		if _, err := time.ParseDuration(args[1]); err != nil {
			return err
		}
	}
	if len(args) > 2 {
		s, percent := strings.CutSuffix(args[2], "%")
		if n, err := strconv.Atoi(s); err != nil || !percent || n < 10 || n > 90 {
			return fmt.Errorf("percentage should fall in range [10%%, 90%%]: %s", args[2])
		}
	}
	return nil
}

// serveStale reads "[DURATION [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]]".
func serveStale(args []string, wrong error) error {
	verify := len(args) > 1 && strings.ToLower(args[1]) == "verify"
	if len(args) > 5 || len(args) > 4 && !verify {
		return wrong
	}
	if len(args) > 1 {
		if err := isOneOf(strings.ToLower(args[1]), "immediate", "verify"); err != nil {
			return err
		}
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	for i, a := range args {
		d, err := time.ParseDuration(a)
		last := i - 1
		if verify {
			last--
		}
		switch {
		case err != nil || d < 0:
			return fmt.Errorf("invalid duration %q for serve_stale", a)
		case last == 0 && (d%time.Second != 0 || d/time.Second > 1<<32-1):
			return errors.New("serve_stale response TTL must be a whole number of seconds")
		case last == 1 && d > 5*time.Minute:
			return errors.New("serve_stale failure recheck cannot exceed 5 minutes")
		}
	}
	return nil
}

// serve gives all records of an answer one TTL: the least of them, within the bounds.
func (c *cache) serve(r *run, i int, q Query) Answer {
	a := r.next(i, q)
	if a.Outcome != Answered || !a.written || c.zones.match(q.Name) == "" {
		return a
	}
	l := c.success
	soa := slices.ContainsFunc(a.authority, func(r Record) bool { return r.Type == "SOA" })
	denies := len(a.Records) == 0 && (a.Rcode == NXDomain || soa && a.Rcode == NoError)
	if denies {
		l = c.denial
	}
	least := uint32(leastTTL)
	if n := len(a.Records) + len(a.authority) + len(a.Extra); n > 0 && (denies || a.Rcode == NoError) {
		least = l.high
		for _, rs := range [][]Record{a.Records, a.authority, a.Extra} {
			for _, r := range rs {
				least = min(least, r.TTL)
			}
		}
	}
	ttl := min(max(least, l.low), l.high)
	for _, rs := range []*[]Record{&a.Records, &a.authority, &a.Extra} {
		*rs = slices.Clone(*rs)
		for i := range *rs {
			(*rs)[i].TTL = ttl
		}
	}
	return a
}
