//go:build linux

// Package bench measures plumb on one node the size of a busy one: 100 Pods and
// 10,000 Services, whose 100,000 rules a real kernel took and printed again, and
// says how the figures stand to their goals and how they grow.
package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/figures"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestMain(m *testing.M) {
	if os.Getenv(measured) != "" {
		os.Exit(measure(os.Args[1:]))
	}
	if !sandbox.Inside() {
		sandbox.Main(m)
	}
	code := m.Run()
	table.Print(os.Stdout)
	scrapes.Print(os.Stdout)
	for _, dir := range recorded {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// sizes are the numbers of Services, of about 10 iptables rules each.
var sizes = [...]int{100, 1000, 10_000}

const busy, usual = len(sizes) - 1, 0

// table holds what is measured; its sizes are the iptables rules that each of sizes makes.
var table = figures.Table{Head: "a node of 100 Pods; iptables rules:", Of: "rules", Sizes: make([]int, len(sizes)), Figures: []figures.Figure{
	{What: "diagnose: load, trace, all checks", At: busy, Goal: 1},
	{What: "  its CPU"},
	{What: "  its memory (RSS)", Unit: figures.Bytes, At: busy, Goal: 300e6},
	{What: "  load"},
	{What: "  trace and all checks"},
	{What: "one more packet, one way", At: busy, Goal: 50e-6},
	{What: "one more packet, there and back"},
	{What: "collect the node: CPU", At: usual, Goal: 1},
	{What: "  compressed", Unit: figures.Bytes, At: usual, Goal: 300e3},
}}

// noteTime notes the time that a round of b took.
func noteTime(b *testing.B, size int, what string) {
	table.Note(size, what, b.Elapsed().Seconds()/float64(b.N))
}

// recorded holds the folder of each size's snapshot.
var recorded = map[int]string{}

// record returns the folder of the snapshot of node-a with 100 Pods and that many
// Services, and of the objects. All sizes are recorded at once.
func record(b *testing.B, services int) string {
	b.Helper()
	sandbox.Need(b)
	if len(recorded) == 0 {
		recordAll(b)
	}
	return recorded[services]
}

func recordAll(b *testing.B) {
	b.Helper()
	l, err := lab.Up(lab.Flannel)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	n := l.Nodes[0]
	for i := len(n.Pods); i < 100; i++ {
		if err := l.AddPod(n, "load", fmt.Sprintf("load-%d", i), appOf(i)); err != nil {
			b.Fatal(err)
		}
	}
	own := l.Objects.Services
	for at, size := range sizes {
		l.Objects.Services = slices.Clip(own)
		for i := range size {
			l.Objects.Services = append(l.Objects.Services, service(i))
		}
		slices.SortFunc(l.Objects.Services, func(a, b corev1.Service) int { // as an API server lists them
			return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
		})
		l.SyncEndpoints()
		if err := l.SyncNode(n); err != nil {
			b.Fatal(err)
		}
		if err := write(l, n, at); err != nil {
			b.Fatal(err)
		}
	}
}

// write collects node-a as plumb does, and writes its files and those of the objects.
func write(l *lab.Lab, n *lab.Node, at int) error {
	objects, err := l.ObjectFiles()
	if err != nil {
		return err
	}
	start := cpu()
	files, err := l.NodeFiles(n)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := snapshot.Write(&packed, files); err != nil {
		return err
	}
	table.Note(at, "collect the node: CPU", (cpu() - start).Seconds())
	table.Note(at, "compressed", float64(packed.Len()))
	table.Sizes[at] = rules(files["nodes/"+n.Name+"/host/iptables"])
	maps.Copy(files, objects)
	dir, err := os.MkdirTemp("", "plumb-bench-")
	if err != nil {
		return err
	}
	recorded[sizes[at]] = dir
	for _, name := range files.Names() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// appOf returns the label of the i-th Pod: each six of them are an application of one
// Pod, one of two and one of three.
func appOf(i int) string { return fmt.Sprintf("app%d-%d", [...]int{1, 2, 2, 3, 3, 3}[i%6], i/6) }

// mix is what ten Services are: one or two ports, one to three endpoints, a node port here,
// session affinity there. In kube-proxy's rules a port is 2 and each endpoint 3 more;
// ten such Services are 99.
var mix = [10]struct {
	ports, endpoints int
	nodePort, sticky bool
}{
	{1, 2, false, false}, {1, 2, false, false}, {1, 2, false, false}, {1, 2, false, false}, {1, 1, false, false},
	{1, 3, false, false}, {1, 3, false, false}, {2, 2, false, false}, {1, 3, true, false}, {1, 2, false, true},
}

// service returns the i-th Service; its endpoints are Pods of node-a.
func service(i int) corev1.Service {
	m := mix[i%len(mix)]
	var s corev1.Service
	s.APIVersion, s.Kind = "v1", "Service"
	s.Namespace, s.Name = "load", fmt.Sprintf("svc-%05d", i)
	s.Spec.Type = corev1.ServiceTypeClusterIP
	s.Spec.ClusterIP = fmt.Sprintf("10.100.%d.%d", i/250, 1+i%250)
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	s.Spec.Selector = map[string]string{"app": fmt.Sprintf("app%d-%d", m.endpoints, 2+i%13)} // the six of 2 to 14 are whole
	for j := range m.ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: fmt.Sprintf("http-%d", j), Port: int32(80 + j), Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080),
		})
	}
	if m.nodePort {
		s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, int32(30000+i/len(mix))
	}
	if m.sticky {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	return s
}

