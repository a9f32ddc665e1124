//go:build linux

package observe

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/deploy/dashboards"
	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestMainPanels injects those faults that are soon seen. "make observe" does all.
func TestMainPanels(t *testing.T) {
	sandbox.Need(t)
	if err := Needs(); err != nil {
		t.Skipf("prometheus is not installed: %v", err)
	}
	var out bytes.Buffer
	ok, err := Run(t.Context(), &out, "rule", "listener", "refused", "unread")
	if err != nil || !ok {
		t.Errorf("%v\n%s", err, &out)
	}
}

// unproved are the alerts that no fault of a lab can raise, and why not. Their rules have tests of their own.
var unproved = map[string]string{
	"PlumbSoftnetDrops":         "net.core.netdev_max_backlog is of the machine's first network namespace",
	"PlumbNeighboursNearlyFull": "the tables of neighbours are counted in the machine's first network namespace",
	"PlumbRecorderLost":         "it takes a disk that is full",
	"PlumbPressure":             "few kernels count what stands still by cgroups of version 1",
}

// TestTroubles wants faults to be of panels and alerts that there are, and all alerts to have a fault.
func TestTroubles(t *testing.T) {
	titles, alerts, proved := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range everyPanel() {
		titles[p.title] = true
		for _, e := range p.exprs {
			if strings.Contains(e, "$") {
				t.Errorf("%s: a variable is left in %s", p.title, e)
			}
		}
	}
	for _, a := range dashboards.Alerts {
		alerts[a.Name] = true
	}
	for _, f := range troubles {
		for _, title := range f.panels {
			if !titles[title] {
				t.Errorf("%s: no panel is called %q", f.name, title)
			}
		}
		for _, name := range f.alerts {
			proved[name] = true
			if !alerts[name] {
				t.Errorf("%s: no alert is called %q", f.name, name)
			}
		}
	}
	for name := range alerts {
		if _, not := unproved[name]; proved[name] == not {
			t.Errorf("%s: has it a fault? %v", name, proved[name])
		}
	}
}

// TestSighting wants all that should be seen, and says what was not.
func TestSighting(t *testing.T) {
	f := trouble{name: "x", story: "s", panels: []string{"p"}, alerts: []string{"A"}}
	for _, tt := range []struct {
		name string
		in   sighting
		all  bool
		says string
	}{
		{"both", sighting{panels: map[string]int{"p": 2}, alerts: map[string]bool{"A": true}}, true, "✓ alert A"},
		{"no panel", sighting{panels: map[string]int{"p": 0}, alerts: map[string]bool{"A": true}}, false, "✗ p "},
		{"no alert", sighting{panels: map[string]int{"p": 1}, alerts: map[string]bool{"A": false}}, false, "✗ alert A"},
		{"not possible here", sighting{skip: errors.New("no cgroup")}, true, "skipped: no cgroup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tt.in.print(&out, f)
			if tt.in.all() != tt.all || !strings.Contains(out.String(), tt.says) {
				t.Errorf("%v\n%s", tt.in.all(), &out)
			}
		})
	}
}

func TestRunWhatIsNot(t *testing.T) {
	if _, err := Run(t.Context(), io.Discard, "nothing"); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Error(err)
	}
}
