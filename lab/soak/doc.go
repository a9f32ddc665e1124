//go:build linux

package soak

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const intro = `# What plumbd withstands

` + "`make soak`" + ` runs plumbd itself, with all the probes that are on by default, through what follows; ` + "`make soak SOAK=churn`" + ` one part of
it, and ` + "`SOAK=--doc`" + ` writes this page. All the while it is scraped each second, and must answer; no counter and no histogram may
fall. After each part it has no more files, maps, programs, links, network namespaces and goroutines than before it; after its end no
program, map or link that it ever had is in the kernel; its record is read by ` + "`plumb record`" + `, without damage.

`

const outro = `
A step of the clock is not among them: a clock that nobody else goes by cannot be had, since time namespaces leave CLOCK_REALTIME alone. Tests give
the recorder such times instead (` + "`TestBreaks`, `TestRealClock`" + ` in ` + "`recorder/`" + `): it counts seconds by the clock that nobody sets, and
tells each step. That each probe in turn fails to open, panics, or is refused, and no other one minds, is a test too (` + "`TestEachFails`" + ` in
` + "`agent/observe/`" + `), and so are ` + "`loki`, `kill` and `churn`" + ` for some seconds (` + "`lab/soak`" + `).
`

// Doc writes a page of results.
func Doc(w io.Writer, began time.Time, load string, results []Result) {
	var u unix.Utsname
	var mem unix.Sysinfo_t
	_, _ = unix.Uname(&u), unix.Sysinfo(&mem)
	took := time.Since(began)
	fmt.Fprint(w, intro)
	fmt.Fprintf(w, "%s, Linux %s, %s, %d cores, %d GiB; %d minutes; load of the machine before it %s, with it %s.\n\n", began.UTC().Format("2006-01-02 15:04 UTC"), unix.ByteSliceToString(u.Release[:]), runtime.GOARCH,
		runtime.NumCPU(), mem.Totalram*uint64(mem.Unit)>>30, int(took.Minutes()+.5), load, Load())
	fmt.Fprint(w, "| part | what | what came of it | scrapes | most resident | |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		came, mark := r.Came, "✓"
		if r.Err != nil {
			came, mark = oneLine(fmt.Errorf("%s: %w", r.Came, r.Err)), "✗"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %d | %d MiB | %s |\n", r.Name, r.Does, strings.ReplaceAll(came, "|", "\\|"), r.Scrapes, r.Peak>>20, mark)
	}
	fmt.Fprint(w, outro)
}

// Load returns the machine's load of the last minute.
func Load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
