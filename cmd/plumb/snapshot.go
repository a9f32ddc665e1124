package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
)

const snapshotSynopsis = `-o FILE.tar.gz [--objects FILE]... [--node NAME]
       plumb snapshot --script > collect.sh

Writes the network state of this node, all its namespaces, as one bundle for
"plumb diagnose --snapshot". Needs root. The script writes the same where nothing may
be installed: sh collect.sh FILE.tar.gz
`

// snapshotVerb collects this node into a bundle, or prints the collector script.
func snapshotVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("snapshot", snapshotSynopsis, stderr)
	var objects list
	out := fs.String("o", "", "write the bundle to this `file`; - is the standard output")
	script := fs.Bool("script", false, "print a collector in POSIX shell instead")
	name := fs.String("node", "", "the node's `name` in the cluster, where it is not the host name")
	fs.Var(&objects, "objects", "put this `file` of Kubernetes objects (kubectl get ... -o json) into the bundle; may be repeated")
	if _, status, ok := parse(fs, args, 0, stdout, stderr); !ok {
		return status
	}
	switch {
	case *script && (*out != "" || len(objects) > 0 || *name != ""):
		return fail(stderr, errors.New("--script goes without other flags: plumb snapshot --script > collect.sh"))
	case *script:
		if _, err := io.WriteString(stdout, node.Script); err != nil {
			return fail(stderr, err)
		}
		return statusFine
	case *out == "":
		return fail(stderr, errors.New("say where to write: plumb snapshot -o bundle.tar.gz"))
	case *out == "-" && stdout == os.Stdout && isTerminal(os.Stdout):
		return fail(stderr, errors.New("a bundle is not for a terminal: plumb snapshot -o bundle.tar.gz"))
	}
	files, err := readObjects(objects)
	if err != nil {
		return fail(stderr, err)
	}
	if err := collectInto(files, *name, stderr); err != nil {
		return fail(stderr, err)
	}
	if err := writeBundle(*out, stdout, files); err != nil {
		return fail(stderr, err)
	}
	return statusFine
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
	// Beside the file first: half a bundle is worse than none.
	f, err := os.CreateTemp(filepath.Dir(name), ".plumb-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already, where all went well
	err = errors.Join(snapshot.Write(f, files), f.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}
