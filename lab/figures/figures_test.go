package figures

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrint(t *testing.T) {
	table := Table{Head: "things:", Of: "things", Sizes: []int{10, 1000}, Figures: []Figure{
		{What: "quick enough", At: 1, Goal: 1},
		{What: "  too slow", At: 0, Goal: 1e-6},
		{What: "too much", Unit: Bytes, At: 1, Goal: 300e6},
		{What: "faster than others", Unit: Times, At: 1, Goal: 50},
		{What: "as slow as others", Unit: Times, At: 1, Goal: 50},
		{What: "classes", Unit: Count},
		{What: "not measured", At: 1, Goal: 1},
	}}
	var none strings.Builder
	if table.Print(&none); none.Len() > 0 {
		t.Errorf("nothing was noted: %s", none.String())
	}
	for what, by := range map[string][2]float64{"quick enough": {0.011, 0.5}, "too slow": {2.5e-6, 0.0021}, "too much": {5e4, 301e6},
		"faster than others": {2, 50}, "as slow as others": {60, 49}, "classes": {0, 7}} {
		table.Note(0, what, by[0])
		table.Note(1, what, by[1])
	}
	want := `things:                   10      1000   growth  goal
quick enough            11ms     500ms    45.5x  1s at 1000 things: met
  too slow             2.5µs     2.1ms   840.0x  1µs at 10 things: MISSED
too much               50 kB    301 MB  6020.0x  300 MB at 1000 things: MISSED
faster than others        2x       50x    25.0x  50x at 1000 things: met
as slow as others        60x       49x     0.8x  50x at 1000 things: MISSED
classes                    -         7
not measured               -         -
`
	var b strings.Builder
	table.Print(&b)
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
