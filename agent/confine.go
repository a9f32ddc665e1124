//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that an agent cannot do without. A test takes each away, and wants to see what fails.
var needed = []struct {
	bit       uint
	name, why string
}{
	{unix.CAP_SYS_ADMIN, "SYS_ADMIN", "to enter the network namespaces of Pods"},
	{unix.CAP_SYS_PTRACE, "SYS_PTRACE", "to find namespaces by the processes of others, the node's own first"},
	{unix.CAP_NET_ADMIN, "NET_ADMIN", "to read the rules of netfilter and the sets of ipset"},
	{unix.CAP_NET_RAW, "NET_RAW", "to send pings"},
	{unix.CAP_NET_BROADCAST, "NET_BROADCAST", "to hear of changes in the network namespaces of Pods"},
	{unix.CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH", "to tell which process of which user holds a socket"},
}

// confined is set in the environment of the program once it has given up what it does not need.
const confined = "PLUMBD_CONFINED"

// Confine gives up all capabilities that an agent does not need, and the way back to them. For a
// process of many threads there is one way: the program is run again in its own place.
func Confine() error {
	var keep uint64
	for _, c := range needed {
		keep |= 1 << c.bit
	}
	return confine(keep)
}

func confine(keep uint64) error {
	permitted, _, err := capabilities()
	if err != nil {
		return err
	}
	noNew, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if permitted&^keep == 0 && noNew == 1 {
		return nil
	}
	if os.Getenv(confined) != "" {
		return fmt.Errorf("capabilities: %#x stay of which %#x are to go", permitted, permitted&^keep)
	}
	runtime.LockOSThread() // what follows is the thread's, until it becomes the process
	if err := giveUp(permitted, keep); err != nil {
		return err
	}
	return fmt.Errorf("run again without capabilities: %w", unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), confined+"=1")))
}

// giveUp leaves the thread with the capabilities to keep, in every set.
func giveUp(permitted, keep uint64) error {
	// Without SETPCAP the bounding set stays; no_new_privs then sees to it that nothing comes back.
	for c := uint(0); permitted&(1<<unix.CAP_SETPCAP) != 0 && c < 64; c++ {
		if keep&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the kernel knows no more
		}
		if err != nil {
			return fmt.Errorf("bounding set: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("ambient set: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	keep &= permitted
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(keep), Permitted: uint32(keep)},
		{Effective: uint32(keep >> 32), Permitted: uint32(keep >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// capabilities returns those of this thread, a bit each.
func capabilities() (permitted, effective uint64, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("capget: %w", err)
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted), uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
