package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ParseLinks reads what "ip -j -d addr" prints. A device of which something cannot be
// read is kept without it, and the error says which.
func ParseLinks(in io.Reader) ([]Link, error) {
	return parseList(in, "addr", func(l *Link, raw []byte) error {
		err := json.Unmarshal(raw, l)
		if err == nil && (l.Index <= 0 || l.Name == "") && string(raw) != "{}" {
			err = errors.New("no ifindex or no ifname")
		}
		return err
	}, func(l Link) bool { return l.Name != "" })
}

// parseList reads a JSON list, and goes on with the next element after a bad one. What ip
// leaves out of a list by a filter it prints as {}, which keep tells.
func parseList[T any](in io.Reader, what string, decode func(*T, []byte) error, keep func(T) bool) ([]T, error) {
	var raws []json.RawMessage
	if err := json.NewDecoder(in).Decode(&raws); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var out []T
	var first error
	for i, raw := range raws {
		var v T
		if err := decode(&v, raw); err != nil && first == nil {
			first = fmt.Errorf("%s: element %d: %w", what, i, err)
		}
		if keep(v) {
			out = append(out, v)
		}
	}
	return out, first
}

// vlanFile is an element of "bridge -j vlan".
type vlanFile struct {
	Dev   string `json:"ifname"`
	VLANs []struct {
		VID   int      `json:"vlan"`
		End   int      `json:"vlanEnd,omitempty"`
		Flags []string `json:"flags,omitempty"`
	} `json:"vlans"`
}

// ParseVLANs reads what "bridge -j vlan" prints.
func ParseVLANs(in io.Reader) ([]BridgeVLAN, error) {
	devs, err := parseList(in, "vlan", func(v *vlanFile, raw []byte) error {
		return json.Unmarshal(raw, v)
	}, func(v vlanFile) bool { return v.Dev != "" })
	var out []BridgeVLAN
	for _, d := range devs {
		for _, v := range d.VLANs {
			b := BridgeVLAN{Dev: d.Dev, VID: v.VID, VIDEnd: max(v.VID, v.End)}
			for _, f := range v.Flags {
				b.PVID = b.PVID || f == "PVID"
				b.Untagged = b.Untagged || f == "Egress Untagged"
			}
			out = append(out, b)
		}
	}
	return out, err
}

// FormatVLANs returns what "bridge -j vlan" prints. The entries of a device stand together.
func FormatVLANs(vlans []BridgeVLAN) ([]byte, error) {
	out := []vlanFile{}
	for _, v := range vlans {
		if len(out) == 0 || out[len(out)-1].Dev != v.Dev {
			out = append(out, vlanFile{Dev: v.Dev})
		}
		d := &out[len(out)-1]
		d.VLANs = append(d.VLANs, struct {
			VID   int      `json:"vlan"`
			End   int      `json:"vlanEnd,omitempty"`
			Flags []string `json:"flags,omitempty"`
		}{VID: v.VID})
		e := &d.VLANs[len(d.VLANs)-1]
		if v.VIDEnd > v.VID {
			e.End = v.VIDEnd
		}
		if v.PVID {
			e.Flags = append(e.Flags, "PVID")
		}
		if v.Untagged {
			e.Flags = append(e.Flags, "Egress Untagged")
		}
	}
	return json.Marshal(out)
}
