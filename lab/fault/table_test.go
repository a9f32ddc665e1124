package fault

import (
	"regexp"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/lab"
)

// TestTable keeps the list in order: names are unique, and each fault names a check that exists.
func TestTable(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, f := range All() {
		if seen[f.Name] || !kebab.MatchString(f.Name) {
			t.Errorf("%q: a name twice, or not in lower-kebab", f.Name)
		}
		seen[f.Name] = true
		if !slices.ContainsFunc(all.Checks, func(c *check.Check) bool { return c.Name == f.Check }) {
			t.Errorf("%s: no check is named %q", f.Name, f.Check)
		}
		for _, name := range f.Topologies {
			if _, ok := lab.TopologyNamed(name); !ok {
				t.Errorf("%s: no topology is named %q", f.Name, name)
			}
		}
		if f.Story == "" || f.Inject == nil || f.Path.From == "" || f.Path.To == "" {
			t.Errorf("%s: a story, an injection or a path is missing", f.Name)
		}
		if got, ok := Named(f.Name); !ok || got.Name != f.Name {
			t.Errorf("Named(%q) = %q, %v", f.Name, got.Name, ok)
		}
	}
	for incident := 1; incident <= 7; incident++ {
		if incident != 3 && !slices.ContainsFunc(All(), func(f Fault) bool { return f.Incident == incident }) {
			t.Errorf("no fault stands for incident %d", incident)
		}
	}
}
