//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// nodeInit is the verb by which plumb-lab runs itself again as process 1 of a node.
const nodeInit = "node-init"

// nodes are the processes 1 of the nodes. Each has mount, PID and UTS namespaces of its
// own beside the node's network namespace: in it, "ip netns list" and /proc show
// one node, as on a real machine. They end with the sandbox.
type nodes map[string]*exec.Cmd

// objectsFile is where a node of "up" holds the bundle of the cluster's objects.
const objectsFile = "/run/objects.tar.gz"

func startNodes(l *lab.Lab) (nodes, error) {
	files, err := l.ObjectFiles()
	if err != nil {
		return nil, err
	}
	var objects bytes.Buffer
	if err := snapshot.Write(&objects, files); err != nil {
		return nil, err
	}
	all := nodes{}
	for _, n := range l.Nodes {
		cmd, err := startNode(n, objects.Bytes())
		if err != nil {
			all.stop()
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
		all[n.Name] = cmd
	}
	return all, nil
}

func startNode(n *lab.Node, objects []byte) (*exec.Cmd, error) {
	args := []string{nodeInit, n.Name}
	for _, p := range n.Pods {
		args = append(args, p.NS.Path)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Stderr = os.Args[0], os.Stderr
	cmd.Stdin = bytes.NewReader(objects)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.NS.Do(cmd.Start); err != nil {
		return nil, err
	}
	if b, _ := io.ReadAll(ready); string(b) != "ready" {
		cmd.Wait()
		return nil, fmt.Errorf("its process 1 did not start")
	}
	return cmd, nil
}

func (n nodes) stop() {
	for _, cmd := range n {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// run runs a command on a node.
func (n nodes) run(node string, argv ...string) error {
	return enter(n[node].Process.Pid, argv)
}

// runNode is process 1 of a node. It makes the node's file systems, says so, and reaps.
func runNode(args []string) error {
	if len(args) == 0 || os.Getpid() != 1 {
		return fmt.Errorf("%s is not for people", nodeInit)
	}
	if err := nodeMounts(args[1:]); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(args[0])); err != nil {
		return err
	}
	objects, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := os.WriteFile(objectsFile, objects, 0o600); err != nil {
		return err
	}
	fmt.Print("ready")
	os.Stdout.Close()
	for {
		// There is nothing to do but to reap what was left by commands that ran here.
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			unix.Pause()
		}
	}
}

// nodeMounts gives the node a /proc and a /sys of its own, and a /run in which only its Pods' namespaces are.
func nodeMounts(pods []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	fds := map[string]int{}
	for _, p := range pods {
		fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		fds[p] = fd
	}
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	for p, fd := range fds {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, nil, 0o444); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), p, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", p, err)
		}
		unix.Close(fd)
	}
	return nil
}

// enter runs a command in the namespaces of a process.
func enter(pid int, argv []string) error {
	// Without --wd the command would begin in the root, and paths be others than the user meant.
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(pid), "-m", "-u", "-n", "-p", "--wd=.", "--"}, argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() > 0 {
		return exitStatus(cmd.ProcessState.ExitCode())
	}
	return err
}

// enterNode runs a command on a node of the cluster that "plumb-lab up" built last.
func enterNode(node string, argv []string) error {
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	newest := 0
	for _, path := range list {
		b, _ := os.ReadFile(path)
		args := strings.Split(string(b), "\x00")
		if len(args) < 3 || args[1] != nodeInit || args[2] != node {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		newest = max(newest, pid)
	}
	if newest == 0 {
		return fmt.Errorf("no node %q is up: \"%s up\" builds a cluster of node-a, node-b and node-c", node, os.Args[0])
	}
	return enter(newest, argv)
}
