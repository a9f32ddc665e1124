//go:build linux

package bpf

import (
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// An Owner says whose a packet or a socket is, as plumb.h's struct owner: by an id of the tier's kind.
type Owner struct {
	ID    uint64
	By, _ uint32
}

// Pod returns the Pod of an owner and how it was told: "" for the node itself. It is false where the namespace is not known.
func (o Owner) Pod(p probe.Places) (string, event.Tier, bool) {
	switch tier := event.Tier(o.By); tier {
	case event.BySocket:
		if pod, ok := p.ByCgroup(o.ID); ok {
			return pod, tier, true
		}
	case event.ByDevice:
		if pod, ok := p.ByDevice(int(o.ID)); ok {
			return pod, tier, true
		}
	case event.ByNetNS:
		place, ok := p.ByNet(o.ID)
		switch {
		case !ok:
			return event.Unknown, event.Unattributed, false
		case place.Host:
			return "", event.Unattributed, true
		}
		return place.Pod, tier, true
	}
	return "", event.Unattributed, true
}
