//go:build linux

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTime  = time.Minute // programs are loaded, on a busy machine
	stopTime   = 30 * time.Second
	settleTime = 45 * time.Second
)

// metrics are an answer to a scrape: values by series.
type metrics map[string]float64

// sum adds up the series of a metric that have all of some labels.
func (m metrics) sum(name string, labels ...string) (sum float64) {
next:
	for series, v := range m {
		if !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// plumbd is one that runs, and is scraped each second.
type plumbd struct {
	b     *bench
	cmd   *exec.Cmd
	log   lines
	file  string // of its configuration
	url   string
	ended chan error
	done  context.CancelFunc
	watch sync.WaitGroup

	mu      sync.Mutex
	last    metrics            // the newest answer
	highest map[string]float64 // of the counters
	scrapes int
	peak    int64
	wrong   []error
	used    map[object]bool // what of the kernel's it has ever had
	stopped bool
}

// lines is what a program says.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a plumbd with a configuration, beside what says where it is scraped, and waits until its probes run.
func (b *bench) start(ctx context.Context, config string, more ...func(*exec.Cmd)) (*plumbd, error) {
	port := b.port + 2*len(b.agents)
	a := &plumbd{
		b: b, url: fmt.Sprintf("http://127.0.0.1:%d/metrics", port), file: filepath.Join(b.dir, fmt.Sprintf("plumbd-%d.yaml", port)),
		ended: make(chan error, 1), highest: map[string]float64{}, used: map[object]bool{},
	}
	if err := a.configure(config); err != nil {
		return nil, err
	}
	a.cmd = exec.Command(b.Plumbd, "--node", "soak", "--config", a.file)
	a.cmd.Stderr = &a.log
	for _, f := range more {
		f(a.cmd)
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	b.agents = append(b.agents, a)
	go func() { a.ended <- a.cmd.Wait() }()
	err := until(ctx, startTime, func() error { _, err := a.scrape(ctx); return err })
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &a.log)
	}
	watching, done := context.WithCancel(ctx)
	a.done = done
	a.watch.Go(func() {
		for a.holds(); pause(watching, time.Second); a.holds() {
			if _, err := a.scrape(watching); err != nil && watching.Err() == nil {
				a.blame(fmt.Errorf("not served: %w", err))
			}
		}
	})
	return a, nil
}

// unlimited has no probe be paused: what is to be withstood is with all of them, on a machine that is busy.
const unlimited = "limits: {cpu: 10000, cpuPressure: 100, memoryPressure: 100}\n"

// configure replaces the configuration.
func (a *plumbd) configure(config string) error {
	text := unlimited + "web: {listen: \"" + strings.TrimSuffix(strings.TrimPrefix(a.url, "http://"), "/metrics") + "\"}\n" + config
	if err := os.WriteFile(a.file+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(a.file+".new", a.file)
}

// reloaded has the configuration be another one, and waits until it is taken.
func (a *plumbd) reloaded(ctx context.Context, config string) error {
	n := a.now().sum("plumb_agent_config_reloads_total")
	if err := a.configure(config); err != nil {
		return err
	}
	return a.taken(ctx, n)
}

func (a *plumbd) taken(ctx context.Context, before float64) error {
	return until(ctx, startTime, func() error {
		m, err := a.scrape(ctx)
		return errors.Join(err, want(m.sum("plumb_agent_config_reloads_total") > before, "the configuration is not taken"))
	})
}

func (a *plumbd) blame(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) < 10 {
		a.wrong = append(a.wrong, err)
	}
}

func (a *plumbd) now() metrics {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// client makes a connection for each request: what it has open does not count as plumbd's.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// scrape asks for the metrics, and looks for counters that fell.
func (a *plumbd) scrape(ctx context.Context) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock() // one at a time: a counter read before another is no fall
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err != nil {
		return nil, err
	}
	a.last, err = parse(string(body))
	for series, v := range a.last {
		if !counts(series) {
			continue
		}
		if before, ok := a.highest[series]; ok && v < before && len(a.wrong) < 10 {
			a.wrong = append(a.wrong, fmt.Errorf("%s fell from %g to %g", series, before, v))
		}
		a.highest[series] = v
	}
	a.scrapes++
	a.peak = max(a.peak, int64(status(a.cmd.Process.Pid, "VmHWM:"))<<10)
	return a.last, err
}

// counts reports whether a series may only rise.
func counts(series string) bool {
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"_total", "_bucket", "_count", "_sum"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func parse(text string) (metrics, error) {
	m := metrics{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if i < 0 || err != nil {
			return m, fmt.Errorf("metrics: %q", line)
		}
		m[line[:i]] = v
	}
	return m, nil
}

// status returns a number of /proc/PID/status.
func status(pid int, key string) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), key)
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(f[0])
	return n
}

// stop ends it as the kubelet does, unless it has ended, and looks at what it leaves in the kernel.
func (a *plumbd) stop() (err error) {
	if a.stopped {
		return nil
	}
	a.stopped = true
	a.holds() // what it has to give back
	if a.done != nil {
		a.done()
		a.watch.Wait()
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err = <-a.ended:
		err = wrap("it ended", err)
	case <-time.After(stopTime):
		_ = a.cmd.Process.Kill()
		err = fmt.Errorf("it does not end: %w", <-a.ended)
	}
	if err != nil || len(a.wrong) > 0 {
		err = errors.Join(append(a.wrong, err, fmt.Errorf("it said: %s", tail(a.log.String())))...)
	}
	return errors.Join(err, a.gone())
}

// kill ends it without a warning, and returns when.
func (a *plumbd) kill() (at time.Time, err error) {
	a.stopped = true
	a.holds()
	a.done()
	a.watch.Wait()
	at = time.Now()
	if err := a.cmd.Process.Signal(unix.SIGKILL); err != nil {
		return at, fmt.Errorf("it had ended already: %w", err)
	}
	<-a.ended
	return at, errors.Join(append(a.wrong, a.gone())...)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func tail(s string) string { return s[max(0, len(s)-600):] }
