package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
	"github.com/spf13/pflag"
)

// diffFlags are what the flags say.
type diffFlags struct {
	matrixFlags
	files, gone list
	rollback    bool
}

func (f *diffFlags) add(fs *pflag.FlagSet) {
	fs.VarP(&f.files, "filename", "f", "a `file` of objects to apply, as kubectl's, or a folder of them, or -; may be repeated")
	fs.Var(&f.gone, "delete", "an `object` to delete, networkpolicy/shop/web; may be repeated")
	fs.BoolVar(&f.rollback, "rollback", false, "print the objects that undo the change, as YAML, instead of what it does")
	fs.Var(&f.paths, "snapshot", "a `folder`, bundle or kubectl output to read, instead of a cluster; may be repeated")
	f.cluster.flags(fs)
	f.out.flags(fs)
	for _, name := range []string{"html", "ephemeral", "image", "agent-namespace", "local"} {
		_ = fs.MarkHidden(name) // it asks no agent, and makes no page
	}
}

func diffVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("diff", "-f FILE... [flags]", stderr)
	var f diffFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	d, undo, err := f.run(stderr)
	switch {
	case err != nil:
	case f.rollback:
		err = writeRollback(stdout, undo, options(stdout, f.out.lang))
	case f.out.machine():
		err = f.out.encode(stdout, func(w io.Writer) error { return report.DiffJSON(w, d, options(stdout, f.out.lang)) })
	default:
		opts := options(stdout, f.out.lang)
		opts.Verbose = f.out.verbose
		err = report.Diff(stdout, d, opts)
	}
	switch {
	case err != nil:
		return fail(stderr, err)
	case f.rollback:
		return statusFine
	case d.Breaks():
		return statusWrong
	case d.Unsure():
		return statusUnsure
	}
	return statusFine
}

// run reads the objects and the change, and compares.
func (f *diffFlags) run(stderr io.Writer) (d *whatif.Diff, undo whatif.Rollback, err error) {
	if err = f.out.check(); err != nil {
		return nil, undo, err
	}
	if len(f.files)+len(f.gone) == 0 {
		return nil, undo, errors.New("diff needs a change: plumb diff -f new-policy.yaml")
	}
	over, touched, err := f.change(stderr)
	if err != nil {
		return nil, undo, err
	}
	was, err := f.objects(stderr)
	if err != nil {
		return nil, undo, err
	}
	if !was.Have["Pod"] {
		return nil, undo, errors.New("there are no Pods to compare for: collect them, as by kubectl get pods -A -o json")
	}
	gone := map[string]bool{}
	for _, s := range f.gone {
		key, err := deletion(s, was)
		if err != nil {
			return nil, undo, err
		}
		gone[key] = true
		touched = append(touched, key)
	}
	slices.Sort(touched)
	is := whatif.Apply(was, over, gone)
	return whatif.Compare(was, is, touched), whatif.Undo(was, is, touched), nil
}

// change reads the files that are to be applied, and returns the keys of their objects.
func (f *diffFlags) change(stderr io.Writer) (*snapshot.Objects, []string, error) {
	var all []manifest.Object
	var errs []error
	for _, name := range f.files {
		list, err := readManifests(name, namespaceOr(f.cluster.kube.Namespace))
		errs = append(errs, err)
		all = append(all, list...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	over, err := manifest.Objects(all)
	if err != nil {
		return nil, nil, err
	}
	var touched []string
	for i := range all {
		if o := &all[i]; o.Kind == "" {
			fmt.Fprintf(stderr, "plumb: %s:%d: a %s: passed over, it says nothing of connections\n", o.File, o.Line, o.Says)
		} else {
			touched = append(touched, o.Key())
		}
	}
	return over, touched, nil
}

func namespaceOr(ns string) string {
	if ns == "" {
		return "default"
	}
	return ns
}

// manifests are the ends of the names of files that a folder of manifests holds, as for kubectl.
var manifests = []string{".yaml", ".yml", ".json"}

// readManifests reads a file, a folder or standard input.
func readManifests(name, namespace string) (out []manifest.Object, err error) {
	if name == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("-f -: %w", err)
		}
		return manifest.Read("-", data, namespace)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("-f %s: %w", name, errors.Unwrap(err))
	}
	files := []string{name}
	if info.IsDir() {
		files = nil
		err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains(manifests, filepath.Ext(path)) {
				files = append(files, path)
			}
			return err
		})
	}
	errs := []error{err}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("-f %w", err))
			continue
		}
		list, err := manifest.Read(file, data, namespace)
		out, errs = append(out, list...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// deletion returns the key of an object that --delete names.
func deletion(s string, was *snapshot.Objects) (string, error) {
	parts := strings.Split(s, "/")
	kind, ok := snapshot.KindNamed(parts[0])
	want := 2
	if ok && snapshot.Namespaced(kind) {
		want = 3
	}
	switch {
	case !ok:
		return "", fmt.Errorf("--delete %q: %q is no kind that says anything of connections: want networkpolicy/shop/web, or clusternetworkpolicy/web", s, parts[0])
	case len(parts) != want && want == 3:
		return "", fmt.Errorf("--delete %q: want %s/NAMESPACE/NAME", s, parts[0])
	case len(parts) != want:
		return "", fmt.Errorf("--delete %q: want %s/NAME", s, parts[0])
	}
	namespace, name := "", parts[len(parts)-1]
	if want == 3 {
		namespace = parts[1]
	}
	if _, ok := was.Object(kind, namespace, name); !ok {
		return "", fmt.Errorf("--delete %q: there is none", s)
	}
	return snapshot.Key(kind, namespace, name), nil
}

// writeRollback writes the objects that undo a change, and what no object does as comments.
func writeRollback(w io.Writer, r whatif.Rollback, o report.Options) error {
	for _, line := range report.RollbackNotes(&r, o) {
		if _, err := fmt.Fprintf(w, "# %s\n", line); err != nil {
			return err
		}
	}
	for _, data := range r.Objects {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		if err := writeYAML(w, data); err != nil {
			return err
		}
	}
	return nil
}
