//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
	"golang.org/x/sys/unix"
)

// readable reads a recorder's folder by the package and by the command, and returns its last second.
func (b *bench) readable(dir string) (last recorder.Second, n int, err error) {
	line, err := recorder.Read(dir, recorder.Query{})
	if err != nil {
		return last, 0, err
	}
	if line.Damaged > 0 || len(line.Seconds) == 0 {
		return last, 0, fmt.Errorf("the recorder has %d seconds, %d damaged places", len(line.Seconds), line.Damaged)
	}
	if b.Plumb != "" {
		if out, err := exec.Command(b.Plumb, "record", "show", "--dir", dir).CombinedOutput(); err != nil {
			return last, 0, fmt.Errorf("plumb record: %w: %s", err, tail(string(out)))
		}
	}
	return line.Seconds[len(line.Seconds)-1], len(line.Seconds), nil
}

func (b *bench) recorder() (dir, config string) {
	dir = filepath.Join(b.dir, "record")
	return dir, fmt.Sprintf("recorder: {dir: %s, megabytes: 16}\n", dir)
}

// reload: see [Parts].
func reload(ctx context.Context, b *bench) (string, error) {
	dir, rec := b.recorder()
	a, err := b.start(ctx, rec)
	if err != nil {
		return "", err
	}
	before, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	configs := []string{
		"probes: {off: [packetloss, tcpreset, netdev]}\n" + rec,
		"events: {perSecond: 50}\n" + rec, // all are opened again
		"labels: {zone: a}\nprobes: {on: [all]}\n" + rec,
		"sinks: [{file: {path: " + filepath.Join(b.dir, "events.json") + "}}, {loki: {url: \"http://127.0.0.1:1\"}}]\n" + rec,
		"recorder: {off: true}\n",
		"probes: {offf: [all]}\n",
		"probes: {off: [all]}\n" + rec,
	}
	n, bad := pick(b, 50, 4), 0
	for i := range n {
		if i%len(configs) == 5 {
			bad++
		}
		if err := a.reloaded(ctx, configs[i%len(configs)]); err != nil {
			return "", fmt.Errorf("reload %d: %w", i, err)
		}
	}
	if err := a.reloaded(ctx, rec); err != nil {
		return "", err
	}
	taken, no := a.now().sum("plumb_agent_config_reloads_total", `result="taken"`), a.now().sum("plumb_agent_config_reloads_total", `result="refused"`)
	err = want(int(taken) == n-bad+2 && int(no) == bad, "%g taken and %g refused of %d and %d", taken, no, n-bad+2, bad)
	_, seconds, readErr := b.readable(dir)
	return fmt.Sprintf("%g taken, %g refused; before and after: %v; %d seconds recorded", taken, no, before, seconds), errors.Join(err, readErr, a.back(ctx, before))
}

// fail: see [Parts].
func fail(ctx context.Context, b *bench) (string, error) {
	const none, every = "probes: {off: [all]}\n", "probes: {on: [all]}\n"
	a, err := b.start(ctx, every)
	if err != nil {
		return "", err
	}
	before, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	runs := a.now().sum("plumb_agent_probe_up")
	if err := a.reloaded(ctx, none); err != nil {
		return "", err
	}
	rest, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	down, levels := map[string]bool{}, 0
	for limit := rest.files + 4; limit < before.files; limit += pick(b, 8, 40) {
		said := len(a.log.String())
		if err := a.limited(ctx, limit, every); err != nil {
			return "", err
		}
		for line := range strings.Lines(a.log.String()[said:]) {
			_, why, ok := strings.Cut(line, ": probe ")
			if name, why, _ := strings.Cut(why, ": "); ok && strings.Contains(why, "too many open files") {
				down[name] = true
			}
		}
		if err := a.reloaded(ctx, none); err != nil {
			return "", err
		}
		if err := a.back(ctx, rest); err != nil {
			return "", err
		}
		levels++
	}
	if err := a.reloaded(ctx, every); err != nil {
		return "", err
	}
	up := a.now().sum("plumb_agent_probe_up")
	return fmt.Sprintf("%d limits: %d probes failed at one at least, and gave all back; then %g of %g run; before and after: %v", levels, len(down), up, runs, before),
		errors.Join(want(len(down) >= pick(b, 8, 1), "only %d probes failed", len(down)), want(up == runs, "%g of %g probes run", up, runs), a.back(ctx, before))
}

