//go:build linux

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// What a program may print, and how long it may take; variables for the tests. So much can
// a snapshot read, and iptables-nft-save takes 4 s for 100,000 rules.
var (
	maxOutput = 256 << 20
	maxRun    = time.Minute
)

// sbin are folders of system programs that a daemon's PATH may lack.
var sbin = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// lookPath finds a program.
func lookPath(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range sbin {
		if p, err := exec.LookPath(dir + "/" + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// programs finds programs once, not once a namespace.
type programs struct {
	path map[string]string
	err  map[string]error
}

func (p *programs) find(name string) (string, error) {
	if p.path == nil {
		p.path, p.err = map[string]string{}, map[string]error{}
	}
	if _, done := p.err[name]; !done {
		p.path[name], p.err[name] = lookPath(name)
	}
	return p.path[name], p.err[name]
}

// saveProgram finds the program that saves the rules of a back end ("-nft", "-legacy").
// Where programs have the plain name only, their version says which back end they know.
func (p *programs) saveProgram(ctx context.Context, iptables, backend string) (string, error) {
	path, err := p.find(iptables + backend + "-save")
	if err == nil {
		return path, nil
	}
	plain, plainErr := p.find(iptables + "-save")
	if plainErr != nil {
		return "", err
	}
	version, versionErr := output(ctx, plain, []string{"--version"})
	if versionErr != nil || bytes.Contains(version, []byte("nf_tables")) != (backend == "-nft") {
		return "", err
	}
	return plain, nil
}

// save writes into file the rules of a back end of iptables or ip6tables.
func (w *worker) save(file, iptables, backend string) {
	path, err := w.programs.saveProgram(w.ctx, iptables, backend)
	if err != nil {
		w.put(file, nil, err)
		return
	}
	var args []string
	if w.counters {
		args = []string{"-c"}
	}
	w.keep(file, path, args)
}

// run writes into file what a program prints, and reports whether it succeeded. It
// runs in the namespace of the thread, and not through a shell.
func (w *worker) run(file, program string, args ...string) bool {
	path, err := w.programs.find(program)
	if err != nil {
		w.put(file, nil, err)
		return false
	}
	return w.keep(file, path, args)
}

// keep runs a program and keeps what it prints. It is run only where the kernel has
// something for it to print, and so nothing is a failure too.
func (w *worker) keep(file, path string, args []string) bool {
	out, err := output(w.ctx, path, args)
	if err == nil && len(bytes.TrimSpace(out)) == 0 {
		err = fmt.Errorf("%s: prints nothing, although the kernel has something", path)
	}
	w.put(file, out, err)
	return err == nil
}

// output runs a program and returns what it prints. The error has what it says on stderr.
func output(ctx context.Context, path string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxRun, fmt.Errorf("did not end within %v", maxRun))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	out, errOut := limited{left: maxOutput}, limited{left: 4 << 10}
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case out.over:
		err = fmt.Errorf("prints more than %d bytes", maxOutput)
	}
	if err == nil {
		return out.buf.Bytes(), nil
	}
	if said := strings.TrimSpace(errOut.buf.String()); said != "" {
		err = errors.New(err.Error() + ": " + said)
	}
	return out.buf.Bytes(), fmt.Errorf("%s: %w", cmd.Args[0], err)
}

// limited is a buffer that takes no more than a number of bytes, and passes over the rest.
// The buffer is not embedded: io.Copy would find its ReadFrom, which knows no limit.
type limited struct {
	buf  bytes.Buffer
	left int
	over bool
}

// Write keeps what fits.
func (l *limited) Write(b []byte) (int, error) {
	keep := b[:min(len(b), l.left)]
	l.over = l.over || len(keep) < len(b)
	l.left -= len(keep)
	l.buf.Write(keep)
	return len(b), nil
}
