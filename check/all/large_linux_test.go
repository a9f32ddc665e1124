package all

import (
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
)

// cpu returns the CPU time that the process has used, which a busy machine does not stretch as it does the clock's.
func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLarge: all checks over one node with 10,000 Services find nothing, and
// soon: 0.3 s on an idle machine (BenchmarkChecks). Work that grows with the square takes minutes.
func TestLarge(t *testing.T) {
	c := large(t, 10000)
	n := network.New(c)
	start := cpu(t)
	r := check.Run(c, n, nil, nil, Checks...)
	took := cpu(t) - start
	t.Logf("10,000 Services: %v of CPU", took)
	for _, f := range r.Findings {
		if f.Severity > check.Info {
			t.Errorf("%s: %s: %s", f.Where, f.Check, f.What)
		}
	}
	if took > 2*time.Second {
		t.Errorf("took %v of CPU", took)
	}
}
