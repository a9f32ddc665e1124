//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	scrapesAsked = 60
	idleTime     = 15 * time.Second
	stormTurns   = 10

	memoryGoal = 40e6 // bytes
	idleGoal   = .01  // of a CPU
)

// plumbd runs plumbd as it is released on the node, with its recorder, and measures what it takes: memory, and CPU while nobody
// asks it, and while packets are dropped as fast as a process sends them.
func (n *scraped) plumbd(b *testing.B) {
	n.must(os.MkdirAll("/run/containerd", 0o755)) // the sandbox's own
	n.must(unix.Mount(filepath.Join(n.root, "run/containerd"), "/run/containerd", "", unix.MS_BIND, ""))
	b.Cleanup(func() { _ = unix.Unmount("/run/containerd", unix.MNT_DETACH) })
	n.ip("link", "set", "lo", "up")
	v := newVictim(b)
	for i := range 2 {
		n.record(n.pods+i, fmt.Sprintf("/run/netns/victim-%d", i), "")
	}
	a := startPlumbd(b)
	a.server = fmt.Sprintf(`pod="load-%d"`, n.pods+1)
	for b.Loop() {
		a.get()
	}
	for range scrapesAsked {
		a.get()
	}
	resident, program := a.memory()
	fmt.Printf("plumbd, %d Pods: %.1f MB resident, of which %.1f MB are of the program's file; goal %.0f MB: %s\n",
		n.pods, resident/1e6, program/1e6, memoryGoal/1e6, stands(resident <= memoryGoal))

	before := a.cpu()
	time.Sleep(idleTime)
	share := (a.cpu() - before).Seconds() / idleTime.Seconds()
	fmt.Printf("plumbd, while nobody asks it: %.2f %% of a CPU; goal %.0f %%: %s\n", 100*share, 100*idleGoal, stands(share <= idleGoal))

	counted, nested, lost := a.drops(), a.nested(), a.dropped()
	before, began := a.cpu(), time.Now()
	for range stormTurns {
		v.turn(b, "drops")
	}
	took := time.Since(began).Seconds()
	share = (a.cpu() - before).Seconds() / took
	lost = a.dropped() - lost
	counted, nested = a.drops()-counted, a.nested()-nested
	fmt.Printf("plumbd, a storm of %.0f drops a second: %.1f %% of a CPU; of %.0f drops %.0f are counted, and %.0f as not seen: %s\n",
		lost/took, 100*share, lost, counted, nested, stands(counted <= lost && counted+nested >= lost))
}

func stands(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// An agent is a plumbd that runs.
type agent struct {
	b      *testing.B
	cmd    *exec.Cmd
	url    string
	server string // the label of the Pod that the storm is for
}

// startPlumbd builds and starts one, and waits until its probes run.
func startPlumbd(b *testing.B) *agent {
	b.Helper()
	dir := b.TempDir()
	file, config := filepath.Join(dir, "plumbd"), filepath.Join(dir, "plumbd.yaml")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "github.com/plumbnet/plumb/cmd/plumbd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	const listen = "127.0.0.1:9479"
	err := os.WriteFile(config, fmt.Appendf(nil, "web: {listen: %q}\nlimits: {cpuPressure: 100}\nrecorder: {dir: %s}\n", listen, filepath.Join(dir, "record")), 0o644)
	if err != nil {
		b.Fatal(err)
	}
	a := &agent{b: b, cmd: exec.Command(file, "--node", "node-a", "--config", config), url: "http://" + listen + "/metrics"}
	var log bytes.Buffer
	a.cmd.Stderr = &log
	if err := a.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.cmd.Process.Kill(); _ = a.cmd.Wait() })
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(a.url)
		if err == nil {
			resp.Body.Close()
			if a.sum("plumb_agent_probe_up", `probe="packetloss"`) == 1 {
				return a
			}
		}
		if time.Now().After(end) {
			b.Fatalf("plumbd does not watch: %v\n%s", err, log.String())
		}
	}
}

// get scrapes it.
func (a *agent) get() string {
	a.b.Helper()
	resp, err := http.Get(a.url)
	if err != nil {
		a.b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		a.b.Fatalf("%s: %v", resp.Status, err)
	}
	return string(body)
}

// sum adds up the series of a metric that have all of some labels.
func (a *agent) sum(name string, labels ...string) (sum float64) {
	a.b.Helper()
next:
	for line := range strings.Lines(a.get()) {
		if !strings.HasPrefix(line, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(line, l) {
				continue next
			}
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
			a.b.Fatalf("%s: %v", line, err)
		}
		sum += v
	}
	return sum
}

// drops is how many it has counted where the storm is.
func (a *agent) drops() float64 {
	return a.sum("plumb_packetloss_packets_total", a.server, `protocol="udp"`, `reason="NETFILTER_DROP"`)
}

// nested is how many the kernel has not let its program see.
func (a *agent) nested() float64 {
	return a.sum("plumb_agent_events_lost_total", `probe="packetloss"`, `stage="nested"`)
}

// dropped is how many the rule has dropped.
func (a *agent) dropped() (n float64) {
	a.b.Helper()
	out, err := exec.Command("nsenter", "--net=/run/netns/victim-1", "iptables", "-nvxL", "INPUT").CombinedOutput()
	if err != nil {
		a.b.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dpt:"+dropped) {
			if _, err := fmt.Sscan(line, &n); err == nil {
				return n
			}
		}
	}
	a.b.Fatalf("no rule:\n%s", out)
	return 0
}

// cpu is how long it has run.
func (a *agent) cpu() time.Duration {
	a.b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^a.cmd.Process.Pid<<3|2), &t); err != nil { // CPUCLOCK_SCHED of a process
		a.b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// memory is what of it is resident, and what of that is of files, in bytes.
func (a *agent) memory() (resident, files float64) {
	a.b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	if err != nil {
		a.b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kB float64
		name, value, _ := strings.Cut(line, ":")
		_, _ = fmt.Sscan(value, &kB)
		switch name {
		case "VmRSS":
			resident = kB * 1024
		case "RssFile":
			files = kB * 1024
		}
	}
	return resident, files
}
