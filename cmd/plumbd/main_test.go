//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/sandbox"
	batchv1 "k8s.io/api/batch/v1"
)

// asPlumbd says in the environment that the test's program is to be plumbd.
const asPlumbd = "PLUMBD_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlumbd) != "" {
		os.Exit(run(os.Args[1:], os.Stderr))
	}
	if sandbox.Inside() { // whose loopback device is down
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			panic(err)
		}
	}
	sandbox.Main(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestArguments gives each command line that is not in order.
func TestArguments(t *testing.T) {
	hash := strings.Repeat("ab", sha256.Size)
	for _, tt := range []struct {
		args string
		says string
	}{
		{"-h", "plumbd health"},
		{"--nowhere", "flag provided but not defined"},
		{"serve", `"serve": want flags`},
		{"health now", `"health": want flags`},
		{"version now", `"version": want flags`},
		{"--run-token-sha256 abc --run-for 1m", "want 64 hexadecimal digits"},
		{"--run-token-sha256 " + hash, "--run-for: want a time"},
		{"--run-for -1m", "--run-for: want a time"},
		{"--run-for soon", "invalid value"},
		{"--peers", "which is watched with --config FILE"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stderr bytes.Buffer
			status := run(strings.Fields(tt.args), &stderr)
			if want := map[bool]int{true: 0, false: 1}[tt.args == "-h"]; status != want || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("status %d: %s; want %q", status, &stderr, tt.says)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "version")
	cmd.Env = append(os.Environ(), asPlumbd+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "plumbd ") || !strings.Contains(string(out), "(go1.") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestJob reads the command line that collect/kube runs an agent with.
func TestJob(t *testing.T) {
	var job batchv1.Job
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&job)
		http.Error(w, "that is all", http.StatusTeapot)
	}))
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer api.Close()
	file := filepath.Join(t.TempDir(), "config")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"current-context":"x","clusters":[{"name":"x","cluster":{"server":%q,"certificate-authority-data":%q}}],"contexts":[{"name":"x","context":{"cluster":"x"}}]}`,
		api.URL, base64.StdEncoding.EncodeToString(ca)), 0o600))
	c, err := kube.Connect(kube.Options{Kubeconfig: file})
	must(t, err)
	sum := sha256.Sum256([]byte("token"))
	if _, err := c.RunOn(context.Background(), kube.Run{Namespace: "plumb", TokenSHA256: hex.EncodeToString(sum[:]), For: 5 * time.Minute}, "node-a"); err == nil {
		t.Fatal("the Job was made")
	}
	if len(job.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("no Job came: %+v", job)
	}
	container := job.Spec.Template.Spec.Containers[0]
	o, err := parse(container.Args, io.Discard)
	must(t, err)
	if o.node != "node-a" || o.runFor != 5*time.Minute || !bytes.Equal(o.runToken, sum[:]) || !strings.HasSuffix(o.listen, fmt.Sprint(container.Ports[0].ContainerPort)) {
		t.Errorf("%q is %+v", container.Args, o)
	}
	if probe := container.ReadinessProbe.Exec.Command; len(probe) != 2 || probe[1] != "health" {
		t.Errorf("probe %q", probe)
	}
	if at := container.VolumeMounts[0].MountPath; at != filepath.Dir(healthFile) {
		t.Errorf("volume at %s", at)
	}
}

// TestRun runs plumbd as a Job does: it confines itself, answers "plumbd health", and ends by itself.
func TestRun(t *testing.T) {
	sandbox.Need(t)
	must(t, sandbox.Setup())
	plumbd := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Env = append(os.Environ(), asPlumbd+"=1")
		return cmd
	}
	var said bytes.Buffer
	for _, tt := range []struct {
		name string
		runs string
		end  bool // by SIGTERM
	}{{"its time is over", "3s", false}, {"told to", "5m", true}} {
		t.Run(tt.name, func(t *testing.T) {
			said.Reset()
			cmd := plumbd("--node", "n", "--listen", "127.0.0.1:0", "--run-token-sha256", strings.Repeat("ab", sha256.Size), "--run-for", tt.runs)
			cmd.Stderr = &said
			must(t, cmd.Start())
			defer func() { _ = cmd.Process.Kill() }()
			start := time.Now()
			for plumbd("health").Run() != nil {
				if time.Since(start) > 20*time.Second {
					t.Fatal("never healthy")
				}
				time.Sleep(10 * time.Millisecond)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			must(t, err)
			// SYS_ADMIN 21, SYS_PTRACE 19, NET_ADMIN 12, NET_RAW 13, NET_BROADCAST 11, DAC_READ_SEARCH 2
			for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000283804", "CapEff:\t0000000000283804", "CapBnd:\t0000000000283804", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("no %q in\n%s", want, status)
				}
			}
			if tt.end {
				must(t, cmd.Process.Signal(os.Interrupt))
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &said)
			}
			if err := plumbd("health").Run(); err == nil {
				t.Error("healthy after its end")
			}
		})
	}
	cmd := plumbd("--listen", "127.0.0.1:0")
	cmd.Stderr = &said
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "it takes --run-token-sha256") {
		t.Errorf("neither in a cluster nor for one token: %v %s", err, &said)
	}
}

// TestAnew has an agent of a cluster start with a file that is not in order: it serves, and watches once the file is.
func TestAnew(t *testing.T) {
	sandbox.Need(t)
	must(t, sandbox.Setup())
	file := filepath.Join(t.TempDir(), "plumbd.yaml")
	must(t, os.WriteFile(file, []byte("probe: {}\n"), 0o600))
	var said bytes.Buffer
	a := agent.Options{Collect: node.Options{Node: "n"}, Log: log.New(&said, "", 0)}
	if _, err := watch(t.Context(), &a, options{config: file}); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("outside of a cluster: %v", err)
	}
	a.Kube = &kube.Client{}
	end, err := watch(t.Context(), &a, options{config: file})
	must(t, err)
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()
	scrape := func() string {
		w := httptest.NewRecorder()
		a.Observer.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	if got := scrape(); !strings.Contains(got, "plumb_agent_config_valid{node=\"n\"} 0\n") || strings.Contains(got, "plumb_softnet") {
		t.Errorf("it says\n%s", got)
	}
	must(t, os.WriteFile(file, []byte("probes: {off: [all], on: [softnet]}\n"), 0o600))
	for start := time.Now(); !strings.Contains(scrape(), "plumb_softnet"); time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("the file that is in order is not taken")
		}
	}
	end()
	ended = true
	if !strings.Contains(said.String(), "nothing is watched until it is in order: "+file+":1: probe: unknown field") {
		t.Error(said.String())
	}
}
