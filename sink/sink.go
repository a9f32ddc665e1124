// Package sink sends events on: to standard output, to a file, to Loki, to whatever takes OTLP. Before each
// sink stands a [Queue], so that one that is slow or dead holds up nothing, and whatever it costs is counted.
package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
)

// A Config is one sink: exactly one of its members is there.
type Config struct {
	Stdout *Stdout `json:"stdout,omitempty"`
	File   *File   `json:"file,omitempty"`
	Loki   *Loki   `json:"loki,omitempty"`
	OTLP   *OTLP   `json:"otlp,omitempty"`
}

// Stdout is the configuration of standard output, on which each event is a line of JSON. It has nothing to configure.
type Stdout struct{}

// Name returns which sink it is: "loki"; "" for none.
func (c Config) Name() string {
	switch {
	case c.Stdout != nil:
		return "stdout"
	case c.File != nil:
		return "file"
	case c.Loki != nil:
		return "loki"
	case c.OTLP != nil:
		return "otlp"
	}
	return ""
}

// Validate returns what is wrong with a configuration, by the field: "loki.url: …". It opens nothing.
func (c Config) Validate() error {
	n := 0
	for _, there := range []bool{c.Stdout != nil, c.File != nil, c.Loki != nil, c.OTLP != nil} {
		if there {
			n++
		}
	}
	switch {
	case n != 1:
		return fmt.Errorf("want one of stdout, file, loki, otlp; it has %d", n)
	case c.File != nil:
		return c.File.validate()
	case c.Loki != nil:
		return c.Loki.validate()
	case c.OTLP != nil:
		return c.OTLP.validate("otlp")
	}
	return nil
}

// Open opens a sink. That its server cannot be reached is no error here: that is seen when it is written to.
func Open(c Config) (event.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch {
	case c.File != nil:
		return openFile(*c.File)
	case c.Loki != nil:
		return openLoki(*c.Loki)
	case c.OTLP != nil:
		return openOTLP(*c.OTLP)
	}
	return newStream(os.Stdout), nil
}

// A refusal is an error after which trying again is in vain: some of the events are not wanted.
type refusal struct {
	n   int // of the events
	err error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// A later is an error that says when to try again.
type later struct {
	after time.Duration
	err   error
}

func (l *later) Error() string { return l.err.Error() }
func (l *later) Unwrap() error { return l.err }

// absolute refuses a path that depends on where the agent was started.
func absolute(field, path string) error {
	if path != "" && !filepath.IsAbs(path) {
		return fmt.Errorf("%s: %q: want a path from the root", field, path)
	}
	return nil
}

// secret reads a file that holds a password or a token. It is read anew each time: tokens are renewed.
func secret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(data))
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return "", errors.New(path + ": want one line with the secret")
	}
	return s, nil
}
