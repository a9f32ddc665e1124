package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/spf13/pflag"
)

const snapshotSynopsis = `-o FILE.tar.gz [--objects FILE]... [--node NAME]
       plumb snapshot -o FILE.tar.gz --redact [--map FILE] [--redact-key FILE] [--snapshot BUNDLE]
       plumb snapshot --restore FILE.map.json < REPORT
       plumb snapshot --script > collect.sh

Writes the network state of all nodes of the current kubeconfig's cluster or, where there is
none or with --local, of this node, which needs root, as one bundle for "plumb diagnose --snapshot".
The script writes the same where nothing may
be installed: sh collect.sh FILE.tar.gz

With --redact names and addresses become pseudonyms; the bundle diagnoses the same. The map
that leads back is written to a file of its own, which is not for others: with it, --restore
puts the originals back into a report of the redacted bundle.
`

// snapshotFlags are what the flags say.
type snapshotFlags struct {
	out, name string
	script    bool
	objects   list
	redactFlags
	live live
}

func (f *snapshotFlags) add(fs *pflag.FlagSet) {
	fs.StringVarP(&f.out, "output", "o", "", "write the bundle to this `file`; - is the standard output")
	fs.BoolVar(&f.script, "script", false, "print a collector in POSIX shell instead")
	fs.StringVar(&f.name, "node", "", "the node's `name` in the cluster, where it is not the host name")
	fs.Var(&f.objects, "objects", "put what plumb reads of this `file` of Kubernetes objects (kubectl get ... -o json) into the bundle; may be repeated")
	f.redactFlags.add(fs)
	f.live.flags(fs)
}

// snapshotVerb collects this node into a bundle, or prints the collector script.
func snapshotVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("snapshot", snapshotSynopsis, stderr)
	var f snapshotFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	switch alone := fs.NFlag() == 1; {
	case f.script && !alone:
		return fail(stderr, errors.New("--script goes without other flags: plumb snapshot --script > collect.sh"))
	case f.script:
		if _, err := io.WriteString(stdout, node.Script); err != nil {
			return fail(stderr, err)
		}
		return statusFine
	case f.restore != "" && !alone:
		return fail(stderr, errors.New("--restore goes without other flags: plumb snapshot --restore bundle.map.json < report.txt"))
	case f.restore != "":
		return done(stderr, restore(f.restore, os.Stdin, stdout))
	case f.out == "":
		return fail(stderr, errors.New("say where to write: plumb snapshot -o bundle.tar.gz"))
	case f.out == "-" && stdout == os.Stdout && isTerminal(os.Stdout):
		return fail(stderr, errors.New("a bundle is not for a terminal: plumb snapshot -o bundle.tar.gz"))
	}
	return done(stderr, f.write(stdout, stderr))
}

// done returns the status of a verb that gives no verdict.
func done(stderr io.Writer, err error) int {
	if err != nil {
		return fail(stderr, err)
	}
	return statusFine
}

// write collects, redacts where that is asked for, and writes the bundle.
func (f *snapshotFlags) write(stdout, stderr io.Writer) error {
	if err := f.redactFlags.check(f.out); err != nil {
		return err
	}
	client, err := f.cluster()
	if err != nil {
		return err
	}
	if client != nil {
		return f.writeCluster(client, stdout, stderr)
	}
	files, err := readObjects(f.objects)
	if err != nil {
		return err
	}
	if f.from == "" {
		err = collectInto(files, f.name, stderr)
	} else {
		err = unpackInto(files, f.from, stderr)
	}
	if err != nil {
		return err
	}
	// Secrets, environments and kinds that plumb does not read never enter a bundle.
	if files, err = snapshot.TrimObjects(files); err != nil {
		return err
	}
	if f.redact {
		if files, err = f.redactFlags.apply(files, f.out, stderr); err != nil {
			return err
		}
	}
	return writeBundle(f.out, stdout, files)
}

// cluster returns the running cluster that is to be collected, or nil where it is this node.
func (f *snapshotFlags) cluster() (*kube.Client, error) {
	var given []string // what to read instead of a running cluster
	if f.from != "" || len(f.objects) > 0 || f.name != "" {
		given = []string{"--snapshot, --objects or --node"}
	}
	return f.live.connect(given)
}

// writeCluster collects a running cluster. Without redaction, which has to know all names
// before it can replace one, the bundle is written as the nodes answer.
func (f *snapshotFlags) writeCluster(c *kube.Client, stdout, stderr io.Writer) error {
	ctx, stop := interruptible()
	defer stop()
	s := f.live.open(ctx, c, stderr)
	defer s.close()
	if f.redact {
		files := snapshot.Files{}
		err := s.each(ctx, func(more snapshot.Files) error { maps.Copy(files, more); return nil })
		if err == nil {
			files, err = f.redactFlags.apply(files, f.out, stderr)
		}
		if err != nil {
			return err
		}
		return writeBundle(f.out, stdout, files)
	}
	write := func(w io.Writer) error {
		b := snapshot.NewWriter(w)
		if err := s.each(ctx, b.Add); err != nil {
			return err
		}
		return b.Close()
	}
	if f.out == "-" {
		return write(stdout)
	}
	return writePrivate(f.out, write)
}

// readObjects reads files of Kubernetes objects, to stand under objects/.
func readObjects(names []string) (snapshot.Files, error) {
	files := snapshot.Files{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--objects: %w", err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".json")
		to := "objects/" + base + ".json"
		for i := 2; files[to] != nil; i++ { // two files of one name, from two folders
			to = fmt.Sprintf("objects/%s-%d.json", base, i)
		}
		files[to] = data
	}
	return files, nil
}

// writeBundle packs files into a file that only its owner may read, or to stdout.
func writeBundle(name string, stdout io.Writer, files snapshot.Files) error {
	if name == "-" {
		return snapshot.Write(stdout, files)
	}
	return writePrivate(name, func(w io.Writer) error { return snapshot.Write(w, files) })
}

// writePrivate writes a file that only its owner may read.
func writePrivate(name string, write func(io.Writer) error) error {
	// Beside the file first: half a bundle is worse than none.
	f, err := os.CreateTemp(filepath.Dir(name), ".plumb-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already, where all went well
	err = errors.Join(write(f), f.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}
