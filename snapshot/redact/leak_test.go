package redact

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// originals are all names and addresses of a snapshot, found by other means than those of the redactor.
type originals struct {
	names    map[string]bool // whole names
	words    map[string]bool // what names are made of
	prefixes map[netip.Prefix]bool
	macs     map[packet.MAC]bool
}

var (
	ipText   = regexp.MustCompile(`[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]+(/[0-9]+)?`)
	macText  = regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`)
	wordText = regexp.MustCompile(`[A-Za-z0-9]+`)
	process  = regexp.MustCompile(`\("([^"]+)"`)
	comment  = regexp.MustCompile(`\b[a-z][a-z0-9-]*/[a-z][a-z0-9-]*(:[a-z0-9-]+)?`)
	hashText = regexp.MustCompile(`\b(?:KUBE-(?:SVC|SEP|EXT|SVL|FW)-([A-Z2-7]{16})|(veth[0-9a-f]{8}))\b`)
)

// gather collects the originals.
func gather(t *testing.T, files snapshot.Files) originals {
	o := originals{map[string]bool{}, map[string]bool{}, map[netip.Prefix]bool{}, map[packet.MAC]bool{}}
	for name, data := range files {
		text := string(data)
		o.addrs(text)
		for _, m := range macText.FindAllString(text, -1) {
			mac, _ := packet.ParseMAC(m)
			o.macs[mac] = true
		}
		for _, m := range hashText.FindAllStringSubmatch(text, -1) {
			o.add(m[1] + m[2])
		}
		for _, m := range process.FindAllStringSubmatch(text, -1) {
			o.add(m[1])
		}
		dirs := strings.Split(name, "/")
		if dirs[0] == "nodes" {
			o.add(dirs[1])
		}
		if len(dirs) == 4 && dirs[2] != "host" {
			o.add(dirs[2])
		}
		for line := range strings.Lines(text) {
			if strings.HasSuffix(name, "tables") && strings.Contains(line, "--comment") {
				for _, m := range comment.FindAllString(line, -1) {
					o.add(m)
				}
			}
		}
		if dirs[0] == "objects" {
			var v any
			if err := json.Unmarshal(data, &v); err == nil {
				o.object(v, "")
			}
		}
	}
	return o
}

// object collects names, label values, port names, from anywhere in an object.
func (o originals) object(v any, key string) {
	switch v := v.(type) {
	case map[string]any:
		for k, kid := range v {
			if s, ok := kid.(string); ok && (key == "labels" || key == "matchLabels" || key == "selector" || key == "nodeSelector") {
				o.add(s)
			}
			o.object(kid, k)
		}
	case []any:
		for _, kid := range v {
			o.object(kid, key)
		}
	case string:
		if slices.Contains([]string{"name", "namespace", "nodeName", "hostname", "serviceName", "uid", "image", "targetPort", "zone"}, key) {
			o.add(v)
		}
	}
}

func (o originals) add(name string) {
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return
	}
	o.names[name] = true
	for _, w := range wordText.FindAllString(name, -1) {
		o.words[w] = true
	}
}

func (o originals) addrs(text string) {
	for _, s := range ipText.FindAllString(text, -1) {
		s = strings.TrimRight(s, ":.")
		if p, err := netip.ParsePrefix(s); err == nil {
			o.prefixes[p.Masked()] = true
			o.prefixes[netip.PrefixFrom(p.Addr(), p.Addr().BitLen())] = true
			continue
		}
		if a, err := netip.ParseAddrPort(s); err == nil {
			s = a.Addr().String()
		}
		if a, err := netip.ParseAddr(s); err == nil {
			o.prefixes[netip.PrefixFrom(a, a.BitLen())] = true
		}
	}
}

// public reports whether an address or prefix tells nothing of a cluster.
func public(p netip.Prefix) bool {
	a := p.Addr()
	b := a.AsSlice()
	n, mask := maskBits(a)
	return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4() && (b[0] == 0 || b[0] >= 224 || b[0] == 127 || b[0] == 169 && b[1] == 254) ||
		mask && n > 0 || a.IsLinkLocalUnicast() && a.Is6() && (same(b, 16, 120, 0) || strings.HasSuffix(a.String(), "ecee:eeff:feee:eeee")) ||
		p.Bits() <= 8 || a.Is4() && b[0] == 10 && same(b, 8, 32, 0) ||
		a.Is6() && same(b, 0, 96, 0)
}

// everyday are words that are names somewhere in the cases, and words of the formats or what everybody calls so too.
var everyday = set("http https endpointslice ipv4 lease")

// TestNothingLeaks looks for every original in every redacted file and path.
func TestNothingLeaks(t *testing.T) {
	looked := 0
	for name, a := range cases(t) {
		t.Run(name, func(t *testing.T) {
			files, _ := split(a)
			red, _, err := Files(files, testKey)
			if err != nil {
				t.Fatal(err)
			}
			o := gather(t, files)
			looked += len(o.prefixes) + len(o.names) + len(o.macs)
			for to, data := range red {
				for _, what := range o.in(to + "\n" + string(data)) {
					t.Errorf("%s holds %s", to, what)
				}
			}
		})
	}
	if looked < 6000 {
		t.Errorf("looked for %d originals only", looked)
	}
}

// in returns the originals that a text holds.
func (o originals) in(text string) (out []string) {
	got := originals{prefixes: map[netip.Prefix]bool{}}
	got.addrs(text)
	for p := range got.prefixes {
		if o.prefixes[p] && !public(p) {
			out = append(out, p.String())
		}
	}
	for _, m := range macText.FindAllString(text, -1) {
		mac, _ := packet.ParseMAC(m)
		known := mac == packet.MAC{} || mac[0]&1 == 1 || strings.HasPrefix(m, "ee:ee:ee")
		if o.macs[mac] && !known {
			out = append(out, m)
		}
	}
	for _, w := range wordText.FindAllString(text, -1) {
		if o.words[w] && len(w) > 3 && !kept(w) && !system[w] && !words[strings.ToLower(w)] && !everyday[w] {
			out = append(out, w)
		}
	}
	for n := range o.names {
		if n != wordText.FindString(n) && !plain(n) && whole(text, n) && !everybodys(n) {
			out = append(out, n)
		}
	}
	return out
}

// whole reports whether a text holds a name that is not a part of a longer word.
func whole(text, name string) bool {
	for i := 0; ; i++ {
		n := strings.Index(text[i:], name)
		if n < 0 {
			return false
		}
		i += n
		before, after := i == 0 || !isWord(text[i-1]), i+len(name) == len(text) || !isWord(text[i+len(name)])
		if before && after {
			return true
		}
	}
}

// everybodys reports whether a name is one that every cluster has.
func everybodys(n string) bool {
	if system[n] {
		return true
	}
	for _, w := range wordText.FindAllString(n, -1) {
		if !kept(w) && !system[w] {
			return false
		}
	}
	return true
}
