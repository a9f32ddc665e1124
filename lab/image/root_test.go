//go:build linux

package image

import (
	"os/exec"
	"syscall"
)

// inRoot runs a script by the shell of another root.
func inRoot(root, script string) (string, error) {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/bin"}
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
