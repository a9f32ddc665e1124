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
The clock is set where nobody else goes by it: on the machines that ` + "`make kernels`" + ` boots, Linux 6.1 and 6.12 (` + "`TestClock`" + ` in ` + "`agent/observe/`" + `). By
an hour, back by that, by two more, and on by ten seconds, while a Pod's connections are refused, its lookups take a second, and Loki goes and comes back:
what is said above holds, all that is served answers, events have the time of the clock as it is or was a moment before, no lookup is said to have no
answer and no window is frozen; the record of the last ten minutes has all seconds in their order, and each step once, by how much; then a real
fault freezes its window, with the minute before it, whatever the clock said in it. That each probe in turn fails to open, panics, or is refused,
and no other one minds, is a test too (` + "`TestEachFails`" + ` in ` + "`agent/observe/`" + `), and so are ` + "`loki`, `kill` and `churn`" + ` for some seconds (` + "`lab/soak`" + `).
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
