//go:build !linux

package main

import (
	"errors"
	"io"

	"github.com/plumbnet/plumb/snapshot"
)

// local fails: only Linux has the state that plumb reads.
func local(io.Writer) (*snapshot.Cluster, error) {
	return nil, errors.New("give a --snapshot: only a Linux node's own state can be read in place")
}
