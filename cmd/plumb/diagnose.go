package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/route"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// diagnoseFlags are what the flags say.
type diagnoseFlags struct {
	ask             diagnose.Ask
	paths, external list
	out             output
	cluster         live
	noProbe         bool
}

func (f *diagnoseFlags) add(fs *pflag.FlagSet) {
	fs.StringVarP(&f.ask.Src, "source", "s", "", "`source`: ns/pod, node/NAME or an address")
	fs.StringVarP(&f.ask.Dst, "destination", "d", "", "`destination`: ns/pod:port, svc/ns/name:port, node/NAME, an address, a host name, a URL")
	fs.StringVarP(&f.ask.Port, "port", "p", "", "destination `port`: a number or a name")
	fs.StringVar(&f.ask.Proto, "proto", "", "tcp, udp, sctp or icmp (default tcp; icmp without a port)")
	fs.Var(&f.paths, "snapshot", "a `folder`, bundle or kubectl output to read, instead of a cluster; may be repeated")
	fs.Var(&f.external, "external", "a `range` outside the cluster, such as an office's; may be repeated")
	fs.BoolVar(&f.noProbe, "no-probe", false, "send no packets: only predict")
	f.cluster.flags(fs)
	f.out.flags(fs)
	fs.StringVar(&f.out.http, "http", "", "serve the report on this `address`, such as 127.0.0.1:8080, until interrupted")
}

func diagnoseVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("diagnose", "-s SOURCE -d DESTINATION [flags]", stderr)
	var f diagnoseFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	if f.ask.Src == "" || f.ask.Dst == "" {
		return fail(stderr, fmt.Errorf("diagnose needs a source and a destination: plumb diagnose -s shop/web-0 -d svc/shop/api:80"))
	}
	var err error
	if f.ask.External, err = prefixes("--external", f.external); err != nil {
		return fail(stderr, err)
	}
	if err := f.out.check(); err != nil {
		return fail(stderr, err)
	}
	f.ask.Hosts = lookup(f.ask.Dst)
	f.ask.Namespace = f.cluster.kube.Namespace
	r, err := answer(f.ask, f.paths, &f.cluster, !f.noProbe, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	status := diagnoseStatus(r)
	if err := f.out.write(stdout, stderr, r); err != nil {
		return fail(stderr, err)
	}
	return status
}

// answer answers ask from snapshots, from the running cluster, or from this node.
func answer(ask diagnose.Ask, paths []string, l *live, probe bool, stderr io.Writer) (*diagnose.Report, error) {
	client, err := l.connect(paths)
	if err != nil {
		return nil, err
	}
	if client == nil {
		c, err := load(paths, stderr)
		if err != nil {
			return nil, err
		}
		return diagnose.Run(c, ask, all.Checks...)
	}
	ctx, stop := interruptible()
	defer stop()
	ask.Namespace = client.Namespace
	s := l.open(ctx, client, stderr)
	defer s.close()
	return s.diagnose(ctx, ask, probe)
}

// diagnoseStatus turns a report into an exit status. Faults elsewhere in the
// cluster, which "plumb check" judges, do not count.
func diagnoseStatus(r *diagnose.Report) int {
	switch r.Verdict {
	case diagnose.Works:
		return statusFine
	case diagnose.Broken, diagnose.Partly:
		return statusWrong
	}
	for _, f := range r.Checks.Findings {
		if f.OnPath && f.Severity > check.Info {
			return statusWrong
		}
	}
	return statusUnsure
}

// prefixes reads the ranges of a flag.
func prefixes(flag string, in []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range in {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%s %q: want a range such as 10.20.0.0/16", flag, s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// lookup resolves a destination that looks like a host name as this machine does.
// The cluster's own names are looked up in the snapshot first, so a failure here is no error.
func lookup(dst string) map[string][]netip.Addr {
	if q, err := route.Parse(dst); err == nil {
		dst = q.Host
	}
	name, _, _ := strings.Cut(dst, ":")
	if strings.Contains(name, "/") || !strings.Contains(name, ".") || strings.Contains(dst, "[") {
		return nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return map[string][]netip.Addr{name: addrs}
}

// options are how the text report is to look on w: coloured and as wide as the
// terminal that w is, if it is one.
func options(w io.Writer, lang string) report.Options {
	o := report.Options{Lang: lang, Width: defaultWidth}
	f, ok := w.(*os.File)
	if !ok || !isTerminal(f) {
		return o
	}
	o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	o.Width = min(columns(f), maxWidth)
	return o
}

// The columns of what is no terminal, and the most that are used of one: longer lines read badly.
const (
	defaultWidth = 80
	maxWidth     = 140
)

// columns returns how wide a terminal is; one that does not know is as wide as any.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return defaultWidth
	}
	return int(size.Col)
}

// isTerminal reports whether f is a terminal, which has a size, unlike other character devices.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
