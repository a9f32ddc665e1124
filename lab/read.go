//go:build linux

package lab

import (
	"os"

	"github.com/plumbnet/plumb/snapshot"
)

// Snapshot records the cluster and reads the record, as a user's bundle would be read.
func (l *Lab) Snapshot() (*snapshot.Cluster, error) {
	dir, err := os.MkdirTemp("", "plumb-lab-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := l.Record(dir); err != nil {
		return nil, err
	}
	return snapshot.Read(os.DirFS(dir))
}
