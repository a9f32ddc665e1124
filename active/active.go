//go:build linux

// Package active sends packets on request from inside a network namespace, such as a Pod's,
// and says what came of them. The Pod is not touched: a socket is opened in its namespace by
// a thread of this process, and nothing runs there. What is sent is bounded in number, size and time.
package active

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// An Ask says what to send. Its Pod is the caller's to find.
type Ask = snapshot.ProbeAsk

// The bounds of an Ask.
const (
	MaxCount   = 100
	MaxSize    = 65_000
	MaxTimeout = 10 * time.Second
	MaxTime    = 30 * time.Second // of all of it
)

// withDefaults checks the bounds and fills in what is not set.
func withDefaults(a Ask) (Ask, error) {
	if a.Count == 0 {
		a.Count = 1
	}
	if a.Timeout == 0 {
		a.Timeout = time.Second
	}
	a.Dst = netip.AddrPortFrom(a.Dst.Addr().Unmap(), a.Dst.Port())
	a.Src = a.Src.Unmap()
	is6 := a.Dst.Addr().Is6()
	switch {
	case !a.Dst.Addr().IsValid():
		return a, errors.New("dst: no address")
	case a.Src.IsValid() && a.Src.Is6() != is6:
		return a, errors.New("src: of another family than dst")
	case a.Count < 0 || a.Count > MaxCount:
		return a, fmt.Errorf("count %d: want 1 to %d", a.Count, MaxCount)
	case a.Size < 0 || a.Size > MaxSize:
		return a, fmt.Errorf("size %d: want at most %d", a.Size, MaxSize)
	case a.Timeout < 0 || a.Timeout > MaxTimeout:
		return a, fmt.Errorf("timeout %s: want at most %s", a.Timeout, MaxTimeout)
	case a.Interval < 0 || time.Duration(a.Count)*(a.Interval+a.Timeout) > MaxTime:
		return a, fmt.Errorf("%d times %s: want at most %s in all", a.Count, a.Interval+a.Timeout, MaxTime)
	}
	switch a.Proto {
	case packet.TCP, packet.UDP:
		if a.Dst.Port() == 0 {
			return a, fmt.Errorf("dst: %s needs a port", a.Proto)
		}
	case packet.ICMP, packet.ICMPv6:
		a.Proto = packet.ICMP
		if is6 {
			a.Proto = packet.ICMPv6
		}
	default:
		return a, fmt.Errorf("protocol %s: want tcp, udp or icmp", a.Proto)
	}
	if a.Lookup != "" && (a.Proto != packet.UDP || a.Size > 0) {
		return a, errors.New("lookup: goes by udp, in a packet of its own size")
	}
	if a.Dst.Addr().IsMulticast() || a.Dst.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return a, errors.New("dst: not one host")
	}
	return a, nil
}

// Run sends what a asks for from the namespace netns, an open /proc/PID/ns/net; nil is this
// process's. An error means that nothing could be sent, for a reason that says nothing of the network.
func Run(ctx context.Context, netns *os.File, a Ask) (snapshot.Probe, error) {
	a, err := withDefaults(a)
	if err != nil {
		return snapshot.Probe{}, fmt.Errorf("probe: %w", err)
	}
	type result struct {
		p   snapshot.Probe
		err error
	}
	done := make(chan result, 1)
	go func() {
		p, err := runIn(ctx, netns, a)
		done <- result{p, err}
	}()
	r := <-done // every wait within heeds ctx
	return r.p, r.err
}

// runIn sends from a thread that is in the namespace. It never comes back: the runtime ends
// a thread that its goroutine has not unlocked.
func runIn(ctx context.Context, netns *os.File, a Ask) (snapshot.Probe, error) {
	if netns != nil {
		runtime.LockOSThread()
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return snapshot.Probe{}, fmt.Errorf("probe: enter the namespace: %w", err)
		}
	}
	p := snapshot.Probe{Taken: time.Now().UTC(), Proto: a.Proto, Dst: a.Dst, Size: a.Size, DF: a.DF}
	send := map[packet.Proto]func(context.Context, Ask, int, *snapshot.Probe) error{
		packet.TCP: connect, packet.UDP: datagram, packet.ICMP: echo, packet.ICMPv6: echo,
	}[a.Proto]
	for i := range a.Count {
		if i > 0 && a.Interval > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(a.Interval):
			}
		}
		if ctx.Err() != nil {
			return p, ctx.Err()
		}
		if err := send(ctx, a, i, &p); err != nil {
			return p, fmt.Errorf("probe: %w", err)
		}
	}
	p.Fate = fate(&p)
	return p, nil
}

// fate weighs what came of all that was sent: an answer to one of them shows the way.
func fate(p *snapshot.Probe) snapshot.ProbeFate {
	switch {
	case p.Answered > 0:
		return snapshot.ProbeAnswered
	case p.Fate != snapshot.ProbeSilent:
		return p.Fate
	}
	return snapshot.ProbeSilent
}
