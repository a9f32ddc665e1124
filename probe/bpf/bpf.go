//go:build linux

// Package bpf runs probes' programs in the kernel: it loads them, attaches them to tracepoints and functions, and reads what they
// count and tell. It knows no probe. Beside it, only the files that bpf2go writes import cilium/ebpf.
//
// Programs are written against headers/plumb.h, which names what both sides share.
package bpf

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/plumbnet/plumb/probe"
)

// A Set is a probe's programs in the kernel, attached, with their maps. Probes embed it.
type Set struct {
	probe.Quiet
	env     *probe.Env
	coll    *ebpf.Collection
	kprobes map[string]kprobe    // by program
	links   map[string]link.Link // by program
	events  *ringbuf.Reader
	// Of probes whose programs hand over packets.
	lanes   *lanes
	pieces  *ringbuf.Reader
	piece   ringbuf.Record
	packets *perf.Reader
	packet  perf.Record
	// What the kernel has not, of which the probe then tells nothing.
	missing []string
}

// Load loads and attaches the programs that spec has, after setting its variables: those that plumb.h
// has, the number of arguments of a tracepoint X for one named args_X, and vars.
// What the kernel's verifier refuses is an error that names the program and ends as the verifier's log does.
func Load(env *probe.Env, spec func() (*ebpf.CollectionSpec, error), vars map[string]any) (*Set, error) {
	s, err := load(env, spec, vars)
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	return s, nil
}

// Without is spec without some of its programs: a kernel may offer one of two ways.
func Without(spec func() (*ebpf.CollectionSpec, error), programs ...string) func() (*ebpf.CollectionSpec, error) {
	return func() (*ebpf.CollectionSpec, error) {
		s, err := spec()
		for _, p := range programs {
			if err == nil {
				delete(s.Programs, p)
			}
		}
		return s, err
	}
}

func load(env *probe.Env, read func() (*ebpf.CollectionSpec, error), vars map[string]any) (*Set, error) {
	spec, err := read()
	if err != nil {
		return nil, err
	}
	types, err := kernelTypes()
	if err != nil {
		return nil, err
	}
	if err := setVars(env, types, spec, vars); err != nil {
		return nil, err
	}
	// Until 5.10 maps were accounted as locked memory. Who may not lift that limit is told by the map that does not fit.
	_ = rlimit.RemoveMemlock()
	if err := sizeLanes(spec); err != nil {
		return nil, err
	}
	missing := optional(types, spec)
	options := ebpf.CollectionOptions{Cache: types}
	coll, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		if more := functions(spec); more != nil {
			missing = slices.Sorted(slices.Values(append(missing, more...)))
			coll, err = ebpf.NewCollectionWithOptions(spec, options)
		}
	}
	if err != nil {
		return nil, refused(err)
	}
	s := &Set{env: env, coll: coll, kprobes: kprobes(spec), links: map[string]link.Link{}, missing: missing}
	if s.events, err = ringbuf.NewReader(coll.Maps["events"]); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.newPackets(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for name := range coll.Programs {
		if err := s.Attach(name, true); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Attach has a program run, or not any more. All run from Load on. One that was left out stays so.
func (s *Set) Attach(name string, on bool) error {
	l, is := s.links[name]
	p := s.coll.Programs[name]
	if is == on || p == nil {
		return nil
	}
	if !on {
		delete(s.links, name)
		return l.Close()
	}
	l, err := s.attach(name, p)
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, err)
	}
	s.links[name] = l
	return nil
}

func (s *Set) attach(name string, p *ebpf.Program) (link.Link, error) {
	k, is := s.kprobes[name]
	switch {
	case !is:
		return link.AttachTracing(link.TracingOptions{Program: p})
	case k.returns:
		return link.Kretprobe(k.function, p, nil)
	}
	return link.Kprobe(k.function, p, nil)
}

