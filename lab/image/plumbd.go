package image

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
	extensions, err := Extensions() // which print their part of a rule
	if err != nil {
		return nil, Image{}, err
	}
	l = unique(append(append(l, extensions...), File{Path: "/plumbd", From: binary}))
	return l, Image{Name: name, Entrypoint: []string{"/plumbd"}, Env: []string{"PATH=/usr/sbin:/usr/bin"}}, nil
}
