// Package all lists the probes that there are.
package all

import (
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/softnet"
)

// Kinds are the probes, in the order in which they are shown.
var Kinds = []*probe.Kind{
	softnet.Kind,
}
