//go:build linux

package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/probe"
)

func TestConfig(t *testing.T) {
	quiet := kind("quiet", fake{})
	quiet.Threshold = 0
	rare := kind("rare", fake{})
	rare.Off = true
	kinds := []*probe.Kind{kind("dns", fake{}), quiet, rare}
	for _, tt := range []struct {
		name, in string
		runs     string // by name
		want     string // of the error
	}{
		{"nothing", "", "dns quiet", ""},
		{"one more", "probes: {on: [rare]}", "dns quiet rare", ""},
		{"all", "probes: {on: [all], off: [dns]}", "quiet rare", ""},
		{"that one alone", "probes: {off: [all], on: [rare]}", "rare", ""},
		{"a threshold", "probes: {threshold: {dns: 5ms}}\nevents: {perSecond: 3}\nlabels: {zone: a}", "dns quiet", ""},
		{"targets", "probes:\n  targets:\n    a: {host: 10.0.0.1, overlay: 'fd00::1'}", "dns quiet", ""},
		{"an address of two nodes", "probes:\n  targets:\n    a: {host: 10.0.0.1}\n    b:\n      host: 10.0.0.1", "", `c.yaml:5: probes.targets.b.host: "10.0.0.1" is a target of a, too`},
		{"no target", "probes:\n  targets:\n    a: {}", "", "c.yaml:3: probes.targets.a: want 1 to 4 addresses"},
		{"no address", "probes:\n  targets:\n    a:\n      host: b", "", `c.yaml:4: probes.targets.a.host: "b": want an address of the node`},
		{"nobody's address", "probes:\n  targets:\n    a:\n      host: 127.0.0.1", "", `"127.0.0.1": want an address of the node`},
		{"no such key", "probes: {}\nsink: []", "", "c.yaml:2: sink: unknown field"},
		{"no such probe", "probes:\n  on:\n  - dsn", "", `c.yaml:3: probes.on[0]: no probe is named "dsn"; there are dns, quiet, rare`},
		{"no such probe, off", "probes:\n  off: [dsn]", "", `c.yaml:2: probes.off[0]: no probe is named "dsn"`},
		{"on and off", "probes:\n  on: [dns]\n  off: [dns]", "", `c.yaml:3: probes.off[0]: "dns" is on as well`},
		{"it has no threshold", "probes:\n  threshold:\n    quiet: 5ms", "", `c.yaml:3: probes.threshold.quiet: the probe has no threshold`},
		{"no time", "probes:\n  threshold:\n    dns: 5", "", `c.yaml:3: probes.threshold.dns: a number, want string`},
		{"no time either", "probes:\n  threshold:\n    dns: five", "", `c.yaml:3: probes.threshold.dns: "five": want a time, such as 1s`},
		{"no positive time", "probes:\n  threshold:\n    dns: -5ms", "", `"-5ms": want a time`},
		{"a threshold of none", "probes:\n  threshold:\n    dsn: 5ms", "", `no probe is named "dsn"`},
		{"a label of ours", "labels:\n  pod: x", "", `c.yaml:2: labels.pod: plumb has a label "pod" of its own`},
		{"a label of a probe", "labels:\n  reason: x", "", `plumb has a label "reason" of its own`},
		{"a label of the agent's own metrics", "labels:\n  version: x", "", `c.yaml:2: labels.version: plumb has a label "version" of its own`},
		{"another of them", "labels: {result: x}", "", `plumb has a label "result" of its own`},
		{"no label", "labels:\n  a-b: x", "", `"a-b" is no name of a label`},
		{"sinks", "sinks:\n- stdout: {}\n- loki: {url: 'http://127.0.0.1:3100'}", "dns quiet", ""},
		{"a sink of nothing", "sinks:\n- stdout: {}\n- {}", "", "c.yaml:3: sinks[1]: want one of stdout, file, loki, otlp; it has 0"},
		{"a file of two sinks", "sinks:\n- file: {path: /a}\n- file: {path: /b}\n- file: {path: /a, files: 2}", "", "c.yaml:4: sinks[2]: sinks[0] is the same"},
		{"a server of two sinks", "sinks:\n- loki: {url: 'http://127.0.0.1:3100'}\n- loki: {url: 'http://127.0.0.1:3100'}", "", "c.yaml:3: sinks[1]: sinks[0] is the same"},
		{"two tenants of a server", "sinks:\n- loki: {url: 'http://127.0.0.1:3100', tenant: a}\n- loki: {url: 'http://127.0.0.1:3100', tenant: b}", "dns quiet", ""},
		{"a sink's field", "sinks:\n- loki:\n    url: loki:3100", "", "c.yaml:3: sinks[0].loki.url: want http:// or https:// and a host"},
		{"a name that looks like this machine", "sinks:\n- loki:\n    url: http://127.example.org\n    tokenFile: /t", "", "c.yaml:3: sinks[0].loki.url: want https://"},
		{"no such field of a sink", "sinks:\n- loki:\n    uri: x", "", "c.yaml:3: sinks[0].loki.uri: unknown field"},
		{"fewer than none", "events:\n  perSecond: -1", "", `c.yaml:2: events.perSecond: -1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ReadConfig("c.yaml", []byte(tt.in), kinds)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			var runs []string
			for _, k := range kinds {
				if c.wants(k) {
					runs = append(runs, k.Name)
				}
			}
			if got := strings.Join(runs, " "); err == nil && got != tt.runs {
				t.Errorf("%q run, want %q", got, tt.runs)
			}
		})
	}
	c, err := ReadConfig("c.yaml", []byte("probes: {threshold: {dns: 5ms}}"), kinds)
	if err != nil || c.threshold(kinds[0]) != 5*time.Millisecond || c.threshold(rare) != time.Second {
		t.Errorf("%v, thresholds %v and %v", err, c.threshold(kinds[0]), c.threshold(rare))
	}
}
