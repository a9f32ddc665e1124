//go:build linux

package procnet

import (
	"maps"
	"time"
)

// Idle remembers of what there was nothing to tell, as of most Pods' queues: it is looked at again after a minute. The
// zero Idle is ready.
type Idle[K comparable] struct{ since map[K]time.Time }

const lookAgain = time.Minute

// Skip reports whether something is not to be looked at yet.
func (i *Idle[K]) Skip(k K) bool {
	at, ok := i.since[k]
	return ok && time.Since(at) < lookAgain
}

// Note says whether there was anything to tell.
func (i *Idle[K]) Note(k K, nothing bool) {
	if !nothing {
		delete(i.since, k)
		return
	}
	if i.since == nil {
		i.since = map[K]time.Time{}
	}
	i.since[k] = time.Now()
}

// Forget forgets what is to be looked at again, or has ended.
func (i *Idle[K]) Forget() {
	maps.DeleteFunc(i.since, func(_ K, at time.Time) bool { return time.Since(at) >= lookAgain })
}
