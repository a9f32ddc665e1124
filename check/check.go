// Package check defines the checks that look for faults in a cluster's network.
//
// A check is a variable of type [Check], in a folder of its own beside its test
// data. To add one, copy a folder and add a line to package all.
package check

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A Check looks for one kind of fault.
type Check struct {
	Name  string   // names the fault: "mtu-mismatch"
	Doc   string   // a title, a blank line, then symptom, cause, cure, and the commands a person would run
	DocZH string   // the same in Chinese
	Needs []string // snapshot files and object kinds without which it cannot judge: "addr.json", "host/iptables", "objects/Service"
	Run   func(*Pass)
}

// A Pass is one run of a check over one snapshot.
type Pass struct {
	Snapshot *snapshot.Cluster
	Network  *network.Network
	Results  []trace.Result // of the path asked about; none where no path was
	External []netip.Prefix // ranges outside the cluster that the user named
	Report   func(Finding)
	Unjudged func(where, why string) // says what could not be judged
	index    *index
}

// A Severity says how bad a finding is.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // worth knowing; nothing is broken
	Warning                 // will break, or already does for some
	Error                   // breaks connections now
)

// A Finding is a fault that a check found.
type Finding struct {
	Check    string
	Severity Severity
	Where    string    // what it is about: "node-a/host/eth0", "service/shop/api"
	Also     []string  // further places of which the same is to be said, and the same to be done; sorted
	What     text.Text // one sentence, with the numbers
	Fix      Fix
	Evidence []snapshot.Evidence
	// OnPath says that the path asked about dies of this fault.
	OnPath bool
	// Explains names the findings that follow from this one.
	Explains []Symptom
	// Consequences are the findings that this one explains; Run fills it.
	Consequences []Finding
}

// A Fix is a cure.
type Fix struct {
	What     text.Text // a verb and its object: "lower flannel.1 to 1350"
	Commands []string  // that a person can paste
}

// A Symptom names findings that another finding explains.
type Symptom struct {
	Check string // a check's name
	Where string // a prefix of Finding.Where; "" for everywhere
}

// A Result is what the checks found, and what they could not judge.
type Result struct {
	Findings []Finding  // root causes first
	Unjudged []Unjudged // sorted
	Ran      []string   // the checks that ran, by name
	Lost     []Loss     // sorted
}

// A Loss is a path that fails, as a check knows, though the trace cannot tell.
type Loss struct {
	At     trace.Place
	Packet string // Path.Final, as it prints
	Share  bool   // not every connection
}

// LossOf names a path as a Loss does.
func LossOf(p *trace.Path) Loss { return Loss{At: p.At, Packet: p.Final.String()} }

// Unjudged is something that a check could not judge.
type Unjudged struct {
	Check, Where, Why string
}
