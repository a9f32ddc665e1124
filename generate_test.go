package plumb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/report"
)

// TestGenerated compares the generated documents with what they are generated from. UPDATE=1 writes them.
func TestGenerated(t *testing.T) {
	var b bytes.Buffer
	if err := report.ChecksDoc(&b, all.Checks); err != nil {
		t.Fatal(err)
	}
	const name = "doc/checks.md"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-is +should be; \"make generate\" writes it):\n%s", name, diff)
	}
}

// TestGeneratedPrograms compiles the probes' programs as their "go:generate" lines say, and compares them with
// those that are embedded. UPDATE=1 writes them.
func TestGeneratedPrograms(t *testing.T) {
	for _, need := range []string{"clang-14", "llvm-strip-14"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s is not installed: %v", need, err)
		}
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		t.Skipf("libbpf-dev is not installed: %v", err)
	}
	programs, err := filepath.Glob("probe/*/*.bpf.c")
	if err != nil || len(programs) == 0 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	for _, p := range programs {
		dir, name := filepath.Split(p)
		name = strings.TrimSuffix(name, ".bpf.c")
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			if os.Getenv("UPDATE") != "" {
				out = "."
			}
			compile(t, dir, name, out)
			for _, ext := range []string{".go", ".o"} {
				file := name + "_bpfel" + ext
				got, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if out == "." {
					continue
				}
				want, err := os.ReadFile(filepath.Join(out, file))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s%s is not what %s gives (%v): \"make generate\" writes it", dir, file, p, err)
				}
			}
		})
	}
}

// compile runs the "go:generate" line of a probe's main file, with the results put into another folder.
func compile(t *testing.T, dir, name, out string) {
	t.Helper()
	const directive = "//go:generate go tool bpf2go "
	src, err := os.ReadFile(filepath.Join(dir, name+".go"))
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(src), directive)
	line, _, _ = strings.Cut(line, "\n")
	if !ok {
		t.Fatalf("%s%s.go has no %q", dir, name, directive)
	}
	cmd := exec.Command("go", append([]string{"tool", "bpf2go", "-output-dir", out}, strings.Fields(line)...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPACKAGE="+name)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
}
