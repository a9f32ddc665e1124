//go:build linux

package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is one that can be found again: by its number and when it started,
// in one life of the kernel.
type process struct {
	PID   int
	Start uint64 // in clock ticks since the kernel started: field 22 of /proc/PID/stat
	Boot  string // /proc/sys/kernel/random/boot_id
}

// patience is how long the machines of a rack have to come up, and to be gone.
const patience = 60 * time.Second

// Start builds a rack and its machines, and returns where on the loopback of the
// real machine it can be reached. The rack outlives this process.
func (r *Rack) Start() (netip.AddrPort, error) {
	none := netip.AddrPort{}
	if Alive(r.Dir) {
		return none, fmt.Errorf("a rack is up in %s", r.Dir)
	}
	if err := r.write(); err != nil {
		return none, err
	}
	loopback, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return none, err
	}
	defer loopback.Close()
	at, err := netip.ParseAddrPort(loopback.Addr().String())
	if err != nil {
		return none, err
	}
	file, err := loopback.File()
	if err != nil {
		return none, err
	}
	defer file.Close()
	return at, r.start(file)
}

func (r *Rack) start(loopback *os.File) error {
	begin, goAhead, err := os.Pipe()
	if err != nil {
		return err
	}
	defer goAhead.Close()
	report, reported, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	log, err := os.OpenFile(r.path("rack.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", r.Dir)
	cmd.Args[0] = rackName
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{begin, reported, loopback}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	err = cmd.Start()
	begin.Close()
	reported.Close()
	if err != nil {
		return fmt.Errorf("start a rack: %w", err)
	}
	go cmd.Wait() // so that it is not left a zombie where it ends before this process does
	if err := record(r.Dir, cmd.Process.Pid); err != nil {
		return err
	}
	goAhead.Write([]byte("go"))
	goAhead.Close()
	report.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(report)
	if string(b) == "ready" {
		return nil
	}
	if len(b) > 0 {
		return errors.New(string(b))
	}
	last, _ := os.ReadFile(r.path("rack.log"))
	return fmt.Errorf("the rack did not come up: %w\n%s", err, last)
}

// record writes down which process is that of a rack.
func record(dir string, pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	b, err := json.Marshal(process{PID: pid, Start: start, Boot: bootID()})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "process.json"), b, 0o600)
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// startTime returns when a process started. One that has ended, and waits only to
// be reaped, has none. A process 1 whose first thread has ended still waits for
// all others of its namespace, in another thread.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	state, start, err := parseStat(string(b))
	if err != nil {
		return 0, err
	}
	if state == "Z" || state == "X" {
		tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil || len(tasks) < 2 {
			return 0, errors.New("it has ended")
		}
	}
	return start, nil
}

// parseStat reads /proc/PID/stat (proc(5)). The program's name, in parentheses, may hold anything.
func parseStat(stat string) (state string, start uint64, err error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return "", 0, fmt.Errorf("%d fields after the name", len(f))
	}
	start, err = strconv.ParseUint(f[19], 10, 64)
	return f[0], start, err
}

// find returns the number of a rack's process 1, or 0 where it has ended.
func find(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "process.json"))
	if err != nil {
		return 0
	}
	var p process
	if err := json.Unmarshal(b, &p); err != nil || p.Boot != bootID() {
		return 0
	}
	if start, err := startTime(p.PID); err != nil || start != p.Start {
		return 0
	}
	return p.PID
}

// Alive reports whether the rack of a directory is up.
func Alive(dir string) bool { return find(dir) != 0 }

// Remove ends a rack and everything in it, and removes its cgroups and its
// directory. It may be called however much of it is left.
func Remove(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "rack.json")); err != nil {
		return fmt.Errorf("no rack in %s", dir)
	}
	deadline := time.Now().Add(patience)
	for pid := find(dir); pid != 0; pid = find(dir) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", pid)
		}
		unix.Kill(pid, unix.SIGKILL)
		time.Sleep(10 * time.Millisecond)
	}
	if err := removeCgroups(dir, 10*time.Second); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// PID returns the number, on the real machine, of process 1 of a machine; "" is the rack.
func PID(dir, name string) (int, error) {
	rack := find(dir)
	if rack == 0 {
		return 0, fmt.Errorf("nothing is up in %s", dir)
	}
	if name == "" {
		return rack, nil
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", rack))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		for pid := range strings.FieldsSeq(string(b)) {
			cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if strings.HasPrefix(string(cmdline), machineName+"\x00"+dir+"\x00"+name+"\x00") {
				return strconv.Atoi(pid)
			}
		}
	}
	return 0, fmt.Errorf("no machine is named %q", name)
}

// Command returns a command that is to run on a machine; "" is the rack.
func Command(dir, name string, argv ...string) (*exec.Cmd, error) {
	pid, err := PID(dir, name)
	if err != nil {
		return nil, err
	}
	args := []string{"-t", strconv.Itoa(pid), "-m", "-u", "-i", "-n", "-p"}
	if name != "" {
		args = append(args, "-C")
	}
	return exec.Command("nsenter", append(append(args, "--"), argv...)...), nil
}

// Output runs a command on a machine and returns what it printed.
func Output(dir, name string, argv ...string) (string, error) {
	cmd, err := Command(dir, name, argv...)
	if err != nil {
		return "", err
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", name, strings.Join(argv, " "), err, strings.TrimSpace(errOut.String()))
	}
	return string(out), nil
}
