package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
)

// matrixFlags are what the flags say.
type matrixFlags struct {
	paths   list
	port    string
	is6     bool
	out     output
	cluster live
}

func (f *matrixFlags) add(fs *pflag.FlagSet) {
	fs.Var(&f.paths, "snapshot", "a `folder`, bundle or kubectl output to read, instead of a cluster; may be repeated")
	fs.StringVarP(&f.port, "port", "p", "", "one `port`, 80 or udp/53, instead of all")
	fs.BoolVarP(&f.is6, "ipv6", "6", false, "connections by IPv6")
	f.cluster.flags(fs)
	fs.Lookup("namespace").Usage = "what matters to the Pods of this `namespace`, instead of all"
	f.out.flags(fs)
	for _, name := range []string{"ephemeral", "image", "agent-namespace", "local"} {
		_ = fs.MarkHidden(name) // it asks no agent
	}
}

func matrixVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("matrix", "[flags]", stderr)
	var f matrixFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	ports, err := portRanges(f.port)
	if err == nil {
		err = f.out.check()
	}
	if err != nil {
		return fail(stderr, err)
	}
	o, err := f.objects(stderr)
	if err != nil {
		return fail(stderr, err)
	}
	e := intent.New(o)
	if len(ports) == 0 {
		ports = e.Ports()
	}
	var namespaces []string
	if ns := f.cluster.kube.Namespace; ns != "" {
		if !slices.ContainsFunc(o.Pods, func(p corev1.Pod) bool { return p.Namespace == ns }) {
			return fail(stderr, fmt.Errorf("no Pods in the namespace %q", ns))
		}
		namespaces = []string{ns}
	}
	t, err := e.Table(ports, f.is6, namespaces...)
	if err == nil {
		err = f.write(stdout, stderr, t, e.Missing())
	}
	if err != nil {
		return fail(stderr, err)
	}
	return matrixStatus(t)
}

// objects reads snapshots, or asks the cluster for its objects alone.
func (f *matrixFlags) objects(stderr io.Writer) (*snapshot.Objects, error) {
	client, err := f.cluster.connect(f.paths)
	if err != nil {
		return nil, err
	}
	if client == nil {
		c, err := load(f.paths, stderr)
		if err != nil {
			return nil, err
		}
		return &c.Objects, nil
	}
	ctx, stop := interruptible()
	defer stop()
	fmt.Fprintf(stderr, "plumb: asking %s (context %q)\n", client.Server, client.Context)
	o, gaps := client.Objects(ctx)
	for _, g := range gaps {
		fmt.Fprintf(stderr, "plumb: %s: %s\n", g.Path, g.Why)
	}
	return &o, nil
}

func (f *matrixFlags) write(stdout, stderr io.Writer, t *intent.Table, missing []string) error {
	err := f.out.page(stderr, func(w io.Writer) error { return report.MatrixHTML(w, t, missing, options(stdout, f.out.lang)) })
	if err != nil {
		return err
	}
	if f.out.machine() {
		return f.out.encode(stdout, func(w io.Writer) error { return report.MatrixJSON(w, t, missing) })
	}
	return report.Matrix(stdout, t, missing, options(stdout, f.out.lang))
}

// portRanges reads "80" and "udp/53"; none from "".
func portRanges(s string) ([]intent.PortRange, error) {
	if s == "" {
		return nil, nil
	}
	name, number, ok := strings.Cut(s, "/")
	if !ok {
		name, number = "tcp", s
	}
	proto, known := map[string]packet.Proto{"tcp": packet.TCP, "udp": packet.UDP, "sctp": packet.SCTP}[strings.ToLower(name)]
	n, err := strconv.ParseUint(number, 10, 16)
	if !known || err != nil || n == 0 {
		return nil, fmt.Errorf("--port %q: want a port, such as 80 or udp/53", s)
	}
	return []intent.PortRange{{Proto: proto, Lo: uint16(n), Hi: uint16(n)}}, nil
}

// matrixStatus is "could not find out" where an answer is not known.
func matrixStatus(t *intent.Table) int {
	for _, row := range t.Cells {
		for _, c := range row {
			if !c.None && (!c.Mixed && c.Answer == intent.Unknown || len(c.Unknown) > 0) {
				return statusUnsure
			}
		}
	}
	return statusFine
}
