//go:build linux

package bpf

import "strconv"

// states are those of TCP (include/net/tcp_states.h).
var states = [...]string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"}

// TCPState returns the kernel's name of a state of TCP. That of a connection which is being asked for is SYN_RECV too.
func TCPState(n uint64) string {
	if n < uint64(len(states)) {
		return states[n]
	}
	return strconv.FormatUint(n, 10)
}
