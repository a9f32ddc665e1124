// Package redact takes the names and addresses out of a snapshot, so that it can be given to
// others, and leaves what plumb reads: the redacted snapshot gives the same findings.
//
// Each name, address and MAC address becomes a pseudonym, which a key decides: one original
// has one pseudonym in every file, and whoever lacks the key cannot compute it. What is left
// as it is: the shape of the network (which prefix holds which address, the last byte of an
// IPv4 address), numbers (ports, MTUs, counters), the words of the formats, and the names
// that every cluster has (kube-system, coredns, KUBE-SERVICES, eth0).
//
//	names      part by part: "web-0.shop" is two parts, a number and their separators, so names that
//	           are made of others (a Pod's folder, a rule's comment) stay so
//	addresses  a permutation that keeps prefixes (two addresses share as many leading bits as their
//	           pseudonyms) and fixes the ranges that mean something: loopback, link-local, multicast …
//	MACs       the same, beside the bits "group" and "local"; fe80:: addresses made of one follow it
//
// It fails closed. A file of an unknown kind is left out, a text of an unknown kind becomes
// empty or pseudonyms, and what cannot keep its meaning is made not understandable, so that
// a diagnosis says that it does not know it. Its limit: whoever knows much of a cluster may recognise
// it by its shape, and who can add addresses to it learns the pseudonyms near them.
package redact

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

// minKey is the length of the shortest key that is taken, in bytes.
const minKey = 16

// attempts bounds how many derived keys are tried, where pseudonyms meet originals.
const attempts = 64

// Files returns the snapshot with pseudonyms, and the Map that leads back, which stays with
// the owner. The same files and key give the same bytes. A key has 16 bytes or more.
//
// Where a pseudonym is one of the originals, of which a reader would think that it was not
// redacted, another key is derived from key, for that kind of pseudonym; an error says
// that none served.
func Files(files snapshot.Files, key []byte) (snapshot.Files, Map, error) {
	out, r, err := try(files, key)
	if err != nil {
		return nil, Map{}, fmt.Errorf("redact: %w", err)
	}
	return out, r.back(), nil
}

// try tries derived keys until no pseudonym is an original.
func try(files snapshot.Files, key []byte) (snapshot.Files, *redactor, error) {
	if len(key) < minKey {
		return nil, nil, fmt.Errorf("the key has %d bytes, want %d or more", len(key), minKey)
	}
	files, err := snapshot.TrimObjects(Unwrap(files))
	if err != nil {
		return nil, nil, err
	}
	var attempt [kinds]int
	for range attempts {
		r := newRedactor(key, attempt)
		out := r.files(files)
		clash := r.clashes()
		if clash == [kinds]bool{} {
			return out, r, nil
		}
		for kind, bad := range clash {
			if bad {
				attempt[kind]++
			}
		}
	}
	return nil, nil, fmt.Errorf("with each of %d keys a pseudonym was one of the originals: the addresses fill their range", attempts)
}

// Unwrap takes off the folder that a bundle may be in, as snapshot.Read does.
func Unwrap(files snapshot.Files) snapshot.Files {
	for range 3 {
		tops := map[string]bool{}
		for name := range files {
			top, _, _ := strings.Cut(name, "/")
			tops[top] = true
		}
		if tops["nodes"] || tops["objects"] || len(tops) != 1 {
			break
		}
		inner := snapshot.Files{}
		for name, data := range files {
			if _, rest, ok := strings.Cut(name, "/"); ok {
				inner[rest] = data
			}
		}
		files = inner
	}
	return files
}

// errUnknown is why a file is left out that is of no known kind.
var errUnknown = errors.New("a file of no known kind")

// files redacts all files.
func (r *redactor) files(files snapshot.Files) snapshot.Files {
	out := snapshot.Files{}
	for _, name := range files.Names() {
		to, rewrite := r.place(name)
		if rewrite == nil {
			r.leaveOut(name, errUnknown)
			continue
		}
		data, err := rewrite(files[name])
		if err != nil {
			r.leaveOut(name, err)
			out[to+".error"] = append(out[to+".error"], "it is not understood, and was left out when the snapshot was redacted\n"...)
			continue
		}
		out[to] = append(out[to], data...)
	}
	return out
}

func (r *redactor) leaveOut(name string, why error) {
	r.left = append(r.left, name+": "+why.Error())
}

// A rewriter redacts the content of a file.
type rewriter func([]byte) ([]byte, error)