// limited has a configuration taken while plumbd may have no more than so many files open. Nothing is scraped meanwhile, which takes files too.
func (a *plumbd) limited(ctx context.Context, files int, config string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var whole unix.Rlimit
	if err := unix.Prlimit(a.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &whole); err != nil {
		return err
	}
	said := len(a.log.String())
	err := errors.Join(unix.Prlimit(a.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(files), Max: whole.Max}, nil), a.configure(config))
	err = errors.Join(err, until(ctx, startTime, func() error {
		return want(strings.Contains(a.log.String()[said:], "is applied"), "the configuration is not taken: %s", tail(a.log.String()))
	}))
	return errors.Join(err, unix.Prlimit(a.cmd.Process.Pid, unix.RLIMIT_NOFILE, &whole, nil))
}

// kill: see [Parts].
func kill(ctx context.Context, b *bench) (string, error) {
	dir, rec := b.recorder()
	var longest time.Duration
	var last uint64
	rounds := pick(b, 10, 1)
	for round := range rounds {
		a, err := b.start(ctx, rec)
		if err != nil {
			return "", err
		}
		err = until(ctx, startTime, func() error {
			return want(a.now().sum("plumb_agent_recorder_seconds_total") >= 2, "nothing is recorded")
		})
		pause(ctx, rand.N(2*time.Second))
		at, killErr := a.kill()
		if err = errors.Join(err, killErr); err != nil {
			return "", err
		}
		s, _, err := b.readable(dir)
		lost := at.Sub(s.Time)
		longest = max(longest, lost)
		err = errors.Join(err, want(s.Seq > last, "round %d: the last second is %d, it was %d before", round, s.Seq, last), want(lost < 2500*time.Millisecond, "round %d: the last second that it has ended %v before", round, lost))
		if err != nil {
			return "", err
		}
		last = s.Seq
	}
	return fmt.Sprintf("%d times; no damage; the last second recorded ended %.1f s before the end at most; no program, map or link is left", rounds, longest.Seconds()), nil
}