// optional takes the programs out of spec for which the kernel has no tracepoint or function. Those that
// a probe cannot do without are among its Needs.
func optional(types *btf.Cache, spec *ebpf.CollectionSpec) (missing []string) {
	for name, p := range spec.Programs {
		if p.Type == ebpf.Kprobe {
			continue // its function is found already
		}
		if _, err := arguments(types, p.AttachTo, p.AttachType); err != nil {
			missing = append(missing, p.AttachTo)
			delete(spec.Programs, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// functions takes the programs of functions out of spec, and says so to the others: there are kernels that have tracepoints only.
func functions(spec *ebpf.CollectionSpec) (taken []string) {
	for name, p := range spec.Programs {
		if p.Type == ebpf.Tracing && p.AttachType != ebpf.AttachTraceRawTp {
			taken = append(taken, p.AttachTo)
			delete(spec.Programs, name)
			if x := spec.Variables["args_"+p.AttachTo]; x != nil {
				_ = x.Set(uint32(0)) // as it was set before
			}
		}
	}
	return taken
}

func setVars(env *probe.Env, types *btf.Cache, spec *ebpf.CollectionSpec, vars map[string]any) error {
	all := map[string]any{
		"cookies":   env.Places.Cookies(),
		"threshold": uint64(env.Threshold),
	}
	for _, p := range env.Places.All() {
		if p.Host {
			all["host_net"] = p.Net
		}
	}
	for _, p := range spec.Programs {
		if n, err := arguments(types, p.AttachTo, p.AttachType); err == nil {
			all["args_"+p.AttachTo] = uint32(n)
		}
	}
	for name, v := range vars {
		all[name] = v
	}
	for name, v := range all {
		if x := spec.Variables[name]; x != nil {
			if err := x.Set(v); err != nil {
				return fmt.Errorf("variable %s: %w", name, err)
			}
		}
	}
	return nil
}

// refused shortens an error of loading to its cause and the last lines of the verifier's log.
func refused(err error) error {
	const lines = 6
	var v *ebpf.VerifierError
	if !errors.As(err, &v) {
		return err
	}
	log := v.Log[max(0, len(v.Log)-lines):]
	program, _, _ := strings.Cut(err.Error(), v.Cause.Error())
	return fmt.Errorf("%s%w; the verifier ends with: %s", program, v.Cause, strings.Join(log, " | "))
}

// Close takes the programs off the kernel.
func (s *Set) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	if s.events != nil {
		errs = append(errs, s.events.Close())
	}
	if s.pieces != nil {
		errs = append(errs, s.pieces.Close())
	}
	if s.lanes != nil {
		errs = append(errs, s.lanes.close())
	}
	if s.packets != nil {
		errs = append(errs, s.packets.Close())
	}
	s.coll.Close()
	return errors.Join(errs...)
}

// EnableStats has the kernel count how often programs run and how long they take, until it is closed. That
// costs each run some 20 ns (since 5.8).
func EnableStats() (io.Closer, error) { return ebpf.EnableStats(0) } // BPF_STATS_RUN_TIME

// An Empty is a program that does nothing. What it takes, all others take there too.
type Empty struct {
	program *ebpf.Program
	at      link.Link
}

// NewEmpty attaches one to a tracepoint.
func NewEmpty(tracepoint string) (*Empty, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	at, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: %w", err), p.Close())
	}
	return &Empty{p, at}, nil
}

// Account tells how often it ran, and for how long, while [EnableStats] is on.
func (e *Empty) Account() (probe.Account, error) {
	st, err := e.program.Stats()
	if err != nil {
		return probe.Account{}, fmt.Errorf("bpf: %w", err)
	}
	return probe.Account{Runs: st.RunCount, Time: st.Runtime}, nil
}

// Close detaches it.
func (e *Empty) Close() error { return errors.Join(e.at.Close(), e.program.Close()) }

// stages are those of plumb.h's LOST_.
var stages = [...]string{"rate", "ring", "table"}

// account is plumb.h's struct account.
type account struct {
	Lost         [len(stages)]uint64
	Whole, Jiffy uint64
}

// lost returns what the programs lost, by stage.
func (s *Set) lost() (lost [len(stages)]uint64, err error) {
	cpus, err := PerCPU[account](s, "accounts", 0)
	for _, c := range cpus {
		for i, n := range c.Lost {
			lost[i] += n
		}
	}
	return lost, err
}

// Account tells what the programs have cost, and what they lost.
func (s *Set) Account() (probe.Account, error) {
	a, nested := probe.Account{Missing: s.missing}, uint64(0)
	for name, p := range s.coll.Programs {
		st, err := p.Stats()
		if err != nil {
			return a, fmt.Errorf("bpf: %s: %w", name, err)
		}
		a.Runs += st.RunCount
		a.Time += st.Runtime
		nested += st.RecursionMisses
	}
	lost, err := s.lost()
	if err != nil {
		return a, err
	}
	for i, n := range lost {
		a.Lost = append(a.Lost, probe.Loss{Stage: stages[i], Events: n})
	}
	a.Lost = append(a.Lost, probe.Loss{Stage: "nested", Events: nested})
	return a, nil
}
