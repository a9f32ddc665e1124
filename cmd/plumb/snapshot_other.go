//go:build !linux

package main

import (
	"errors"
	"io"

	"github.com/plumbnet/plumb/snapshot"
)

// collectInto fails: only Linux has the state that plumb reads.
func collectInto(snapshot.Files, string, io.Writer) error {
	return errors.New("only a Linux node can be collected: run \"plumb snapshot --script > collect.sh\", and the script there")
}