// place returns the path of the redacted file, and what redacts it: nil for one of no known kind.
func (r *redactor) place(name string) (string, rewriter) {
	parts := strings.Split(name, "/")
	if base, ok := strings.CutSuffix(name, ".error"); ok && parts[0] == "objects" && len(parts) == 2 {
		return r.objectsError(base), r.errorText
	}
	if _, ok := snapshot.KindOfFile(name); ok || strings.HasPrefix(name, "objects/one-") { // none but these are left by TrimObjects
		if path.Dir(name) == "objects" && path.Ext(name) == ".json" {
			return name, r.objects
		}
	}
	if parts[0] != "nodes" || len(parts) < 3 || len(parts) > 4 {
		return "", nil
	}
	to := "nodes/" + r.name(parts[1]) + "/"
	last := parts[len(parts)-1]
	base, failed := strings.CutSuffix(last, ".error")
	rewrite := r.sources()[base]
	if len(parts) == 3 {
		switch {
		case last == "node.json":
			return to + last, r.jsonFile(nodeStrings)
		case failed && base == "node.json":
			return to + last, r.errorText
		case failed:
			return to + r.netns(base) + ".error", r.errorText
		}
		return "", nil
	}
	to += r.netns(parts[2]) + "/"
	switch {
	case rewrite == nil:
		return "", nil
	case failed:
		return to + last, r.errorText
	}
	return to + last, rewrite
}

// netns redacts the name of a namespace's folder; "host" is the node's own everywhere.
func (r *redactor) netns(name string) string {
	if name == "host" {
		return name
	}
	return r.name(name)
}

// sources are the files of a namespace, and what redacts each.
func (r *redactor) sources() map[string]rewriter {
	if r.bySource != nil {
		return r.bySource
	}
	r.bySource = map[string]rewriter{
		"netns.json": r.jsonFile(netnsStrings),
		"nft.json":   r.nftFile,
		"sysctl":     byLine(r.sysctlLine), "sockets": byLine(r.socketLine), "stat": byLine(statLine), "ipvs": byLine(r.ipvsLine),
		"ipset": r.ipset, snapshot.ResolvConf: byLine(r.resolvLine), snapshot.SystemdResolvConf: byLine(r.resolvLine),
	}
	for _, name := range []string{"addr.json", "routes.json", "routes6.json", "rules.json", "rules6.json", "nexthops.json", "neigh.json", "fdb.json", "vlan.json"} {
		r.bySource[name] = r.jsonFile(linkStrings)
	}
	for _, name := range []string{"iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"} {
		r.bySource[name] = r.save
	}
	return r.bySource
}

// errorText redacts what a collector wrote of why it failed.
func (r *redactor) errorText(data []byte) ([]byte, error) { return []byte(r.prose(string(data))), nil }

// A Map leads from the pseudonyms back to the originals. It is what must not be given away.
type Map struct {
	Names     map[string]string `json:"names"`              // parts of names
	Addresses map[string]string `json:"addresses"`          // addresses, prefixes and MAC addresses, as written
	LeftOut   []string          `json:"left_out,omitempty"` // files that are not in the redacted snapshot, and why
}

// back returns the Map of all that was met.
func (r *redactor) back() Map {
	m := Map{Names: map[string]string{}, Addresses: map[string]string{}, LeftOut: slices.Sorted(slices.Values(r.left))}
	for from, to := range r.partOf {
		m.Names[to] = from
	}
	for from, to := range r.aliasOf {
		m.Names[to] = from
	}
	for from, to := range r.prefixOf {
		m.Addresses[prefixText(to)] = prefixText(from)
	}
	for from, to := range r.macOf {
		m.Addresses[to.String()] = from.String()
	}
	maps.DeleteFunc(m.Addresses, func(to, from string) bool { return to == from })
	return m
}

// Restore puts the originals in the place of the pseudonyms that a text holds: a report
// of a redacted snapshot.
func (m Map) Restore(text string) string {
	s := scan{text: text}
	for s.next() {
		s.put(m.original(&s))
	}
	return s.out.String()
}

// original returns what the token at hand stands for.
func (m Map) original(s *scan) string {
	if s.kind == tokWord {
		return cmp.Or(m.Names[s.tok], s.tok)
	}
	if from := m.Addresses[s.tok]; from != "" {
		return from
	}
	host, length, _ := strings.Cut(s.tok, "/")
	if from := m.Addresses[host]; from != "" && length != "" {
		return from + "/" + length
	}
	return s.tok
}
