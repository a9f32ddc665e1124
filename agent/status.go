//go:build linux

package agent

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/agent/peers"
	"golang.org/x/sys/unix"
)

// A Status is how an agent is.
type Status struct {
	Version    string    `json:"version"`
	Node       string    `json:"node"`
	Kernel     string    `json:"kernel"`
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptimeSeconds"`
	Collecting int       `json:"collecting"`         // collections that run
	Waiting    int       `json:"waiting"`            // collections that wait for their turn
	Probing    int       `json:"probing"`            // probes that are being sent
	Degraded   []string  `json:"degraded,omitempty"` // what it cannot do, and why
	CPU        float64   `json:"cpuSeconds"`         // that it and its programs used
	RSS        int64     `json:"rssBytes"`
	// Of an agent that watches.
	Probes   []observe.State        `json:"probes,omitempty"`
	Sinks    []observe.SinkState    `json:"sinks,omitempty"`
	Recorder *observe.RecorderState `json:"recorder,omitempty"`
	Peers    *peers.State           `json:"peers,omitempty"`
	Paused   string                 `json:"paused,omitempty"` // why probes are
	Config   string                 `json:"config,omitempty"` // what is wrong with the newest configuration
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st := Status{
		Version: s.o.Version, Node: s.o.Collect.Node, Started: s.started.UTC(), Uptime: time.Since(s.started).Seconds(),
		Probing: int(s.probing.Load()), Degraded: s.degraded(), RSS: observe.RSS(),
	}
	st.Collecting, st.Waiting = s.work.load()
	if o := s.o.Observer; o != nil {
		st.Probes, st.Sinks, st.Recorder, st.Paused, st.Config, st.Peers = o.States(), o.Sinks(), o.Recorder(), o.Paused(), o.Trouble(), o.Peers()
	}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		st.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			st.CPU += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		}
	}
	writeJSON(w, st)
}

// programs print what no kernel interface tells.
var programs = []string{"iptables-nft-save", "iptables-legacy-save", "nft", "ipset"}

// degraded returns what the agent cannot do.
func (s *Server) degraded() (out []string) {
	_, effective, err := capabilities()
	if err != nil {
		out = append(out, fmt.Sprintf("its capabilities: %v", err))
	}
	for _, c := range needed {
		if err == nil && effective&(1<<c.bit) == 0 {
			out = append(out, fmt.Sprintf("no capability %s, which it takes %s", c.name, c.why))
		}
	}
	if one, err := os.Stat("/proc/1/ns/net"); err != nil {
		out = append(out, fmt.Sprintf("the node's network namespace: %v", err))
	} else if self, err := os.Stat("/proc/self/ns/net"); err == nil && !os.SameFile(one, self) && s.o.Collect.Host == "" {
		out = append(out, "it is not on the node's own network: hostNetwork and hostPID must be set")
	}
	for _, p := range programs {
		_, err := exec.LookPath(p)
		if _, sbin := os.Stat(filepath.Join("/usr/sbin", p)); err != nil && sbin != nil {
			out = append(out, p+" is missing: rules that only it prints are not collected")
		}
	}
	if err := s.guard.trouble(); err != nil {
		out = append(out, err.Error())
	}
	return out
}
