//go:build linux

package bpf

import (
	"fmt"
	"slices"
	"sync"
	"weak"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

var (
	typesMutex sync.Mutex
	types      weak.Pointer[btf.Cache]
)

// kernelTypes returns the running kernel's types. They are shared while somebody uses them, and not kept.
func kernelTypes() (*btf.Cache, error) {
	typesMutex.Lock()
	defer typesMutex.Unlock()
	c := types.Value()
	if c == nil {
		c = btf.NewCache()
		types = weak.Make(c)
	}
	if _, err := c.Kernel(); err != nil {
		return nil, fmt.Errorf("the types (BTF) of kernel %s: %w", release(), err)
	}
	return c, nil
}

// release returns the kernel's version as uname has it.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "?"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Tracepoint is the feature of a kernel that programs can be attached to a tracepoint by its types.
func Tracepoint(name string) probe.Feature {
	return probe.Feature{Name: "tp_btf/" + name, Have: func() error {
		types, err := kernelTypes()
		if err != nil {
			return err
		}
		_, err = arguments(types, name, ebpf.AttachTraceRawTp)
		return err
	}}
}

// arguments returns how many arguments a tracepoint or a function has. Kernels differ in that: kfree_skb tells a
// reason since 5.17.
func arguments(types *btf.Cache, name string, attach ebpf.AttachType) (int, error) {
	k, err := types.Kernel()
	if err != nil {
		return 0, err
	}
	if attach != ebpf.AttachTraceRawTp {
		var f *btf.Func
		if err := k.TypeByName(name, &f); err != nil {
			return 0, fmt.Errorf("kernel %s has no function %s", release(), name)
		}
		return len(f.Type.(*btf.FuncProto).Params), nil
	}
	var t *btf.Typedef
	if err := k.TypeByName("btf_trace_"+name, &t); err != nil {
		return 0, fmt.Errorf("kernel %s has no tracepoint %s", release(), name)
	}
	if p, ok := t.Type.(*btf.Pointer); ok {
		if f, ok := p.Target.(*btf.FuncProto); ok {
			return len(f.Params) - 1, nil // the first is the tracepoint's own
		}
	}
	return 0, fmt.Errorf("kernel %s: tracepoint %s is no function", release(), name)
}

// Enum returns the names of the running kernel's enum by their values; none where it has no such enum.
func Enum(name string) map[uint64]string {
	types, err := kernelTypes()
	if err != nil {
		return nil
	}
	k, err := types.Kernel()
	if err != nil {
		return nil
	}
	var e *btf.Enum
	if k.TypeByName(name, &e) != nil {
		return nil
	}
	names := map[uint64]string{}
	for _, v := range slices.Backward(e.Values) {
		names[v.Value] = v.Name // of two the first
	}
	return names
}

// HasHelper reports whether the running kernel has a function for programs, by the name of its number in enum bpf_func_id.
func HasHelper(name string) bool {
	for _, n := range Enum("bpf_func_id") {
		if n == "BPF_FUNC_"+name {
			return true
		}
	}
	return false
}
