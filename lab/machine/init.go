//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// By these names a program that calls [Main] runs itself again.
const (
	rackName    = "plumb-lab-rack"
	machineName = "plumb-lab-machine"
	inCgroup    = "in-cgroup" // the second half of a machine's start
)

// namespaces are those of a machine, beside the cgroup namespace.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// Main must be the first call of a program that starts racks. It returns at once,
// except where the program runs as process 1 of a rack or a machine.
func Main() {
	var err error
	switch {
	case os.Args[0] == rackName && len(os.Args) == 2:
		err = runRack(os.Args[1])
	case os.Args[0] == machineName && len(os.Args) >= 3:
		err = runMachine(os.Args[1], os.Args[2], len(os.Args) > 3)
	default:
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", strings.Join(os.Args, " "), err)
	os.Exit(1)
}

// runRack is process 1 of a rack. Files 3 and 4 are pipes from and to who
// started it, 5 listens on the loopback of the real machine.
func runRack(dir string) error {
	go1, report, listener := inherited(3), inherited(4), inherited(5)
	if b, _ := io.ReadAll(go1); string(b) != "go" {
		return errors.New("who started this is gone")
	}
	r, err := readRack(dir)
	if err == nil {
		err = r.build()
	}
	if err != nil {
		fmt.Fprint(report, err)
		return err
	}
	p := new(process1)
	control, err := net.Listen("unix", socket(dir, ""))
	if err != nil {
		fmt.Fprint(report, err)
		return err
	}
	go p.serve(control)
	loopback, err := net.FileListener(listener)
	if err != nil {
		fmt.Fprint(report, err)
		return err
	}
	go forward(loopback, r.Forward)
	fmt.Fprint(report, "ready")
	report.Close()
	p.reap()
	return nil
}

// inherited returns a file that this process was started with. Its own children are not.
func inherited(fd int) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "inherited")
}

// build makes the switch and starts the machines. It returns when all of them answer.
func (r *Rack) build() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("rack")); err != nil {
		return err
	}
	if err := ip("-batch", "-")("link set lo up\nlink add br0 type bridge\naddr add " + r.Router + " dev br0\nlink set br0 up\n"); err != nil {
		return err
	}
	// A switch neither filters what it passes on, nor fragments what is too large.
	if err := sysctls(map[string]string{"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "0", "net/bridge/bridge-nf-call-ip6tables": "0"}); err != nil {
		return err
	}
	for _, m := range r.Machines {
		pid, err := r.boot(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if err := r.wire(m, pid); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	for _, m := range r.Machines {
		if err := r.answers(m.Name); err != nil {
			return err
		}
	}
	return nil
}

// boot starts process 1 of a machine.
func (r *Rack) boot(m Machine) (pid int, err error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket(r.Dir, m.Name), Net: "unix"})
	if err != nil {
		return 0, err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	file, err := l.File()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe", r.Dir, m.Name)
	cmd.Args[0] = machineName
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// wire joins a machine's eth0 to the switch, or, where its gateway is elsewhere, to the router.
func (r *Rack) wire(m Machine, pid int) error {
	port := "p-" + m.Name
	err := ip("link", "add", "eth0", "netns", strconv.Itoa(pid), "type", "veth", "peer", "name", port)("")
	if err != nil {
		return err
	}
	attach := "link set " + port + " master br0 up\n"
	if !strings.HasPrefix(r.Router, m.Gateway.String()+"/") {
		attach = fmt.Sprintf("addr add %s/%d dev %s\nlink set %[3]s up\n", m.Gateway, m.Addr.Bits(), port)
	}
	if err := ip("-batch", "-")(attach); err != nil {
		return err
	}
	inside := fmt.Sprintf("addr add %s dev eth0\nlink set lo up\nlink set eth0 up\nroute add default via %s\n", m.Addr, m.Gateway)
	return run(inside, "nsenter", "-t", strconv.Itoa(pid), "-n", "ip", "-batch", "-")
}

// answers waits until process 1 of a machine answers.
func (r *Rack) answers(name string) error {
	done := make(chan error, 1)
	go func() {
		_, err := ask(r.Dir, name, request{})
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%s does not answer", name)
	}
}

// forward hands connections to the loopback of the real machine to an address in the rack.
func forward(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			c, err := net.DialTimeout("tcp", to, 5*time.Second)
			if err != nil {
				return
			}
			defer c.Close()
			go func() {
				io.Copy(c, from)
				c.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(from, c)
		}()
	}
}

// runMachine is process 1 of a machine. It runs twice: a thread of Go cannot move
// the whole program into a cgroup namespace, but a program that it executes begins there.
func runMachine(dir, name string, second bool) error {
	r, err := readRack(dir)
	if err != nil {
		return err
	}
	m, err := r.machine(name)
	if err != nil {
		return err
	}
	var all []hierarchy
	if m.Cgroups {
		if all, err = hierarchies(); err != nil {
			return err
		}
	}
	if m.Cgroups && !second {
		runtime.LockOSThread()
		if err := join(all, dir, name); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("cgroup namespace: %w", err)
		}
		return syscall.Exec("/proc/self/exe", append(os.Args, inCgroup), os.Environ())
	}
	if err := leaf(all, dir, name); err != nil {
		return err
	}
	if err := r.makeRoot(m, all); err != nil {
		return err
	}
	if err := identity(name); err != nil {
		return err
	}
	if m.Forward {
		if err := sysctls(map[string]string{"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1", "net/bridge/bridge-nf-call-ip6tables": "1"}); err != nil {
			return err
		}
	}
	l, err := net.FileListener(inherited(3))
	if err != nil {
		return err
	}
	p := new(process1)
	go p.serve(l)
	p.reap()
	return nil
}

// identity gives a machine a name and an ID of its own.
func identity(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return err
	}
	id := fmt.Sprintf("%032x\n", []byte(name))
	for path, text := range map[string]string{
		"/etc/hostname":   name + "\n",
		"/etc/hosts":      "127.0.0.1\tlocalhost\n127.0.1.1\t" + name + "\n",
		"/etc/machine-id": id[len(id)-33:],
	} {
		os.Remove(path) // it may be a link into a file system that is not here
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sysctls sets sysctls of this network namespace, by their paths below /proc/sys.
// Those of a module that is not loaded are left out.
func sysctls(values map[string]string) error {
	for name, v := range values {
		err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(v), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	return nil
}

// ip returns a run of ip with a standard input.
func ip(args ...string) func(stdin string) error {
	return func(stdin string) error { return run(stdin, append([]string{"ip"}, args...)...) }
}

func run(stdin string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
