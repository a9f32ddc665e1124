//go:build linux

package real

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/cluster/fault"
)

func TestMain(m *testing.M) {
	cluster.Main()
	status := m.Run()
	if err := takeDown(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// A bench is a cluster that is up, and plumb.
type bench struct {
	*cluster.Cluster
	plumb string // its path
}

// root is the folder of the module.
const root = "../../.."

// the is the bench of all tests: a cluster takes half a minute to come up. Its directory is own
// where they have brought it up.
var the struct {
	bench
	own string
}

// setUp builds plumb and brings a cluster up with plumbd on it, of which one node has kube-proxy in nftables
// mode. PLUMB_CLUSTER is "auto" for where this machine can have one, or the directory of one that is up.
func setUp(t *testing.T) *bench {
	t.Helper()
	up := os.Getenv("PLUMB_CLUSTER")
	if up == "" {
		t.Skip("PLUMB_CLUSTER is not set: a cluster takes a minute, and the first one twenty")
	}
	if err := cluster.Needs(); err != nil && up == "auto" {
		t.Skip(err)
	}
	if the.Cluster != nil {
		return &the.bench
	}
	dir, err := os.MkdirTemp("/var/tmp", "real")
	if err != nil {
		t.Fatal(err)
	}
	the.own = dir
	command(t, "go", "build", "-o", dir+"/", "./cmd/...")
	the.plumb = filepath.Join(dir, "plumb")
	if filepath.IsAbs(up) {
		if the.Cluster, err = cluster.Open(up); err != nil {
			t.Fatal(err)
		}
		return &the.bench
	}
	lab, image := filepath.Join(dir, "plumb-lab"), filepath.Join(dir, "plumbd.tar")
	command(t, lab, "image", "--plumbd", filepath.Join(dir, "plumbd"), "-o", image)
	o := cluster.Options{Dir: filepath.Join(dir, "cluster"), Proxy: map[string]string{"node-b": "nftables"}, Progress: os.Stderr,
		Images: []string{image}, Manifests: []string{manifest}}
	if err := watch(lab, o.Dir, dir); err != nil {
		t.Fatal(err)
	}
	if the.Cluster, err = cluster.Up(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return &the.bench
}

// watch starts a process that takes the cluster down should this one end without doing so.
func watch(lab, cluster, dir string) error {
	const script = `while kill -0 $1; do sleep 1; done; "$2" cluster down --dir "$3"; rm -rf "$4"`
	cmd := exec.Command("sh", "-c", script, "sh", strconv.Itoa(os.Getpid()), lab, cluster, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// takeDown undoes setUp.
func takeDown() (err error) {
	if the.own == "" {
		return nil
	}
	if the.Cluster != nil && strings.HasPrefix(the.Dir, the.own) {
		err = cluster.Down(the.Dir)
	}
	return errors.Join(err, os.RemoveAll(the.own))
}

// command runs a program in the module's folder.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// patience is how long plumb may take for one answer, and a cluster to be calm after a fault.
const patience = 2 * time.Minute

// run runs plumb, and returns what it printed and how long it took. That something is wrong is no error.
func (b *bench) run(ctx context.Context, args ...string) (stdout []byte, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.plumb, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.Kubeconfig())
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	start := time.Now()
	stdout, err = cmd.Output()
	took = time.Since(start)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(stdout) > 0 {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("plumb %q: %w: %s", args, err, strings.TrimSpace(errOut.String()))
	}
	return stdout, took, err
}

// A diagnosis is what the tests look at of a JSON report.
type diagnosis struct {
	Verdict  string
	Summary  struct{ EN string }
	Disagree bool
	Findings []finding
	Observed []struct {
		Agreement string
		What      struct{ EN string }
	}
	Unjudged []struct {
		Where string
		Why   struct{ EN string }
	}
	Needs []struct{ EN string }
	Gaps  []gap

	took time.Duration
	json []byte
}

// A gap is what could not be had.
type gap struct {
	Path string
	Why  struct{ EN string }
}

type finding struct {
	Check, Severity, Where string
	What                   struct{ EN string }
	Consequences           []finding
}

// diagnose has plumb answer a question.
func (b *bench) diagnose(ctx context.Context, args ...string) (d diagnosis, err error) {
	out, took, err := b.run(ctx, append([]string{"diagnose", "--json"}, args...)...)
	if err != nil {
		return d, err
	}
	d.took, d.json = took, out
	return d, json.Unmarshal(out, &d)
}

// open is what was left open, and why.
func (d diagnosis) open() (out []string) {
	for _, n := range d.Needs {
		out = append(out, "needs: "+n.EN)
	}
	for _, u := range d.Unjudged {
		out = append(out, "not judged: "+u.Where+": "+u.Why.EN)
	}
	return out
}

// check has plumb check the whole cluster.
func (b *bench) check(ctx context.Context) (d diagnosis, err error) {
	out, took, err := b.run(ctx, "check", "--json")
	if err != nil {
		return d, err
	}
	d.took = took
	return d, json.Unmarshal(out, &d)
}

// alarms are the findings above info.
func (d diagnosis) alarms() (out []string) {
	for _, f := range d.Findings {
		if f.Severity != "info" {
			out = append(out, f.Where+": "+f.Check+": "+f.What.EN)
		}
	}
	return out
}

// first returns the check of the first finding, or what stands there instead.
func (d diagnosis) first() string {
	if len(d.Findings) == 0 {
		return "none"
	}
	return d.Findings[0].Check
}

// probes says whether the real packets did as predicted.
func (d diagnosis) probes() string {
	n := map[string]int{}
	for _, o := range d.Observed {
		n[o.Agreement]++
	}
	switch {
	case d.Disagree:
		return "DISAGREE"
	case n["agrees"] > 0:
		return fmt.Sprintf("%d agree", n["agrees"])
	case len(d.Observed) > 0:
		return "not comparable"
	}
	return "none sent"
}

// questions are what is asked of a healthy cluster: those of the faults.
func questions() (out []fault.Question) {
	for _, f := range fault.All() {
		if q := f.Well(); !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	return out
}

// calm waits until plumb has no complaint about a question, and returns its last answer.
func (b *bench) calm(ctx context.Context, q fault.Question) (d diagnosis, err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		args, err := q.Args(ctx, b.Cluster)
		if err == nil {
			d, err = b.diagnose(ctx, args...)
		}
		if err == nil && d.fine(q) || time.Now().After(deadline) {
			return d, err
		}
	}
}

// fine reports whether a question about what works has that answer, for which nothing was missing. What a
// snapshot cannot hold is not known.
func (d diagnosis) fine(q fault.Question) bool {
	works := d.Verdict == "works" || d.Verdict == "cannot-tell" && q.Beyond()
	return works && !d.Disagree && len(d.alarms()) == 0 && len(d.Gaps) == 0
}
