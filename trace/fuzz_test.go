package trace_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// FuzzRun drops and damages files of the recorded fixtures, and follows a packet: no panic, every
// weight in its bounds, every path with an end and a bounded length.
func FuzzRun(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for i := range names {
		f.Add(uint8(i), uint8(0), []byte(nil))
		f.Add(uint8(i), uint8(1), []byte{3, 0, 7, 1, 0x40, 9, 2, 0x21})
	}
	fixtures := make([]*txtar.Archive, len(names))
	for i, name := range names {
		if fixtures[i], err = txtar.ParseFile(name); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, which, ask uint8, edits []byte) {
		a := fixtures[int(which)%len(fixtures)]
		files, probes := snapshot.Files{}, []string(nil)
		var order []string
		for _, file := range a.Files {
			if file.Name == "want" {
				for line := range bytes.Lines(file.Data) {
					q, _, _ := bytes.Cut(line, []byte(": "))
					probes = append(probes, string(q))
				}
				continue
			}
			files[file.Name] = file.Data
			order = append(order, file.Name)
		}
		damage(files, order, edits)
		c, err := snapshot.Read(files)
		if err != nil || len(probes) == 0 {
			return
		}
		n := network.New(c)
		q := parseProbe(n, probes[int(ask)%len(probes)])
		q.Size = []int{q.Size, trace.FullSegment, 3000}[int(ask>>6)%3]
		sound(t, trace.Run(n, q).Paths, 0)
	})
}

// damage reads edits of three bytes: a file, what to do with it, and where.
func damage(files snapshot.Files, order []string, edits []byte) {
	for ; len(edits) >= 3; edits = edits[3:] {
		name := order[int(edits[0])%len(order)]
		data := slices.Clone(files[name])
		if len(data) == 0 {
			continue
		}
		at := int(edits[2]) * len(data) / 256
		switch edits[1] % 5 {
		case 0:
			delete(files, name)
			continue
		case 1:
			data = data[:at]
		case 2: // another digit, another letter: an address, a port, an MTU, a name
			at = min(at+bytes.IndexAny(data[at:], "0123456789")+1, len(data)) - 1
			data[max(at, 0)] = '0' + edits[1]/5%10
		case 3:
			data = bytes.ReplaceAll(data, []byte("true"), []byte("false"))
		case 4: // another file of the kind
			other := order[(int(edits[0])+1+int(edits[2]))%len(order)]
			if filepath.Base(other) == filepath.Base(name) {
				data = files[other]
			}
		}
		files[name] = data
	}
}

// sound checks what holds for the paths of every walk.
func sound(t *testing.T, ps []trace.Path, depth int) {
	t.Helper()
	if depth > 3 {
		t.Fatal("answers to answers to answers")
	}
	sum := 0.0
	for i := range ps {
		p := &ps[i]
		sum += p.Weight
		if p.Why.IsZero() || p.End.String() == "invalid" || p.Weight < 0 {
			t.Errorf("%s: %q, of weight %g", p.End, p.Why, p.Weight)
		}
		steps := 0
		for h := range p.Hops {
			steps += len(p.Hops[h].Steps)
			for k := range p.Hops[h].Steps {
				p.Hops[h].Steps[k].Evidence()
			}
		}
		if steps > 10000 {
			t.Errorf("%d steps", steps)
		}
		if len(p.Reply) > 0 {
			sound(t, p.Reply, depth+1)
		}
		if len(p.ICMP) > 0 {
			sound(t, p.ICMP, depth+1)
		}
	}
	if sum < 1-1e-6 || sum > 1+1e-6 {
		t.Errorf("%d paths, whose weights add up to %g", len(ps), sum)
	}
}
