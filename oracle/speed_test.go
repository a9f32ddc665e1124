package oracle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/lab/figures"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

func TestMain(m *testing.M) {
	code := m.Run()
	table.Print(os.Stdout)
	os.Exit(code)
}

// sizes are the clusters that are measured: the policies grow with the Pods, and the last is
// twenty times what Kubernetes calls big for one tenant.
var sizes = [...]policygen.Size{
	{Seed: 1, Namespaces: 10, Pods: 100, Nodes: 5, Policies: 20, NoHostNetwork: true},
	{Seed: 1, Namespaces: 40, Pods: 1000, Nodes: 20, Policies: 200, NoHostNetwork: true},
	{Seed: 1, Namespaces: 200, Pods: 10_000, Nodes: 100, Policies: 2000, NoHostNetwork: true},
	{Seed: 1, Namespaces: 1000, Pods: 100_000, Nodes: 1000, Policies: 10_000, NoHostNetwork: true},
}

const small, usual, big = 0, 1, 2 // of sizes

// table is what is measured. Loading is from objects that are decoded, to which the others' own
// loading is not added. "Sample" is of pairs, and all pairs would take as many times longer.
var table = figures.Table{Head: "policies for a tenth as many Pods:", Of: "Pods", Sizes: pods(), Figures: []figures.Figure{
	{What: "plumb: load"},
	{What: "  one verdict", At: big, Goal: 1e-6},
	{What: "  load, all pairs of one port", At: usual, Goal: 0.1},
	{What: "  load, all pairs of three ports", At: big, Goal: 5},
	{What: "  the process's memory (RSS)", Unit: figures.Bytes, At: big, Goal: 1e9},
	{What: "cyclonus: one verdict"},
	{What: "  all pairs of one port (10000: sample)"},
	{What: "netpol-analyzer: one verdict"},
	{What: "  all pairs of that port (10000: sample)"},
	{What: "plumb is faster than the faster", Unit: figures.Times, At: usual, Goal: 50},
}}

func pods() (out []int) {
	for _, s := range sizes {
		out = append(out, s.Pods)
	}
	return out
}

// BenchmarkPlumb is plumb alone, before others use memory.
func BenchmarkPlumb(b *testing.B) {
	for at, size := range sizes {
		o := policygen.Cluster(size)
		var e *intent.Engine
		note := func(b *testing.B, what string) { table.Note(at, what, b.Elapsed().Seconds()/float64(b.N)) }
		b.Run(fmt.Sprintf("%d/load", size.Pods), func(b *testing.B) {
			for b.Loop() {
				e = intent.New(o)
			}
			note(b, "plumb: load")
		})
		for n, what := range []string{1: "load, all pairs of one port", 3: "load, all pairs of three ports"} {
			if what == "" {
				continue
			}
			b.Run(fmt.Sprintf("%d/ports=%d", size.Pods, n), func(b *testing.B) {
				for b.Loop() {
					e = intent.New(o)
					for _, port := range ports[:n] {
						if c := e.AllPairs(port, false).Count(); c.Allowed == 0 || c.Denied == 0 {
							b.Fatal(c)
						}
					}
				}
				note(b, what)
			})
		}
		if e == nil {
			return // not measured
		}
		table.Note(at, "the process's memory (RSS)", peak())
		b.Run(fmt.Sprintf("%d/verdict", size.Pods), func(b *testing.B) {
			var peers []intent.Peer
			for i := range o.Pods {
				p, _ := e.Pod(o.Pods[i].Namespace, o.Pods[i].Name)
				peers = append(peers, p)
			}
			i := 0
			for b.Loop() {
				i++
				e.Answer(peers[i%len(peers)], peers[i*7919%len(peers)], ports[0])
			}
			note(b, "one verdict")
		})
	}
}

// peak returns the most memory that the process ever had in RAM.
func peak() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys)
	}
	_, rest, _ := bytes.Cut(data, []byte("VmHWM:"))
	kB, _ := strconv.Atoi(string(bytes.Fields(rest)[0]))
	return float64(kB) * 1024
}

