package image

import "path/filepath"

// saves are the programs that plumbd reads the rules of a node with: of both back
// ends of iptables, since either may hold rules.
var saves = []string{
	"/usr/sbin/iptables-nft-save", "/usr/sbin/ip6tables-nft-save",
	"/usr/sbin/iptables-legacy-save", "/usr/sbin/ip6tables-legacy-save",
	"/usr/sbin/ipset", "/usr/sbin/nft",
}

// Plumbd returns an image of plumbd, which binary is, and of what it calls, taken
// from this machine.
func Plumbd(binary, name string) (Layer, Image, error) {
	l, err := Programs(saves...)
	if err != nil {
		return nil, Image{}, err
	}
	extensions, err := filepath.Glob("/usr/lib/*-linux-gnu/xtables/*.so") // iptables-save prints what they know
	if err != nil {
		return nil, Image{}, err
	}
	for _, e := range extensions {
		l = append(l, File{Path: e, From: e})
	}
	l = append(l, File{Path: "/plumbd", From: binary})
	return l, Image{Name: name, Entrypoint: []string{"/plumbd"}, Env: []string{"PATH=/usr/sbin:/usr/bin"}}, nil
}
