package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/snapshot/redact"
	"github.com/spf13/pflag"
)

// redactFlags are the flags of "plumb snapshot" about redaction.
type redactFlags struct {
	redact             bool
	mapFile, key, from string
	restore            string
}

func (f *redactFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&f.redact, "redact", false, "put pseudonyms in the place of names and addresses")
	fs.StringVar(&f.mapFile, "map", "", "write the way back from the pseudonyms to this `file` (default the bundle's, with .map.json)")
	fs.StringVar(&f.key, "redact-key", "", "take the key from this `file`, for bundles to have the same pseudonyms; else it is random, and lost")
	fs.StringVar(&f.from, "snapshot", "", "take what is in this `bundle`, instead of the state of this node")
	fs.StringVar(&f.restore, "restore", "", "put the originals of this map `file` into the report on the standard input")
}

// check looks for flags that do not go together, before anything is collected.
func (f *redactFlags) check(out string) error {
	switch {
	case !f.redact && (f.mapFile != "" || f.key != ""):
		return errors.New("--map and --redact-key go with --redact: plumb snapshot -o bundle.tar.gz --redact")
	case f.redact && out == "-" && f.mapFile == "":
		return errors.New("say where the map is to go: plumb snapshot -o - --redact --map redacted.map.json")
	case f.redact && f.mapPath(out) == out:
		return errors.New("--map names the bundle: the map must not be given away with it")
	}
	return nil
}

// mapPath returns the file of the map: "x.map.json" for the bundle "x.tar.gz".
func (f *redactFlags) mapPath(out string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(out, ".gz"), ".tgz"), ".tar")
	return cmp.Or(f.mapFile, base+".map.json")
}

// minKeyFile is the size of the smallest key file, in bytes.
const minKeyFile = 16

// readKey returns the key: of the file, or a random one.
func (f *redactFlags) readKey() ([]byte, error) {
	if f.key == "" {
		return []byte(rand.Text() + rand.Text()), nil
	}
	key, err := os.ReadFile(f.key)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("--redact-key: no file %s: (umask 077; head -c 32 /dev/urandom > %s) makes one", f.key, f.key)
	case err != nil:
		return nil, fmt.Errorf("--redact-key: %w", err)
	case len(key) < minKeyFile:
		return nil, fmt.Errorf("--redact-key: %s has %d bytes, want %d or more: head -c 32 /dev/urandom > %s", f.key, len(key), minKeyFile, f.key)
	}
	return key, nil
}

// apply redacts files, and writes the map.
func (f *redactFlags) apply(files snapshot.Files, out string, stderr io.Writer) (snapshot.Files, error) {
	key, err := f.readKey()
	if err != nil {
		return nil, err
	}
	redacted, back, err := redact.Files(files, key)
	if err != nil {
		return nil, err
	}
	for _, left := range back.LeftOut {
		fmt.Fprintf(stderr, "plumb: left out: %s\n", left)
	}
	err = writePrivate(f.mapPath(out), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(back)
	})
	if err != nil {
		return nil, fmt.Errorf("--map: %w", err)
	}
	fmt.Fprintf(stderr, "plumb: %d names and %d addresses have pseudonyms; keep %s to yourself\n", len(back.Names), len(back.Addresses), f.mapPath(out))
	return redacted, nil
}

// unpackInto adds the files of a bundle to files, and says on stderr what could not be read of it.
func unpackInto(files snapshot.Files, name string, stderr io.Writer) error {
	in, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("--snapshot: %w", err)
	}
	defer in.Close()
	have, gaps, err := snapshot.Unpack(name, in)
	if err != nil {
		return fmt.Errorf("--snapshot: %w", err)
	}
	for _, g := range gaps {
		fmt.Fprintf(stderr, "plumb: not read: %s: %s\n", g.Path, g.Why)
		if _, ok := have[g.Path]; ok { // a part of it: the next reader must know
			have[g.Path+".error"] = append(have[g.Path+".error"], g.Why+"\n"...)
		}
	}
	for path, data := range redact.Unwrap(have) {
		if files[path] == nil {
			files[path] = data
		}
	}
	return nil
}

// restore puts the originals of a map into a report.
func restore(mapFile string, in io.Reader, out io.Writer) error {
	data, err := os.ReadFile(mapFile)
	if err != nil {
		return fmt.Errorf("--restore: %w", err)
	}
	var m redact.Map
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("--restore: %s is no map: %w", mapFile, err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, m.Restore(string(text)))
	return err
}
