package image

import (
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// saves are the programs that plumbd reads the rules of a node with: of both back
// ends of iptables, since either may hold rules.
var saves = []string{
	"/usr/sbin/iptables-nft-save", "/usr/sbin/ip6tables-nft-save",
	"/usr/sbin/iptables-legacy-save", "/usr/sbin/ip6tables-legacy-save",
	"/usr/sbin/ipset", "/usr/sbin/nft",
}

// packages are those that have them.
var packages = []string{"iptables", "ipset", "nftables"}

// names are the files in which the programs look up names of protocols and ports. Without
// them they print numbers.
var names = []string{"/etc/protocols", "/etc/services"}

// extensions are parts of the programs that save rules: each prints a match or a target. There are
// others, of arptables and ebtables.
var extensions = []string{"libxt_*.so", "libipt_*.so", "libip6t_*.so"}

// A Release is what is to be said of an image of plumbd.
type Release struct {
	Name     string    // plumbd:v1.2.3
	Version  string    // v1.2.3
	Revision string    // of the source
	Created  time.Time // when the source was: the image of one source is always the same
	Cache    string    // a directory for Debian's packages; "" is one of the user's
}

// Plumbd returns an image for each of binaries, which are plumbd for one architecture
// each, with the programs that plumbd calls and the licences of these.
func Plumbd(ctx context.Context, r Release, binaries ...string) ([]Image, error) {
	var images []Image
	for _, b := range binaries {
		arch, err := architectureOf(b)
		if err != nil {
			return nil, err
		}
		programs, err := saving(ctx, r.Cache, arch)
		if err != nil {
			return nil, fmt.Errorf("programs for %s: %w", arch, err)
		}
		images = append(images, Image{
			Name: r.Name, Arch: arch, Created: r.Created, Gzip: true,
			Entrypoint: []string{"/plumbd"}, Env: []string{"PATH=/usr/sbin:/usr/bin"},
			Labels: map[string]string{
				"org.opencontainers.image.title":       "plumbd",
				"org.opencontainers.image.description": "the agent of plumb on a Kubernetes node",
				"org.opencontainers.image.version":     r.Version,
				"org.opencontainers.image.revision":    r.Revision,
				"org.opencontainers.image.source":      "https://github.com/plumbnet/plumb",
				"org.opencontainers.image.licenses":    "Apache-2.0 AND GPL-2.0-only AND GPL-2.0-or-later AND LGPL-2.1-or-later AND MIT AND BSD-3-Clause",
			},
			Layers: []Layer{programs, {{Path: "/plumbd", From: b}}}, // what changes seldom is below
		})
	}
	return images, nil
}

// architectureOf returns what a program runs on, as Go says it.
func architectureOf(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	arch, ok := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if !ok {
		return "", fmt.Errorf("%s: is for %s: want amd64 or arm64", program, f.Machine)
	}
	if f.Section(".interp") != nil {
		return "", fmt.Errorf("%s: is not static: build it with CGO_ENABLED=0", program)
	}
	return arch, nil
}

// saving returns the programs that save rules, from Debian's packages, and what these owe their authors.
func saving(ctx context.Context, cache, arch string) (Layer, error) {
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		cache = filepath.Join(dir, "plumb-lab")
	}
	debs, err := apt{filepath.Join(cache, "debian-"+arch), arch}.packages(ctx, packages...)
	if err != nil {
		return nil, err
	}
	var packs []pack
	for _, d := range debs {
		p, err := unpack(ctx, d)
		if err != nil {
			return nil, err
		}
		packs = append(packs, p)
	}
	return needs(newTree(packs))
}

// needs picks from packages what the image needs.
func needs(t tree) (Layer, error) {
	c := closure{tree: t, have: map[string]bool{}}
	wanted := slices.Clone(saves)
	for _, p := range slices.Sorted(maps.Keys(t.files)) {
		in, base := path.Base(path.Dir(p)), path.Base(p)
		if in == "xtables" && slices.ContainsFunc(extensions, func(like string) bool { ok, _ := path.Match(like, base); return ok }) {
			wanted = append(wanted, p)
		}
	}
	for _, w := range wanted {
		if err := c.add(w); err != nil {
			return nil, err
		}
	}
	used := map[*pack]bool{}
	for p := range c.have {
		used[t.owner[p]] = true
	}
	for _, n := range names {
		if f, ok := t.files[n]; ok {
			c.layer = append(c.layer, f)
			used[t.owner[n]] = true
		}
	}
	for p := range used {
		c.layer = append(c.layer, t.papers(p)...)
	}
	return unique(c.layer), nil
}

// papers returns a package's licence, and its stanza where those who search images for
// known faults look for it.
func (t tree) papers(p *pack) Layer {
	l := Layer{{Path: "/var/lib/dpkg/status.d/" + p.name, Text: strings.TrimSpace(p.control) + "\n", Mode: 0o644}}
	doc := "/usr/share/doc/" + p.name
	from := doc
	if to := t.files[doc].Link; to != "" { // to the papers of another package of the same source
		from = path.Join(path.Dir(doc), to)
	}
	if f, ok := t.files[from+"/copyright"]; ok {
		f.Path = doc + "/copyright"
		l = append(l, f)
	}
	return l
}