// ask is the path that is diagnosed: from a Pod through a Service to another Pod.
var ask = diagnose.Ask{Src: "load/load-20", Dst: "svc/load/svc-00005:80"}

// measured makes this program run another one and say what that took. The kernel counts
// the memory of the process that starts a program as the program's own (exec_mmap in
// fs/exec.c), so a small one must do it.
const measured = "PLUMB_BENCH_MEASURE"

// cost is what a program took.
type cost struct {
	RSS int64 // KiB, at its most
	CPU time.Duration
}

func measure(argv []string) int {
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	p := cmd.ProcessState
	fmt.Println(p.SysUsage().(*syscall.Rusage).Maxrss, int64(p.UserTime()+p.SystemTime()))
	return 0
}

func run(b *testing.B, argv ...string) (c cost) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe", argv...)
	cmd.Env = append(os.Environ(), measured+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &c.RSS, &c.CPU); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return c
}

// build builds the command.
func build(b *testing.B) string {
	b.Helper()
	plumb := filepath.Join(b.TempDir(), "plumb")
	if out, err := exec.Command("go", "build", "-o", plumb, "github.com/plumbnet/plumb/cmd/plumb").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return plumb
}

// BenchmarkDiagnose is the whole command, from the folder to the verdict, in a
// process of its own, so that the memory it reports is all that it took.
func BenchmarkDiagnose(b *testing.B) {
	plumb := build(b)
	for at, n := range sizes {
		dir := record(b, n)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			var sum cost
			for b.Loop() {
				c := run(b, plumb, "diagnose", "-s", ask.Src, "-d", ask.Dst, "--snapshot", dir)
				sum = cost{max(sum.RSS, c.RSS), sum.CPU + c.CPU}
			}
			b.ReportMetric(float64(sum.RSS)*1024/1e6, "MB-RSS")
			b.ReportMetric(float64(sum.CPU.Milliseconds())/float64(b.N), "cpu-ms/op")
			noteTime(b, at, "diagnose: load, trace, all checks")
			table.Note(at, "its CPU", sum.CPU.Seconds()/float64(b.N))
			table.Note(at, "its memory (RSS)", float64(sum.RSS)*1024)
		})
	}
}

// rules counts the rules in what iptables-save printed.
func rules(data []byte) (n int) {
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if strings.HasPrefix(s.Text(), "-A ") || strings.HasPrefix(s.Text(), "[") {
			n++
		}
	}
	return n
}

// cpu returns the CPU time of this process and of those that it waited for.
func cpu() (d time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err == nil {
			d += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return d
}

// BenchmarkPacket is one more packet through a snapshot that is loaded: there and back.
func BenchmarkPacket(b *testing.B) {
	for at, n := range sizes {
		dir := record(b, n)
		c := read(b, dir)
		r, err := diagnose.Run(c, ask)
		if err != nil {
			b.Fatal(err)
		}
		q := r.Traces[0].Result.Query
		net := network.New(c)
		q.From = net.Pod(ask.Src)
		walk := func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res := trace.Run(net, q); len(res.Paths) == 0 {
					b.Fatal("no path")
				}
			}
		}
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			walk(b)
			noteTime(b, at, "one more packet, there and back")
		})
		q.OneWay = true
		b.Run(fmt.Sprintf("services=%d/one-way", n), func(b *testing.B) {
			walk(b)
			noteTime(b, at, "one more packet, one way")
		})
	}
}

// BenchmarkChecks is every check over a snapshot that is loaded, with one path asked about.
func BenchmarkChecks(b *testing.B) {
	for at, n := range sizes {
		dir := record(b, n)
		c := read(b, dir)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := diagnose.Run(c, ask, all.Checks...); err != nil {
					b.Fatal(err)
				}
			}
			noteTime(b, at, "trace and all checks")
		})
	}
}

// BenchmarkRead is the reading of a snapshot from files.
func BenchmarkRead(b *testing.B) {
	for at, n := range sizes {
		dir := record(b, n)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read(b, dir)
			}
			noteTime(b, at, "load")
		})
	}
}

func read(b *testing.B, dir string) *snapshot.Cluster {
	b.Helper()
	c, err := snapshot.Read(os.DirFS(dir))
	if err != nil {
		b.Fatal(err)
	}
	return c
}