// disk: see [Parts].
func disk(ctx context.Context, b *bench) (string, error) {
	dir := filepath.Join(b.dir, "small")
	if err := errors.Join(os.Mkdir(dir, 0o755), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m")); err != nil {
		return "", err
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	rec := fmt.Sprintf("recorder: {dir: %s/record, megabytes: 8}\n", dir)
	a, err := b.start(ctx, fmt.Sprintf("sinks: [{file: {path: %s/events.json}}]\n", dir)+rec)
	if err != nil {
		return "", err
	}
	noisy, quiet := context.WithCancel(ctx)
	var noise sync.WaitGroup
	noise.Go(func() {
		for i := 0; pause(noisy, 20*time.Millisecond); i++ {
			_ = refused(20000 + i%1000) // of the node itself
		}
	})
	defer noise.Wait()
	defer quiet()
	written := func() float64 { return a.now().sum("plumb_agent_sink_events_total", `result="written"`) }
	if err := until(ctx, startTime, func() error { return want(written() > 20, "no event is written") }); err != nil {
		return "", err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := fill(ballast); err != nil {
		return "", err
	}
	pause(ctx, 3*time.Second)
	at, seconds := written(), a.now().sum("plumb_agent_recorder_seconds_total")
	pause(ctx, pick(b, 20*time.Second, 3*time.Second))
	m := a.now()
	grown, full := m.sum("plumb_agent_recorder_seconds_total")-seconds, written()-at
	err = errors.Join(want(grown >= 2 && m.sum("plumb_agent_recorder_memory") == 0, "the recorder wrote %g seconds", grown),
		want(m.sum("plumb_agent_sink_retries_total") > 0, "the file's sink knows of no full disk"))
	_, _, readErr := b.readable(dir + "/record")
	// Another agent starts on the full disk.
	other, startErr := b.start(ctx, fmt.Sprintf("recorder: {dir: %s/other, megabytes: 8}\n", dir))
	if err := errors.Join(err, readErr, startErr); err != nil {
		return "", err
	}
	memory := other.now().sum("plumb_agent_recorder_memory")
	if err := os.Remove(ballast); err != nil {
		return "", err
	}
	err = until(ctx, startTime, func() error { return want(written() > at+full, "no event is written though there is room again") })
	return fmt.Sprintf("full: the recorder wrote %g seconds in its own blocks, the file %g events; with room again it goes on, %g lost; started on a full disk, from memory: %g", grown, full,
		a.now().sum("plumb_agent_sink_events_total", `result="failed"`)+a.now().sum("plumb_agent_sink_events_total", `result="full"`), memory), errors.Join(err, want(memory == 1, "it does not say that it records from memory"))
}

// fill takes what room a disk has.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	return want(errors.Is(err, unix.ENOSPC), "fill: %v", err)
}

// churn: see [Parts].
func churn(ctx context.Context, b *bench) (string, error) {
	dir, rec := b.recorder()
	file := filepath.Join(b.dir, "events.json")
	a, err := b.start(ctx, "events: {perSecond: 2000}\nsinks: [{file: {path: "+file+", megabytes: 256}}]\n"+rec)
	if err != nil {
		return "", err
	}
	before, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	w, err := newWirer()
	if err != nil {
		return "", err
	}
	n, rate, long := pick(b, 3000, 60), pick(b, 50, 20), pick(b, 2*time.Second, 6*time.Second) // a test has to pass on a machine that is very busy
	began := time.Now()
	var pods sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate))))
		pods.Go(func() { failed <- live(ctx, w, i, long) })
	}
	took := time.Since(began)
	pods.Wait()
	late := w.close()
	close(failed)
	err = want(late*20 <= n, "%d of %d Pods had ended before they had a veth", late, n)
	for e := range failed {
		err = errors.Join(err, e)
	}
	if err != nil {
		return "", err
	}
	// Each Pod's connection was refused by a reset that it sent to itself, and received.
	var named, unnamed, wrong int
	var lost float64
	_ = until(ctx, pick(b, 10*time.Second, settleTime), func() error { // what is not told is accounted for below
		if named, unnamed, wrong, err = names(file, n); err != nil {
			return err
		}
		lost = a.now().sum("plumb_agent_events_lost_total", `probe="tcpreset"`)
		return want(named+unnamed == 2*n, "of %d resets %d have their Pod's name, %d none, and %g events are lost", 2*n, named, unnamed, lost)
	})
	gone := until(ctx, settleTime, func() error {
		n := left()
		return want(n == 0, "%d Pods' devices are left: their namespaces have not ended", n)
	})
	_, seconds, readErr := b.readable(dir)
	return fmt.Sprintf("%d Pods in %.0f s (%d ended before they had a veth): %d of %d resets were told with their Pod's name, %d with none, %d not, for the limit of events; all namespaces ended; before and after: %v; %d seconds recorded",
			n, took.Seconds(), late, named, 2*n, unnamed, 2*n-named-unnamed, before, seconds),
		errors.Join(err, gone, readErr, want(named+unnamed+int(lost) >= 2*n, "of %d resets %d have their Pod's name, %d none, and %g events are lost", 2*n, named, unnamed, lost), want(wrong == 0, "%d have another's name", wrong), want(unnamed*100 <= 2*n, "%d of %d have no name", unnamed, 2*n), a.back(ctx, before))
}

// names counts the resets of the Pods of the churn in a file of events by whether their Pod is named. Each Pod has a port of its own.
func names(file string, n int) (named, unnamed, wrong int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, 0, err
	}
	text = text[:strings.LastIndexByte(string(text), '\n')+1]
	for line := range strings.Lines(string(text)) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return 0, 0, 0, err
		}
		port := e.Packet.Src.Port() // of what resets
		if e.Kind != "tcpreset" || e.Packet.Src.Addr() != netip.AddrFrom4(own) || int(port) > n {
			continue
		}
		switch {
		case e.Pod == fmt.Sprintf("churn/churn-%d", port-1):
			named++
		case strings.HasPrefix(e.Pod, "churn/"):
			wrong++
		default:
			unnamed++
		}
	}
	return named, unnamed, wrong, nil
}