// write writes objects to the file that the others read too, and returns what plumb reads of it.
func write(b *testing.B, o *snapshot.Objects) (string, *snapshot.Objects) {
	b.Helper()
	slices.SortFunc(o.Pods, func(a, b corev1.Pod) int { // as an API server lists them, and plumb has them
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var out bytes.Buffer
	add := func(version, kind string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&out, "---\n{\"apiVersion\":%q,\"kind\":%q,%s\n", version, kind, data[1:])
	}
	for i := range o.Namespaces {
		add("v1", "Namespace", &o.Namespaces[i])
	}
	for i := range o.Pods {
		add("v1", "Pod", &o.Pods[i])
	}
	for i := range o.NetworkPolicies {
		add("networking.k8s.io/v1", "NetworkPolicy", &o.NetworkPolicies[i])
	}
	file := filepath.Join(b.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
	list, err := manifest.Read(file, out.Bytes(), "default")
	if err != nil {
		b.Fatal(err)
	}
	read, err := manifest.Objects(list)
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"Pod", "Namespace", "NetworkPolicy"} {
		read.Have[kind] = true
	}
	return file, read
}

// An opinion is what another says of every step-th pair of a file's Pods: the k-th of n Pods is
// from Pod k/n to Pod k%n.
type opinion struct {
	Load, Ask time.Duration
	Allowed   []byte // 1 where it is
}

// cyclonus asks the matcher of cyclonus.
func cyclonus(o *snapshot.Objects, port intent.Port, step int) (out opinion) {
	s, n := newSecond(o), len(o.Pods)
	start := time.Now()
	for k := 0; k < n*n; k += step {
		var b byte
		if s.allows(&o.Pods[k/n], &o.Pods[k%n], port) {
			b = 1
		}
		out.Allowed = append(out.Allowed, b)
	}
	out.Ask = time.Since(start)
	return out
}

// netpol asks netpol-analyzer, which is a process of its own.
func netpol(b *testing.B, program, file string, port intent.Port, step int) (out opinion) {
	b.Helper()
	cmd := exec.Command(program, file, string(protos[port.Proto]), fmt.Sprint(port.Number), fmt.Sprint(step))
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// differ counts the verdicts of others that are not plumb's, and says which is the first. What a
// Pod sends itself is no policy's matter.
func differ(b *testing.B, who string, o *snapshot.Objects, all *intent.Matrix, peers []intent.Peer, theirs []byte, step int) {
	b.Helper()
	n, wrong := len(peers), 0
	for i, allowed := range theirs {
		from, to := i*step/n, i*step%n
		if from == to || (all.Answer(peers[from], peers[to]) == intent.Allowed) == (allowed == 1) {
			continue
		}
		if wrong++; wrong <= 3 {
			b.Errorf("%s: %s/%s > %s/%s: allowed %d", who, o.Pods[from].Namespace, o.Pods[from].Name, o.Pods[to].Namespace, o.Pods[to].Name, allowed)
		}
	}
	fmt.Printf("agree: intent and %s: %d Pods, %d policies: %d comparisons, %d disagreements\n", who, n, len(o.NetworkPolicies), len(theirs), wrong)
}

// BenchmarkOthers has cyclonus and netpol-analyzer answer for the Pods of the same file. Their
// verdicts are compared first. At the last size that they are asked at, a sample stands for all.
// No rule has ranges: for netpol-analyzer no Pod's address is in one, which the API leaves open.
func BenchmarkOthers(b *testing.B) {
	program := filepath.Join(b.TempDir(), "netpol")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "netpol"
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for at, size := range sizes[:big+1] {
		size.NoBlocks = true
		file, o := write(b, policygen.Cluster(size))
		port, step := ports[0], 1
		if at == big {
			step = 50_021
		}
		n := len(o.Pods)
		var ours time.Duration
		var all *intent.Matrix
		peers := make([]intent.Peer, n)
		for range 3 {
			start := time.Now()
			e := intent.New(o)
			all = e.AllPairs(port, false)
			all.Count()
			ours = min(cmp.Or(ours, time.Hour), time.Since(start))
			for i := range peers {
				peers[i], _ = e.Pod(o.Pods[i].Namespace, o.Pods[i].Name)
			}
		}
		a, c := cyclonus(o, port, step), netpol(b, program, file, port, step)
		differ(b, "cyclonus", o, all, peers, a.Allowed, step)
		differ(b, "netpol-analyzer", o, all, peers, c.Allowed, step)
		if b.Failed() {
			return
		}
		whole := func(who string, t opinion) time.Duration {
			pair := t.Ask / time.Duration(len(t.Allowed))
			table.Note(at, who+": one verdict", pair.Seconds())
			return pair * time.Duration(n*n)
		}
		first, second := whole("cyclonus", a), whole("netpol-analyzer", c)
		table.Note(at, "all pairs of one port (10000: sample)", first.Seconds())
		table.Note(at, "all pairs of that port (10000: sample)", second.Seconds())
		table.Note(at, "plumb is faster than the faster", float64(min(first, second))/float64(ours))
	}
}
