//go:build linux

package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/plumbnet/plumb/probe"
)

// Kprobe is the feature of a kernel that programs can be attached to a function, its modules' too, by kprobes. It has one of several names.
func Kprobe(functions ...string) probe.Feature {
	return probe.Feature{Name: "kprobe/" + functions[0], Have: func() error {
		_, err := symbol(functions)
		return err
	}}
}

// Kprobes is spec with its kprobes at the first of the functions that the kernel has.
func Kprobes(spec func() (*ebpf.CollectionSpec, error), functions ...string) func() (*ebpf.CollectionSpec, error) {
	return func() (*ebpf.CollectionSpec, error) {
		name, err := symbol(functions)
		if err != nil {
			return nil, err
		}
		s, err := spec()
		if err != nil {
			return nil, err
		}
		for _, p := range s.Programs {
			if p.Type == ebpf.Kprobe {
				p.AttachTo = name
			}
		}
		return s, nil
	}
}

// symbol returns the first of the functions that kprobes can be at.
func symbol(functions []string) (string, error) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); errors.Is(err, fs.ErrNotExist) { // Linux 4.17
		return "", fmt.Errorf("kernel %s has no kprobes", release())
	} else if err != nil {
		return "", err
	}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return "", err
	}
	defer f.Close()
	has := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() { // "0000000000000000 t virtnet_send_command	[virtio_net]"
		if w := strings.Fields(lines.Text()); len(w) >= 3 && slices.Contains(functions, w[2]) {
			has[w[2]] = true
		}
	}
	for _, name := range functions {
		if has[name] {
			return name, lines.Err()
		}
	}
	return "", errors.Join(lines.Err(), fmt.Errorf("kernel %s has no function %s", release(), strings.Join(functions, " or ")))
}

// A kprobe is where a program is attached to: to a function's begin, or to its end.
type kprobe struct {
	function string
	returns  bool
}

// kprobes returns those of spec by their programs.
func kprobes(spec *ebpf.CollectionSpec) map[string]kprobe {
	all := map[string]kprobe{}
	for name, p := range spec.Programs {
		if p.Type == ebpf.Kprobe {
			all[name] = kprobe{p.AttachTo, strings.HasPrefix(p.SectionName, "kretprobe/")}
		}
	}
	return all
}
