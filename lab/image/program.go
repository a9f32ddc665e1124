package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// architecture is that of the programs of this machine.
const architecture = runtime.GOARCH

// Programs returns the files that programs of this machine need to run in an
// image: themselves, under the path by which they are called here, the links that
// lead to them, and their shared libraries.
func Programs(paths ...string) (Layer, error) {
	var l Layer
	for _, p := range paths {
		files, err := program(p)
		if err != nil {
			return nil, err
		}
		l = append(l, files...)
	}
	return unique(l), nil
}

// program follows links from path to a program, and adds its libraries.
func program(path string) (Layer, error) {
	var l Layer
	for range 10 {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			libs, err := libraries(path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return append(append(l, File{Path: path, From: path}), libs...), nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		l = append(l, File{Path: path, Link: to})
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return nil, fmt.Errorf("%s: too many links", path)
}

// libraries asks the dynamic linker of a program which libraries it would load.
func libraries(path string) (Layer, error) {
	linker, err := interpreter(path)
	if err != nil || linker == "" {
		return nil, err
	}
	return loaded(linker, path)
}

// loaded asks a dynamic linker what it would load for a program or a library.
func loaded(linker, path string) (Layer, error) {
	out, err := exec.Command(linker, "--list", path).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, err
	}
	l := Layer{{Path: linker, From: linker}}
	for line := range strings.Lines(string(out)) {
		if _, right, ok := strings.Cut(line, " => "); ok {
			p, _, _ := strings.Cut(strings.TrimSpace(right), " ")
			l = append(l, File{Path: p, From: p})
		}
	}
	return l, nil
}

// Extensions returns those of iptables, which it loads by name when a rule needs
// them, and their libraries.
func Extensions() (Layer, error) {
	linker, err := interpreter("/usr/sbin/xtables-nft-multi")
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob("/usr/lib/*-linux-gnu/xtables/*.so")
	if err != nil {
		return nil, err
	}
	var l Layer
	for _, p := range paths {
		libs, err := loaded(linker, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		l = append(append(l, File{Path: p, From: p}), libs...)
	}
	return unique(l), nil
}

// interpreter returns the dynamic linker that a program names; a static one names none.
func interpreter(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := f.Section(".interp")
	if s == nil {
		return "", nil
	}
	b, err := s.Data()
	return string(bytes.TrimRight(b, "\x00")), err
}

// unique drops files that come twice.
func unique(l Layer) Layer {
	slices.SortStableFunc(l, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(l, func(a, b File) bool { return a.Path == b.Path })
}
