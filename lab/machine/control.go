//go:build linux

package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Program is one that process 1 of a machine runs.
type Program struct {
	Name string   // by which it is stopped again
	Args []string // the path of the program, and its arguments
	Env  []string // beside that of process 1
	Log  string   // the file of the machine to which it writes
}

// A State is how a program is.
type State struct {
	Name    string
	PID     int // as the machine sees it
	Since   time.Time
	Running bool
	Ended   string // how it ended: "exit status 1"
	Log     string
}

// searchPath is where programs find others, whatever the user's own path is.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// request is what a client sends to process 1 of a machine, as JSON; it gets a reply.
type request struct {
	Start *Program
	Stop  string        // a program's name
	Grace time.Duration // until SIGKILL follows SIGTERM
}

type reply struct {
	Err      string
	Programs []State
}

// process1 is what process 1 of a machine, and of the rack, does once it is set up.
type process1 struct {
	mu       sync.Mutex
	programs []*State
}

// reap waits for children, forever: programs, and whatever they left behind.
func (p *process1) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for {
		p.reapOnce()
		<-ended
	}
}

func (p *process1) reapOnce() {
	p.mu.Lock() // between a program's start and its entry in the list nothing is reaped
	defer p.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		for _, s := range p.programs {
			if s.PID == pid && s.Running {
				s.Running, s.Ended = false, ending(status)
			}
		}
	}
}

// ending says how a program ended.
func ending(s unix.WaitStatus) string {
	if s.Signaled() {
		return "signal " + s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// serve answers requests, forever.
func (p *process1) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var q request
			if err := json.NewDecoder(c).Decode(&q); err != nil {
				return
			}
			json.NewEncoder(c).Encode(p.answer(q))
		}()
	}
}

func (p *process1) answer(q request) (r reply) {
	var err error
	switch {
	case q.Start != nil:
		err = p.start(*q.Start)
	case q.Stop != "":
		err = p.stop(q.Stop, q.Grace)
	}
	if err != nil {
		r.Err = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.programs {
		r.Programs = append(r.Programs, *s)
	}
	return r
}

func (p *process1) start(g Program) error {
	if len(g.Args) == 0 {
		return fmt.Errorf("%s: no program", g.Name)
	}
	out, err := os.OpenFile(g.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.programs, func(s *State) bool { return s.Name == g.Name })
	if i >= 0 && p.programs[i].Running {
		return fmt.Errorf("%s is running", g.Name)
	}
	child, err := os.StartProcess(g.Args[0], g.Args, &os.ProcAttr{
		Dir: "/", Env: append(append(os.Environ(), searchPath), g.Env...),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", g.Name, err)
	}
	s := &State{Name: g.Name, PID: child.Pid, Since: time.Now(), Running: true, Log: g.Log}
	child.Release()
	if i >= 0 {
		p.programs[i] = s
	} else {
		p.programs = append(p.programs, s)
	}
	return nil
}

// stop ends a program: it asks, and after the grace period insists.
func (p *process1) stop(name string, grace time.Duration) error {
	running := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.programs {
			if s.Name == name && s.Running {
				return s.PID
			}
		}
		return 0
	}
	pid := running()
	if pid == 0 {
		return fmt.Errorf("%s is not running", name)
	}
	unix.Kill(pid, unix.SIGTERM)
	for deadline, insisted := time.Now().Add(grace), false; running() == pid; time.Sleep(10 * time.Millisecond) {
		if time.Now().Before(deadline) {
			continue
		}
		if insisted && time.Now().After(deadline.Add(5*time.Second)) {
			return fmt.Errorf("%s: process %d does not end", name, pid)
		}
		unix.Kill(pid, unix.SIGKILL)
		insisted = true
	}
	return nil
}

// ask sends a request to process 1 of a machine; "" is the rack.
func ask(rack, machine string, q request) ([]State, error) {
	c, err := net.DialTimeout("unix", socket(rack, machine), 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", machine, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(q.Grace + 15*time.Second))
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return nil, fmt.Errorf("%s: %w", machine, err)
	}
	var r reply
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", machine, err)
	}
	if r.Err != "" {
		return r.Programs, errors.New(strings.TrimSpace(machine + ": " + r.Err))
	}
	return r.Programs, nil
}

// StartProgram starts a program on a machine of a rack; "" is the rack itself.
func StartProgram(rack, machine string, p Program) error {
	_, err := ask(rack, machine, request{Start: &p})
	return err
}

// StopProgram ends a program: it sends SIGTERM, and SIGKILL once the grace period is over.
func StopProgram(rack, machine, name string, grace time.Duration) error {
	_, err := ask(rack, machine, request{Stop: name, Grace: grace})
	return err
}

// Programs returns the programs that were started on a machine, also those that have ended.
func Programs(rack, machine string) ([]State, error) {
	return ask(rack, machine, request{})
}
