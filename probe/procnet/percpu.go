//go:build linux

package procnet

import (
	"bytes"
	"fmt"
	"strconv"
)

// PerCPU calls f for each counter of a file of /proc/net/stat: a line of names, and one of hexadecimal numbers for each CPU,
// which are summed up. The first, "entries", is the same in each.
func PerCPU(data []byte, f func(name string, value float64)) error {
	head, data := Line(data)
	names := bytes.Fields(head)
	sums := make([]uint64, len(names))
	cpus := 0
	for n := 2; len(data) > 0; n++ {
		var line, word []byte
		line, data = Line(data)
		for i := range sums {
			word, line = Word(line)
			v, err := strconv.ParseUint(string(word), 16, 64)
			if err != nil {
				return fmt.Errorf("line %d: %.40s %q", n, names[i], Short(word))
			}
			if string(names[i]) == "entries" {
				sums[i] = v
			} else {
				sums[i] += v
			}
		}
		cpus++
	}
	if cpus == 0 || len(names) == 0 {
		return fmt.Errorf("no CPU")
	}
	for i, name := range names {
		f(string(name), float64(sums[i]))
	}
	return nil
}
