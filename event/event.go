// Package event holds what probes see happen on a node, in the one form in which it is printed, stored and
// sent on. It knows packets, and neither probes nor where events go.
package event

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/plumbnet/plumb/packet"
)

// An Event is something that happened on a node, such as a retransmission.
type Event struct {
	Time   time.Time     // by the node's clock
	Kind   string        // the probe's name: "tcpretransmit"
	Node   string        // where it happened
	Pod    string        // whose it is: "shop/web-0", or "" for the node itself
	Peer   string        // the Pod at the other end, or whose address that was until lately, the node whose own it is, or the Service ("svc/shop/api"), where that is known
	By     Tier          // how Pod was told
	Packet packet.Packet // without addresses where there was none
	Detail []Field       // in the order in which they are shown
}

// Unknown is the Pod of what happened in a network namespace of which it is not known whose it is: of many such, maybe.
const Unknown = "unknown"

// A Field is one detail of an event. Its value has its unit where it has one: "12ms".
type Field struct{ Key, Value string }

// A Tier is how the Pod of an event was told, the surest first.
type Tier uint8

// The tiers.
const (
	Unattributed Tier = iota // not told: the node itself, or not known
	BySocket                 // by the cgroup of the socket, which separates Pods on the node's own network too
	ByNetNS                  // by the network namespace
	ByDevice                 // by the node's end of the Pod's veth
	ByAddress                // by an address, which had been the Pod's then
)

var tiers = [...]string{"", "socket", "netns", "device", "address"}

// String returns the tier as events have it: "socket".
func (t Tier) String() string {
	if int(t) >= len(tiers) {
		return fmt.Sprintf("tier %d", uint8(t))
	}
	return tiers[t]
}

// A Sink keeps or sends on events. Write is not called twice at once; events that it
// returns an error for may be written again.
type Sink interface {
	Write(context.Context, []Event) error
	Close() error
}

// wire is an event as JSON.
type wire struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Node      string    `json:"node,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Pod       string    `json:"pod,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	By        string    `json:"by,omitempty"`
	Proto     string    `json:"proto,omitempty"`
	Src       string    `json:"src,omitempty"`
	Dst       string    `json:"dst,omitempty"`
	Size      int       `json:"size,omitempty"`
	Detail    fields    `json:"detail,omitempty"`
}

// fields are an object whose members keep their order.
type fields []Field

// MarshalJSON writes an event as one flat object; README of package sink shows one.
func (e Event) MarshalJSON() ([]byte, error) {
	w := wire{Time: e.Time.UTC(), Kind: e.Kind, Node: e.Node, Peer: e.Peer, By: e.By.String(), Size: e.Packet.Size, Detail: e.Detail}
	w.Namespace, w.Pod = Split(e.Pod)
	if e.Packet.Proto != 0 {
		w.Proto = e.Packet.Proto.String()
	}
	w.Src, w.Dst = endpoint(e.Packet.Src), endpoint(e.Packet.Dst)
	return json.Marshal(w)
}

// Split splits "shop/web-0" into namespace and name. What has no namespace is no Pod of Kubernetes.
func Split(pod string) (namespace, name string) {
	namespace, name, ok := strings.Cut(pod, "/")
	if !ok {
		return "", pod
	}
	return namespace, name
}

// service begins the name of a Service, as a peer has it.
const service = "svc/"

// Service returns the name of a Service as a peer: "svc/shop/api".
func Service(namespace, name string) string { return service + namespace + "/" + name }

// SplitService splits what [Service] returns; ok is false for Pods and nodes, of which none has two slashes.
func SplitService(peer string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(peer, service)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// NamespaceOf returns the namespace of a Pod or of a Service, "" of a node.
func NamespaceOf(peer string) string {
	if namespace, _, ok := SplitService(peer); ok {
		return namespace
	}
	namespace, _ := Split(peer)
	return namespace
}

func endpoint(a netip.AddrPort) string {
	switch {
	case !a.Addr().IsValid():
		return ""
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Event) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	*e = Event{Time: w.Time, Kind: w.Kind, Node: w.Node, Pod: w.Pod, Peer: w.Peer, Detail: w.Detail}
	if w.Namespace != "" {
		e.Pod = w.Namespace + "/" + w.Pod
	}
	for t, name := range tiers {
		if name == w.By {
			e.By = Tier(t)
		}
	}
	e.Packet.Size = w.Size
	var err error
	if w.Proto != "" {
		if e.Packet.Proto, err = packet.ParseProto(w.Proto); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	if e.Packet.Src, err = parseEndpoint(w.Src); err != nil {
		return fmt.Errorf("event: src: %w", err)
	}
	if e.Packet.Dst, err = parseEndpoint(w.Dst); err != nil {
		return fmt.Errorf("event: dst: %w", err)
	}
	return nil
}

func parseEndpoint(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}

// MarshalJSON writes the fields as an object, in their order.
func (f fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, s := range []string{x.Key, x.Value} {
			if j > 0 {
				b.WriteByte(':')
			}
			data, err := json.Marshal(s)
			if err != nil {
				return nil, err
			}
			b.Write(data)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object of strings in its order.
func (f *fields) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("detail: want an object: %v", err)
	}
	for d.More() {
		var x Field
		for _, s := range []*string{&x.Key, &x.Value} {
			t, err := d.Token()
			if err != nil {
				return err
			}
			word, ok := t.(string)
			if !ok {
				return fmt.Errorf("detail: %v: want a string", t)
			}
			*s = word
		}
		*f = append(*f, x)
	}
	return nil
}

// String returns an event as a line for people:
//
//	12:04:05.123 tcpretransmit shop/web-0 tcp 10.0.0.1:40000 > 10.0.0.2:80 state=ESTABLISHED
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Time.Format("15:04:05.000"), e.Kind)
	for _, s := range []string{e.Node, e.Pod} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	if e.Packet.Proto != 0 {
		fmt.Fprintf(&b, " %s %s > %s", e.Packet.Proto, endpoint(e.Packet.Src), endpoint(e.Packet.Dst))
	}
	if e.Peer != "" {
		b.WriteString(" (" + e.Peer + ")")
	}
	for _, f := range e.Detail {
		fmt.Fprintf(&b, " %s=%s", f.Key, f.Value)
	}
	return b.String()
}
