//go:build linux

package observe

import (
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plumbnet/plumb/agent/peers"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/sink"
)

// Own are the agent's metrics of itself.
var Own = []*probe.Stat{
	info, cpu, resident, files, goroutines, start,
	up, errs, reading, runs, ran, told, lost, series, reloaded, valid, sunk, waiting, retried, recorded, kept, unkept, frommem, lookups, windows, memlimit, paused, pauses,
}

var (
	info       = own("agent_info", probe.Gauge, "1, with the version of the agent and the kernel that it runs on.", "version", "kernel")
	cpu        = own("agent_cpu_seconds_total", probe.Counter, "CPU time that the agent used.")
	resident   = own("agent_resident_memory_bytes", probe.Gauge, "Memory that the agent has resident.")
	files      = own("agent_open_files", probe.Gauge, "Files that the agent has open.")
	goroutines = own("agent_goroutines", probe.Gauge, "Goroutines of the agent.")
	start      = own("agent_start_time_seconds", probe.Gauge, "When the agent started, in seconds since 1970.")
	up         = own("agent_probe_up", probe.Gauge, "1 for a probe that runs, 0 for one that is to run and cannot; /status says why.", "probe")
	errs       = own("agent_probe_errors_total", probe.Counter, "Readings and watches of a probe that failed.", "probe")
	reading    = own("agent_probe_read_seconds_total", probe.Counter, "Time spent reading a probe.", "probe")
	runs       = own("agent_probe_program_runs_total", probe.Counter, "How often a probe's programs ran in the kernel, while that is counted: for 2 s of each minute, always with sysctl kernel.bpf_stats_enabled=1. Divided by these, the seconds are what one run costs.", "probe")
	ran        = own("agent_probe_program_seconds_total", probe.Counter, "Time that they ran, while that is counted.", "probe")
	told       = own("agent_events_total", probe.Counter, "Events that a probe told.", "probe")
	lost       = own("agent_events_lost_total", probe.Counter, "Events that went no further than a stage: rate (too many of a kind, in the kernel or here), ring (the agent was too slow), table (counted under no key of their own), reader (who took them too slowly).", "stage", "probe")
	sunk       = own("agent_sink_events_total", probe.Counter, "Events for a sink: written, lost for want of room (full), or lost after tries (failed).", "sink", "result")
	waiting    = own("agent_sink_waiting", probe.Gauge, "Events that wait for a sink.", "sink")
	retried    = own("agent_sink_retries_total", probe.Counter, "Times that a sink was tried again.", "sink")
	recorded   = own("agent_recorder_seconds_total", probe.Counter, "Seconds that were recorded.")
	kept       = own("agent_recorder_events_total", probe.Counter, "Events that were recorded.")
	unkept     = own("agent_recorder_lost_total", probe.Counter, "Seconds and events that were not recorded, for want of room or for an error.", "what")
	frommem    = own("agent_recorder_memory", probe.Gauge, "1 while the recorder runs from memory, and ends with the agent.")
	lookups    = own("agent_peer_lookups_total", probe.Counter, "Addresses in events that are no Pod's of this node: the API server named their owner, knew none, or did not answer (failed); or it was not asked, since that would have been too much (unasked).", "result")
	windows    = own("agent_peer_windows_total", probe.Counter, "Windows that the recorder froze and a peer's node was asked to keep too: it does (kept), or not (refused).", "result")
	memlimit   = own("agent_memory_limit_bytes", probe.Gauge, "Memory above which the agent collects its garbage harder (GOMEMLIMIT); with most of it in use, probes are paused.")
	paused     = own("agent_paused", probe.Gauge, "1 while probes that cost something with every packet are paused, beyond that limit of the configuration's limits.", "limit")
	pauses     = own("agent_pauses_total", probe.Counter, "How often they were.")
	series     = own("agent_series_dropped", probe.Gauge, "Series beyond the bound of their metric, which are summed up in its series \"overflow\".", "metric")
	reloaded   = own("agent_config_reloads_total", probe.Counter, "Configurations that were taken, or refused.", "result")
	valid      = own("agent_config_valid", probe.Gauge, "1 while the newest configuration runs, 0 while it was refused and an older one does.")
)

