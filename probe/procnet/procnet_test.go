//go:build linux

package procnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/probe"
)

// The columns are those of Linux 6.18 and, with fewer of them, of 4.18.
func TestTell(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"6.18", "Icmp: InMsgs\nIcmp: 1\nUdp: InDatagrams MemErrors\nUdp: 2 3\nUdpLite: InDatagrams\nUdpLite: 4\n", "InDatagrams=2 MemErrors=3 ", ""},
		{"4.18", "Udp: InDatagrams NoPorts\nUdp: 0 5\n", "InDatagrams=0 NoPorts=5 ", ""},
		{"what is 0", "Udp: A InDatagrams B\nUdp: 0 0 0\n", "InDatagrams=0 ", ""},
		{"below 0", "Udp: MaxConn\nUdp: -1\n", "MaxConn=-1 ", ""},
		{"another protocol", "Tcp: InSegs\nTcp: 1\n", "", ""},
		{"none", "", "", ""},
		{"a value too many", "Tcp: A\nTcp: 1\nUdp: A\nUdp: 1 2\n", "A=1 ", `line 4: Udp "2"`},
		{"one too few", "Udp: A B\nUdp: 1\n", "A=1 ", `line 2: UdpB ""`},
		{"no values", "Udp: A\n", "", "line 2: no values of Udp"},
		{"65 bits", "Udp: A\nUdp: 18446744073709551616\n", "", `UdpA "18446744073709551616"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			table := Table{Protocol: "Udp", Stat: &probe.Stat{}, Always: "InDatagrams"}
			err := table.tell(table.start(), []byte(tt.in), "", func(s probe.Sample) { got += fmt.Sprintf("%s=%g ", s.Labels[0], s.Value) })
			same(t, got, tt.want, err, tt.err)
		})
	}
}

func TestLines(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"6.18", "Ip6InReceives                   \t17\nUdp6NoPorts                     \t4\nUdpLite6NoPorts \t5\n", "NoPorts=4 ", ""},
		{"without end of line", "Udp6A 1", "A=1 ", ""},
		{"no value", "Udp6A\n", "", `line 1: Udp6A ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			err := Lines([]byte(tt.in), "Udp6", func(name []byte, v float64) { got += fmt.Sprintf("%s=%g ", name, v) })
			same(t, got, tt.want, err, tt.err)
		})
	}
}

func TestSockstat(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"6.18", "sockets: used 6\nTCP: inuse 5 orphan 10\n", "sockets used=6 TCP inuse=5 TCP orphan=10 ", ""},
		{"no number", "TCP: inuse\n", "", `line 1: inuse ""`},
		{"of another kind", "TCP\n", "", `line 1: "TCP"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			err := Sockstat([]byte(tt.in), func(p, name []byte, v float64) { got += fmt.Sprintf("%s %s=%g ", p, name, v) })
			same(t, got, tt.want, err, tt.err)
		})
	}
}

func TestPerCPU(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"two CPUs", "entries  lookups hits\n0000000a 0000000b  1\n0000000a 00000001  0\n", "entries=10 lookups=12 hits=1 ", ""},
		{"4.18, one CPU", "entries  searched found\n00000001 00000000 ff\n", "entries=1 searched=0 found=255 ", ""},
		{"more columns than names", "entries\n1 2\n", "entries=1 ", ""},
		{"fewer", "entries a\n1\n", "", `line 2: a ""`},
		{"no CPU", "entries a\n", "", "no CPU"},
		{"none", "", "", "no CPU"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			err := PerCPU([]byte(tt.in), func(name string, v float64) { got += fmt.Sprintf("%s=%g ", name, v) })
			same(t, got, tt.want, err, tt.err)
		})
	}
}

func same(t *testing.T, got, want string, err error, wantErr string) {
	t.Helper()
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if (err != nil) != (wantErr != "") || err != nil && !strings.Contains(err.Error(), wantErr) {
		t.Errorf("%v, want %q", err, wantErr)
	}
}

// TestRead: a file is read once for those that ask one after the other, and anew for who has had it.
func TestRead(t *testing.T) {
	proc := t.TempDir()
	file := filepath.Join(proc, "thread-self/net/dev")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	a, b := Of(&probe.Env{Proc: proc}), Of(&probe.Env{Proc: proc})
	late := false
	for i, tt := range []struct {
		name  string
		by    *Files
		net   uint64
		write string
		want  string
	}{
		{"the first", a, 1, "first", "first"},
		{"another that asks", b, 1, "second", "first"},
		{"the first again", a, 1, "third", "third"},
		{"another place", b, 2, "fourth", "fourth"},
		{"the place before", a, 1, strings.Repeat("long", 5000), strings.Repeat("long", 5000)},
	} {
		if err := os.WriteFile(file, []byte(tt.write), 0o644); err != nil {
			t.Fatal(err)
		}
		got := ""
		err := tt.by.Read(probe.Place{Net: tt.net}, "dev", func(data []byte) error { got = string(data); return nil })
		// On a machine that is slow 5 ms may have gone by: then the second has read it anew, which the first is told too.
		late = i == 1 && got == tt.write || i == 2 && late && got == "second"
		if err != nil || got != tt.want && !late {
			t.Errorf("%s: %.20q %v, want %.20q", tt.name, got, err, tt.want)
		}
	}
	err := a.Read(probe.Place{}, "none", func([]byte) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) || Optional(err) != nil {
		t.Error(err)
	}
	if err := errors.New("other"); Optional(err) != err {
		t.Error("an error is lost")
	}
}

func TestIdle(t *testing.T) {
	var i Idle[int]
	for _, tt := range []struct {
		name          string
		nothing, skip bool
	}{{"it has something", false, false}, {"it has nothing", true, true}, {"it has again", false, false}, {"and nothing", true, true}} {
		if i.Note(1, tt.nothing); i.Skip(1) != tt.skip {
			t.Errorf("%s: skip %v", tt.name, !tt.skip)
		}
	}
	i.Note(2, true)
	i.since[1] = i.since[1].Add(-lookAgain)
	if i.Skip(1) {
		t.Error("it is not looked at again")
	}
	if i.Forget(); len(i.since) != 1 || !i.Skip(2) {
		t.Errorf("%d are remembered", len(i.since))
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"snmp", "netstat", "snmp6", "sockstat"} {
		data, err := os.ReadFile("testdata/6.18/thread-self/net/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		seen := 0
		count := func(name []byte, v float64) { seen++ }
		tcp := Table{Protocol: "Tcp", Stat: &probe.Stat{}}
		_ = tcp.tell(tcp.start(), in, "", func(probe.Sample) { seen++ })
		_ = Lines(in, "Ip6", count)
		_ = Sockstat(in, func(_, _ []byte, _ float64) { seen++ })
		_ = PerCPU(in, func(string, float64) { seen++ })
		if seen > 2*len(in) {
			t.Errorf("%d counters in %d bytes", seen, len(in))
		}
	})
}