func own(name string, typ probe.Type, help string, labels ...string) *probe.Stat {
	return &probe.Stat{Name: name, Type: typ, Help: help, Labels: labels, Node: true}
}

// own adds the agent's metrics of itself.
func (o *Observer) own(f *families, list []*running) {
	set := func(s *probe.Stat, v float64, labels ...string) {
		_ = f.add(nil, probe.Sample{Stat: s, Value: v, Labels: labels}) // they are right, as a test says
	}
	set(info, 1, o.o.Version, kernelRelease())
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		set(cpu, time.Duration(u.Utime.Nano()+u.Stime.Nano()).Seconds())
	}
	set(resident, float64(RSS()))
	if n, err := openFiles(); err == nil {
		set(files, float64(n))
	}
	set(goroutines, float64(runtime.NumGoroutine()))
	set(start, float64(o.started.UnixMilli())/1000)
	for _, s := range f.kinds {
		if n := f.by[s].lost; n > 0 {
			set(series, float64(n), Prefix+s.Name)
		}
	}
	set(lost, float64(o.bus.lost()), "reader", "")
	for _, r := range list {
		if r.why == "off" {
			continue
		}
		name := r.kind.Name
		set(up, map[bool]float64{true: 1}[r.why == ""], name)
		set(errs, float64(r.errs.Load()), name)
		set(reading, time.Duration(r.nanos.Load()).Seconds(), name)
		at := map[string]uint64{}
		if a, ok := r.account(); ok {
			set(runs, float64(a.Runs), name)
			set(ran, a.Time.Seconds(), name)
			for _, l := range a.Lost {
				at[l.Stage] += l.Events
			}
		}
		if r.kind.Events != "" {
			set(told, float64(r.events.Load()), name)
			at["rate"] += r.kept.Load()
		}
		for _, stage := range slices.Sorted(maps.Keys(at)) {
			set(lost, float64(at[stage]), stage, name)
		}
	}
	o.sinks.each(func(name string, running bool, st sink.Stats) {
		set(sunk, float64(st.Written), name, "written")
		set(sunk, float64(st.Full), name, "full")
		set(sunk, float64(st.Failed), name, "failed")
		set(retried, float64(st.Retries), name)
		if running {
			set(waiting, float64(st.Waiting), name)
		}
	})
	st, ok := o.record.stats()
	set(recorded, float64(st.Seconds))
	set(kept, float64(st.Events))
	set(unkept, float64(st.Failed), "seconds")
	set(unkept, float64(st.Lost), "events")
	set(frommem, map[bool]float64{true: 1}[ok && st.Memory])
	set(memlimit, float64(debug.SetMemoryLimit(-1)))
	var p peers.State
	if o.o.Peers != nil {
		p = o.o.Peers.State()
	}
	set(lookups, float64(p.Named), "named")
	set(lookups, float64(p.None), "none")
	set(lookups, float64(p.Failed), "failed")
	set(lookups, float64(p.Unasked), "unasked")
	set(windows, float64(p.Windows), "kept")
	set(windows, float64(p.Refused), "refused")
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, name := range limitNames {
		set(paused, map[bool]float64{true: 1}[o.paused == name], name)
	}
	set(pauses, float64(o.pauses))
	set(reloaded, float64(o.reloads[0]), "taken")
	set(reloaded, float64(o.reloads[1]), "refused")
	set(valid, map[bool]float64{true: 1}[o.trouble == ""])
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// RSS returns the resident memory of this process, in bytes.
func RSS() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// openFiles returns how many files the agent has open, which since Linux 6.2 is the size of the folder of them.
func openFiles() (int64, error) {
	const folder = "/proc/self/fd"
	if st, err := os.Stat(folder); err == nil && st.Size() > 0 {
		return st.Size(), nil
	}
	list, err := os.ReadDir(folder)
	return int64(len(list)), err
}
